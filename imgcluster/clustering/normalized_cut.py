"""A graph cut in two where the links between both parts are fewest for their sizes."""

from __future__ import annotations

import numpy as np

from imgcluster.clustering.graph import Graph

MIN_POINTS = 5  # of a part
REGULARIZATION = 0.1  # of the mean degree: what links each point with all, so that no few points are cut off
MAX_DENSE_SIZE = 128  # points; of more, Lanczos' method finds the eigenvector sooner
TOLERANCE = 1e-8  # of the eigenvalue: small, so that the cut does not depend on the order of the points


def cut_in_two(graph: Graph, points: np.ndarray) -> np.ndarray | None:
    """Return one side of the smallest normalized cut, (n,) bool, of a graph of points, (n, dim).

    Of the cuts along the second eigenvector: Shi and Malik, Normalized Cuts and Image Segmentation, IEEE TPAMI 22,
    2000; regularized: Zhang and Rohe, Understanding Regularized Spectral Clustering via Graph Conductance, 2018.
    None where there are too few points for two parts.
    """
    count = graph.shape[0]
    if count < 2 * MIN_POINTS:
        return None
    degrees = np.asarray(graph.sum(axis=1)).ravel()
    shared = REGULARIZATION * float(degrees.mean())
    order = np.argsort(_second_eigenvector(graph, points, degrees + shared, shared), kind="stable")
    sorted_graph = graph[order][:, order].tocoo()
    ahead = sorted_graph.row > sorted_graph.col
    inwards = np.bincount(sorted_graph.row[ahead], sorted_graph.data[ahead], count)
    sizes = np.arange(1, count)
    crossing = np.cumsum(degrees[order] - graph.diagonal()[order] - 2 * inwards)[:-1]
    crossing += shared * sizes * (count - sizes) / count
    volumes = np.cumsum(degrees[order] + shared)
    costs = crossing * (1 / volumes[:-1] + 1 / (volumes[-1] - volumes[:-1]))
    allowed = slice(MIN_POINTS - 1, count - MIN_POINTS)
    side = np.zeros(count, bool)
    side[order[: MIN_POINTS + int(costs[allowed].argmin())]] = True
    return side


def _second_eigenvector(graph: Graph, points: np.ndarray, degrees: np.ndarray, shared: float) -> np.ndarray:
    """Return the second eigenvector of the random walk on a graph whose points all share some weight, (n,) float64."""
    from scipy.linalg import eigh
    from scipy.sparse.linalg import LinearOperator, eigsh

    count, scale = len(degrees), 1 / np.sqrt(degrees)
    if count <= MAX_DENSE_SIZE:
        matrix = (graph.toarray() + shared / count) * np.outer(scale, scale)
        return np.asarray(eigh(matrix, subset_by_index=[count - 2, count - 1])[1][:, 0] * scale)

    def product(vector: np.ndarray) -> np.ndarray:
        scaled = scale * vector.ravel()
        return np.asarray(scale * (graph @ scaled + shared / count * scaled.sum()))

    start = points.sum(axis=1, dtype=np.float64)  # which goes with the points, whatever their order
    start = 1 + start / (np.abs(start).max() or 1)
    operator = LinearOperator((count, count), matvec=product, dtype=np.float64)
    values, vectors = eigsh(operator, k=2, which="LA", v0=start, tol=TOLERANCE)
    return np.asarray(vectors[:, values.argmin()] * scale)
