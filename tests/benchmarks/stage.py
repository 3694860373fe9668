"""How quickly the stage recipe goes through its frames on a CPU, against the loop as published."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from sklearn.metrics import adjusted_rand_score

from imgcluster import ImageFile, cluster_features, list_images
from imgcluster.config.loader import ClustersConfig
from tests.benchmarks.clock import median_ratio, take_turns
from tests.benchmarks.inputs import stage_config
from tests.benchmarks.ours import OurLoop
from tests.benchmarks.published import PublishedLoop
from tests.benchmarks.rows import Row

PER_ROUND = 20
ROUNDS = {False: 10, True: 1}  # by --quick: 200 frames, the committed 160 and 40 of them again
N_CLUSTERS = 5
SAME_CLUSTERS_AIM = ">= 0.98"

Loop = Callable[[Sequence[ImageFile]], np.ndarray]


@dataclass(frozen=True)
class Aims:
    """How many times as quick as the published loop, without and with building; how near to its features."""

    speed: str
    whole: str
    difference: str = ""


AIMS = {
    "auto": Aims(">= 3", ">= 3"),
    "fp32": Aims(">= 3", ">= 3", "<= 1e-5"),
    "int8": Aims(">= 5", ""),  # the first time, building is calibrating, too
}


@dataclass(frozen=True)
class Built:
    """A loop that has done the first frame: the seconds until then, and the features of that frame."""

    loop: Loop
    seconds: float
    features: np.ndarray


def stage(quick: bool) -> Iterator[Row]:
    """Images a second, frames in turns of 20, without and with the time to build the network."""
    precisions = [precision for precision in AIMS if precision != "int8" or find_spec("nncf")]
    with TemporaryDirectory() as own:
        committed = list_images(stage_config(Path(own)).images)[0]
        frames = list(islice(cycle(committed), PER_ROUND * ROUNDS[quick]))
        ours = {name: _build(partial(_our_loop, Path(own), name, committed), frames[0]) for name in precisions}
    published = _build(partial(PublishedLoop, "cpu"), frames[0])
    found: dict[str, list[np.ndarray]] = {name: [] for name in [*ours, "published"]}
    loops = {**ours, "published": published}.items()
    sides = {name: partial(_chunk, built.loop, frames, found[name]) for name, built in loops}
    rates = take_turns(sides, ROUNDS[quick])
    for precision, built in ours.items():
        theirs, aims = rates["published"], AIMS[precision]
        yield _speed(f"{precision}, network built before", rates[precision], theirs, aims.speed)
        whole = _with_building(rates[precision], built, len(frames))
        others = _with_building(theirs, published, len(frames))
        yield _speed(f"{precision}, building included", whole, others, aims.whole)
        yield _difference(f"{precision}, largest relative difference", built, published, aims.difference)
    if "int8" in ours:
        yield _same_clusters(found, len(committed))
    else:
        yield Row("stage", "int8", "not measured", "nncf is not here")


def _our_loop(own: Path, precision: str, images: Sequence[ImageFile]) -> OurLoop:
    return OurLoop(stage_config(own, "features.device=cpu", f"features.precision={precision}").features, images)


def _build(make: Callable[[], Loop], frame: ImageFile) -> Built:
    start = perf_counter()
    loop = make()
    features = loop([frame])
    return Built(loop, perf_counter() - start, features)


def _chunk(loop: Loop, frames: list[ImageFile], found: list[np.ndarray], number: int) -> np.ndarray:
    found.append(loop(frames[number * PER_ROUND : (number + 1) * PER_ROUND]))
    return found[-1]


def _with_building(rates: list[float], built: Built, frames: int) -> list[float]:
    return [frames / (built.seconds + frames / rate) for rate in rates]


def _speed(figure: str, ours: list[float], theirs: list[float], aim: str) -> Row:
    ratio = f"{median_ratio(ours, theirs):.2f}"
    return Row("stage", figure, f"{median(ours):.2f} img/s", f"{median(theirs):.2f} img/s", ratio, aim)


def _difference(figure: str, ours: Built, theirs: Built, aim: str) -> Row:
    difference = np.abs(ours.features - theirs.features).max() / np.abs(theirs.features).max()
    return Row("stage", figure, f"{difference:.1e}", aim=aim)


def _same_clusters(found: dict[str, list[np.ndarray]], distinct: int) -> Row:
    """How far the clusters by int8 are those by fp32, of each frame once."""
    vectors = (np.concatenate(found[precision])[:distinct] for precision in ("int8", "fp32"))
    config = ClustersConfig(method="kmeans", n_clusters=N_CLUSTERS)
    ours, theirs = (cluster_features(each, config, show=False).labels for each in vectors)
    ari = f"{adjusted_rand_score(theirs, ours):.3f}"
    return Row("stage", "int8, ARI of its clusters to those of fp32", ari, aim=SAME_CLUSTERS_AIM)
