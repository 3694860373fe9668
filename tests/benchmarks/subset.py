"""Subsets to learn from: how well a classifier does that knows the labels of the images chosen alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

from imgcluster.curation.coverage import facility_location, k_center
from imgcluster.curation.space import unit_points
from imgcluster.labels.suggestions import _others, typical_rows
from imgcluster.runs import PartialLabels
from tests.benchmarks.labels import SETS, sample_vectors
from tests.benchmarks.rows import Row

COUNTS = (50, 100)
DRAWS = {False: 10, True: 2}  # by --quick
POOL = 0.5  # of the images, to choose from; the classifier is tested on the others
MANY, DIM = 100_000, 128

Choose = Callable[[np.ndarray, int, int, np.random.Generator], np.ndarray]


def subset(quick: bool) -> Iterator[Row]:
    """Accuracy on images that were not to be chosen, mean of the draws; then the seconds of many images."""
    with TemporaryDirectory() as own:
        for name in ("digits", "photos") if not quick else SETS:
            vectors, classes = sample_vectors(Path(own), name)
            for count in COUNTS:
                yield from rows_of(name, vectors, classes, count, DRAWS[quick])
    yield _many()


def rows_of(name: str, vectors: np.ndarray, classes: np.ndarray, count: int, draws: int) -> Iterator[Row]:
    """Return the rows of a set for a number of images chosen."""
    points = unit_points(vectors)
    means = {
        way: np.mean([_accuracy(points, classes, choose, count, draw) for draw in range(draws)])
        for way, choose in WAYS.items()
    }
    random = means["random"]
    for way, mean in means.items():
        yield Row("subset", f"{name}, {count} images, {way}", f"{mean:.3f}", f"{random:.3f}", f"{mean / random:.2f}")


def _accuracy(points: np.ndarray, classes: np.ndarray, choose: Choose, count: int, draw: int) -> float:
    generator = np.random.default_rng(draw)
    order = generator.permutation(len(points))
    pool, others = np.split(order, [max(int(POOL * len(points)), min(3 * count, len(points) - 50))])
    rows = pool[choose(points[pool], count, int(classes.max()) + 1, generator)]
    model = LogisticRegression(C=10, max_iter=1000).fit(points[rows], classes[rows])
    return float((model.predict(points[others]) == classes[others]).mean())


def _suggested(points: np.ndarray, count: int, groups: int, _: np.random.Generator) -> np.ndarray:
    """Return the rows that `suggest` would name without a label, of clusters by K-Means."""
    clusters = KMeans(groups, n_init=2, random_state=0).fit(points)
    distances = clusters.transform(points).min(axis=1)
    typical = typical_rows(clusters.labels_.astype(np.int64), distances, np.empty(0, np.int64))[:count]
    none = PartialLabels(np.empty(0, np.int64), [], [])
    others, _words = _others(points.astype(np.float64), np.array(typical), none, count - len(typical))
    return np.array([*typical, *others])


def _greedy(choose: Callable[[np.ndarray, int, np.ndarray], list[int]]) -> Choose:
    return lambda points, count, *_: np.array(choose(points, count, np.empty(0, np.int64)))


WAYS: dict[str, Choose] = {
    "random": lambda points, count, _, generator: generator.choice(len(points), count, replace=False),
    "suggest": _suggested,
    "k-center": _greedy(k_center),
    "facility location": _greedy(facility_location),
}


def _many() -> Row:
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(300, DIM))
    points = centres[generator.integers(0, 300, MANY)] + 0.8 * generator.normal(size=(MANY, DIM))
    unit = np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True), np.float32)
    start = time.perf_counter()
    facility_location(unit, 200, np.empty(0, np.int64))
    return Row("subset", f"200 of {MANY:,} images, seconds", f"{time.perf_counter() - start:.1f}", aim="60")
