"""Steps of `clusters.transform` fitted to a store: workers reduce their blocks to moments and scatter matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgcluster.clustering.streamed.points import StreamedPoints
from imgcluster.errors import ClusteringError
from imgcluster.features import STEPS, Moments, State, apply_transform, block_moments, joined_moments
from imgcluster.utils import counted

BLOCKS_A_SCATTER = 8  # blocks per scatter matrix, (dim, dim): it may be as large as a block


def fit_streamed(points: StreamedPoints, steps: Sequence[Any]) -> StreamedPoints:
    """Fit the steps in order, each in one or two readings of the store, and return the points behind them.

    Their `state` has the arrays of `fit_steps`, computed in blocks.

    Raises:
        ClusteringError: a step needs all features in memory, more components than the data allow, or vectors that are
            not finite.
        StoreError: a shard cannot be read.
    """
    for step in steps:
        name, parameter = (step, None) if isinstance(step, str) else next(iter(step.items()))
        fit = STEPS[name].fit_blocks
        if fit is None:
            raise ClusteringError(
                f"clusters.transform: {name} needs all features in memory; take pca, or backend: sklearn"
            )
        points = points.behind(name, fit(_Blocks(points), parameter))
    return points


@dataclass(frozen=True)
class _Blocks:
    """Streamed points as a step is fitted to them; the workers read and add up."""

    points: StreamedPoints

    def __len__(self) -> int:
        return len(self.points)

    @property
    def dim(self) -> int:
        """How many values a point has."""
        return self.points.dim

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance of each value, (dim,) float64 both."""
        return streamed_moments(self.points)

    def scatter(self, centre: np.ndarray) -> np.ndarray:
        """Return the products of the rows less a centre, summed as a tree on the workers: (dim, dim) float64."""
        import dask

        scatters = self.points.map(_scatter, centre, blocks_each=BLOCKS_A_SCATTER)
        while len(scatters) > 1:
            pairs = [scatters[start : start + 2] for start in range(0, len(scatters), 2)]
            scatters = [dask.delayed(np.add, pure=False)(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        (scatter,) = dask.compute(*scatters)
        return np.asarray(scatter)

    def behind(self, name: str, fitted: State) -> _Blocks:
        """Return the points behind one more fitted step."""
        return _Blocks(self.points.behind(name, fitted))


def streamed_moments(points: StreamedPoints) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and variance of each column, (dim,) float64 each, in one reading of the store.

    Raises:
        ClusteringError: vectors are not finite.
        StoreError: a shard cannot be read.
    """
    import dask

    surveys = dask.compute(*points.before_steps().map(_survey, points.state))
    if spoilt := sum(bad for bad, _ in surveys):
        raise ClusteringError(f"the features of {counted(spoilt, 'image')} are not finite (NaN or infinity)")
    return joined_moments((moments for _, moments in surveys), points.dim)


def _survey(blocks: Iterator[np.ndarray], state: State) -> tuple[int, Moments]:
    """Return how many rows of a block are not finite, and the moments behind the steps."""
    block = next(blocks)
    spoilt = ~np.isfinite(block).all(axis=1)
    block[spoilt] = 0  # they end the run, and the moments of the others are no matter
    return int(spoilt.sum()), block_moments(apply_transform(block, state))


def _scatter(blocks: Iterator[np.ndarray], centre: np.ndarray) -> np.ndarray:
    total = np.zeros((len(centre), len(centre)))
    for block in blocks:
        rows = np.subtract(block, centre, dtype=np.float32)
        total += rows.T @ rows
    return total
