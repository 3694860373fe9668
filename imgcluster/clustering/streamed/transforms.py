"""Steps of `clusters.transform` fitted to a store: workers reduce their blocks to moments and scatter matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from imgcluster.clustering.streamed.points import StreamedPoints
from imgcluster.errors import ClusteringError
from imgcluster.features import (
    Moments,
    State,
    apply_transform,
    block_moments,
    check_components,
    check_covariance,
    components_of,
    joined_moments,
    scale_of,
    whitened,
)

BLOCKS_A_SCATTER = 8  # blocks per scatter matrix, (dim, dim): it may be as large as a block


def fit_streamed(points: StreamedPoints, steps: Sequence[Any]) -> StreamedPoints:
    """Fit the steps in order, each in one or two readings of the store, and return the points behind them.

    Their `state` has the arrays of `transforms.fit_steps`, computed in blocks.

    Raises:
        ClusteringError: umap, more components than the data allow, or vectors that are not finite.
        StoreError: a shard cannot be read.
    """
    for step in steps:
        name, parameter = (step, None) if isinstance(step, str) else next(iter(step.items()))
        points = points.behind(name, FITS[name](points, parameter))
    return points


def streamed_moments(points: StreamedPoints) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and variance of each column, (dim,) float64 each, in one reading of the store.

    Raises:
        ClusteringError: vectors are not finite.
        StoreError: a shard cannot be read.
    """
    import dask

    surveys = dask.compute(*points.before_steps().map(_survey, points.state))
    if spoilt := sum(bad for bad, _ in surveys):
        raise ClusteringError(f"the features of {spoilt:,} images are not finite (NaN or infinity)")
    return joined_moments((moments for _, moments in surveys), points.dim)


def _survey(blocks: Iterator[np.ndarray], state: State) -> tuple[int, Moments]:
    """Return the number of rows of a block that are not finite, and the moments of the block behind the steps."""
    block = next(blocks)
    spoilt = ~np.isfinite(block).all(axis=1)
    block[spoilt] = 0  # keeps the steps quiet; the run ends with an error, and the moments are dropped
    return int(spoilt.sum()), block_moments(apply_transform(block, state))


def _fit_nothing(points: StreamedPoints, parameter: Any) -> State:
    return {}


def _fit_standardize(points: StreamedPoints, parameter: Any) -> State:
    mean, variance = streamed_moments(points)
    return {"mean": mean.astype(np.float32), "scale": scale_of(mean, variance, len(points)).astype(np.float32)}


def _fit_pca(points: StreamedPoints, parameter: int | float) -> State:
    """Fit the eigenvectors of the covariance; the workers add its parts up in a tree."""
    import dask

    check_components(parameter, len(points), points.dim)
    check_covariance(points.dim)
    mean, variance = streamed_moments(points)
    centre = mean.astype(np.float32)
    scatters = points.map(_scatter, centre, blocks_each=BLOCKS_A_SCATTER)
    while len(scatters) > 1:
        pairs = [scatters[start : start + 2] for start in range(0, len(scatters), 2)]
        scatters = [dask.delayed(np.add, pure=False)(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    (scatter,) = dask.compute(*scatters)
    return {"mean": centre, "components": components_of(scatter, float(variance.sum()) * len(points), parameter)}


def _scatter(blocks: Iterator[np.ndarray], centre: np.ndarray) -> np.ndarray:
    total = np.zeros((len(centre), len(centre)))
    for block in blocks:
        rows = np.subtract(block, centre, dtype=np.float32)
        total += rows.T @ rows
    return total


def _fit_whiten(points: StreamedPoints, parameter: int | float) -> State:
    fitted = _fit_pca(points, parameter)
    variance = streamed_moments(points.behind("pca", fitted))[1]
    return {"mean": fitted["mean"], "components": whitened(fitted["components"], variance)}


def _refuse(points: StreamedPoints, parameter: Any) -> State:
    raise ClusteringError("clusters.transform: umap needs all features in memory; take pca, or backend: sklearn")


FITS: dict[str, Callable[[StreamedPoints, Any], State]] = {
    "sqrt": _fit_nothing,
    "l2": _fit_nothing,
    "standardize": _fit_standardize,
    "pca": _fit_pca,
    "whiten": _fit_whiten,
    "umap": _refuse,
}
