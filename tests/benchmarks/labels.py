"""A few labels spread over all images, against classifiers of the same vectors; images suggested against any others."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.linear_model import LogisticRegression

from imgcluster import config_from_dict, run, spread_labels, suggest_images, write_sample
from imgcluster.labels.propagation import spread_over, spreading_graph, spreading_space
from imgcluster.runs.features import features_of_run
from tests.benchmarks.rows import Row

SETS = {"photos": ("{id}.jpg", 16, 0.9), "digits": ("{id}.png", 10, None), "stage": ("{id}.jpg", 5, None)}
EACH = (1, 2, 5, 10, 20)  # labels a class
DRAWS = {False: 10, True: 2}  # by --quick
ASKED = (2, 5)  # labels a class on average
AIMED = 5  # labels a class

Way = Callable[[np.ndarray], np.ndarray]  # rows with labels -> the classes of all


@dataclass(frozen=True)
class LabelledRun:
    """A run of a sample: ids, their classes (n,) int64, and points (n, dim) as spreading sees them."""

    folder: Path
    ids: list[str]
    classes: np.ndarray
    points: np.ndarray


def labels(quick: bool) -> Iterator[Row]:
    """Accuracy on the images without a label; mean of 10 draws."""
    with TemporaryDirectory() as own:
        for name, (file, k, aim) in SETS.items():
            images = _clustered(Path(own), name, file, k)
            yield from _spread(name, images, DRAWS[quick], aim)
            yield from _suggested(name, images, DRAWS[quick])


def _clustered(own: Path, name: str, file: str, k: int) -> LabelledRun:
    write_sample(name, own / name)
    config = config_from_dict(
        {
            "images": {"folder": str(own / name / "test"), "ids": str(own / name / "truth.csv"), "file": file},
            "features": {"backbone": "efficientnet_lite0", "store": str(own / "store")},
            "clusters": {"n_clusters": k},
            "outputs": {"folder": str(own / f"{name}-run"), "report": False},
        }
    )
    folder = run(config, show=False).folder
    features = features_of_run(folder)
    with (own / name / "truth.csv").open(newline="") as rows:
        truth = dict(list(csv.reader(rows))[1:])
    classes = np.unique([truth[id] for id in features.ids], return_inverse=True)[1]
    return LabelledRun(folder, features.ids, classes, spreading_space(features.vectors))


def sample_vectors(own: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of a sample, (n, dim) float32, and its classes, (n,) int64; its files go into a folder."""
    file, k, _ = SETS[name]
    images = _clustered(own, name, file, k)
    return features_of_run(images.folder).vectors, images.classes


def _spread(name: str, images: LabelledRun, draws: int, aim: float | None) -> Iterator[Row]:
    graph = spreading_graph(images.points)
    ways: dict[str, Way] = {
        "spread": lambda rows: spread_over(images.points, graph, rows, images.classes[rows]).best,
        "logistic": partial(by_logistic, images),
        "means": partial(by_means, images),
    }
    for each in EACH:
        drawn = [drawn_rows(images.classes, each, seed) for seed in range(draws)]
        ours, *theirs = (np.mean([accuracy(way, images, rows) for rows in drawn]) for way in ways.values())
        against = ", ".join(f"{other:.3f}" for other in theirs)
        text = f"{aim:.2f}" if aim and each == AIMED else ""
        figure = f"{name}, {each} a class; against logistic, means"
        yield Row("labels", figure, f"{ours:.3f}", against, f"{ours / max(theirs):.2f}", text)


def _suggested(name: str, images: LabelledRun, draws: int) -> Iterator[Row]:
    """Labels where `suggest` asks for them, at once and in two rounds, against as many at random."""
    count = int(images.classes.max()) + 1
    for each in ASKED:
        ours = [
            accuracy_of_labels(images, asked(images, [each * count])),
            accuracy_of_labels(images, asked(images, halves(each * count))),
        ]
        drawn = [np.random.default_rng(seed).permutation(len(images.ids))[: each * count] for seed in range(draws)]
        theirs = np.mean([accuracy_of_labels(images, [images.ids[row] for row in rows]) for rows in drawn])
        shown = ", ".join(f"{own:.3f}" for own in ours)
        figure = f"{name}, {each * count} suggested, at once, in two; random"
        yield Row("labels", figure, shown, f"{theirs:.3f}", f"{ours[0] / theirs:.2f}", "1")


def halves(count: int) -> list[int]:
    """Return two numbers that add up to one."""
    return [count // 2, count - count // 2]


def asked(images: LabelledRun, rounds: list[int]) -> list[str]:
    """Ask for labels in rounds, each with those known before."""
    ids: list[str] = []
    for count in rounds:
        known = _labelled(images, ids) if ids else None
        ids += suggest_images(images.folder, count, labels=known).ids
    return ids


def accuracy_of_labels(images: LabelledRun, ids: list[str]) -> float:
    """Return the accuracy of what `spread_labels` makes of the labels of these ids, on all others."""
    found = spread_labels(images.folder, _labelled(images, ids))
    right = np.array(found.labels) == images.classes.astype(str)
    return float(right[~found.given].mean())


def _labelled(images: LabelledRun, ids: list[str]) -> Path:
    class_of = dict(zip(images.ids, images.classes.tolist(), strict=True))
    path = images.folder / "known.csv"
    path.write_text("id,label\n" + "".join(f"{id},{class_of[id]}\n" for id in ids))
    return path


def drawn_rows(classes: np.ndarray, each: int, seed: int) -> np.ndarray:
    """Draw rows, as many of each class."""
    draw = np.random.default_rng([each, seed])
    return np.concatenate([draw.permutation(np.flatnonzero(classes == one))[:each] for one in range(classes.max() + 1)])


def accuracy(way: Way, images: LabelledRun, rows: np.ndarray) -> float:
    """Return the share of the other images to which a way gives the right class."""
    hidden = np.setdiff1d(np.arange(len(images.ids)), rows)
    return float((way(rows) == images.classes)[hidden].mean())


def by_logistic(images: LabelledRun, rows: np.ndarray) -> np.ndarray:
    """Return the classes that logistic regression finds."""
    fitted = LogisticRegression(C=100, max_iter=1000).fit(images.points[rows], images.classes[rows])
    return np.asarray(fitted.predict(images.points))


def by_means(images: LabelledRun, rows: np.ndarray) -> np.ndarray:
    """Return the classes of the nearest means."""
    means = [images.points[rows[images.classes[rows] == one]].mean(axis=0) for one in range(images.classes.max() + 1)]
    return np.asarray(np.stack([((images.points - mean) ** 2).sum(axis=1) for mean in means]).argmin(axis=0))
