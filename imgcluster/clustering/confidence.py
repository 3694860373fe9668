"""How sure the cluster of an image is: a probability, calibrated on labelled sets."""

from __future__ import annotations

import numpy as np

from imgcluster.clustering.graph import Graph, links_to
from imgcluster.features import Points
from imgcluster.types import NOISE, Clusters

# Of a logistic map from the logit of an image's share to the probability, fitted on labelled sets of photographs,
# drawings, icons, digits and frames, each counted once: `python -m tests.benchmarks confidence`.
SLOPE, OFFSET = 0.51, -0.33
CLIPPED = 0.005  # shares below it, and above 1 less it, count as these: no image is surer than its 20 neighbours allow

TINY = 1e-9


def own_probability(graph: Graph, labels: np.ndarray) -> np.ndarray:
    """Return how likely each point of a graph is in the right cluster, (n,) float64; NaN for noise.

    The right cluster is the one that has most of the images of its class, as classes and clusters are matched best, one
    to one. By the share of the links to its neighbours that stay in its cluster, by a map that holds over many sets:
    Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.1 (Platt scaling).
    """
    return np.where(labels == NOISE, np.nan, _calibrated(logits_of_shares(graph, labels)))


def placed_probability(points: np.ndarray, labels: np.ndarray, queries: np.ndarray, placed: np.ndarray) -> np.ndarray:
    """Return how likely each new point is in the right cluster, (m,) float64, as `own_probability` does.

    By its links to the nearest of the clustered points; NaN where none of these is nearer than points are by chance.

    Args:
        points, labels: (n, dim) float32 and (n,) int64, the clustered points.
        queries, placed: (m, dim) float32 and (m,) int64, the new points.
    """
    copies = Points(points).copies
    distinct = copies.first if copies else np.arange(len(points))
    near, weights = links_to(points[distinct], queries)
    linked = weights.sum(axis=1)
    own = (weights * (labels[distinct][near] == placed[:, None])).sum(axis=1)
    shares = np.divide(own, linked, out=np.full(len(queries), np.nan), where=linked > 0)
    return _calibrated(_logits(shares))


def logits_of_shares(graph: Graph, labels: np.ndarray) -> np.ndarray:
    """Return the logit of the share of each point's links that stay in its cluster, (n,) float64."""
    links = graph.tocoo()
    others = links.row != links.col
    rows, weights = links.row[others], links.data[others]
    own = np.bincount(rows, weights * (labels[rows] == labels[links.col[others]]), len(labels))
    linked = np.bincount(rows, weights, len(labels))
    return _logits(np.divide(own, linked, out=np.ones(len(labels)), where=linked > 0))


def _logits(shares: np.ndarray) -> np.ndarray:
    clipped = np.clip(shares, CLIPPED, 1 - CLIPPED)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _calibrated(logits: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-(SLOPE * logits + OFFSET))))


def calibrated_shares(clusters: Clusters) -> np.ndarray | None:
    """Return the probability of each cluster, (n, k), with that of an image's own cluster as it is calibrated.

    The others share what is left, in proportion to their probabilities by the distances. None without probabilities.
    """
    if clusters.probabilities is None or clusters.probability is None:
        return clusters.probabilities
    rows, own = np.arange(len(clusters.labels)), clusters.probability
    shares = clusters.probabilities + TINY * (clusters.sizes > 0)  # clusters far away have a share as well
    shares[rows, clusters.labels] = 0
    others = shares.sum(axis=1)
    shares *= np.divide(1 - own, others, out=np.zeros_like(others), where=others > 0)[:, None]
    shares[rows, clusters.labels] = np.where(others > 0, own, 1)
    return np.asarray(shares)
