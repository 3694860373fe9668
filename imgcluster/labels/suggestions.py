"""Suggest the images whose labels would help most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgcluster.clustering import Graph
from imgcluster.errors import ConfigError
from imgcluster.features import Points
from imgcluster.labels.propagation import spread_along, spread_over, spreading_graph, spreading_space
from imgcluster.runs import FinishedRun, PartialLabels, features_of_run, read_partial_labels, read_run, with_name
from imgcluster.types import NOISE, TextTable
from imgcluster.utils import counted, digest_arrays, installed, remembered

if TYPE_CHECKING:
    import pandas as pd

COUNT = 20
PACKAGES = ("imgcluster", "numpy", "scipy", "scikit-learn")  # that find what is in doubt
RULES = 2  # raise it where other images are in doubt: what is kept is of one rule


@dataclass(frozen=True)
class Suggestions:
    """Images to label, those that help most first: ids, paths, clusters, and why, in words.

    The paths are as in clusters.csv, unless the images have moved to where `images_are_in` says.

    unknown: labelled ids of the CSV of labels that the run has not; notes: how names were matched that are not equal.
    """

    ids: list[str]
    paths: list[str]
    clusters: list[int]
    why: list[str]
    unknown: list[str]
    notes: list[str] = field(default_factory=list)

    def table(self) -> pd.DataFrame:
        """Return a row for each image: id, label (blank, to be filled in), path, cluster, why."""
        import pandas as pd

        return pd.DataFrame(self._columns())

    def text_table(self) -> TextTable:
        """Return the table as texts."""
        columns = self._columns()
        return TextTable(columns, (list(map(str, cells)) for cells in columns.values()))

    def _columns(self) -> dict[str, list[Any]]:
        blank = [""] * len(self.ids)
        return {"id": self.ids, "label": blank, "path": self.paths, "cluster": self.clusters, "why": self.why}


def suggest_images(
    run: str | Path,
    count: int = COUNT,
    *,
    labels: str | Path | None = None,
    id_column: str | None = None,
    label_column: str | None = None,
) -> Suggestions:
    """Name the images of a finished run whose labels would help most, given the labels that a CSV has already.

    The most typical image of each cluster without a label first, of the largest cluster first; then those that most of
    what is still in doubt hangs on. Raises as `spread_labels`, but labels of one class will do; ConfigError: no count.
    """
    if count < 1:
        raise ConfigError(f"count: {count}; allowed: whole numbers >= 1")
    finished = read_run(run)
    features = features_of_run(finished)
    known = PartialLabels(np.array([], np.int64), [], [])
    if labels is not None:
        known = read_partial_labels(labels, features.ids, id_column=id_column, label_column=label_column)
    clusters, distances = _placed(finished)
    typical = typical_rows(clusters, distances, known.rows)[:count]
    others, words = _known_others(features.vectors, np.array(typical, np.int64), known, count - len(typical))
    why = [_typical_words(clusters, row, known, finished.names) for row in typical] + words
    rows, places = [*typical, *others], finished.places
    paths = [features.paths[row] for row in rows]
    if places.moved is not None:
        paths = [places.image(path) for path in paths]
    ids = [features.ids[row] for row in rows]
    return Suggestions(ids, paths, clusters[rows].tolist(), why, known.unknown, known.notes)


def _known_others(
    vectors: np.ndarray, typical: np.ndarray, known: PartialLabels, count: int
) -> tuple[list[int], list[str]]:
    """Return `_others` in the space of the vectors, from an earlier process where it has found the same."""
    versions = {package: installed(package) for package in PACKAGES}
    about = [RULES, known.labels, count, versions]
    digest = digest_arrays(about, {"vectors": vectors, "typical": typical, "rows": known.rows})

    def find() -> dict[str, Any]:
        rows, words = _others(spreading_space(vectors), typical, known, count)
        return {"rows": rows, "words": words}

    found = remembered(["suggested", digest], find)
    return found["rows"], found["words"]


def _others(points: np.ndarray, typical: np.ndarray, known: PartialLabels, count: int) -> tuple[list[int], list[str]]:
    """Return rows as `most_in_doubt`, and why; equal points are one, which as much hangs on as it has copies."""
    copies = Points(points).copies
    distinct, place = points[copies.first], copies.place
    graph = spreading_graph(distinct)
    doubt, words = _doubt(distinct, graph, replace(known, rows=place[known.rows]))
    found = most_in_doubt(graph, doubt * copies.counts, place[typical], place[known.rows], count)
    return copies.first[found].tolist(), [words[point] for point in found]


def typical_rows(clusters: np.ndarray, distances: np.ndarray, labelled: np.ndarray) -> list[int]:
    """Return the image nearest to the middle of each cluster in which none is labelled, of the largest cluster first.

    clusters: (n,) int64, noise is none; distances: (n,) float64; labelled: (m,) int64 rows.
    """
    numbers, sizes = np.unique(clusters[clusters != NOISE], return_counts=True)
    order = numbers[np.argsort(-sizes, kind="stable")]
    members = [np.flatnonzero(clusters == number) for number in order[~np.isin(order, clusters[labelled])]]
    return [int(rows[np.argmin(distances[rows])]) for rows in members]


def most_in_doubt(graph: Graph, doubt: np.ndarray, chosen: np.ndarray, labelled: np.ndarray, count: int) -> list[int]:
    """Return rows, one after the other, that what is most in doubt hangs on, by the graph; each settles what is near.

    A greedy choice, as of facilities: Nemhauser, Wolsey and Fisher, 1978. A label's reach is what spreading would do
    with it, so that no two copies are asked for.
    """
    doubt = doubt.copy()
    free = np.ones(len(doubt), bool)
    for row in chosen:
        doubt *= 1 - _reach(graph, row)
    free[chosen] = free[labelled] = False
    found: list[int] = []
    while len(found) < count and free.any():
        weight = np.where(free, spread_along(graph, doubt), -1)
        row = int(weight.argmax())
        found.append(row)
        free[row] = False
        doubt *= 1 - _reach(graph, row)
    return found


def _reach(graph: Graph, row: int) -> np.ndarray:
    """Return how far the label of one image gets, (n,) float64: 1 for itself and for what is nearest to it.

    Less for the nearest would have copies asked for again and again where there are many of them.
    """
    start = np.zeros(graph.shape[0])
    start[row] = 1
    reached = spread_along(graph, start)
    reached[row] = 0
    reached /= reached.max() or 1.0
    reached[row] = 1
    return reached


def _doubt(points: np.ndarray, graph: Graph, known: PartialLabels) -> tuple[np.ndarray, list[str]]:
    """Return the doubt about each point, (n,) float64 from 0 to 1, and the words for it: between which classes."""
    classes = known.classes
    if len(classes) < 2:
        amount = np.ones(len(points))
        for row in np.unique(known.rows):
            amount *= 1 - _reach(graph, row)
        return amount, ["represents many images without a label"] * len(points)
    found = spread_over(points, graph, known.rows, known.numbers)
    pairs = zip(found.best.tolist(), found.second.tolist(), strict=True)
    words = [f"in doubt: {classes[best]} or {classes[second]}" for best, second in pairs]
    return 1 - (found.share - found.second_share), words


def _typical_words(clusters: np.ndarray, row: int, known: PartialLabels, names: Mapping[int, str]) -> str:
    size = int((clusters == clusters[row]).sum())
    without = ", which has no label" if len(known.rows) else ""
    return f"typical of cluster {with_name(int(clusters[row]), names)} ({counted(size, 'image')}){without}"


def _placed(run: FinishedRun) -> tuple[np.ndarray, np.ndarray]:
    """Return clusters, (n,) int64, and distances to their middles, (n,) float64, of the images that did not fail."""
    rows = [row for row in run.rows if row["status"] == "ok"]
    distances = [float(row["distance"] or "inf") for row in rows]
    return np.array([int(row["cluster"]) for row in rows], np.int64), np.array(distances)
