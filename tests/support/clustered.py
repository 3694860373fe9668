"""Points to be clustered, and each method's clusters of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import make_blobs

from imgcluster.clustering.cluster import cluster_features
from imgcluster.config.loader import ClustersConfig
from imgcluster.config.method_table import METHODS
from imgcluster.types import Clusters

PLACING = (
    "auto",
    "diffusion",
    "kmeans",
    "minibatch_kmeans",
    "bisecting_kmeans",
    "gaussian_mixture",
    "birch",
    "affinity_propagation",
)


def blobs(n: int = 240, dim: int = 20, k: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    vectors, labels = make_blobs(n, dim, centers=k, random_state=seed)
    return vectors.astype(np.float32), labels


def sizes() -> tuple[np.ndarray, np.ndarray]:
    """Three groups of 120, 60 and 30 around the corners of a triangle, in two dimensions."""
    labels = np.repeat([0, 1, 2], [120, 60, 30])
    corners = np.array([[0, 0], [30, 0], [0, 30]])
    noise = np.random.default_rng(1).normal(0, 1, (len(labels), 2))
    return (corners[labels] + noise).astype(np.float32), labels


def clustered(vectors: np.ndarray, method: str, k: int, **keys: Any) -> Clusters:
    n_clusters = k if METHODS[method].k else None
    return cluster_features(vectors, ClustersConfig(method=method, n_clusters=n_clusters, **keys), show=False)
