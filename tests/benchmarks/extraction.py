"""How quickly the embedded default goes through JPEGs on a CPU: against torch alone, and against the cores' limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from os import cpu_count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time

import cv2
import numpy as np
import torch

from imgcluster import ImageFile, extract_features
from imgcluster.config.backbone_table import BACKBONES
from imgcluster.config.loader import FeaturesConfig
from imgcluster.images.decode import decode_image
from imgcluster.images.preprocess import prepare
from tests.benchmarks.clock import median_ratio, seconds, take_turns
from tests.benchmarks.inputs import STAGE
from tests.benchmarks.ours import OurLoop
from tests.benchmarks.rows import Row

BACKBONE = "efficientnet_lite0"
JOINS = (
    (BACKBONE,),
    ("efficientnet_lite2",),
    ("hog",),
    (BACKBONE, "hog"),
    (BACKBONE, "efficientnet_lite2"),
    (BACKBONE, "efficientnet_lite2", "hog"),
)
PER_ROUND = {False: 320, True: 48}  # by --quick
ROUNDS = {False: 5, True: 1}
SIDE, QUALITY = 512, 90
LARGE = (3000, 4000)
MOST_OF_TORCH = 32


def extraction(quick: bool) -> Iterator[Row]:
    """Images a second, images in turns; network built and imports done before."""
    with TemporaryDirectory() as own:
        images = write_jpegs(Path(own) / "jpegs", PER_ROUND[quick])
        loops = {
            "auto": OurLoop(_config(own)),
            "bf16": OurLoop(_config(own, precision="bf16")),
            "torch": OurLoop(_config(own, runtime="torch", precision="fp32", batch_size=MOST_OF_TORCH)),
        }
        for loop in loops.values():
            loop(images[:MOST_OF_TORCH])
        sides = {name: _side(loop, images) for name, loop in loops.items()}
        for name in ("auto", "bf16"):
            sides[f"{name} limit, reading"] = lambda _: _read_all(images, loops["auto"])
            sides[f"{name} limit, network"] = network_alone(loops[name], len(images))
        rates = take_turns(sides, ROUNDS[quick])
        for name in ("auto", "bf16"):
            yield _row(f"{name}, against torch fp32, batch 32", rates[name], rates["torch"], ">= 8")
            alone = (rates[f"{name} limit, reading"], rates[f"{name} limit, network"])
            limit = [1 / sum(1 / rate for rate in pair) for pair in zip(*alone, strict=True)]
            yield _row(f"{name}, against reading and network each alone", rates[name], limit, ">= 0.9")
        yield _second(own, images)
        yield from _joined(images, ROUNDS[quick])
    yield _large(quick)


def write_jpegs(folder: Path, count: int) -> list[ImageFile]:
    """Write JPEGs of 512 x 512: the stage frames, moved and with noise, so that no two are equal."""
    folder.mkdir()
    frames = sorted((STAGE / "test").glob("*.jpg"))
    return [_write_jpeg(folder / f"{number:05d}.jpg", frames[number % len(frames)], number) for number in range(count)]


def _write_jpeg(path: Path, frame: Path, number: int) -> ImageFile:
    random = np.random.default_rng(number)
    picture = np.roll(cv2.resize(cv2.imread(str(frame)), (SIDE, SIDE)), int(random.integers(SIDE)), axis=1)
    noisy = (picture + random.normal(0, 3, picture.shape)).clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(path), noisy, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return ImageFile(path.stem, path)


def _config(own: str, **keys: object) -> FeaturesConfig:
    return FeaturesConfig(**{"backbone": BACKBONE, "device": "cpu", "store": f"{own}/store", **keys})


def _side(loop: OurLoop, images: Sequence[ImageFile]) -> Callable[[int], np.ndarray]:
    return lambda _: loop(images)


def _read_all(images: Sequence[ImageFile], loop: OurLoop) -> Sequence[ImageFile]:
    pixels = np.zeros((1, loop.recipe.side, loop.recipe.side, 3), np.uint8)

    def read(image: ImageFile) -> None:
        prepare(decode_image(image.path.read_bytes(), loop.recipe.least), loop.recipe, pixels.copy())

    with ThreadPoolExecutor(cpu_count()) as pool:
        list(pool.map(read, images))
    return images


def network_alone(loop: OurLoop, count: int) -> Callable[[int], range]:
    """Let the network see so many pictures, which are in its buffer already."""
    side, size = loop.recipe.side, loop.plan.batch_size
    pixels = loop.runtime.buffer((size, loop.recipe.n_views, side, side, 3))
    noise = np.random.default_rng(0).integers(0, 256, pixels.shape, dtype=np.uint8)
    pixels[:] = torch.from_numpy(noise) if isinstance(pixels, torch.Tensor) else noise

    def run(_: int) -> range:
        waiting = []
        for _ in range(0, count, size):
            waiting.append(loop.runtime.start(pixels))
            if len(waiting) == loop.runtime.depth:
                waiting.pop(0)()
        for result in waiting:
            result()
        return range(count)

    return run


def _second(own: str, images: Sequence[ImageFile]) -> Row:
    config = _config(own, store=f"{own}/kept")
    first, second = (seconds(lambda: extract_features(images, config, show=False)) for _ in range(2))
    figure = f"second extract against the first, {len(images)} images"
    return Row("extraction", figure, f"{second:.2f} s", f"{first:.2f} s", f"{second / first:.3f}", "<= 0.05")


def _joined(images: Sequence[ImageFile], rounds: int) -> Iterator[Row]:
    """CPU seconds of all threads for 1,000 images, with the views of configs/folder.yaml, in turns."""
    spent: dict[tuple[str, ...], list[float]] = {names: [] for names in JOINS}
    for _, (names, each) in product(range(rounds), spent.items()):
        with TemporaryDirectory() as own:
            start = process_time()
            extract_features(images, _config(own, backbone=names, views="whole"), show=False)
            each.append(1000 * (process_time() - start) / len(images))
    alone, *others = spent.values()
    for names, each in zip(JOINS[1:], others, strict=True):
        figure = f"{' and '.join(names)}, 1,000 images"
        ratio = f"{median_ratio(each, alone):.2f}"
        yield Row("extraction", figure, f"{median(each):.0f} CPU s", f"{median(alone):.0f} CPU s", ratio)


def _large(quick: bool) -> Row:
    """12 megapixels, decoded as a whole or at the scale that the recipe `backbone` allows."""
    recipe = BACKBONES[BACKBONE].recipe
    frame = cv2.resize(cv2.imread(str(next((STAGE / "test").glob("*.jpg")))), LARGE[::-1])
    noisy = (frame + np.random.default_rng(0).normal(0, 5, frame.shape)).clip(0, 255).astype(np.uint8)
    data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    pixels = np.zeros((1, recipe.side, recipe.side, 3), np.uint8)
    sides = {
        "ours": lambda _: [prepare(decode_image(data, recipe.least), recipe, pixels)],
        "whole": lambda _: [prepare(decode_image(data), recipe, pixels)],
    }
    rates = take_turns(sides, 3 if quick else 9)
    return _row("12-megapixel JPEG, read and prepared, against whole", rates["ours"], rates["whole"], ">= 3")


def _row(figure: str, ours: list[float], theirs: list[float], aim: str) -> Row:
    ratio = f"{median_ratio(ours, theirs):.2f}"
    return Row("extraction", figure, f"{median(ours):.1f} img/s", f"{median(theirs):.1f} img/s", ratio, aim)
