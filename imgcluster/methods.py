"""The clustering methods that can be chosen by name, as plain data that needs no scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Method:
    """An estimator, of scikit-learn's or like one, and what has to be known of it.

    k: its parameter that takes the number of clusters; None: it finds a number of its own.
    parameters: where our defaults are not scikit-learn's. pair_bytes: what it holds of each pair of images; 0: its
    memory grows with the images, not with their square.
    """

    estimator: str
    k: str | None = "n_clusters"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    pair_bytes: int = 0


_DIFFUSION = Method("imgcluster.diffusion.DiffusionClustering")
AUTO, AUTO_COMPONENTS, DIFFUSION = "auto", 128, "diffusion"
LEARNED, MODEL = "learned", "model"
DEEP = 32  # values; shorter vectors are no features of a network, and their lengths say something

METHODS = {
    AUTO: _DIFFUSION,  # and a transform of its own, where the config has none
    DIFFUSION: _DIFFUSION,
    "kmeans": Method("sklearn.cluster.KMeans"),
    "minibatch_kmeans": Method("sklearn.cluster.MiniBatchKMeans"),
    "bisecting_kmeans": Method("sklearn.cluster.BisectingKMeans"),
    "agglomerative": Method("sklearn.cluster.AgglomerativeClustering", pair_bytes=8),
    # A graph of neighbours: scikit-learn's default, a kernel of a fixed width, is one for distances of about 1.
    "spectral": Method("sklearn.cluster.SpectralClustering", parameters={"affinity": "nearest_neighbors"}),
    # Full covariances have more numbers than there are images to tell them from.
    "gaussian_mixture": Method("sklearn.mixture.GaussianMixture", "n_components", {"covariance_type": "diag"}),
    "birch": Method("sklearn.cluster.Birch"),
    "hdbscan": Method("sklearn.cluster.HDBSCAN", None, {"copy": True}),
    "dbscan": Method("sklearn.cluster.DBSCAN", None, pair_bytes=8),
    # With scikit-learn's damping of 0.5 it often does not settle.
    "affinity_propagation": Method(
        "sklearn.cluster.AffinityPropagation", None, {"damping": 0.9, "max_iter": 1000}, pair_bytes=32
    ),
    "mean_shift": Method("sklearn.cluster.MeanShift", None),
    LEARNED: Method("imgcluster.learned.LearnedClasses", None),
}
METHOD_NAMES = tuple(METHODS)
