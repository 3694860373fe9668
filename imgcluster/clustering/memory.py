"""How much memory the clustering methods need for pairs of images, and which of them fit."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from imgcluster.config import DIFFUSION, LEARNED, METHODS, ClustersConfig
from imgcluster.errors import ClusteringError
from imgcluster.utils import free_memory

SAMPLE = 2000  # points, where the need depends on the points
UNNAMED = {DIFFUSION, LEARNED, "mean_shift"}  # not recommended: another's name, no algorithm, too slow for many images

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Need:
    """What a method holds for each pair of images, in bytes, where its parameters are these.

    share: what share of the pairs it is for, by some points; None: all of them.
    """

    method: str
    pair_bytes: int
    when: Callable[[Parameters], bool] = lambda parameters: True
    share: Callable[[np.ndarray, Parameters], float] | None = None


def _has_tree(parameters: Parameters) -> bool:
    from sklearn.neighbors import BallTree, KDTree

    return parameters["metric"] in {*KDTree.valid_metrics, *BallTree.valid_metrics}


def _is_spanned(parameters: Parameters) -> bool:
    """Whether scikit-learn builds a minimum spanning tree row by row, without a matrix of distances."""
    from sklearn.metrics import DistanceMetric

    if parameters["linkage"] != "single":
        return False
    try:
        DistanceMetric.get_metric(parameters["metric"])
    except ValueError:
        return False
    return True


def _subclusters(points: np.ndarray, parameters: Parameters) -> float:
    """The subclusters that a tree has for each point; with more points there are fewer."""
    from sklearn.cluster import Birch

    known = {name: parameters[name] for name in ("threshold", "branching_factor")}
    tree = Birch(n_clusters=None, compute_labels=False, **known).fit(points)
    return float((len(tree.subcluster_centers_) / len(points)) ** 2)


def _within_eps(points: np.ndarray, parameters: Parameters) -> float:
    """The share of the pairs of different points that are neighbours."""
    from sklearn.metrics import pairwise_distances

    near = pairwise_distances(points, metric=parameters["metric"]) <= parameters["eps"]
    return float(near.sum() - len(points)) / max(1, len(points) * (len(points) - 1))


# Peaks of resident memory with scikit-learn 1.9.1 and scipy 1.17, at 2,000 and 4,000 points of 32 values: the
# difference divided by that of the squares. The first row that suits a method's parameters counts; a method without a
# row holds nothing for pairs (`auto`: 130 MB at 4,000 points and at 8,000; mean_shift: 8 and 14 MB; K-Means: 1 MB).
# What spectral needs for neighbours are the factors of the graph's matrix: 2 where clusters are far from one another.
NEEDS = (
    Need("agglomerative", 0, _is_spanned),
    Need("agglomerative", 5, lambda parameters: parameters["linkage"] == "single"),
    Need("agglomerative", 8),
    Need("birch", 8, share=_subclusters),
    Need("hdbscan", 19, lambda parameters: parameters["metric"] == "cosine"),
    Need("hdbscan", 16, lambda parameters: parameters["algorithm"] == "brute" or not _has_tree(parameters)),
    Need("dbscan", 17, share=_within_eps),
    Need("spectral", 10, lambda parameters: parameters["affinity"] == "nearest_neighbors"),
    Need("spectral", 34),
    Need("affinity_propagation", 28),
)


def check_memory(config: ClustersConfig, images: int, points: np.ndarray | None = None, **found: Any) -> None:
    """Raise ClusteringError where a method needs more memory for so many images than is free.

    points: (images, dim), where there are any yet; without them, what depends on them is not counted. found: parameters
    worked out from them.
    """
    free = free_memory()
    most = max((need.pair_bytes for need in NEEDS if need.method == config.method), default=0)
    if free is None or most * float(images) ** 2 <= free:  # known without the defaults of scikit-learn's estimator
        return
    parameters = {**_defaults(config.method), **config.parameters, **found}
    needed = _needed(config.method, parameters, images, free, points)
    if needed > free:
        raise ClusteringError(
            f"clusters.method: {config.method} needs {needed / 2**30:,.0f} GB for {images:,} images, and "
            f"{free / 2**30:,.0f} GB are free; take {', '.join(_fitting(config, images, free))}"
        )


def _needed(method: str, parameters: Parameters, images: int, free: float, points: np.ndarray | None) -> float:
    need = next((each for each in NEEDS if each.method == method and each.when(parameters)), None)
    if need is None:
        return 0
    needed = need.pair_bytes * float(images) ** 2
    if need.share is None or needed <= free:
        return needed
    if points is None:
        return 0
    rows = np.sort(np.random.default_rng(0).permutation(images)[:SAMPLE])
    return needed * need.share(np.asarray(points[rows]), parameters)


def _fitting(config: ClustersConfig, images: int, free: float) -> list[str]:
    """Return what fits surely: methods as they are by default, and the method itself if only its parameters do not."""
    needs = {
        method: _needed(method, _defaults(method), images, np.inf, None) for method in METHODS if method not in UNNAMED
    }
    fitting = [method for method, needed in needs.items() if needed <= free]
    own = [f"{config.method} without its parameters"] if config.method in fitting else []
    return [*own, *(method for method in fitting if method != config.method)]


def _defaults(method: str) -> dict[str, Any]:
    module, _, name = METHODS[method].estimator.rpartition(".")
    known = inspect.signature(getattr(import_module(module), name)).parameters
    return {**{key: value.default for key, value in known.items()}, **METHODS[method].parameters}
