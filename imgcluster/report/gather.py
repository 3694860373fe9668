"""All that a report shows of a run, worked out from its folder and its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imgcluster.clustering import (
    SAMPLED_ABOVE,
    Clusterer,
    InternalScores,
    Likeness,
    centroid_distances,
    find_likeness,
    internal_scores,
)
from imgcluster.config import Config
from imgcluster.errors import ConfigError, StoreError
from imgcluster.features import apply_transform
from imgcluster.report.cluster_names import Guess, Guesses, guess_names
from imgcluster.report.projection import map_images
from imgcluster.runs import (
    Places,
    config_of,
    features_of_run,
    listed_paths,
    places_of,
    read_record,
    read_rows,
    recorded_names,
)
from imgcluster.types import NOISE, ImageFile

TYPICAL, BORDERLINE, ODD = 12, 6, 6
STRANGEST = 50
COMPARED = 100_000  # images; each of more with each takes too long to be done unasked


@dataclass(frozen=True)
class Card:
    """A cluster: its images by row, the most typical, those nearly in another cluster, and those farthest out.

    name: the one that is known; guess: the network's, where none is.
    silhouette: the mean of its images; NaN where it is not known. nearest: the cluster whose centroid is nearest.
    """

    number: int
    name: str | None
    guess: Guess | None
    size: int
    nearest: int | None
    silhouette: float
    typical: list[int]
    borderline: list[int]
    odd: list[int]


@dataclass(frozen=True)
class Facts:
    """What a report shows. Rows count those of clusters.csv, from 0; arrays have a value for each of them.

    labels: (n,) int64, of failed images and noise -1; failed: (n,) bool; distance, runner_up_distance, silhouette: (n,)
    float64, NaN where there is none; runner_up: (n,) int64, else -1. places: (n, 2) float32, of failed images NaN.
    fine: the rows of images that did not fail; looked: of those that likeness is of and the scores, all or a sample.
    where: where its images are now. lacking: why places or likeness are not there, or not of all.
    """

    folder: Path
    where: Places
    record: dict[str, Any]
    config: Config
    ids: list[str]
    paths: list[str]
    errors: list[str]
    failed: np.ndarray
    labels: np.ndarray
    distance: np.ndarray
    runner_up: np.ndarray
    runner_up_distance: np.ndarray
    fine: np.ndarray
    looked: np.ndarray
    scores: InternalScores | None
    silhouette: np.ndarray
    places: np.ndarray | None
    likeness: Likeness | None
    guesses: Guesses
    cards: list[Card]
    lacking: str = ""


def gather(folder: Path, *, vectors: np.ndarray | None = None, map_kind: str = "pca") -> Facts:
    """Work out what the report of a finished run shows; `vectors`: its features, where they are at hand.

    Where the features are kept no longer, the report does without what is worked out from them. Raises OutputError: no
    finished run there; ConfigError: no such map.
    """
    record = read_record(folder)
    config, places = config_of(record, folder), places_of(folder, record)
    table = _table(read_rows(folder))
    fine = np.flatnonzero(~table["failed"])
    looked, lacking = fine, ""
    if vectors is None:
        vectors, looked, lacking = _kept_vectors(folder, fine)
    scores = positions = likeness = None
    silhouette = np.full(len(table["ids"]), np.nan)
    if vectors is not None:
        points, again = _points(vectors, folder)
        if again:
            scores = internal_scores(points, table["labels"][looked])
            scores = scores if looked is fine else replace(scores, sampled=len(looked))
            silhouette[looked] = scores.silhouettes
        positions = np.full((len(table["ids"]), 2), np.nan, np.float32)
        positions[looked] = map_images(points, map_kind, config.clusters.random_state)
        if len(vectors) <= COMPARED:
            likeness = find_likeness(vectors)
        else:
            lacking = f"Neither neighbours nor near-duplicates: {len(vectors):,} images are too many to compare all."
    groups = _by_distance(table["labels"][fine], table["distance"][fine], fine)
    names = recorded_names(record)
    typical = _typical(groups, table, places)
    unnamed = {number: images for number, images in typical.items() if number not in names}
    guesses = guess_names(unnamed, config.features, record["features"], places.storage) if unnamed else Guesses({})
    nearest = _nearest_clusters(folder)
    cards = [
        _card(number, rows, table, silhouette, _names(names, guesses, nearest, number))
        for number, rows in groups.items()
    ]
    return Facts(
        folder=folder,
        where=places,
        record=record,
        config=config,
        fine=fine,
        looked=looked,
        scores=scores,
        silhouette=silhouette,
        places=positions,
        likeness=likeness,
        guesses=guesses,
        cards=cards,
        lacking=lacking,
        **table,
    )


def _typical(groups: Mapping[int, np.ndarray], table: Mapping[str, Any], where: Places) -> dict[int, list[ImageFile]]:
    """Return the most typical images of each cluster, the largest first."""
    largest = sorted((number for number in groups if number != NOISE), key=lambda number: -len(groups[number]))
    wanted = [row for number in largest for row in groups[number][:TYPICAL].tolist()]
    paths = listed_paths([where.image(table["paths"][row]) for row in wanted], where.storage)
    places = dict(zip(wanted, paths, strict=True))
    return {
        number: [ImageFile(table["ids"][row], places[row]) for row in groups[number][:TYPICAL].tolist()]
        for number in largest
    }


def _table(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return the rows of clusters.csv as columns, by their names in `Facts`."""

    def numbers(name: str, missing: float) -> np.ndarray:
        return np.array([float(row[name] or missing) for row in rows])

    return {
        "ids": [row["id"] for row in rows],
        "paths": [row["path"] for row in rows],
        "errors": [row["error"] for row in rows],
        "failed": np.array([row["status"] != "ok" for row in rows], bool),
        "labels": numbers("cluster", NOISE).astype(np.int64),
        "distance": numbers("distance", np.nan),
        "runner_up": numbers("runner_up", -1).astype(np.int64),
        "runner_up_distance": numbers("runner_up_distance", np.nan),
    }


def _kept_vectors(folder: Path, fine: np.ndarray) -> tuple[np.ndarray | None, np.ndarray, str]:
    """Return the features of a run, or of a sample where these do not fit into memory; their rows; and what lacks."""
    try:
        table = features_of_run(folder, sampled=SAMPLED_ABOVE)
    except (StoreError, ConfigError) as error:
        return None, fine, f"No map, no neighbours, no near-duplicates: {error}"
    if table.drawn is None:
        return table.vectors, fine, ""
    return table.vectors, fine[table.drawn], f"Map, silhouettes, neighbours and near-duplicates are of {table.note}."


def _points(vectors: np.ndarray, folder: Path) -> tuple[np.ndarray, bool]:
    """Return the features as they were clustered; by umap, which cannot be done again, as they were before: False."""
    state = Clusterer.load(folder).state
    again = "umap" not in state["steps"]
    return (apply_transform(vectors, state) if again else vectors), again


def _by_distance(labels: np.ndarray, distance: np.ndarray, rows: np.ndarray) -> dict[int, np.ndarray]:
    """Return the rows of each cluster that has images, the nearest to its centroid first; noise last."""
    order = np.lexsort((distance, labels))
    numbers, starts = np.unique(labels[order], return_index=True)
    groups = dict(zip(numbers.tolist(), np.split(rows[order], starts[1:]), strict=True))
    noise = groups.pop(NOISE, None)
    return groups if noise is None else {**groups, NOISE: noise}


def _nearest_clusters(folder: Path) -> dict[int, int]:
    centroids = Clusterer.load(folder).state["centroids"]
    numbers = np.flatnonzero(np.isfinite(centroids).all(axis=1))
    if len(numbers) < 2:
        return {}
    distances = centroid_distances(centroids[numbers], centroids[numbers])
    np.fill_diagonal(distances, np.inf)
    return dict(zip(numbers.tolist(), numbers[distances.argmin(axis=1)].tolist(), strict=True))


def _names(names: Mapping[int, str], guesses: Guesses, nearest: Mapping[int, int], number: int) -> dict[str, Any]:
    return {
        "name": names.get(number),
        "guess": guesses.by_cluster.get(number),
        "nearest": nearest.get(number),
    }


def _card(
    number: int, rows: np.ndarray, table: Mapping[str, Any], silhouette: np.ndarray, names: Mapping[str, Any]
) -> Card:
    """Choose the images that a cluster is shown by, each once: the most typical first, and of few some of all kinds."""
    known = silhouette[rows][~np.isnan(silhouette[rows])]
    few = len(rows) // 4 if number != NOISE else 0
    n_typical = min(TYPICAL, len(rows) - 2 * few)
    typical, others = rows[:n_typical], rows[n_typical:]
    own, other = table["distance"][others], table["runner_up_distance"][others]
    with np.errstate(invalid="ignore"):
        margin = (other - own) / np.maximum(own, other)
    doubtful = others[np.argsort(np.where(np.isnan(margin), np.inf, margin), kind="stable")]
    doubtful = doubtful[np.isfinite(table["runner_up_distance"][doubtful])][: min(BORDERLINE, few)]
    odd = others[~np.isin(others, doubtful)][::-1][:ODD]
    if number == NOISE:  # which has no centroid to be near to
        doubtful, odd = doubtful[:0], odd[:0]
    return Card(
        number=number,
        size=len(rows),
        silhouette=float(known.mean()) if len(known) else np.nan,
        typical=[int(row) for row in typical],
        borderline=[int(row) for row in doubtful],
        odd=[int(row) for row in odd],
        **names,
    )
