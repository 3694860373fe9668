"""What does not fit into memory is refused before any work."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from imgcluster.clustering.memory import check_memory
from imgcluster.config.loader import ClustersConfig
from imgcluster.config.method_table import METHODS
from imgcluster.errors import ClusteringError
from tests.support.clustered import clustered


def many(n: int = 200_000) -> np.ndarray:
    """Distinct points, (n, 2), in 0.8 MB."""
    return np.lib.stride_tricks.sliding_window_view(np.arange(n + 1, dtype=np.float32), 2)


@pytest.mark.parametrize(
    ("method", "parameters", "pair_bytes"),
    [
        ("agglomerative", {}, 8),
        ("agglomerative", {"linkage": "single", "metric": "cosine"}, 5),
        ("hdbscan", {"metric": "cosine"}, 19),
        ("hdbscan", {"metric": "correlation"}, 16),
        ("hdbscan", {"algorithm": "brute"}, 16),
        ("dbscan", {"eps": 1e7}, 17),
        ("spectral", {}, 10),
        ("spectral", {"affinity": "rbf"}, 34),
        ("affinity_propagation", {}, 28),
    ],
)
def test_too_many_images_are_refused_before_the_memory_goes(
    monkeypatch: pytest.MonkeyPatch, method: str, parameters: dict[str, Any], pair_bytes: int
) -> None:
    monkeypatch.setattr("imgcluster.clustering.memory.free_memory", lambda: 50 * 2**30)
    needed = f"{pair_bytes * 200_000**2 / 2**30:,.0f}"
    others = "kmeans, minibatch_kmeans, bisecting_kmeans, gaussian_mixture"
    own = {"hdbscan": "hdbscan without its parameters, "}.get(method, "")
    finding = "" if method == "hdbscan" else ", hdbscan"
    words = (
        f"clusters.method: {method} needs {needed} GB for 200,000 images, and 50 GB are free; "
        f"take {own}auto, {others}{finding}"
    )
    with pytest.raises(ClusteringError) as caught:
        clustered(many(), method, 3, parameters=parameters)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        *(
            (method, {})
            for method in ("auto", "kmeans", "minibatch_kmeans", "bisecting_kmeans", "hdbscan", "mean_shift")
        ),
        ("agglomerative", {"linkage": "single"}),
        ("hdbscan", {"algorithm": "ball_tree", "metric": "manhattan"}),
        ("dbscan", {"eps": 5.0}),  # a few neighbours each
        ("birch", {"threshold": 40_000.0}),  # a few subclusters
        ("learned", {"model": "model"}),
    ],
)
def test_what_holds_no_pairs_is_not_refused(
    monkeypatch: pytest.MonkeyPatch, method: str, parameters: dict[str, Any]
) -> None:
    monkeypatch.setattr("imgcluster.clustering.memory.free_memory", lambda: 2**30)
    n_clusters = 3 if METHODS[method].k else None
    config = ClustersConfig(method=method, n_clusters=n_clusters, parameters=parameters)
    check_memory(config, 200_000, many())


def test_birch_needs_memory_for_pairs_of_its_subclusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcluster.clustering.memory.free_memory", lambda: 2**30)
    vectors = np.random.default_rng(0).normal(0, 1, (20_000, 8)).astype(np.float32)
    with pytest.raises(ClusteringError, match="birch needs 3 GB for 20,000 images, and 1 GB are free"):
        clustered(vectors, "birch", 3)
    clustered(vectors, "birch", 3, parameters={"threshold": 9.0})


def test_what_depends_on_the_features_is_not_refused_before_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcluster.clustering.memory.free_memory", lambda: 2**30)
    for method in ("birch", "dbscan"):
        check_memory(ClustersConfig(method=method, n_clusters=3 if METHODS[method].k else None), 200_000)
    with pytest.raises(ClusteringError, match="affinity_propagation needs "):
        check_memory(ClustersConfig(method="affinity_propagation"), 200_000)


def test_only_what_fits_is_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcluster.clustering.memory.free_memory", lambda: 60_000**2 * 9)
    with pytest.raises(
        ClusteringError, match=r"take auto, kmeans, minibatch_kmeans, bisecting_kmeans, agglomerative, "
    ):
        check_memory(ClustersConfig(method="affinity_propagation"), 60_000)
