"""Compute everything that a report shows from a run's tables and features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

import numpy as np

from imgcluster.clustering import (
    SAMPLED_ABOVE,
    InternalScores,
    Similarity,
    find_similar,
    internal_scores,
    nearest_clusters,
    too_many_to_compare,
)
from imgcluster.errors import ConfigError, StoreError
from imgcluster.features import State, apply_transform
from imgcluster.report.cluster_names import Guess, Guesses, guess_names
from imgcluster.report.projection import map_images
from imgcluster.runs import FinishedRun, features_of_run, vectors_of_rows
from imgcluster.types import NOISE

TYPICAL, BORDERLINE, ATYPICAL = 12, 6, 6  # images of a cluster
NO_GUESSES: Mapping[int, Guess] = MappingProxyType({})


@dataclass(frozen=True)
class Card:
    """A cluster and the rows of its images: the most typical, the borderline and the atypical ones.

    name: the known one; guess: the network's, where none is known. silhouette: mean of its images; NaN where unknown.
    nearest: the cluster with the nearest centroid.
    """

    number: int
    name: str | None
    guess: Guess | None
    size: int
    nearest: int | None
    silhouette: float
    typical: list[int]
    borderline: list[int]
    atypical: list[int]


@dataclass(frozen=True, kw_only=True)
class Table:
    """The columns of clusters.csv, n rows.

    labels: (n,) int64, -1 for failed images and noise. failed: (n,) bool. distance, runner_up_distance: (n,) float64,
    NaN where there is none. runner_up: (n,) int64, -1 where there is none.
    """

    ids: list[str]
    paths: list[str]
    errors: list[str]
    failed: np.ndarray
    labels: np.ndarray
    distance: np.ndarray
    runner_up: np.ndarray
    runner_up_distance: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """What the features tell of a run; None, and NaN, without features.

    looked: the rows it is of, of all images that did not fail or of a sample. silhouette: (n,) float64. places: (n, 2)
    float32, the map. lacking: what is missing and why, a sentence.
    """

    looked: np.ndarray
    scores: InternalScores | None = None
    silhouette: np.ndarray
    places: np.ndarray | None = None
    likeness: Similarity | None = None
    lacking: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts(Table, Geometry):
    """What a report shows of a run. Rows are those of clusters.csv, from 0; fine: those of images that did not fail."""

    run: FinishedRun
    fine: np.ndarray
    guesses: Guesses
    cards: list[Card]


def gather(  # noqa: PLR0913 (options by keyword alone)
    run: FinishedRun,
    *,
    vectors: np.ndarray | None = None,
    map_kind: str = "pca",
    run_network: bool = True,
    known_guesses: Mapping[int, Guess] = NO_GUESSES,
    show: bool = False,
) -> Facts:
    """Work out what the report of a finished run shows.

    vectors: its features, where they are in memory; without features, the report lacks what is made of them.
    run_network: whether a network may run to guess names. known_guesses: of the same clusters, taken when it may not.
    show: whether to show progress.
    Raises OutputError: no clusterer; ConfigError: no such map.
    """
    table = _table(run.rows)
    fine = np.flatnonzero(~table.failed)
    vectors, looked, lacking = _vectors_of(run, fine, run.vectors if vectors is None else vectors)
    geometry = _geometry(run, vectors, table, looked, map_kind)
    if vectors is not None:
        geometry = _compared(geometry, vectors, show)
    if vectors is None or len(looked) < len(fine):
        geometry = replace(geometry, lacking=lacking)
    groups = _by_distance(table.labels[fine], table.distance[fine], fine)
    unnamed = {number: rows for number, rows in _typical(groups).items() if number not in run.names}
    if run_network or not unnamed.keys() <= known_guesses.keys():
        features_of = partial(_features_of, run, vectors, looked)
        guesses = guess_names(unnamed, run, features_of, run_network=run_network) if unnamed else Guesses({})
    else:
        guesses = Guesses({number: known_guesses[number] for number in unnamed})
    nearest = nearest_clusters(run.clusterer["centroids"])
    named = {number: (run.names.get(number), guesses.by_cluster.get(number), nearest.get(number)) for number in groups}
    cards = [_card(number, rows, table, geometry.silhouette, named[number]) for number, rows in groups.items()]
    return Facts(run=run, fine=fine, guesses=guesses, cards=cards, **vars(table), **vars(geometry))


def _geometry(
    run: FinishedRun, vectors: np.ndarray | None, table: Table, looked: np.ndarray, map_kind: str
) -> Geometry:
    count = len(table.ids)
    silhouette = np.full(count, np.nan)
    if vectors is None:
        return Geometry(looked=looked, silhouette=silhouette)
    points, again = _points(vectors, run.clusterer)
    scores = None
    if again:
        scores = internal_scores(points, table.labels[looked])
        scores = replace(scores, sampled=len(looked)) if len(looked) < (~table.failed).sum() else scores
        silhouette[looked] = scores.silhouettes
    places = np.full((count, 2), np.nan, np.float32)
    places[looked] = map_images(points, map_kind, run.config.clusters.random_state)
    return Geometry(looked=looked, scores=scores, silhouette=silhouette, places=places)


def _compared(geometry: Geometry, vectors: np.ndarray, show: bool) -> Geometry:
    """Add which images are alike, or why that is not known."""
    if many := too_many_to_compare(len(vectors)):
        return replace(geometry, lacking=f"Neither neighbours nor near-duplicates: {many}.")
    return replace(geometry, likeness=find_similar(vectors, show=show))


def _typical(groups: Mapping[int, np.ndarray]) -> dict[int, list[int]]:
    """Return the rows of the most typical images of each cluster, the largest cluster first."""
    largest = sorted((number for number in groups if number != NOISE), key=lambda number: -len(groups[number]))
    return {number: groups[number][:TYPICAL].tolist() for number in largest}


def _table(rows: Sequence[Mapping[str, str]]) -> Table:
    def numbers(name: str, missing: float) -> np.ndarray:
        return np.array([float(row[name] or missing) for row in rows])

    return Table(
        ids=[row["id"] for row in rows],
        paths=[row["path"] for row in rows],
        errors=[row["error"] for row in rows],
        failed=np.array([row["status"] != "ok" for row in rows], bool),
        labels=numbers("cluster", NOISE).astype(np.int64),
        distance=numbers("distance", np.nan),
        runner_up=numbers("runner_up", -1).astype(np.int64),
        runner_up_distance=numbers("runner_up_distance", np.nan),
    )


def _vectors_of(
    run: FinishedRun, fine: np.ndarray, vectors: np.ndarray | None
) -> tuple[np.ndarray | None, np.ndarray, str]:
    """Return the features of a run, or of a sample where these do not fit into memory; their rows; and what lacks."""
    if vectors is not None:
        return vectors, fine, ""
    try:
        table = features_of_run(run, sampled=SAMPLED_ABOVE)
    except (StoreError, ConfigError) as error:
        return None, fine, f"No map, no neighbours, no near-duplicates: {error}"
    if table.drawn is None:
        return table.vectors, fine, ""
    return table.vectors, fine[table.drawn], f"Map, silhouettes, neighbours and near-duplicates are of {table.note}."


def _features_of(run: FinishedRun, vectors: np.ndarray | None, looked: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """Return the features of some rows: of those in memory, or else from the store."""
    if vectors is not None and np.isin(rows, looked).all():
        return np.asarray(vectors[np.searchsorted(looked, rows)])
    return vectors_of_rows(run, [run.rows[row] for row in rows])


def _points(vectors: np.ndarray, clusterer: State) -> tuple[np.ndarray, bool]:
    """Return the features as they were clustered; by umap, which cannot be done again, as they were before: False."""
    again = "umap" not in clusterer["steps"]
    return (apply_transform(vectors, clusterer) if again else vectors), again


def _by_distance(labels: np.ndarray, distance: np.ndarray, rows: np.ndarray) -> dict[int, np.ndarray]:
    """Return the rows of each cluster that has images, the nearest to its centroid first; noise last."""
    order = np.lexsort((distance, labels))
    numbers, starts = np.unique(labels[order], return_index=True)
    groups = dict(zip(numbers.tolist(), np.split(rows[order], starts[1:]), strict=True))
    noise = groups.pop(NOISE, None)
    return groups if noise is None else {**groups, NOISE: noise}


def _card(
    number: int,
    rows: np.ndarray,
    table: Table,
    silhouette: np.ndarray,
    named: tuple[str | None, Guess | None, int | None],
) -> Card:
    """Choose the images that a cluster is shown by, each once: the most typical first, and of few some of all kinds.

    named: the cluster's name, its guess, and the nearest cluster.
    """
    name, guess, nearest = named
    known = silhouette[rows][~np.isnan(silhouette[rows])]
    few = len(rows) // 4 if number != NOISE else 0
    n_typical = min(TYPICAL, len(rows) - 2 * few)
    typical, others = rows[:n_typical], rows[n_typical:]
    own, other = table.distance[others], table.runner_up_distance[others]
    with np.errstate(invalid="ignore"):
        margin = (other - own) / np.maximum(own, other)
    borderline = others[np.argsort(np.where(np.isnan(margin), np.inf, margin), kind="stable")]
    borderline = borderline[np.isfinite(table.runner_up_distance[borderline])][: min(BORDERLINE, few)]
    atypical = others[~np.isin(others, borderline)][::-1][:ATYPICAL]
    if number == NOISE:  # which has no centroid to be near to
        borderline, atypical = borderline[:0], atypical[:0]
    return Card(
        number=number,
        size=len(rows),
        silhouette=float(known.mean()) if len(known) else np.nan,
        typical=[int(row) for row in typical],
        borderline=[int(row) for row in borderline],
        atypical=[int(row) for row in atypical],
        name=name,
        guess=guess,
        nearest=nearest,
    )
