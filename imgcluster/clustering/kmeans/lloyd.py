"""Lloyd's K-Means over rows that are read a block at a time; ties, empty clusters and the end are as in scikit-learn.

Lloyd, Least squares quantization in PCM, IEEE Transactions on Information Theory 28, 1982, page 129. Distances are
squared ones without the length of the row itself, |c|² - 2 x·c: what is the same for every centre decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from imgcluster.features import Points
from imgcluster.utils import Advance, in_order

MAX_ITERATIONS = 300  # as many as scikit-learn allows
TOLERANCE = 1e-4  # of the mean variance: scikit-learn's

Block = tuple[np.ndarray, np.ndarray, float]  # labels, sums and score of some rows
Step = Callable[[], None]


@dataclass(frozen=True)
class Assigned:
    """Where rows belong. labels: (n,) int32; sums: (k, dim) float64; sizes: (k,) int64; score: the distances' sum."""

    labels: np.ndarray
    sums: np.ndarray
    sizes: np.ndarray
    score: float


class Steps:
    """Progress of work in parts that may each take fewer steps than allowed; what is left comes at the part's end."""

    def __init__(self, advance: Advance) -> None:
        self._advance, self._left = advance, 0

    def begin(self, most: int) -> None:
        """End the part before, if there is one, and begin one of `most` steps."""
        self.end()
        self._left = most

    def step(self) -> None:
        """Take one step of the part; beyond the last one there is none."""
        if self._left:
            self._left -= 1
            self._advance(1)

    def end(self) -> None:
        """End the part."""
        self._advance(self._left)
        self._left = 0


class Rows(Protocol):
    """Rows less their mean, (n, dim) float32, wherever they are."""

    def assign(self, centres: np.ndarray) -> Assigned:
        """Find the nearest centre, (k, dim) float32, of each row; of equally near ones the first."""

    def squared_distances(self, centres: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the squared distance of each row to the centre of its label, (n,) float32, exactly 0 for the same."""

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows of these numbers, (len(rows), dim) float32."""


@dataclass(frozen=True)
class Clustering:
    """labels: (n,) int32; centres: (k, dim) float32; score: less for tighter clusters of the same rows."""

    labels: np.ndarray
    centres: np.ndarray
    score: float


def lloyd(rows: Rows, centres: np.ndarray, tolerance: float, step: Step) -> Clustering:
    """Move the centres, (k, dim) float32, until no label changes or they move by `tolerance` at most.

    That is the sum of the squares of what they move by; the centres are written to by nobody. At most 300 iterations,
    each of them a call of `step`.
    """
    labels = np.empty(0, np.int32)
    for _ in range(MAX_ITERATIONS):
        found = rows.assign(centres)
        moved = _means(rows, found, centres)
        shift = float(np.square(moved - centres).sum())
        same = np.array_equal(found.labels, labels)
        centres, labels = moved, found.labels
        step()
        if same:
            return Clustering(labels, centres, found.score)
        if shift <= tolerance:
            break
    found = rows.assign(centres)
    return Clustering(found.labels, centres, found.score)


class StreamedRows:
    """Points less their mean, worked out anew for each block each time: only a few blocks are in memory."""

    def __init__(self, points: Points, mean: np.ndarray) -> None:
        self._points, self._mean = points, mean.astype(np.float32)

    def assign(self, centres: np.ndarray) -> Assigned:
        """Find the nearest centre, (k, dim) float32, of each row; of equally near ones the first."""
        lengths = np.einsum("ij,ij->i", centres, centres)

        def assign_block(part: slice) -> Block:
            return _assign_block(self._block(part), centres, lengths)

        return joined(in_order(assign_block, self._points.slices(beside=len(centres))), centres.shape)

    def squared_distances(self, centres: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the squared distance of each row to the centre of its label, (n,) float32, exactly 0 for the same."""

        def of_block(part: slice) -> np.ndarray:
            difference = self._block(part) - centres[labels[part]]
            return np.asarray(np.einsum("ij,ij->i", difference, difference))

        return np.concatenate(list(in_order(of_block, self._points.slices())))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows of these numbers, (len(rows), dim) float32."""
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
    distances = rows @ centres.T
    distances *= -2
    distances += lengths
    labels = distances.argmin(axis=1)
    score = float(distances.min(axis=1).sum(dtype=np.float64))
    chosen = csr_array((np.ones(len(rows), np.float32), labels, np.arange(len(rows) + 1)), distances.shape)
    return labels.astype(np.int32), chosen.T @ rows, score


def _means(rows: Rows, found: Assigned, centres: np.ndarray) -> np.ndarray:
    """Return the new centres: one without rows takes the row farthest from its own, or joins the largest."""
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
