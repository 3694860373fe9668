"""Compute everything that a report shows from a run's tables and features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from imgcluster.clustering import SAMPLED_ABOVE, nearest_clusters
from imgcluster.errors import ConfigError, StoreError
from imgcluster.report.cluster_names import IMAGES_PER_CLUSTER, MAX_CLUSTERS, FeaturesOf, Guess, Guesses, guess_names
from imgcluster.report.geometry import Geometry, Subject, keep_geometry, kept_geometry, work_out
from imgcluster.report.word_names import name_by_words, read_phrases
from imgcluster.runs import PROBABILITY, FinishedRun, content_of_result, find_features, vectors_of_rows
from imgcluster.types import NOISE

TYPICAL, BORDERLINE, ATYPICAL = 12, 6, 6  # images of a cluster


@dataclass(frozen=True)
class Earlier:
    """What an earlier report of the same run has left.

    guesses: of the same clusters. words: the digest of the phrases they were taken from; empty of those of ImageNet.
    geometry: the file it is in.
    """

    guesses: Mapping[int, Guess | None] = field(default_factory=dict)
    words: str = ""
    geometry: Path | None = None


@dataclass(frozen=True)
class Card:
    """A cluster and the rows of its images: the most typical, the borderline and the atypical ones.

    name: the known one; guess: the network's, where none is known. silhouette: mean of its images; NaN where unknown.
    nearest: the cluster with the nearest centroid. probability: mean of its images; NaN where unknown.
    """

    number: int
    name: str | None
    guess: Guess | None
    size: int
    nearest: int | None
    silhouette: float
    probability: float
    typical: list[int]
    borderline: list[int]
    atypical: list[int]


@dataclass(frozen=True, kw_only=True)
class Table:
    """The columns of clusters.csv, n rows.

    labels: (n,) int64, -1 for failed images and noise. failed: (n,) bool. distance, runner_up_distance: (n,) float64,
    NaN where there is none; probability: the same. runner_up: (n,) int64, -1 where there is none.
    """

    ids: list[str]
    paths: list[str]
    errors: list[str]
    failed: np.ndarray
    labels: np.ndarray
    distance: np.ndarray
    runner_up: np.ndarray
    runner_up_distance: np.ndarray
    probability: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Facts(Table, Geometry):
    """What a report shows of a run. Rows are those of clusters.csv, from 0; fine: those of images that did not fail."""

    run: FinishedRun
    fine: np.ndarray
    guesses: Guesses
    cards: list[Card]


def gather(
    run: FinishedRun,
    *,
    vectors: np.ndarray | None = None,
    map_kind: str = "pca",
    run_network: bool = True,
    earlier: Earlier | None = None,
    show: bool = False,
) -> Facts:
    """Work out what the report of a finished run shows.

    vectors: its features, where they are in memory; without features, the report lacks what is made of them.
    run_network: whether a network may run to guess names. earlier: what need not be worked out again.
    show: whether to show progress.
    Raises OutputError: no clusterer; ConfigError: no such map; OSError: the geometry cannot be kept.
    """
    earlier, table = earlier or Earlier(), _table(run.rows)
    fine = np.flatnonzero(~table.failed)
    subject = Subject(run, table.labels, fine, len(fine), map_kind, show=show)
    geometry, vectors = _geometry(subject, run.vectors if vectors is None else vectors, earlier.geometry)
    groups = _by_distance(table.labels[fine], table.distance[fine], fine)
    unnamed = {number: rows for number, rows in _spread(groups).items() if number not in run.names}
    features_of = partial(_features_of, run, vectors, geometry.looked)
    guesses = _guesses(unnamed, run, features_of, run_network=run_network, earlier=earlier, show=show)
    nearest = nearest_clusters(run.clusterer["centroids"])
    named = {number: (run.names.get(number), guesses.by_cluster.get(number), nearest.get(number)) for number in groups}
    cards = [_card(number, rows, table, geometry.silhouette, named[number]) for number, rows in groups.items()]
    return Facts(run=run, fine=fine, guesses=guesses, cards=cards, **vars(table), **vars(geometry))


def _guesses(
    unnamed: Mapping[int, Sequence[int]],
    run: FinishedRun,
    features_of: FeaturesOf,
    *,
    run_network: bool,
    earlier: Earlier,
    show: bool,
) -> Guesses:
    """Return names from the config's words, else from ImageNet; those of an earlier report, if from the same."""
    words = run.config.outputs.names_from
    try:
        phrases = None if words is None else read_phrases(Path(words))
    except ConfigError as error:
        return Guesses({}, f"no names from words: {error}")
    digest = "" if phrases is None else phrases.digest
    if earlier.words == digest and set(islice(unnamed, MAX_CLUSTERS)) <= earlier.guesses.keys():
        known = {number: guess for number, guess in earlier.guesses.items() if number in unnamed}
        return Guesses(known, words=digest)
    if phrases is None:
        return guess_names(unnamed, run, features_of, run_network=run_network)
    return replace(name_by_words(unnamed, run, phrases, show=show), words=digest)


def _spread(groups: Mapping[int, np.ndarray]) -> dict[int, list[int]]:
    """Return rows of each cluster, from its most typical to its least typical image, the largest cluster first."""
    largest = sorted((number for number in groups if number != NOISE), key=lambda number: -len(groups[number]))
    spread = {}
    for number in largest:
        rows = groups[number]
        places = np.linspace(0, len(rows) - 1, min(IMAGES_PER_CLUSTER, len(rows))).round().astype(int)
        spread[number] = rows[places].tolist()
    return spread


def _table(rows: Sequence[Mapping[str, str]]) -> Table:
    def numbers(name: str, missing: float) -> np.ndarray:
        return np.array([float(row.get(name) or missing) for row in rows])

    return Table(
        ids=[row["id"] for row in rows],
        paths=[row["path"] for row in rows],
        errors=[row["error"] for row in rows],
        failed=np.array([row["status"] != "ok" for row in rows], bool),
        labels=numbers("cluster", NOISE).astype(np.int64),
        distance=numbers("distance", np.nan),
        runner_up=numbers("runner_up", -1).astype(np.int64),
        runner_up_distance=numbers("runner_up_distance", np.nan),
        probability=numbers(PROBABILITY, np.nan),
    )


def _geometry(subject: Subject, vectors: np.ndarray | None, path: Path | None) -> tuple[Geometry, np.ndarray | None]:
    """Return the geometry that is kept, or work it out and keep it; and the features, where they are in memory.

    vectors: those of all rows looked at, or None. path: of what is kept.
    """
    run, fine, note = subject.run, subject.looked, ""
    try:
        if vectors is None:
            found = find_features(run, sampled=SAMPLED_ABOVE)
            if found.drawn is not None:
                subject = replace(subject, looked=fine[found.drawn])
                note = f"Map, silhouettes, neighbours and near-duplicates are of {found.note}."
            subject = replace(subject, content=found.content() if path else "")
        elif run.result is not None and vectors is run.vectors:
            subject = replace(subject, content=content_of_result(run.result.features))
        geometry = kept_geometry(subject, path)
        if geometry is None and vectors is None:
            vectors = found.read()
    except (StoreError, ConfigError) as error:
        lacking = f"No map, no neighbours, no near-duplicates: {error}"
        return Geometry(looked=fine, silhouette=np.full(len(subject.labels), np.nan), lacking=lacking), None
    if geometry is None:
        geometry = work_out(subject, np.asarray(vectors))
        keep_geometry(geometry, subject, path)
    return replace(geometry, lacking=note or geometry.lacking), vectors


def _features_of(run: FinishedRun, vectors: np.ndarray | None, looked: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """Return the features of some rows: of those in memory, or else from the store."""
    if vectors is not None and np.isin(rows, looked).all():
        return np.asarray(vectors[np.searchsorted(looked, rows)])
    return vectors_of_rows(run, [run.rows[row] for row in rows])


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
        probability=float(table.probability[rows].mean()),
        typical=[int(row) for row in typical],
        borderline=[int(row) for row in borderline],
        atypical=[int(row) for row in atypical],
        name=name,
        guess=guess,
        nearest=nearest,
    )
