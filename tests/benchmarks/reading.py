"""Reading image files against OpenCV alone, which asks no header: images per second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import cv2
import numpy as np

from imgcluster.images.decode import decode_image
from tests.benchmarks.clock import median_ratio, take_turns
from tests.benchmarks.inputs import STAGE
from tests.benchmarks.rows import Row

HEIGHT, WIDTH = 1200, 1600
IMAGES = {False: 40, True: 6}
ROUNDS = {False: 9, True: 3}


def reading(quick: bool) -> Iterator[Row]:
    """Compare the formats that are most."""
    pictures = [_picture(number) for number in range(IMAGES[quick])]
    for name, ending in (("JPEG", ".jpg"), ("PNG", ".png")):
        files = [cv2.imencode(ending, picture)[1].tobytes() for picture in pictures]
        sides: dict[str, Callable[[int], list[np.ndarray]]] = {
            "ours": partial(_all, files, decode_image),
            "alone": partial(_all, files, _by_opencv),
        }
        rates = take_turns(sides, ROUNDS[quick])
        ours, alone = rates["ours"], rates["alone"]
        figure = f"{name} of {WIDTH} x {HEIGHT}, read as RGB, against OpenCV alone"
        ratio = f"{median_ratio(ours, alone):.2f}"
        yield Row("reading", figure, f"{median(ours):.1f} img/s", f"{median(alone):.1f} img/s", ratio, ">= 0.97")


def _all(files: list[bytes], read: Callable[[bytes], np.ndarray], _: int) -> list[np.ndarray]:
    return [read(data) for data in files]


def _by_opencv(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


def _picture(number: int) -> np.ndarray:
    """A frame with noise, (height, width, 3) uint8."""
    frames = sorted((STAGE / "test").glob("*.jpg"))
    frame = cv2.resize(cv2.imread(str(frames[number % len(frames)])), (WIDTH, HEIGHT))
    noise = np.random.default_rng(number).normal(0, 4, frame.shape)
    return (frame + noise).clip(0, 255).astype(np.uint8)
