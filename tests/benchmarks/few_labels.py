"""Five labels a class on labelled sets: `spread` against other ways on the same vectors, and where `suggest` asks.

On the samples, and on the sets in the folder IMGCLUSTER_SETS.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.linear_model import RidgeClassifier

from imgcluster import config_from_dict, run
from imgcluster.labels.propagation import spread_over, spreading_graph, spreading_space
from tests.benchmarks.labels import (
    LabelledRun,
    Way,
    accuracy,
    accuracy_of_labels,
    asked,
    by_logistic,
    by_means,
    drawn_rows,
    halves,
)
from tests.benchmarks.rows import Row
from tests.benchmarks.sets.stored import stored_sets

EACH = 5  # labels a class
AIM = "0.90"
DRAWS = {False: 10, True: 2}  # by --quick
SEEDED_STEPS, SEEDED_SHARPNESS = 10, 20.0
RIDGE = 0.1


def few_labels(quick: bool) -> Iterator[Row]:
    """Accuracy on the images without a label, of each set, and the mean of all sets."""
    table: list[dict[str, float]] = []
    for name, vectors, classes in stored_sets(quick):
        with TemporaryDirectory() as own:
            found = _scores(_clustered(Path(own), vectors, classes), DRAWS[quick])
        table.append(found)
        yield _row(name, found)
    means = {way: float(np.mean([found[way] for found in table])) for way in table[0]}
    yield _row(f"mean of {len(table)} sets", means, AIM)


def _row(name: str, found: dict[str, float], aim: str = "") -> Row:
    (ours, score), *others = found.items()
    told = ", ".join(f"{way} {value:.3f}" for way, value in others)
    return Row("few-labels", f"{name}: {ours}; others", f"{score:.3f}", told, aim=aim)


def _clustered(own: Path, vectors: np.ndarray, classes: np.ndarray) -> LabelledRun:
    ids = [f"{row:05d}" for row in range(len(vectors))]
    np.savez(own / "features.npz", ids=ids, vectors=vectors)
    (own / "ids.csv").write_text("id\n" + "".join(f"{id}\n" for id in ids))
    config = config_from_dict(
        {
            "images": {"folder": str(own), "ids": str(own / "ids.csv"), "missing": "skip"},
            "features": {"file": str(own / "features.npz")},
            "clusters": {"n_clusters": int(classes.max()) + 1},
            "outputs": {"folder": str(own / "run"), "report": False},
        }
    )
    return LabelledRun(run(config, show=False).folder, ids, classes, spreading_space(vectors))


def _scores(images: LabelledRun, draws: int) -> dict[str, float]:
    """Return accuracies by way: `spread` first; of as many labels in all where `suggest` asks for them."""
    graph = spreading_graph(images.points)
    ways: dict[str, Way] = {
        "spread": lambda rows: spread_over(images.points, graph, rows, images.classes[rows]).best,
        "logistic": partial(by_logistic, images),
        "ridge": partial(_by_ridge, images),
        "means": partial(by_means, images),
        "seeded K-Means": partial(_by_seeded_kmeans, images),
    }
    drawn = [drawn_rows(images.classes, EACH, seed) for seed in range(draws)]
    found = {name: float(np.mean([accuracy(way, images, rows) for rows in drawn])) for name, way in ways.items()}
    count = EACH * (int(images.classes.max()) + 1)
    found["suggested at once"] = accuracy_of_labels(images, asked(images, [count]))
    found["suggested in two rounds"] = accuracy_of_labels(images, asked(images, halves(count)))
    return found


def _by_ridge(images: LabelledRun, rows: np.ndarray) -> np.ndarray:
    return np.asarray(
        RidgeClassifier(alpha=RIDGE).fit(images.points[rows], images.classes[rows]).predict(images.points)
    )


def _by_seeded_kmeans(images: LabelledRun, rows: np.ndarray) -> np.ndarray:
    """Soft K-Means that starts at the labelled images and keeps them: Ren et al., ICLR 2018."""
    points, classes = images.points, images.classes[rows]
    known = np.eye(int(images.classes.max()) + 1)[classes]
    shares = np.zeros((len(points), known.shape[1]))
    shares[rows] = known
    for _ in range(SEEDED_STEPS):
        means = shares.T @ points / shares.sum(axis=0)[:, None]
        apart = ((points[:, None] - means) ** 2).sum(axis=2)
        shares = np.exp(-SEEDED_SHARPNESS * (apart - apart.min(axis=1, keepdims=True)))
        shares /= shares.sum(axis=1, keepdims=True)
        shares[rows] = known
    return np.asarray(shares.argmax(axis=1))
