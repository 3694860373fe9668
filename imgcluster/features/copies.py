"""Equal rows, found by their digests instead of pairwise comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import numpy as np

from imgcluster.utils import in_order

DIGEST = 16  # bytes; two different rows with the same 16 are not to be expected
KEY = f"V{DIGEST}"

Block = Callable[[slice], np.ndarray]  # some rows, (m, dim) float


@dataclass(frozen=True)
class Copies:
    """Which of n rows are equal, and so one point.

    first: (m,) int64: the row in which each distinct point comes first; ascending, unless they are in canonical order.
    place: (n,) int64: the point of each row, as a place in `first`.
    """

    first: np.ndarray
    place: np.ndarray

    def __bool__(self) -> bool:
        """Whether any row has a copy."""
        return len(self.first) < len(self.place)

    @cached_property
    def counts(self) -> np.ndarray:
        """How many rows each distinct point has: (m,) int64."""
        return np.bincount(self.place, minlength=len(self.first))

    @cached_property
    def order(self) -> np.ndarray:
        """The rows of the first point, then those of the second, and so on: (n,) int64."""
        return np.argsort(self.place, kind="stable")

    def equalize(self, rows: np.ndarray) -> None:
        """Overwrite each copy among rows, (n, dim), with its first: a matrix product may round equal rows unequally."""
        originals = self.first[self.place]
        copied = np.flatnonzero(originals != np.arange(len(originals)))
        rows[copied] = rows[originals[copied]]

    def most_common(self, labels: np.ndarray) -> np.ndarray:
        """Give each row the label that most of its copies have, of equally common ones the smallest: (n,) int64."""
        pairs, counts = np.unique(np.stack([self.place, labels]), axis=1, return_counts=True)
        order = np.lexsort((pairs[1], -counts, pairs[0]))
        firsts = np.unique(pairs[0][order], return_index=True)[1]
        return np.asarray(pairs[1][order][firsts][self.place], np.int64)


def find_copies(block: Block, slices: list[slice]) -> Copies:
    """Find the equal rows among all; 0.0 and -0.0 are equal. Holds 16 bytes and two numbers for each row."""
    first, place = _distinct(in_order(lambda part: b"".join(_digests(block(part))), slices))
    return _sorted(first, place, first)


def canonical_copies(block: Block, slices: list[slice], dim: int) -> Copies:
    """Find the equal rows, and put the distinct ones in an order that depends on their values alone.

    It is that of their projections onto a fixed direction, so that rows that differ in the last bits change places with
    near ones at most; the order of their digests would be another one. Holds a number more for each row.
    """
    direction = np.random.default_rng(0).standard_normal(dim)

    def of_block(part: slice) -> tuple[bytes, np.ndarray]:
        rows = block(part)
        return b"".join(_digests(rows)), np.einsum("ij,j->i", rows.astype(np.float64), direction)

    digests, projections = zip(*in_order(of_block, slices), strict=True)
    first, place = _distinct(digests)
    return _sorted(first, place, np.concatenate(projections)[first])


def _distinct(digests: Iterable[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Return the first row of each distinct one, and the place of all rows among these, in the order of the digests."""
    keys = np.frombuffer(b"".join(digests), KEY)
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    return first, place


def _sorted(first: np.ndarray, place: np.ndarray, by: np.ndarray) -> Copies:
    """Number distinct rows anew, by values of them, (m,)."""
    order = np.argsort(by, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return Copies(first[order], rank[place])


def count_distinct(block: Block, slices: list[slice], most: int) -> int:
    """Count the distinct rows, up to `most` of them: then no more are read."""
    found: set[bytes] = set()
    for digests in in_order(lambda part: _digests(block(part)), slices):
        found.update(digests)
        if len(found) >= most:
            return most
    return len(found)


def distinct_images(distinct: int, images: int) -> str:
    """Say how many images are distinct, for a note: `8 distinct images among 240`."""
    return f"{distinct:,} distinct image{'' if distinct == 1 else 's'} among {images:,}"


def _digests(rows: np.ndarray) -> list[bytes]:
    rows = np.ascontiguousarray(rows + 0.0)  # -0.0 + 0.0 is 0.0
    return [blake2b(row, digest_size=DIGEST).digest() for row in rows]
