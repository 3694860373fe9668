"""The table of clustering methods, as plain data that needs no scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WEIGHTED, ONCE, ALL = "weighted", "once", "all"  # what a method is given of equal images


@dataclass(frozen=True)
class Method:
    """A clustering method.

    Attributes:
        estimator: Dotted name of a class with `fit_predict`, scikit-learn's or alike.
        k: Its parameter for the number of clusters; None: it finds the number itself.
        parameters: Our defaults where they differ from scikit-learn's.
        copies: How equal images are passed. WEIGHTED: as one point, with their number as sample_weight. ONCE: as one
            point, without weights; for methods that link each point to a number of neighbours, which copies must not
            fill. ALL: all of them, without weights; each counts.
    """

    estimator: str
    k: str | None = "n_clusters"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    copies: str = ALL


AUTO, DIFFUSION = "auto", "diffusion"
LEARNED, MODEL = "learned", "model"

METHODS = {
    # Diffusion in any order of the images, and a transform of its own, where the config has none.
    AUTO: Method("imgcluster.clustering.diffusion.AutoClustering", copies=WEIGHTED),
    DIFFUSION: Method("imgcluster.clustering.diffusion.DiffusionClustering", copies=WEIGHTED),
    "kmeans": Method("sklearn.cluster.KMeans", copies=WEIGHTED),
    "minibatch_kmeans": Method("sklearn.cluster.MiniBatchKMeans", copies=WEIGHTED),
    "bisecting_kmeans": Method("sklearn.cluster.BisectingKMeans", copies=WEIGHTED),
    "agglomerative": Method("sklearn.cluster.AgglomerativeClustering"),
    # A graph of neighbours: scikit-learn's default, a kernel of a fixed width, is one for distances of about 1.
    "spectral": Method("sklearn.cluster.SpectralClustering", parameters={"affinity": "nearest_neighbors"}, copies=ONCE),
    # Full covariances have more numbers than there are images to tell them from.
    "gaussian_mixture": Method("sklearn.mixture.GaussianMixture", "n_components", {"covariance_type": "diag"}),
    "birch": Method("sklearn.cluster.Birch"),
    "hdbscan": Method("sklearn.cluster.HDBSCAN", None, {"copy": True}),
    "dbscan": Method("sklearn.cluster.DBSCAN", None, copies=WEIGHTED),
    # With scikit-learn's damping of 0.5 it often does not settle.
    "affinity_propagation": Method(
        "sklearn.cluster.AffinityPropagation", None, {"damping": 0.9, "max_iter": 1000}, ONCE
    ),
    "mean_shift": Method("sklearn.cluster.MeanShift", None),
    LEARNED: Method("imgcluster.learning.model.LearnedClasses", None),
}
METHOD_NAMES = tuple(METHODS)

MATCH, TRUTH = "match:", "truth:"  # `clusters.numbering` from another run, or from a CSV of true labels
