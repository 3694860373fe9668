"""K-Means over rows in blocks: greedy k-means++ seeds and Lloyd's iterations, by the rules of scikit-learn.

They serve vectors that do not fit into memory (`StreamedRows`) or lie on a GPU (`gpu_kmeans.DeviceRows`). Lloyd, Least
squares quantization in PCM, IEEE Transactions on Information Theory 28, 1982, page 129.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from imgcluster.features import Points
from imgcluster.utils import Advance, in_order

MAX_ITERATIONS = 300  # scikit-learn's default
TOLERANCE = 1e-4  # scikit-learn's default, relative to the mean variance of the columns

Block = tuple[np.ndarray, np.ndarray, float]  # labels, sums and score of some rows


@dataclass(frozen=True)
class Assigned:
    """The nearest centre of each row, and the sums over each centre's rows.

    labels: (n,) int32; sums: (k, dim) float64; sizes: (k,) int64; score: the inertia less the sum of squared row norms.
    """

    labels: np.ndarray
    sums: np.ndarray
    sizes: np.ndarray
    score: float


class Rows(Protocol):
    """Centred rows, (n, dim) float32, that Lloyd's iterations run over."""

    def assign(self, centres: np.ndarray) -> Assigned:
        """Find the nearest centre, (k, dim) float32, of each row; of equally near ones the first."""

    def squared_distances(self, centres: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the squared distance of each row to its own centre, (n,) float32; exactly 0 where they are equal."""

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows with these indices, (len(rows), dim) float32."""


class SeedRows(Protocol):
    """Rows that seeds are drawn from; their distances are arrays of numpy or tensors of torch."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def squared_distances_to(self, rows: np.ndarray) -> Any:
        """Return the squared distances of all rows to the rows with these indices, (len(rows), n)."""

    def sums(self, distances: Any) -> np.ndarray:
        """Return the sum of each row of (m, n) distances, (m,)."""

    def cumulative(self, distances: Any) -> np.ndarray:
        """Return the running sum of (n,) distances, (n,)."""


@dataclass(frozen=True)
class Clustering:
    """labels: (n,) int32; centres: (k, dim) float32; score: lower for tighter clusters of the same rows."""

    labels: np.ndarray
    centres: np.ndarray
    score: float


def kmeans_plusplus(rows: SeedRows, n_clusters: int, generator: np.random.RandomState) -> np.ndarray:
    """Draw the indices of `n_clusters` seeds, (n_clusters,) int64, by the greedy k-means++ of scikit-learn.

    Arthur and Vassilvitskii, k-means++: the advantages of careful seeding, SODA 2007, page 1027; its last section
    tries several candidates for each seed. The generator is used as by `sklearn.cluster.kmeans_plusplus`.
    """
    trials = 2 + int(np.log(n_clusters))
    chosen = [int(generator.random_sample() * len(rows))]
    distances = rows.squared_distances_to(np.array(chosen))
    nearest, potential = distances[0], rows.sums(distances)[0]
    while len(chosen) < n_clusters:
        drawn = np.searchsorted(rows.cumulative(nearest), generator.uniform(size=trials) * potential)
        candidates = np.minimum(drawn, len(rows) - 1)
        distances = rows.squared_distances_to(candidates).clip(max=nearest)
        potentials = rows.sums(distances)
        best = int(potentials.argmin())
        chosen.append(int(candidates[best]))
        nearest, potential = distances[best], potentials[best]
    return np.array(chosen)


def lloyd(rows: Rows, seeds: np.ndarray, tolerance: float, advance: Advance = lambda count: None) -> Clustering:
    """Run Lloyd's iterations from seeds, (k, dim) float32, until no label changes or the centres hardly move.

    They end when the sum of squared shifts is `tolerance` or less, or after 300; `advance` counts them. A centre
    without rows takes the row farthest from its own centre, as in scikit-learn.
    """
    centres, labels = seeds, np.empty(0, np.int32)
    for _ in range(MAX_ITERATIONS):
        found = rows.assign(centres)
        moved = _means(rows, found, centres)
        shift = float(np.square(moved - centres).sum())
        same = np.array_equal(found.labels, labels)
        centres, labels = moved, found.labels
        advance(1)
        if same:
            return Clustering(labels, centres, found.score)
        if shift <= tolerance:
            break
    found = rows.assign(centres)
    return Clustering(found.labels, centres, found.score)


class StreamedRows:
    """Points less their mean, read and computed block by block: only a few blocks are in memory."""

    def __init__(self, points: Points, mean: np.ndarray) -> None:
        self._points, self._mean = points, mean.astype(np.float32)

    def assign(self, centres: np.ndarray) -> Assigned:
        """As in `Rows`."""
        lengths = np.einsum("ij,ij->i", centres, centres)

        def assign_block(part: slice) -> Block:
            return _assign_block(self._block(part), centres, lengths)

        return joined(in_order(assign_block, self._points.slices(beside=len(centres))), centres.shape)

    def squared_distances(self, centres: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """As in `Rows`."""

        def of_block(part: slice) -> np.ndarray:
            difference = self._block(part) - centres[labels[part]]
            return np.asarray(np.einsum("ij,ij->i", difference, difference))

        return np.concatenate(list(in_order(of_block, self._points.slices())))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """As in `Rows`."""
        return np.asarray(np.subtract(self._points.take(rows), self._mean, dtype=np.float32))

    def _block(self, part: slice) -> np.ndarray:
        return np.asarray(np.subtract(self._points.block(part), self._mean, dtype=np.float32))


def joined(blocks: Iterable[Block], shape: tuple[int, ...]) -> Assigned:
    """Add up blocks in their order, their float32 sums, (k, dim), in float64."""
    labels, sums, score = [], np.zeros(shape), 0.0
    for block_labels, block_sums, block_score in blocks:
        labels.append(block_labels)
        sums += block_sums
        score += block_score
    every = np.concatenate(labels)
    return Assigned(every, sums, np.bincount(every, minlength=shape[0]), score)


def _assign_block(rows: np.ndarray, centres: np.ndarray, lengths: np.ndarray) -> Block:
    from scipy.sparse import csr_array

    distances = rows @ centres.T  # |c|² - 2 x·c: |x|² is the same for every centre
    distances *= -2
    distances += lengths
    labels = distances.argmin(axis=1)
    score = float(distances.min(axis=1).sum(dtype=np.float64))
    chosen = csr_array((np.ones(len(rows), np.float32), labels, np.arange(len(rows) + 1)), distances.shape)
    return labels.astype(np.int32), chosen.T @ rows, score


def _means(rows: Rows, found: Assigned, centres: np.ndarray) -> np.ndarray:
    """Return the new centres; a centre without rows takes the row farthest from its own, or joins the largest."""
    sums, sizes = found.sums, found.sizes
    empty = np.flatnonzero(sizes == 0)
    if len(empty):
        distances = rows.squared_distances(centres, found.labels)
        farthest = np.argpartition(distances, -len(empty))[: -len(empty) - 1 : -1]
        if distances.max() > 0:
            _relocate(sums, sizes, empty, found.labels[farthest], rows.take(farthest))
    means = sums / np.maximum(sizes, 1)[:, None]
    means[sizes == 0] = means[sizes.argmax()]
    return np.asarray(means, dtype=np.float32)


def _relocate(sums: np.ndarray, sizes: np.ndarray, empty: np.ndarray, owners: np.ndarray, rows: np.ndarray) -> None:
    for cluster, owner, row in zip(empty, owners, rows, strict=True):
        sums[owner] -= row
        sums[cluster] = row
        sizes[owner] -= 1
        sizes[cluster] = 1
