"""The steps of `clusters.transform`: each with the functions that fit it, in memory and in blocks, and apply it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from imgcluster.errors import ClusteringError
from imgcluster.features.reductions import (
    check_components,
    check_covariance,
    components_of,
    few_components,
    scale_of,
    whitened,
)
from imgcluster.utils import install_command, is_large, row_slices

if TYPE_CHECKING:
    from imgcluster.features.transforms import Points

STRIP = 64  # columns
EQUALIZED = 0.25  # the power of the deviation that values are divided by; 0 is none of it, 1 is `standardize`
SMALLEST_ROOT = 1e-12  # the root of smaller values has too large a derivative
NO_UMAP = f"clusters.transform: umap needs the package umap-learn; {install_command('umap')}"

State = dict[str, np.ndarray]


class Blocks(Protocol):
    """Points that are read a block at a time: what a step needs of all rows is added up over the blocks."""

    def __len__(self) -> int: ...

    @property
    def dim(self) -> int:
        """How many values a point has."""

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance of each value, (dim,) float64 both."""

    def scatter(self, centre: np.ndarray) -> np.ndarray:
        """Return the products of the rows less a centre, (dim,) float32, summed: (dim, dim) float64."""

    def behind(self, name: str, fitted: State) -> Blocks:
        """Return the points behind one more fitted step."""


@dataclass(frozen=True)
class Step:
    """One step of `clusters.transform`; scikit-learn fits it, and it is kept as plain arrays.

    fit: (points, parameter, random_state) -> arrays. fit_blocks: (blocks, parameter) -> arrays, for Dask; None: the
    step needs all points in memory. apply: (rows, arrays) -> rows, (n, dim) float32 both. apply_torch: the same for
    tensors, with gradients, for heat maps; None: the step has none.
    """

    fit: Callable[[Points, Any, int], State]
    fit_blocks: Callable[[Blocks, Any], State] | None
    apply: Callable[[np.ndarray, State], np.ndarray]
    apply_torch: Callable[[Any, Mapping[str, Any]], Any] | None


def unit_length(vectors: np.ndarray, dtype: type[np.floating[Any]] = np.float32) -> np.ndarray:
    """Scale each row of (n, dim) to the Euclidean length 1, as `dtype`; a row of zeros stays one."""
    scaled = np.empty(vectors.shape, dtype)
    for part in row_slices(*vectors.shape):
        lengths = np.linalg.norm(vectors[part], axis=1, keepdims=True)
        scaled[part] = vectors[part] / np.maximum(lengths, np.finfo(dtype).tiny)
    return scaled


def _signed_root(vectors: np.ndarray) -> np.ndarray:
    """The square root of each value's size, with its sign: Arandjelovic and Zisserman, CVPR 2012."""
    return np.asarray(np.copysign(np.sqrt(np.abs(vectors)), vectors), np.float32)


def _fit_nothing(*_: Any) -> State:
    return {}


def _fit_standardize(points: Points, parameter: Any, random_state: int) -> State:
    if is_large(points.nbytes):
        return _standardize_blocks(points, parameter)
    mean, scale = _scale_in_strips(points)
    return {"mean": mean.astype(np.float32), "scale": scale.astype(np.float32)}


def _scale_in_strips(points: Points) -> tuple[np.ndarray, np.ndarray]:
    """What scikit-learn finds for all columns at once, to the last bit, without its float64 copy of them all."""
    from sklearn.preprocessing import StandardScaler

    vectors = points.array()
    scalers = [StandardScaler().fit(vectors[:, strip]) for strip in column_strips(vectors.shape[1])]
    return np.concatenate([it.mean_ for it in scalers]), np.concatenate([it.scale_ for it in scalers])


def _standardize_blocks(points: Blocks, parameter: Any) -> State:
    mean, variance = points.moments()
    return {"mean": mean.astype(np.float32), "scale": scale_of(mean, variance, len(points)).astype(np.float32)}


def _fit_equalize(points: Blocks, *_: Any) -> State:
    """Find the fourth root of each value's deviation: principal components then differ less, and noise stays small."""
    mean, variance = points.moments()
    return {"scale": (scale_of(mean, variance, len(points)) ** EQUALIZED).astype(np.float32)}


def column_strips(columns: int) -> list[slice]:
    """Cut columns into strips of `STRIP` or more: of a single column, numpy adds up the rows in another order."""
    edges = np.linspace(0, columns, max(1, columns // STRIP) + 1).astype(int).tolist()
    return [slice(start, end) for start, end in pairwise(edges)]


def _standardize(vectors: np.ndarray, state: State) -> np.ndarray:
    scaled = np.empty(vectors.shape, np.float32)
    for part in row_slices(*vectors.shape):
        scaled[part] = (vectors[part] - state["mean"]) / state["scale"]
    return scaled


def _fit_pca(points: Points, parameter: int | float, random_state: int) -> State:
    """The principal components, exactly: quicker randomized ones give other clusters on another machine."""
    if is_large(points.nbytes) or len(points) >= points.dim:
        return _pca_blocks(points, parameter)
    check_components(parameter, len(points), points.dim)
    centre = points.moments()[0].astype(np.float32)
    return {"mean": centre, "components": few_components(points.array(), centre, parameter)}


def _pca_blocks(points: Blocks, parameter: int | float) -> State:
    """The same components from the eigenvectors of the (dim, dim) covariance, for which the points are read twice."""
    check_components(parameter, len(points), points.dim)
    check_covariance(points.dim)
    mean, variance = points.moments()
    centre = mean.astype(np.float32)
    squares = float(variance.sum()) * len(points)
    return {"mean": centre, "components": components_of(points.scatter(centre), squares, parameter)}


def _fit_whiten(points: Points, parameter: int | float, random_state: int) -> State:
    return _whitened(points, _fit_pca(points, parameter, random_state))


def _whiten_blocks(points: Blocks, parameter: int | float) -> State:
    return _whitened(points, _pca_blocks(points, parameter))


def _whitened(points: Blocks, fitted: State) -> State:
    """Components as of pca, each divided by its standard deviation, so that all of them count alike."""
    variance = points.behind("pca", fitted).moments()[1]
    return {"mean": fitted["mean"], "components": whitened(fitted["components"], variance)}


def _fit_umap(points: Points, parameter: int, random_state: int) -> State:
    """Coordinates in which near images are near: McInnes, Healy and Melville, UMAP, 2018. Only for these points."""
    try:
        from umap import UMAP
    except ImportError:
        raise ClusteringError(NO_UMAP) from None
    # With a seed it uses one thread, and then the same points give the same coordinates.
    model = UMAP(n_components=parameter, random_state=random_state, n_jobs=1)
    copies = points.copies  # among the nearest neighbours they would leave no room for others
    coordinates = model.fit_transform(points.take(copies.first) if copies else points.array())
    return {"coordinates": np.asarray(coordinates, np.float32)[copies.place]}


def _pca(vectors: np.ndarray, state: State) -> np.ndarray:
    return np.asarray((vectors - state["mean"]) @ state["components"].T, dtype=np.float32)


def _refuse_new(vectors: np.ndarray, state: State) -> np.ndarray:
    raise ClusteringError("clusters.transform: umap has coordinates for the images of its run alone")


def _signed_root_torch(values: Any, fitted: Mapping[str, Any]) -> Any:
    return values.sign() * values.abs().clamp(min=SMALLEST_ROOT).sqrt()


def _unit_length_torch(values: Any, fitted: Mapping[str, Any]) -> Any:
    from torch.nn.functional import normalize

    return normalize(values)


def _standardize_torch(values: Any, fitted: Mapping[str, Any]) -> Any:
    return (values - fitted["mean"]) / fitted["scale"]


def _pca_torch(values: Any, fitted: Mapping[str, Any]) -> Any:
    return (values - fitted["mean"]) @ fitted["components"].T


STEPS: dict[str, Step] = {
    "sqrt": Step(_fit_nothing, _fit_nothing, lambda vectors, _: _signed_root(vectors), _signed_root_torch),
    "l2": Step(_fit_nothing, _fit_nothing, lambda vectors, _: unit_length(vectors), _unit_length_torch),
    "standardize": Step(_fit_standardize, _standardize_blocks, _standardize, _standardize_torch),
    "equalize": Step(
        _fit_equalize,
        _fit_equalize,
        lambda vectors, state: np.asarray(vectors / state["scale"], np.float32),
        lambda values, fitted: values / fitted["scale"],
    ),
    "pca": Step(_fit_pca, _pca_blocks, _pca, _pca_torch),
    "whiten": Step(_fit_whiten, _whiten_blocks, _pca, _pca_torch),
    "umap": Step(_fit_umap, None, _refuse_new, None),
}
