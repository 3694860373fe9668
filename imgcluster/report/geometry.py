"""Geometry of a run for its report: map, silhouettes, neighbours, near-duplicates; kept from one report to the next."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from imgcluster.clustering import Group, InternalScores, Similarity, find_similar, internal_scores, too_many_to_compare
from imgcluster.features import Points, State, fitted_steps
from imgcluster.report.projection import map_images
from imgcluster.runs import FinishedRun, ImageScores
from imgcluster.utils import digest_arrays, installed, pack_arrays, unpack_arrays, write_whole

FORMAT = 2  # of what is kept: raise it when anything in it is computed in another way
PACKAGES = ("imgcluster", "numpy", "scikit-learn", "umap-learn")
CHECKSUM_BYTES = 32


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

    @property
    def image_scores(self) -> ImageScores:
        """Silhouettes, outlier scores and near-duplicates by the rows of the run."""
        outlier_score, duplicates = np.full(len(self.silhouette), np.nan), []
        if self.likeness is not None:
            outlier_score[self.looked] = self.likeness.outlier_score
            duplicates = [self.looked[group.rows].tolist() for group in self.likeness.duplicates]
        return ImageScores(self.silhouette, outlier_score, duplicates)


@dataclass(frozen=True)
class Subject:
    """What a geometry is worked out of, all but the features.

    labels: (n,) int64, of all rows of the run. looked: the rows whose features are looked at, of `count`. content: a
    digest of what these are made of; empty where it is unknown. show: whether to show progress.
    """

    run: FinishedRun
    labels: np.ndarray
    looked: np.ndarray
    count: int
    map_kind: str
    content: str = ""
    show: bool = False

    @property
    def key(self) -> str:
        """A text that is another one wherever the geometry may be."""
        run = self.run
        settings = {
            "map": self.map_kind,
            "random_state": run.config.clusters.random_state,
            "joined": [run.config.features.block_l2, run.config.features.block_weights],
            "fingerprints": [origin["fingerprint"] for origin in run.record["features"]],
        }
        versions = {package: installed(package) for package in PACKAGES}
        rows = [run.clusters_sha256, digest_arrays("clusterer", run.clusterer), len(self.looked), self.content]
        return json.dumps([FORMAT, rows, settings, versions])


def kept_geometry(subject: Subject, path: Path | None) -> Geometry | None:
    """Return the geometry that is kept in a file; None where it is of another subject, damaged, or not there."""
    if path is None or not subject.content:
        return None
    try:
        whole = path.read_bytes()
    except OSError:
        return None
    checksum, data = whole[:CHECKSUM_BYTES], whole[CHECKSUM_BYTES:]
    if checksum != _checksum(subject, data):
        return None
    kept: Geometry = unpack_arrays(data, (Geometry, InternalScores, Similarity, Group))
    return kept


def keep_geometry(geometry: Geometry, subject: Subject, path: Path | None) -> None:
    """Keep a geometry in a file, if it is known what its features are made of. Raises OSError."""
    if path is not None and subject.content:
        data = pack_arrays(geometry)
        write_whole(path, _checksum(subject, data) + data)


def work_out(subject: Subject, vectors: np.ndarray) -> Geometry:
    """Work out a geometry of the features of the rows looked at, (m, dim) float32.

    Raises ConfigError: no such map; ClusteringError: umap-learn is not installed.
    """
    run, looked, count = subject.run, subject.looked, len(subject.labels)
    silhouette = np.full(count, np.nan)
    points, again = _points(vectors, run.clusterer)
    scores = None
    if again:
        scores = internal_scores(points, subject.labels[looked])
        scores = replace(scores, sampled=len(looked)) if len(looked) < subject.count else scores
        silhouette[looked] = scores.silhouettes
    places = np.full((count, 2), np.nan, np.float32)
    places[looked] = map_images(points, subject.map_kind, run.config.clusters.random_state)
    found = Geometry(looked=looked, scores=scores, silhouette=silhouette, places=places)
    if many := too_many_to_compare(len(vectors)):
        return replace(found, lacking=f"Neither neighbours nor near-duplicates: {many}.")
    return replace(found, likeness=find_similar(vectors, show=subject.show))


def _points(vectors: np.ndarray, clusterer: State) -> tuple[np.ndarray, bool]:
    """Return the features as they were clustered; by umap, which cannot be done again, as they were before: False."""
    if "umap" in clusterer["steps"]:
        return vectors, False
    points = Points(vectors)
    for name, fitted in fitted_steps(clusterer):
        points = points.behind(name, fitted)
    return points.array(), True  # made a block at a time, without a copy for each step


def _checksum(subject: Subject, data: bytes) -> bytes:
    """Return CHECKSUM_BYTES that tell what is kept from anything else: of another subject or version, or damaged."""
    return hashlib.sha256(subject.key.encode() + data).digest()
