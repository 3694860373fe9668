"""Transforms before clustering: each step is fitted by scikit-learn and kept as plain arrays.

A fitted step is applied by the same few lines of numpy when the clusters are made and when new images are placed into
them later, so that both see the same space.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from imgcluster.errors import ClusteringError
from imgcluster.features.copies import Copies, count_distinct, find_copies
from imgcluster.features.reductions import (
    block_moments,
    check_components,
    check_covariance,
    components_of,
    joined_moments,
    scale_of,
    whitened,
)
from imgcluster.utils import in_order, is_large, new_rows, row_slices

HELD_SHARE = 8  # of large features, what pca leaves is kept in memory when it is no more than an eighth
STRIP = 64  # columns
PRODUCT_BYTES = 16 * 2**20
BY_POSITION = {"pca", "whiten", "umap"}  # what they make of a vector may depend on the row in which it stands
NO_UMAP = "clusters.transform: umap needs the package umap-learn; pip install 'imgcluster[umap]'"

State = dict[str, np.ndarray]
Slices = list[slice]


@dataclass(frozen=True)
class Step:
    """fit: (points, parameter, random_state) -> arrays; apply: (rows, arrays) -> rows, both (n, dim)."""

    fit: Callable[[Points, Any, int], State]
    apply: Callable[[np.ndarray, State], np.ndarray]


@dataclass(frozen=True)
class Points:
    """Vectors, (n, dim), that the pending steps are applied to a block at a time, each time one is read."""

    vectors: np.ndarray
    pending: tuple[tuple[Step, State], ...] = ()

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        """How many values a point has."""
        sizes = [len(arrays["components"]) for _, arrays in self.pending if "components" in arrays]
        return sizes[-1] if sizes else int(self.vectors.shape[1])

    @property
    def nbytes(self) -> int:
        """What all points take as float32."""
        return 4 * len(self) * self.dim

    @cached_property
    def copies(self) -> Copies:
        """Which points are equal; all of them are read for it, once."""
        return find_copies(self.block, self.slices())

    def distinct(self, most: int) -> int:
        """Count the distinct points, up to `most`; no more are read than it takes."""
        return count_distinct(self.block, self.slices(), most)

    def slices(self, beside: int = 0) -> Slices:
        """Cut the points into blocks; `beside` is what else is held of each point, in float32 values."""
        return row_slices(len(self), max(self.dim, self.vectors.shape[1]) + beside)

    def block(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return some points, (rows, dim); not to be written to, it may be the vectors themselves."""
        some = np.asarray(self.vectors[rows])
        for step, arrays in self.pending:
            some = step.apply(some, arrays)
        return some

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return the points of these numbers as an array of their own, (len(rows), dim), in C order."""
        return self._gathered(len(rows), lambda part: rows[part])

    def copy(self) -> np.ndarray:
        """Return all points as an array of their own, (n, dim), in C order."""
        return self._gathered(len(self), lambda part: part)

    def array(self) -> np.ndarray:
        """Return all points: the vectors themselves where no step is pending, else a copy."""
        return self.copy() if self.pending else self.vectors

    def _gathered(self, count: int, rows_of: Callable[[slice], slice | np.ndarray]) -> np.ndarray:
        gathered = np.empty((count, self.dim), np.float32 if self.pending else self.vectors.dtype)

        def fill(part: slice) -> None:
            gathered[part] = self.block(rows_of(part))

        deque(in_order(fill, row_slices(count, self.vectors.shape[1])), maxlen=0)
        return gathered


def check_steps(steps: Sequence[Any], images: int) -> None:
    """Raise ClusteringError, before there are features, for steps that so many images or what is installed rule out."""
    for step in steps:
        name = _name(step)
        if name == "umap" and find_spec("umap") is None:
            raise ClusteringError(NO_UMAP)
        if name in {"pca", "whiten"} and isinstance(step[name], int) and step[name] > images:
            raise ClusteringError(f"clusters.transform: {name}: {step[name]} is more than {images:,} images allow")


def fit_steps(vectors: np.ndarray, steps: Sequence[Any], random_state: int) -> tuple[Points, State]:
    """Fit the steps of `clusters.transform` in order. Returns the points, and the arrays to transform others alike.

    Holds one copy of the vectors at most, and none of large ones; but pca of ordinary ones several, in scikit-learn.
    Equal vectors become equal points, unless they are large and a matrix product is still pending.
    Raises ClusteringError: more components asked for than there are.
    """
    points, state = Points(vectors), {"steps": np.array([_name(step) for step in steps], dtype=np.str_)}
    copies = points.copies if BY_POSITION & set(state["steps"].tolist()) else None
    for number, step in enumerate(steps):
        name = _name(step)
        parameter = step[name] if not isinstance(step, str) else None
        fitted = STEPS[name].fit(points, parameter, random_state)
        points = _behind(points, STEPS[name], fitted)
        if copies and points.vectors is not vectors:
            copies.equalize(points.vectors)
        state |= {f"{number}_{key}": value for key, value in fitted.items()}
    return points, state


def fit_transform(vectors: np.ndarray, steps: Sequence[Any], random_state: int) -> tuple[np.ndarray, State]:
    """Apply the steps of `clusters.transform` in order. Returns the new vectors and the arrays to do it again."""
    points, state = fit_steps(vectors, steps, random_state)
    return points.array(), state


def apply_transform(vectors: np.ndarray, state: State) -> np.ndarray:
    """Apply fitted steps, as `fit_transform` returned them, to other vectors."""
    for number, name in enumerate(state["steps"]):
        prefix = f"{number}_"
        fitted = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        vectors = STEPS[str(name)].apply(vectors, fitted)
    return vectors


def moments(points: Points) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of each value, (dim,) float64 both, in one reading of the points."""
    return joined_moments(in_order(lambda part: block_moments(points.block(part)), points.slices()), points.dim)


def join_blocks(
    blocks: list[np.ndarray], l2: bool, weights: Sequence[float] | None, folder: Path | None = None
) -> np.ndarray:
    """Join the features of several layers side by side: each (n, dim) given the length 1 and its factor if asked for.

    What is large becomes a memory map in the folder, where one is given.

    Weights for another number of blocks are left out: they were meant for the backbone that a fallback stands in for.
    """
    factors = weights if weights is not None and len(weights) == len(blocks) else None
    if len(blocks) == 1 and not l2 and factors is None:
        return blocks[0]
    rows, width = len(blocks[0]), sum(block.shape[1] for block in blocks)
    joined = np.empty((rows, width), np.float32) if folder is None else new_rows(rows, width, folder)
    for part in row_slices(rows, width):
        some = [unit_length(block[part]) if l2 else block[part] for block in blocks]
        if factors is not None:
            some = [block * np.float32(factor) for block, factor in zip(some, factors, strict=True)]
        np.concatenate(some, axis=1, out=joined[part])
    return joined


def unit_length(vectors: np.ndarray, dtype: type[np.floating[Any]] = np.float32) -> np.ndarray:
    """Scale each row of (n, dim) to the Euclidean length 1, as `dtype`; a row of zeros stays one."""
    scaled = np.empty(vectors.shape, dtype)
    for part in row_slices(*vectors.shape):
        lengths = np.linalg.norm(vectors[part], axis=1, keepdims=True)
        scaled[part] = vectors[part] / np.maximum(lengths, np.finfo(dtype).tiny)
    return scaled


def _behind(points: Points, step: Step, fitted: State) -> Points:
    """Put a fitted step behind the pending ones; what it makes much smaller is made at once and kept."""
    later = replace(points, pending=(*points.pending, (step, fitted)))
    if "coordinates" in fitted:
        return Points(fitted.pop("coordinates"))  # nothing of it would place another image
    if "components" not in fitted:
        return later
    if not is_large(points.nbytes):  # in one piece: a matrix product in blocks has other last bits
        return Points(step.apply(points.array(), fitted))
    return Points(later.copy()) if later.nbytes * HELD_SHARE <= points.nbytes else later


def _name(step: Any) -> str:
    return step if isinstance(step, str) else str(next(iter(step)))


def _signed_root(vectors: np.ndarray) -> np.ndarray:
    """The square root of each value's size, with its sign: Arandjelovic and Zisserman, CVPR 2012."""
    return np.asarray(np.copysign(np.sqrt(np.abs(vectors)), vectors), np.float32)


def _fit_nothing(points: Points, parameter: Any, random_state: int) -> State:
    return {}


def _fit_standardize(points: Points, parameter: Any, random_state: int) -> State:
    mean, scale = (_scale_in_blocks if is_large(points.nbytes) else _scale_in_strips)(points)
    return {"mean": mean.astype(np.float32), "scale": scale.astype(np.float32)}


def _scale_in_strips(points: Points) -> tuple[np.ndarray, np.ndarray]:
    """What scikit-learn finds for all columns at once, to the last bit, without its float64 copy of them all."""
    from sklearn.preprocessing import StandardScaler

    vectors = points.array()
    scalers = [StandardScaler().fit(vectors[:, strip]) for strip in column_strips(vectors.shape[1])]
    return np.concatenate([it.mean_ for it in scalers]), np.concatenate([it.scale_ for it in scalers])


def _scale_in_blocks(points: Points) -> tuple[np.ndarray, np.ndarray]:
    mean, variance = moments(points)
    return mean, scale_of(mean, variance, len(points))


def column_strips(columns: int) -> Slices:
    """Cut columns into strips of `STRIP` or more: of a single column, numpy adds up the rows in another order."""
    edges = np.linspace(0, columns, max(1, columns // STRIP) + 1).astype(int).tolist()
    return [slice(start, end) for start, end in pairwise(edges)]


def _standardize(vectors: np.ndarray, state: State) -> np.ndarray:
    scaled = np.empty(vectors.shape, np.float32)
    for part in row_slices(*vectors.shape):
        scaled[part] = (vectors[part] - state["mean"]) / state["scale"]
    return scaled


def _fit_pca(points: Points, parameter: int | float, random_state: int) -> State:
    check_components(parameter, len(points), points.dim)
    if is_large(points.nbytes):
        return _components_by_covariance(points, parameter)
    from sklearn.decomposition import PCA

    # The exact solver: the quicker randomized one gives other clusters on another machine.
    with np.errstate(divide="ignore", invalid="ignore"):  # of one image, or of equal ones, nothing varies: 0 / 0
        pca = PCA(n_components=parameter, svd_solver="full", random_state=random_state).fit(points.array())
    return {"mean": pca.mean_.astype(np.float32), "components": pca.components_.astype(np.float32)}


def _components_by_covariance(points: Points, parameter: int | float) -> State:
    """The same components from the eigenvectors of the (dim, dim) covariance, for which the points are read twice."""
    check_covariance(points.dim)
    mean, variance = moments(points)
    centre = mean.astype(np.float32)
    scatter = np.zeros((points.dim, points.dim))
    for part in row_slices(len(points), points.dim, max(PRODUCT_BYTES, 8 * points.dim**2)):
        rows = np.subtract(points.block(part), centre, dtype=np.float32)
        scatter += rows.T @ rows
    return {"mean": centre, "components": components_of(scatter, float(variance.sum()) * len(points), parameter)}


def _fit_whiten(points: Points, parameter: int | float, random_state: int) -> State:
    """Components as of pca, each divided by its standard deviation, so that all of them count alike."""
    fitted = _fit_pca(points, parameter, random_state)
    projected = Points(points.vectors, (*points.pending, (STEPS["pca"], fitted)))
    return {"mean": fitted["mean"], "components": whitened(fitted["components"], moments(projected)[1])}


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


STEPS = {
    "sqrt": Step(_fit_nothing, lambda vectors, _: _signed_root(vectors)),
    "l2": Step(_fit_nothing, lambda vectors, _: unit_length(vectors)),
    "standardize": Step(_fit_standardize, _standardize),
    "pca": Step(_fit_pca, _pca),
    "whiten": Step(_fit_whiten, _pca),
    "umap": Step(_fit_umap, _refuse_new),
}
