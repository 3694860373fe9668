"""How quickly the stage recipe goes through its frames on a CPU, against the loop as published."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from imgcluster import ImageFile, list_images
from tests.benchmarks.clock import median_ratio, take_turns
from tests.benchmarks.inputs import stage_config
from tests.benchmarks.ours import OurLoop
from tests.benchmarks.published import PublishedLoop
from tests.benchmarks.rows import Row

PRECISIONS = {"auto": "", "fp32": "<= 1e-5"}  # and how near to the published features each is to come
PER_ROUND = 20
ROUNDS = {False: 5, True: 1}  # by --quick
SPEED_AIM = ">= 1.5"

Loop = Callable[[Sequence[ImageFile]], np.ndarray]


@dataclass(frozen=True)
class Built:
    """A loop that has done the first frame: the seconds until then, and the features of that frame."""

    loop: Loop
    seconds: float
    features: np.ndarray


def stage(quick: bool) -> Iterator[Row]:
    """Images a second, frames in turns of 20, without and with the time to build the network."""
    with TemporaryDirectory() as own:
        frames = list_images(stage_config(Path(own)).images)[0][: PER_ROUND * ROUNDS[quick]]
        ours = {precision: _build(partial(_our_loop, Path(own), precision), frames[0]) for precision in PRECISIONS}
    published = _build(partial(PublishedLoop, "cpu"), frames[0])
    sides = {name: partial(_chunk, built.loop, frames) for name, built in {**ours, "published": published}.items()}
    rates = take_turns(sides, ROUNDS[quick])
    for precision, built in ours.items():
        theirs = rates["published"]
        yield _speed(f"{precision}, network built before", rates[precision], theirs)
        whole = _with_building(rates[precision], built, len(frames))
        yield _speed(f"{precision}, building included", whole, _with_building(theirs, published, len(frames)))
        yield _difference(f"{precision}, largest relative difference", built, published, PRECISIONS[precision])


def _our_loop(own: Path, precision: str) -> OurLoop:
    return OurLoop(stage_config(own, "features.device=cpu", f"features.precision={precision}").features)


def _build(make: Callable[[], Loop], frame: ImageFile) -> Built:
    start = perf_counter()
    loop = make()
    features = loop([frame])
    return Built(loop, perf_counter() - start, features)


def _chunk(loop: Loop, frames: list[ImageFile], number: int) -> np.ndarray:
    return loop(frames[number * PER_ROUND : (number + 1) * PER_ROUND])


def _with_building(rates: list[float], built: Built, frames: int) -> list[float]:
    return [frames / (built.seconds + frames / rate) for rate in rates]


def _speed(figure: str, ours: list[float], theirs: list[float]) -> Row:
    ratio = f"{median_ratio(ours, theirs):.2f}"
    return Row("stage", figure, f"{median(ours):.2f} img/s", f"{median(theirs):.2f} img/s", ratio, SPEED_AIM)


def _difference(figure: str, ours: Built, theirs: Built, aim: str) -> Row:
    difference = np.abs(ours.features - theirs.features).max() / np.abs(theirs.features).max()
    return Row("stage", figure, f"{difference:.1e}", aim=aim)
