"""Greedy choices of points that cover all others: facility location, and k-center."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from imgcluster.utils import in_order, row_slices

MAX_COVERED = 5_000  # points that the choice is judged by; of more, so many are drawn
EVALUATED_AT_ONCE = 64

Chooser = Callable[[np.ndarray, int, np.ndarray], list[int]]


def facility_location(points: np.ndarray, count: int, covered: np.ndarray) -> list[int]:
    """Choose points so that the cosines of all points to their nearest chosen one have the largest sum, greedily.

    Each choice gains the most, which comes to 63 % of the best sum at least: Nemhauser, Wolsey and Fisher, 1978. A gain
    never grows, so that few have to be worked out again: Minoux, Accelerated Greedy Algorithms, 1978. Memory: a block
    of cosines, whatever the number of points.

    Args:
        points: (n, dim) float32, of the length 1.
        count: How many to choose, (n - len(covered)) at most.
        covered: (m,) int64, rows that count as chosen before.

    Returns:
        Rows, in the order in which they were chosen.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):  # the same bits on any number of cores
        judges = points[_drawn(len(points))]
        best = np.zeros(len(judges), np.float32)  # of the cosines to what is chosen
        for part in row_slices(len(covered), len(judges)):
            np.maximum(best, (judges @ points[covered[part]].T).max(axis=1), out=best)

        def gains(rows: slice | np.ndarray) -> np.ndarray:
            return np.asarray(np.maximum(points[rows] @ judges.T - best, 0).sum(axis=1, dtype=np.float64))

        bounds = np.concatenate([np.empty(0), *in_order(gains, row_slices(len(points), len(judges)))])
        bounds[covered] = -1
        chosen: list[int] = []
        while len(chosen) < count:
            row = _largest(bounds, gains)
            chosen.append(row)
            bounds[row] = -1
            np.maximum(best, judges @ points[row], out=best)
    return chosen


def k_center(points: np.ndarray, count: int, covered: np.ndarray) -> list[int]:
    """Choose points one after the other, each the farthest from those before: the k-center greedy.

    Sener and Savarese, Active Learning for Convolutional Neural Networks: A Core-Set Approach, ICLR 2018; Gonzalez,
    1985. The first one is that nearest to the mean. Arguments and result as of `facility_location`.
    """
    nearest = np.full(len(points), -np.inf, np.float32)  # cosines to the nearest chosen one
    for row in covered.tolist():
        np.maximum(nearest, points @ points[row], out=nearest)
    nearest[covered] = np.inf
    chosen: list[int] = []
    if not len(covered) and count:
        chosen = [int((points @ points.mean(axis=0)).argmax())]
    while True:
        if chosen:
            np.maximum(nearest, points @ points[chosen[-1]], out=nearest)
            nearest[chosen[-1]] = np.inf
        if len(chosen) >= count:
            return chosen
        chosen.append(int(nearest.argmin()))


def mean_cosine(points: np.ndarray, chosen: np.ndarray) -> float:
    """Return the mean cosine of points to the nearest of the chosen rows; of many points, of those drawn."""
    if not len(chosen):
        return 0.0
    judges = points[_drawn(len(points))]
    best = np.full(len(judges), -1, np.float32)
    for part in row_slices(len(chosen), len(judges)):
        np.maximum(best, (judges @ points[chosen[part]].T).max(axis=1), out=best)
    return float(best.mean(dtype=np.float64))


def _largest(bounds: np.ndarray, gains: Callable[[np.ndarray], np.ndarray]) -> int:
    """Return the row with the largest gain; bounds: of all gains, which are lowered to those that are worked out."""
    known = np.zeros(len(bounds), bool)
    while not known[row := int(bounds.argmax())]:
        some = min(EVALUATED_AT_ONCE, len(bounds))
        rows = np.argpartition(-bounds, some - 1)[:some]
        rows = np.union1d(rows[(bounds[rows] >= 0) & ~known[rows]], row)
        bounds[rows] = gains(rows)
        known[rows] = True
    return row


def _drawn(count: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).permutation(count)[:MAX_COVERED])


METHODS: dict[str, Chooser] = {"facility-location": facility_location, "k-center": k_center}
