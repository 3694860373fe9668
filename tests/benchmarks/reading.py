"""Reading image files against OpenCV alone, which asks no header: images per second of one core's time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, islice
from statistics import median
from time import process_time

import cv2
import numpy as np

from imgcluster.images.decode import decode_image
from tests.benchmarks.clock import Side, median_ratio, take_turns
from tests.benchmarks.inputs import STAGE
from tests.benchmarks.rows import Row

# Of pictures: height, width, how many are read in a round, and in a quick one, and the ratio aimed at.
SIZES = ((1200, 1600, 40, 6, 0.97), (120, 160, 4000, 600, 0.93))
DIFFERENT = 20
ROUNDS = {False: 9, True: 3}


def reading(quick: bool) -> Iterator[Row]:
    """Compare the formats that are most."""
    for height, width, many, few, aim in SIZES:
        count = few if quick else many
        pictures = [_picture(number, height, width) for number in range(min(DIFFERENT, count))]
        for name, ending in (("JPEG", ".jpg"), ("PNG", ".png")):
            files = [cv2.imencode(ending, picture)[1].tobytes() for picture in pictures]
            sides: dict[str, Side] = {
                "ours": partial(_read, files, count, decode_image),
                "alone": partial(_read, files, count, _by_opencv),
            }
            rates = take_turns(sides, ROUNDS[quick], process_time)
            ours, alone = rates["ours"], rates["alone"]
            figure = f"{name} of {width} x {height}, read as RGB, against OpenCV alone"
            ratio = f"{median_ratio(ours, alone):.2f}"
            yield Row(
                "reading", figure, f"{median(ours):,.0f} img/s", f"{median(alone):,.0f} img/s", ratio, f">= {aim}"
            )


def _read(files: list[bytes], count: int, read: Callable[[bytes], np.ndarray], _: int) -> range:
    for data in islice(cycle(files), count):
        read(data)
    return range(count)


def _by_opencv(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


def _picture(number: int, height: int, width: int) -> np.ndarray:
    """A frame with noise, (height, width, 3) uint8."""
    frames = sorted((STAGE / "test").glob("*.jpg"))
    frame = cv2.resize(cv2.imread(str(frames[number % len(frames)])), (width, height))
    noise = np.random.default_rng(number).normal(0, 4, frame.shape)
    return (frame + noise).clip(0, 255).astype(np.uint8)
