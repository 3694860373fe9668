"""Neighbours of distinct points made into those of all points: each copy in the place of its first."""

from __future__ import annotations

import numpy as np

from imgcluster.features import Copies
from imgcluster.utils import row_slices

Found = tuple[np.ndarray, np.ndarray]  # indices (m, k) int64, squared distances (m, k) float64


def with_copies(near: np.ndarray, squared: np.ndarray, copies: Copies, k: int, *, own: bool) -> Found:
    """Return the k nearest of all points, (m, k), from the nearest distinct points, (m, a), and their distances.

    own: the m are the distinct points, near others, and the result is of all points; False: the m are queries.
    """
    if own:  # which is the nearest of its copies
        near = np.concatenate([np.arange(len(near))[:, None], near], axis=1)
        squared = np.concatenate([np.zeros((len(squared), 1)), squared], axis=1)
    members = np.argsort(copies.place, kind="stable")  # the copies of each distinct point, one after the other
    starts = np.cumsum(copies.counts) - copies.counts
    most = k + own
    indices, distances = np.empty((len(near), most), np.int64), np.empty((len(near), most))
    for part in row_slices(len(near), near.shape[1] * most):
        counts = np.minimum(copies.counts[near[part]], most)
        rows = np.repeat(np.arange(len(counts)), counts.sum(axis=1))
        counts = counts.ravel()
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        some = members[np.repeat(starts[near[part]].ravel(), counts) + offsets]
        far = np.repeat(squared[part].ravel(), counts)
        order = np.lexsort((some, far, rows))
        places = np.searchsorted(rows, np.arange(rows[-1] + 1))[:, None] + np.arange(most)
        indices[part], distances[part] = some[order][places], far[order][places]
    return _of_all(indices, distances, copies, k) if own else (indices, distances)


def _of_all(indices: np.ndarray, distances: np.ndarray, copies: Copies, k: int) -> Found:
    """Return for each point what its first has, (n, k) of (m, k + 1), without the point itself."""
    count = len(copies.place)
    near, far = np.empty((count, k), np.int64), np.empty((count, k))
    for part in row_slices(count, k):
        some = copies.place[part]
        itself = indices[some] == np.arange(part.start, part.stop)[:, None]
        order = np.argsort(itself, axis=1, kind="stable")[:, :k]
        near[part] = np.take_along_axis(indices[some], order, axis=1)
        far[part] = np.take_along_axis(distances[some], order, axis=1)
    return near, far
