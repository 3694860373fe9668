"""The transform of features before they are clustered: its steps fitted in order, and applied to other features.

A fitted step is applied by the same few lines of numpy when the clusters are made and when new images are placed into
them later, so that both see the same space.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from imgcluster.errors import ClusteringError
from imgcluster.features.copies import Copies, canonical_copies, count_distinct, find_copies
from imgcluster.features.reductions import add_products, block_moments, joined_moments
from imgcluster.features.steps import NO_UMAP, STEPS, State, Step, unit_length
from imgcluster.utils import in_order, is_large, new_rows, row_slices

HELD_SHARE = 8  # of large features, what pca leaves is kept in memory when it is no more than an eighth
PRODUCT_BYTES = 16 * 2**20
BY_POSITION = {"pca", "whiten", "umap"}  # what they make of a vector may depend on the row in which it stands

Slices = list[slice]


@dataclass(frozen=True)
class Points:
    """Vectors, (n, dim), that the pending steps are applied to a block at a time, each time one is read.

    starts: the rows, (m,) int64, at which an order of its own begins, such as that of a video; none: all are in order.
    rows: (n,) int64, the row of the vectors that each point is; None: they are all of them, one after the other.
    """

    vectors: np.ndarray
    pending: tuple[tuple[Step, State], ...] = ()
    starts: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.vectors if self.rows is None else self.rows)

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

    @cached_property
    def canonical(self) -> Copies:
        """The same, the distinct points in an order that depends on their values alone."""
        return canonical_copies(self.block, self.slices(), self.dim)

    def distinct(self, most: int) -> int:
        """Count the distinct points, up to `most`; no more are read than it takes."""
        return count_distinct(self.block, self.slices(), most)

    def slices(self, beside: int = 0) -> Slices:
        """Cut the points into blocks; `beside` is what else is held of each point, in float32 values."""
        return row_slices(len(self), max(self.dim, self.vectors.shape[1]) + beside)

    def block(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return some points, (rows, dim); not to be written to, it may be the vectors themselves."""
        some = np.asarray(self.vectors[rows if self.rows is None else self.rows[rows]])
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
        """Return all points: the vectors themselves where they are just these, else a copy."""
        return self.vectors if self.rows is None and not self.pending else self.copy()

    def settled(self) -> Points:
        """Apply the pending steps, which keep the number of values, to the vectors in their place."""

        def apply(part: slice) -> None:
            self.vectors[part] = self.block(part)

        deque(in_order(apply, self.slices()), maxlen=0)
        return Points(self.vectors)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance of each value, (dim,) float64 both, in one reading of the points."""
        return joined_moments(in_order(lambda part: block_moments(self.block(part)), self.slices()), self.dim)

    def scatter(self, centre: np.ndarray) -> np.ndarray:
        """Return the products of the rows less a centre, (dim,) float32, summed: (dim, dim) float64.

        Of chosen `rows` it is the lower triangle, of the same bits for any number of threads.
        """
        dtype = np.float32 if is_large(self.nbytes) else np.float64
        total = np.zeros((self.dim, self.dim))
        for part in row_slices(len(self), self.dim, max(PRODUCT_BYTES, 8 * self.dim**2)):
            rows = np.subtract(self.block(part), centre, dtype=dtype)
            if self.rows is None:
                total += rows.T @ rows
            else:
                add_products(total, rows)
        return total

    def behind(self, name: str, fitted: State) -> Points:
        """Return the points behind one more fitted step."""
        return replace(self, pending=(*self.pending, (STEPS[name], fitted)))

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


def fit_steps(
    vectors: np.ndarray, steps: Sequence[Any], random_state: int, rows: np.ndarray | None = None
) -> tuple[Points, State]:
    """Fit the steps of `clusters.transform` in order. Returns the points, and the arrays to transform others alike.

    Holds one copy of the vectors at most, and none of large ones or for pca of more vectors than values.
    Equal vectors become equal points, unless they are large and a matrix product is still pending.
    rows: (m,) int64, all different vectors: the points are these, in this order, and the steps are fitted to them.
    Raises ClusteringError: more components asked for than there are.
    """
    points, state = Points(vectors, rows=rows), {"steps": np.array([_name(step) for step in steps], dtype=np.str_)}
    copies = points.copies if rows is None and BY_POSITION & set(state["steps"].tolist()) else None
    for number, step in enumerate(steps):
        name = _name(step)
        parameter = step[name] if not isinstance(step, str) else None
        fitted = STEPS[name].fit(points, parameter, random_state)
        points = _behind(points, name, fitted, own=points.vectors is not vectors)
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
    for name, fitted in fitted_steps(state):
        vectors = STEPS[name].apply(vectors, fitted)
    return vectors


def fitted_steps(state: State) -> Iterator[tuple[str, State]]:
    """Yield the name and the arrays of each fitted step, in order."""
    for number, name in enumerate(state["steps"]):
        prefix = f"{number}_"
        yield str(name), {key.removeprefix(prefix): array for key, array in state.items() if key.startswith(prefix)}


def moments(points: Points) -> tuple[np.ndarray, np.ndarray]:
    """Return `points.moments()`."""
    return points.moments()


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


def _behind(points: Points, name: str, fitted: State, *, own: bool) -> Points:
    """Put a fitted step behind the pending ones; what it makes much smaller is made at once and kept.

    own: whether the vectors of the points are such a result, which then is overwritten.
    """
    if "coordinates" in fitted:
        return Points(fitted.pop("coordinates"))  # nothing of it would place another image
    later = points.behind(name, fitted)
    if "components" not in fitted:
        return later.settled() if own else later
    held = not is_large(points.nbytes) or later.nbytes * HELD_SHARE <= points.nbytes
    return Points(later.copy()) if held else later


def _name(step: Any) -> str:
    return step if isinstance(step, str) else str(next(iter(step)))
