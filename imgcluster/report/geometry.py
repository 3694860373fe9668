"""What the features tell of a run: scores, the map, neighbours; kept in the cache folder, as none of it is quick."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imgcluster.clustering import Group, InternalScores, Similarity, find_similar, internal_scores, too_many_to_compare
from imgcluster.features import State, apply_transform
from imgcluster.report.projection import map_images
from imgcluster.utils import cache_folder, digest_arrays, installed, kept_file, pack_arrays, unpack_arrays

FORMAT = 1  # raise it when any of it is worked out in another way
PACKAGES = ("imgcluster", "numpy", "scipy", "scikit-learn", "umap-learn")


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


@dataclass(frozen=True)
class Shown:
    """The images of a run that are looked at: their vectors, (m, dim), and rows, (m,) int64.

    labels: (n,) int64, of all images; fine: how many of these did not fail.
    """

    vectors: np.ndarray
    looked: np.ndarray
    labels: np.ndarray
    fine: int


def geometry_of(shown: Shown, clusterer: State, map_kind: str, random_state: int) -> Geometry:
    """Work out what the features tell, or read what an earlier process worked out of the same ones."""
    path = None
    with suppress(RuntimeError):  # nobody has a home
        path = cache_folder() / "reports" / f"{_digest(shown, clusterer, [map_kind, random_state])}.npz"

    def read(data: bytes) -> Geometry:
        found: Geometry = unpack_arrays(data, (Geometry, InternalScores, Similarity, Group))
        if not np.array_equal(found.looked, shown.looked) or len(found.silhouette) != len(shown.labels):
            raise ValueError("not of these images")
        return found

    made: Geometry = kept_file(path, lambda: _worked_out(shown, clusterer, map_kind, random_state), read, pack_arrays)
    return made


def _digest(shown: Shown, clusterer: State, settings: list[Any]) -> str:
    about = [FORMAT, settings, shown.fine, {package: installed(package) for package in PACKAGES}]
    return digest_arrays(
        about, {**clusterer, "all vectors": shown.vectors, "rows": shown.looked, "all labels": shown.labels}
    )


def _worked_out(shown: Shown, clusterer: State, map_kind: str, random_state: int) -> Geometry:
    count, looked, vectors = len(shown.labels), shown.looked, shown.vectors
    silhouette = np.full(count, np.nan)
    points, again = _points(vectors, clusterer)
    scores = None
    if again:
        scores = internal_scores(points, shown.labels[looked])
        scores = replace(scores, sampled=len(looked)) if len(looked) < shown.fine else scores
        silhouette[looked] = scores.silhouettes
    places = np.full((count, 2), np.nan, np.float32)
    places[looked] = map_images(points, map_kind, random_state)
    found = Geometry(looked=looked, scores=scores, silhouette=silhouette, places=places)
    if many := too_many_to_compare(len(vectors)):
        return replace(found, lacking=f"Neither neighbours nor near-duplicates: {many}.")
    return replace(found, likeness=find_similar(vectors))


def _points(vectors: np.ndarray, clusterer: State) -> tuple[np.ndarray, bool]:
    """Return the features as they were clustered; by umap, which cannot be done again, as they were before: False."""
    again = "umap" not in clusterer["steps"]
    return (apply_transform(vectors, clusterer) if again else vectors), again
