"""Moments, scales and principal components of rows that are read in blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np
from threadpoolctl import threadpool_limits

from imgcluster.errors import ClusteringError
from imgcluster.utils import in_order, is_large, row_slices

SMALLEST_VALUE = 1e-12  # of the largest eigenvalue of the products of rows; less is rounding
STRIP_BYTES = 16 * 2**20
PRODUCT_COLUMNS = 128  # of products, that a thread adds up at once

Moments = tuple[int, np.ndarray, np.ndarray]  # of rows: how many, their mean, the squares of what they differ from it


def block_moments(block: np.ndarray) -> Moments:
    """Return of the rows of (m, dim) their number, mean and summed squares about it: (dim,) float64 both."""
    values = block.astype(np.float64)
    mean = values.mean(axis=0)
    values -= mean
    return len(values), mean, np.einsum("ij,ij->j", values, values)


def joined_moments(blocks: Iterable[Moments], dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of each value, (dim,) float64 both, of all blocks, joined in the order they come.

    As in Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979,
    equation 2.1.
    """
    count, mean, scatter = 0, np.zeros(dim), np.zeros(dim)
    for rows, block_mean, block_scatter in blocks:
        difference = block_mean - mean
        scatter += block_scatter + difference**2 * (count * rows / (count + rows))
        count += rows
        mean += difference * (rows / count)
    return mean, scatter / count


def add_products(total: np.ndarray, rows: np.ndarray) -> None:
    """Add rows.T @ rows to the lower triangle of total, (dim, dim) float64: the same bits for any number of threads."""

    def add(columns: slice) -> None:
        below = slice(columns.start, None)
        total[below, columns] += rows[:, below].T @ rows[:, columns]

    starts = range(0, rows.shape[1], PRODUCT_COLUMNS)
    deque(in_order(add, [slice(start, start + PRODUCT_COLUMNS) for start in starts]), maxlen=0)


def scale_of(mean: np.ndarray, variance: np.ndarray, count: int) -> np.ndarray:
    """Return the standard deviation of each value, (dim,) float64, and 1 of what scikit-learn takes for a constant."""
    epsilon = np.finfo(np.float64).eps
    constant = variance <= count * epsilon * variance + (count * mean * epsilon) ** 2
    return np.where(constant, 1.0, np.sqrt(variance))


def check_components(parameter: int | float, count: int, dim: int) -> None:
    """Raise ClusteringError where more components are asked for than so many rows of `dim` values have."""
    most = min(count, dim)
    if isinstance(parameter, int) and parameter > most:
        raise ClusteringError(
            f"clusters.transform: pca: {parameter} is more than {count:,} images of {dim:,} "
            f"values allow; at most {most}"
        )


def check_covariance(dim: int) -> None:
    """Raise ClusteringError where the (dim, dim) covariance is too large to be held."""
    if is_large(8 * dim**2):
        raise ClusteringError(f"clusters.transform: pca: {dim:,} values are too many for so many images")


def components_of(scatter: np.ndarray, squares: float, parameter: int | float) -> np.ndarray:
    """Return the principal components, (kept, dim) float32, as scikit-learn has them, from the covariance.

    scatter: (dim, dim), the products of the centred rows, summed; its lower triangle is enough. squares: the sum of
    their squares. parameter: how many components are kept, or the share of the variance that they have to explain.
    """
    return _turned(_leading(scatter, squares, parameter)[1].T).astype(np.float32)


def few_components(rows: np.ndarray, centre: np.ndarray, parameter: int | float) -> np.ndarray:
    """Return the same components from the (n, n) products of rows, (n, dim): quicker where there are fewer rows.

    centre: the mean of the rows, (dim,). A component along which nothing varies is 0.
    """
    products = np.zeros((len(rows), len(rows)))
    for part in row_slices(rows.shape[1], 2 * len(rows), STRIP_BYTES):
        strip = np.subtract(rows[:, part], centre[part], dtype=np.float64)
        products += strip @ strip.T
    values, vectors = _leading(products, float(np.trace(products)), parameter)
    deviation = np.sqrt(np.where(values > SMALLEST_VALUE * values.max(initial=0), values, np.inf))
    sides = (vectors / deviation).astype(np.float32)
    return _turned(sides.T @ rows - np.outer(sides.sum(axis=0), centre))


def _leading(matrix: np.ndarray, squares: float, parameter: int | float) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest eigenvalues, (kept,), and eigenvectors, (m, kept), of a symmetric matrix, (m, m)."""
    from scipy.linalg import eigh

    size = len(matrix)
    least = size - parameter if isinstance(parameter, int) else 0
    with threadpool_limits(1, user_api="blas"):  # more threads round otherwise
        values, vectors = eigh(matrix, subset_by_index=[least, size - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    if isinstance(parameter, int):
        return values, vectors
    kept = int(np.searchsorted(np.cumsum(values) / (squares or 1.0), parameter, side="right")) + 1
    return values[:kept], vectors[:, :kept]


def whitened(components: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return components, (kept, dim) float32, divided by the deviation of what they give, so that all count alike.

    variance: (kept,), of the rows projected onto them.
    """
    deviation = np.sqrt(variance)
    deviation[deviation <= np.finfo(np.float32).eps * deviation.max(initial=0)] = 1.0  # of what does not vary at all
    return np.asarray((components.T / deviation).T, np.float32)


def _turned(components: np.ndarray) -> np.ndarray:
    """Turn each so that its largest value is positive, as scikit-learn does; an eigenvector has no sign of its own."""
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    return np.asarray(components * np.sign(largest))
