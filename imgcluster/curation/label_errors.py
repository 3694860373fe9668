"""Labels that are likely wrong: by a classifier that has not seen the image, and by its nearest neighbours."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from imgcluster.curation.neighbor_votes import Neighborhood
from imgcluster.errors import ConfigError
from imgcluster.runs import FinishedRun, PartialLabels, features_of_run, read_partial_labels, read_run
from imgcluster.types import TextTable

if TYPE_CHECKING:
    import pandas as pd

FOLDS = 10
LEARNED_SHARE = 0.8  # of a probability that is of the classifier; the rest is of the neighbours
OTHER_WEIGHT = 0.125  # of the probability of the likeliest other label, in what labels are ranked by
C = 10.0  # of the logistic regression, on points of the length 1
MIN_IMAGES = 3  # of a class, without near copies: fewer leave none to learn from, or nothing to compare with
SHOWN_NEIGHBORS = 5
MANY_CLASSES = "The number of unique classes is greater than 50%"  # a warning of scikit-learn: no fault here
PROBABILITY = "{:.3f}"


@dataclass(frozen=True)
class Suspect:
    """A label and what speaks against it.

    likely: the label with the highest probability of the others. probability: its probability; given_probability: that
    of the label itself. neighbors: the nearest labelled images, as (id, label), nearest first.
    """

    id: str
    path: str
    label: str
    likely: str
    probability: float
    given_probability: float
    neighbors: list[tuple[str, str]]


@dataclass(frozen=True)
class LabelErrors:
    """The labels that are most likely wrong, worst first: those less likely than another one, or as many as asked for.

    labelled: number of images with a label; unlabelled: of those without one. suspicious: number of labels, of all,
    that are less likely than another one. too_small: classes with too few images to judge their labels, with their
    sizes. unknown: labelled ids that the run does not have, or has no features of. notes: how names were matched.
    """

    suspects: list[Suspect]
    labelled: int
    unlabelled: int
    suspicious: int
    too_small: dict[str, int]
    unknown: list[str]
    notes: list[str] = field(default_factory=list)

    def table(self) -> pd.DataFrame:
        """Return a row for each suspect: id, label, likely, probability, given_probability, path, neighbors."""
        import pandas as pd

        found = self.text_table()
        frame = pd.DataFrame(found.rows(), columns=found.columns)
        return frame.astype({"probability": float, "given_probability": float})

    def text_table(self) -> TextTable:
        """Return the table as texts."""
        columns = ("id", "label", "likely", "probability", "given_probability", "path", "neighbors")
        rows = [
            (
                *(each.id, each.label, each.likely),
                *(PROBABILITY.format(share) for share in (each.probability, each.given_probability)),
                *(each.path, "; ".join(f"{id} = {label}" for id, label in each.neighbors)),
            )
            for each in self.suspects
        ]
        return TextTable(columns, zip(*rows, strict=True) if rows else [[] for _ in columns])


def find_label_errors(
    run: str | Path,
    labels: str | Path | None = None,
    *,
    top: int | None = None,
    id_column: str | None = None,
    label_column: str | None = None,
) -> LabelErrors:
    """Find the labels of a finished run's images that are likely wrong, worst first.

    Labels are ranked by their probability less an eighth of the likeliest other. Probabilities are four fifths those
    of a logistic regression that was fitted without the image and its near copies, and one fifth the shares of the
    labels of its nearest neighbours.
    docs/curation.md has the figures.

    Args:
        labels: A CSV of ids and labels, or a folder with a subfolder per label; None: an image's label is the name of
            the folder that it lies in.
        top: How many to return, the least certain ones; None: all that are less likely than another label.

    Raises:
        ConfigError: Labels that cannot be read, fewer than two classes with images enough, `top` below 1.
        OutputError: No finished run there.
        StoreError: Its features are no longer stored.
    """
    if top is not None and top < 1:
        raise ConfigError(f"top: {top}; allowed: whole numbers >= 1")
    finished = read_run(run)
    features = features_of_run(finished)
    known = (
        labels_of_folders(finished)
        if labels is None
        else read_partial_labels(labels, features.ids, id_column=id_column, label_column=label_column)
    )
    vectors = features.vectors[known.rows]
    places = [finished.places.image(features.paths[row]) for row in known.rows.tolist()]
    judged = _judge(vectors, known)
    rows = (judged.ranked[judged.is_suspicious] if top is None else judged.ranked[:top]).tolist()
    suspects = [_suspect(row, known, features.ids, places, judged) for row in rows]
    return LabelErrors(
        suspects,
        len(known.rows),
        len(features.ids) - len(known.rows),
        int(judged.is_suspicious.sum()),
        judged.too_small,
        known.unknown,
        known.notes,
    )


def labels_of_folders(run: FinishedRun) -> PartialLabels:
    """Return the names of the folders that the images of a run lie in as their labels.

    Raises ConfigError: all lie in one folder.
    """
    rows = [row for row in run.rows if row["status"] == "ok"]
    texts = [row["id"] if "/" in row["id"] else row["path"] for row in rows]
    labels = [PurePosixPath(text.replace("\\", "/")).parent.name for text in texts]
    if len(set(labels)) < 2:
        where = f", {labels[0]!r}" if labels else ""
        raise ConfigError(f"{str(run.folder)!r}: all images lie in one folder{where}: its name is no label")
    return PartialLabels(np.arange(len(rows)), labels, [])


def label_probabilities(around: Neighborhood, classes: np.ndarray) -> np.ndarray:
    """Return how likely each class is for each image, whatever its own label: (n, n_classes) float64.

    classes: (n,) int64, from 0.
    """
    learned = _out_of_fold(around.points, classes, around.groups)
    return np.asarray(LEARNED_SHARE * learned + (1 - LEARNED_SHARE) * around.votes(classes))


@dataclass(frozen=True)
class _Judged:
    """What is found of all labelled images: probabilities, (n, n_classes) float64, and neighbours, (n, m) int64.

    ranked: (m,) int64, the rows of the images in classes that are large enough, worst first. is_suspicious: (m,)
    bool, which of them have a likelier label.
    """

    probabilities: np.ndarray
    near: np.ndarray
    ranked: np.ndarray
    is_suspicious: np.ndarray
    too_small: dict[str, int]


def _judge(vectors: np.ndarray, known: PartialLabels) -> _Judged:
    classes, numbers = known.classes, known.numbers
    around = Neighborhood.of(vectors)
    pairs = np.unique(np.stack([numbers, around.groups]), axis=1)
    sizes = np.bincount(pairs[0], minlength=len(classes))
    large = int((sizes >= MIN_IMAGES).sum())
    if large < 2:
        has = (
            "there is one class"
            if len(classes) == 1
            else f"{'one' if large else 'none'} of the {len(classes)} has that many"
        )
        raise ConfigError(
            f"labels: finding wrong labels takes at least two classes with {MIN_IMAGES} images each, near copies not "
            f"counted; {has}"
        )
    probabilities = label_probabilities(around, numbers)
    every = np.arange(len(numbers))
    others = probabilities.copy()
    others[every, numbers] = -1
    given, likeliest = probabilities[every, numbers], others.max(axis=1)
    counts = np.bincount(numbers)
    too_small = {classes[each]: int(counts[each]) for each in np.flatnonzero(sizes < MIN_IMAGES).tolist()}
    rows = np.flatnonzero(sizes[numbers] >= MIN_IMAGES)
    ranked = rows[np.argsort(rank_scores(given, likeliest)[rows], kind="stable")]
    return _Judged(probabilities, around.near, ranked, (given < likeliest)[ranked], too_small)


def rank_scores(given: np.ndarray, likeliest: np.ndarray) -> np.ndarray:
    """Return what labels are ranked by, lowest first, from their probabilities and those of the likeliest others."""
    return np.asarray(given - OTHER_WEIGHT * likeliest)


def _out_of_fold(points: np.ndarray, classes: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return how likely each class is to a logistic regression that knows neither an image nor its near copies."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    found = np.zeros((len(points), int(classes.max()) + 1))
    fold = _folds(classes, groups)
    with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():  # the same bits on any number of cores
        warnings.filterwarnings("ignore", MANY_CLASSES, UserWarning)
        for number in np.unique(fold):
            held = fold == number
            model = LogisticRegression(C=C, max_iter=1000).fit(points[~held].astype(np.float64), classes[~held])
            found[np.ix_(held, model.classes_)] = model.predict_proba(points[held].astype(np.float64))
    return found


def _folds(classes: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Deal the groups to folds, class by class: (n,) int64. No image is in another fold than its near copies."""
    first, place = np.unique(groups, return_index=True, return_inverse=True)[1:]
    fold, draw = np.empty(len(first), np.int64), np.random.default_rng(0)
    own, start = classes[first], 0
    for number in np.unique(own):
        rows = draw.permutation(np.flatnonzero(own == number))
        fold[rows] = (start + np.arange(len(rows))) % FOLDS
        start += len(rows)
    placed: np.ndarray = fold[place]
    return placed


def _suspect(row: int, known: PartialLabels, ids: Sequence[str], paths: Sequence[str], judged: _Judged) -> Suspect:
    own = int(known.numbers[row])
    shares = judged.probabilities[row].copy()
    given, shares[own] = float(shares[own]), -1
    likely = int(shares.argmax())
    near = [(ids[known.rows[each]], known.labels[each]) for each in judged.near[row, :SHOWN_NEIGHBORS].tolist()]
    return Suspect(
        ids[known.rows[row]], paths[row], known.labels[row], known.classes[likely], float(shares[likely]), given, near
    )
