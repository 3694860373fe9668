"""Propagate a few labels to all images of a run along the nearest-neighbour graph, with confidences."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from imgcluster.clustering import Graph, auto_steps, neighbour_graph
from imgcluster.errors import ConfigError
from imgcluster.features import Points, fit_transform
from imgcluster.labels.discriminant import refined_shares
from imgcluster.runs import features_of_run, read_partial_labels, read_run
from imgcluster.utils import row_slices

if TYPE_CHECKING:
    import pandas as pd

# Chosen over digits, photographs and stage frames with 1 to 20 labels a class: see outputs/README.md.
ALPHA = 0.9  # the share of its neighbours in what an image takes over, in each step
STEPS = 60  # after which the shares are exact to 0.002
SHARPNESS = 4  # weights to this power: the nearest neighbours count more
STRENGTH = 100.0  # of the classifier: the inverse of its regularization
CONFIDENCE_FORMAT = "{:.4g}"
COLUMNS_BYTES = 32 * 2**20
YES, NO = "yes", "no"


@dataclass(frozen=True)
class Shares:
    """What each image has of the classes that it has most of: best, second (n,) int64; their shares (n,) float64."""

    best: np.ndarray
    second: np.ndarray
    share: np.ndarray
    second_share: np.ndarray


@dataclass(frozen=True)
class PropagatedLabels:
    """A label for each image of a run, in its order.

    labels: the texts; confidence: (n,) float64 from 0 to 1, of the label; given: (n,) bool, whether the label was
    known, which is never changed; clusters: (n,) int64 of the run. unknown: labelled ids that the run has not. notes:
    how names were matched that are not equal.
    """

    ids: list[str]
    labels: list[str]
    confidence: np.ndarray
    given: np.ndarray
    clusters: np.ndarray
    unknown: list[str]
    notes: list[str] = field(default_factory=list)

    def table(self) -> pd.DataFrame:
        """Return a row for each image: id, label, confidence, given (yes or no), cluster."""
        import pandas as pd

        return pd.DataFrame(
            {
                "id": self.ids,
                "label": self.labels,
                "confidence": [CONFIDENCE_FORMAT.format(value) for value in self.confidence],
                "given": [YES if known else NO for known in self.given],
                "cluster": self.clusters,
            }
        )


Spread = PropagatedLabels  # its earlier name


def spread_labels(
    run: str | Path, labels: str | Path, *, id_column: str | None = None, label_column: str | None = None
) -> PropagatedLabels:
    """Give each image of a finished run a label, from a CSV that has the labels of some; blank ones are not known yet.

    A folder that has a subfolder of images for each label will do as well.
    Raises ConfigError: as `read_partial_labels`, or labels of one class alone; OutputError: no finished run;
    StoreError: its features are not kept any more.
    """
    finished = read_run(run)
    features = features_of_run(finished)
    known = read_partial_labels(labels, features.ids, id_column=id_column, label_column=label_column)
    clusters = np.array([int(row["cluster"]) for row in finished.rows if row["status"] == "ok"], np.int64)
    classes = known.classes
    if len(classes) < 2:
        count = len(known.labels)
        which, verb = ("the only labelled image", "is") if count == 1 else (f"all {count:,} labelled images", "are")
        raise ConfigError(
            f"labels: {which} of {str(labels)!r} {verb} {classes[0]!r}; label an image of another class too"
        )
    points = spreading_space(features.vectors)
    found = _spread_to_copies(points, known.rows, known.numbers)
    given = np.zeros(len(points), bool)
    given[known.rows] = True
    labelled = [classes[number] for number in found.best]
    return PropagatedLabels(features.ids, labelled, found.share, given, clusters, known.unknown, known.notes)


def spreading_space(vectors: np.ndarray) -> np.ndarray:
    """Return points, (n, dim) float, where images are near that belong together: the space of `method: auto`."""
    return fit_transform(vectors, auto_steps(*vectors.shape), 0)[0]


def spreading_graph(points: np.ndarray) -> Graph:
    """Return the links between points and their neighbours, (n, n), scaled by degrees: D^-1/2 W D^-1/2.

    An image is no neighbour of its own, as in Zhou et al. (below), and its nearest ones count more than in the graph
    that images are clustered by. Nothing leads to an image that is unlike all others: its row is empty.
    """
    import scipy.sparse as sp

    graph = neighbour_graph(points)
    graph.setdiag(0)
    graph.data **= SHARPNESS
    degrees = np.asarray(graph.sum(axis=1)).ravel()
    scale = sp.diags(np.divide(1, np.sqrt(degrees), out=np.zeros(len(degrees)), where=degrees > 0))
    return (scale @ graph @ scale).tocsr()


def spread_along(graph: Graph, start: np.ndarray, steps: int = STEPS) -> np.ndarray:
    """Return (1 - a) (I - a S)^-1 start, (n, m) float64, but for a^steps of it; a is ALPHA.

    F <- a S F + (1 - a) Y: Zhou, Bousquet, Lal, Weston and Schölkopf, Learning with Local and Global Consistency, 2003.
    """
    own = (1 - ALPHA) * np.asarray(start, np.float64)
    found = own
    for _ in range(steps):
        found = ALPHA * (graph @ found) + own
    return found


def _spread_to_copies(points: np.ndarray, rows: np.ndarray, numbers: np.ndarray) -> Shares:
    """Spread classes as `spread_over` does, equal points being one: copies would take the places of its neighbours."""
    copies = Points(points).copies
    distinct, place = points[copies.first], copies.place
    found = spread_over(distinct, spreading_graph(distinct), place[rows], numbers)
    best, share, second_share = found.best[place], found.share[place], found.second_share[place]
    best[rows], share[rows], second_share[rows] = numbers, 1, 0  # copies may have been given different labels
    return Shares(best, found.second[place], share, second_share)


def spread_over(points: np.ndarray, graph: Graph, rows: np.ndarray, numbers: np.ndarray) -> Shares:
    """Spread the classes, (m,) int64 from 0, of some rows, (m,) int64, over points, (n, dim), and their graph.

    At each image that has no label hangs the guess of a classifier, as in Zhu, Ghahramani and Lafferty, Semi-Supervised
    Learning Using Gaussian Fields and Harmonic Functions, 2003, section 5; all guesses together weigh as much as all
    labels. It decides where the graph leads to no label. A discriminant analysis then refines what is spread.
    A row may come several times; one with different classes is settled by what is found.
    Memory: three float32 for each image and class.
    """
    start = _guesses(points, rows, numbers)
    pairs = np.unique(np.stack([rows, numbers]), axis=1)
    labelled, classes = np.unique(pairs[0], return_counts=True)
    start *= len(labelled) / max(1, len(points) - len(labelled))
    start[rows] = 0
    start[rows, numbers] = 1
    for part in row_slices(start.shape[1], len(points), COLUMNS_BYTES):
        start[:, part] = spread_along(graph, start[:, part])
    start /= np.maximum(start.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    settled = np.isin(rows, labelled[classes == 1])
    known, classes_known = rows[settled], numbers[settled]
    start[known] = 0
    start[known, classes_known] = 1
    return _shares(refined_shares(points, start, known, classes_known), known, classes_known)


def _guesses(points: np.ndarray, rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return how likely each class is to logistic regression of the labelled points alone: (n, classes) float32."""
    from sklearn.linear_model import LogisticRegression

    guesses = np.empty((len(points), int(numbers.max()) + 1), np.float32)
    with threadpool_limits(1, user_api="blas"):  # the same bits on any number of cores
        classifier = LogisticRegression(C=STRENGTH, max_iter=1000).fit(points[rows].astype(np.float64), numbers)
        for part in row_slices(*points.shape):
            guesses[part] = classifier.predict_proba(points[part].astype(np.float64))
    return guesses


def _shares(shares: np.ndarray, rows: np.ndarray, numbers: np.ndarray) -> Shares:
    every = np.arange(len(shares))
    best = shares.argmax(axis=1)
    best[rows] = numbers
    share = shares[every, best].astype(np.float64)
    shares[every, best] = -1
    second = shares.argmax(axis=1)
    second_share = shares[every, second].astype(np.float64)
    share[rows], second_share[rows] = 1, 0
    return Shares(best, second, share, second_share)
