"""What is tried on stored features, against doing each fit and each score anew with scikit-learn alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from sklearn.cluster import AgglomerativeClustering, KMeans, SpectralClustering
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

from imgcluster import Grid, compare, config_from_dict, extract_features, list_images, sweep_clusters, write_sample
from imgcluster.config.loader import Config
from tests.benchmarks.clock import seconds
from tests.benchmarks.rows import Row

KS = {False: range(2, 21), True: range(2, 5)}  # by --quick
SECOND = "logits"  # the second of two layers, in the place of a second backbone whose weights need a download
METHODS = ("kmeans", "agglomerative", "spectral")


def studies(quick: bool) -> Iterator[Row]:
    """`sweep` and `compare` over the 1,797 digits, their features in the store."""
    with TemporaryDirectory() as own:
        write_sample("digits", Path(own) / "digits")
        config = _config(Path(own))
        images, _ = list_images(config.images)
        features = config.features.model_copy(update={"layer": ("avgpool", SECOND)})
        vectors = extract_features(images, features, show=False).vectors
        ours = seconds(lambda: sweep_clusters(config, KS[quick], show=False))
        theirs = seconds(lambda: _swept(vectors[:, :1280], KS[quick]))
        yield _row(f"sweep {min(KS[quick])}..{max(KS[quick])}, {len(images):,} images, K-Means", ours, theirs)
        grid = Grid(layers=("avgpool", SECOND), methods=METHODS)
        ours = seconds(lambda: compare(config, grid, show=False))
        theirs = seconds(lambda: _compared((vectors[:, :1280], vectors[:, 1280:])))
        yield _row("compare, 2 layers x 3 methods", ours, theirs)


def _config(own: Path) -> Config:
    return config_from_dict(
        {
            "images": {"folder": str(own / "digits" / "test")},
            "features": {"backbone": "efficientnet_lite0", "store": str(own / "store")},
            "clusters": {"method": "kmeans", "n_clusters": 10},
            "outputs": {"folder": str(own / "out")},
        }
    )


def _swept(vectors: np.ndarray, ks: range) -> None:
    for k in ks:
        _score(vectors, KMeans(k, n_init=10, random_state=42).fit_predict(vectors))


def _compared(layers: tuple[np.ndarray, ...]) -> None:
    estimators: tuple[Any, ...] = (
        KMeans(10, n_init=10, random_state=42),
        AgglomerativeClustering(10),
        SpectralClustering(10, affinity="nearest_neighbors", random_state=42),
    )
    for vectors in layers:
        for estimator in estimators:
            silhouette_score(vectors, estimator.fit_predict(vectors))


def _score(vectors: np.ndarray, labels: np.ndarray) -> None:
    for score in (silhouette_score, davies_bouldin_score, calinski_harabasz_score):
        score(vectors, labels)


def _row(figure: str, ours: float, theirs: float) -> Row:
    return Row("studies", figure, f"{ours:.1f} s", f"{theirs:.1f} s", f"{theirs / ours:.2f}")
