"""The points in which a config looks for clusters: vectors behind the steps of its transform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from imgcluster.clustering.diffusion import auto_steps
from imgcluster.clustering.grouping import SEQUENCE
from imgcluster.config import AUTO, ClustersConfig
from imgcluster.features import Points, State, check_steps, fit_steps
from imgcluster.utils import is_large


@dataclass(frozen=True)
class Space:
    """Points, and the arrays to transform others alike.

    order: (n,) int64, the row of the vectors that each point is; None: the points are in the order of the vectors.
    """

    points: Points
    state: State
    order: np.ndarray | None = None

    def by_row(self, values: np.ndarray) -> np.ndarray:
        """Return values of the points, (n, ...), in the order of the vectors."""
        if self.order is None:
            return values
        found = np.empty_like(values)
        found[self.order] = values
        return found


def fit_space(vectors: np.ndarray, config: ClustersConfig) -> Space:
    """Fit the transform of a config to vectors, (n, dim). Raises ClusteringError as `fit_steps`.

    The points of `method: auto` are in an order that depends on their values alone, and equal vectors count once in the
    fit, so that the order of the images makes no difference, nor how many copies each has. Large vectors, which would
    be read here and there, are read in their own order: it makes a difference to the last bits.
    """
    if not config.ignores_order:
        points, state = fit_steps(vectors, _steps(config, *vectors.shape), config.random_state)
        return Space(points, state)
    copies = Points(vectors).canonical
    steps = _steps(config, len(copies.first), vectors.shape[1])
    if copies:
        check_steps(steps, len(vectors))
        steps = capped_steps(steps, len(copies.first))
    rows, place = copies.first, copies.place[copies.order]
    if large := is_large(vectors.nbytes):
        rows, place = np.sort(rows), np.argsort(np.argsort(rows))[place]
    with threadpool_limits(1, user_api="blas"):  # more threads round otherwise
        points, state = fit_steps(vectors, steps, config.random_state, rows)
    if copies or large:
        points = replace(points, rows=place if points.rows is None else points.rows[place])
    return Space(points, state, copies.order)


def capped_steps(steps: Sequence[Any], most: int) -> tuple[Any, ...]:
    """Return the steps of a transform with no more components than `most` in each."""
    return tuple(step if isinstance(step, str) else _capped(step, most) for step in steps)


def _capped(step: dict[str, Any], most: int) -> dict[str, Any]:
    return {name: min(value, most) if isinstance(value, int) else value for name, value in step.items()}


def _steps(config: ClustersConfig, count: int, dim: int) -> tuple[Any, ...]:
    """Return the steps of `clusters.transform` for so many vectors; `method: auto` has its own by default."""
    if config.transform or config.method != AUTO or config.order == SEQUENCE:
        return config.transform
    return auto_steps(count, dim, equalize=True)
