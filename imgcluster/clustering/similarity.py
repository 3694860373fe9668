"""Similarity of images: the nearest neighbours of each, near-duplicates, outlier scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imgcluster.clustering.neighbor_search import has_index
from imgcluster.clustering.neighbors import knn
from imgcluster.features import unit_length
from imgcluster.utils import row_slices

NEAREST = 12
MAX_WITHOUT_INDEX = 100_000  # images; comparing all pairs of more takes too long
ROUNDING = 1e-6  # of a cosine in float32
# Nearly the same is what is a third as far apart as two images of the set usually are, and no farther than
# `FARTHEST`: the cosines of all images are above 0.9 by one network, and below 0.5 by another.
NEARLY = 1 / 3
FARTHEST = 0.447  # between vectors of the length 1: a cosine of 0.9
SAME = 0.02  # a cosine of 0.9998: copies, which say nothing of how far apart images usually are
PAIRS = 2_000
SCORED_BY = 5  # neighbours: the outlier score


@dataclass(frozen=True)
class Group:
    """Images that are nearly the same as the first of them; similarity: the smallest cosine to it."""

    rows: list[int]
    similarity: float


@dataclass(frozen=True)
class Similarity:
    """The images most similar to each, groups of near-duplicates, and outliers.

    near: (n, k) int64, the nearest images of each, nearest first; similarity: (n, k) float32, their cosines.
    outlier_score: (n,) float32, the mean distance to the nearest five, of vectors of the length 1, from 0 to 2.
    duplicates: the largest group first; an image is in one at most.
    """

    near: np.ndarray
    similarity: np.ndarray
    outlier_score: np.ndarray
    duplicates: list[Group]

    def outliers(self, count: int) -> list[int]:
        """Return the rows of the images with the highest outlier scores, the highest first."""
        return [int(row) for row in np.argsort(-self.outlier_score, kind="stable")[:count]]


def too_many_to_compare(images: int) -> str:
    """Return why so many images cannot be compared; empty where they can."""
    if images <= MAX_WITHOUT_INDEX or has_index():
        return ""
    return f"{images:,} images are too many to compare all without the package faiss-cpu"


def find_similar(vectors: np.ndarray, *, nearest: int = NEAREST, show: bool = False) -> Similarity:
    """Compare all images by the cosines of their features, (n, dim) float32: see `neighbors.knn`.

    The outlier score is the mean distance to the nearest neighbours: Ramaswamy, Rastogi and Shim, Efficient Algorithms
    for Mining Outliers from Large Data Sets, 2000, with the mean in the place of the last distance (Angiulli and
    Pizzuti, 2002).
    """
    near, halves = knn(vectors, nearest, "cosine", show=show)  # 1 - cosine: half the squared distance
    distances = np.sqrt(2 * halves[:, :SCORED_BY]).astype(np.float32)
    outlier_score = distances.mean(axis=1) if near.shape[1] else np.zeros(len(vectors), np.float32)
    similarity = (1 - halves).astype(np.float32)
    return Similarity(near, similarity, outlier_score, _duplicates(vectors, near, similarity))


def _distance(cosines: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.maximum(2 - 2 * cosines, 0)), np.float32)


def _duplicates(vectors: np.ndarray, near: np.ndarray, similarity: np.ndarray) -> list[Group]:
    """Gather images around those that have most of them nearby: all of a group are near its first one.

    Chains, as of the frames of a film, are cut where they lead away.
    """
    links = _Links(vectors, near, similarity, near_duplicate_cosine(vectors))
    free, groups = np.ones(len(vectors), bool), []
    for row in links.most_linked_first():
        if free[row]:
            others, cosines = links.around(row)
            members = free[others]
            free[row] = False
            if members.any():
                free[others[members]] = False
                groups.append(Group([row, *others[members].tolist()], float(cosines[members].min())))
    return sorted(groups, key=lambda group: (-len(group.rows), group.rows[0]))


class _Links:
    """Pairs of images whose cosine is at least `bound`, from the lists of the nearest, each in both directions."""

    def __init__(self, vectors: np.ndarray, near: np.ndarray, similarity: np.ndarray, bound: float) -> None:
        self._vectors, self._bound, self._most = vectors, bound, near.shape[1]
        rows, places = np.nonzero(similarity >= bound)
        others, cosines = near[rows, places], similarity[rows, places]
        heads, tails = np.concatenate([rows, others]), np.concatenate([others, rows])
        order = np.lexsort((tails, heads))
        heads, tails, cosines = heads[order], tails[order], np.concatenate([cosines, cosines])[order]
        once = np.ones(len(heads), bool)
        once[1:] = (heads[1:] != heads[:-1]) | (tails[1:] != tails[:-1])
        self._tails, self._cosines = tails[once], cosines[once]
        self._counts = np.bincount(heads[once], minlength=len(vectors))
        self._starts = np.cumsum(self._counts) - self._counts
        self._seen_from = np.full(len(vectors), -1)

    def most_linked_first(self) -> list[int]:
        """Return the images that have links, of equally many the first one first."""
        order = np.argsort(-self._counts, kind="stable")
        return [int(row) for row in order[: np.count_nonzero(self._counts)]]

    def around(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return all images near one, ascending, and their cosines: where its list is full, what links lead to too."""
        others, cosines = self._of(self._tails, row), self._of(self._cosines, row)
        if len(others) < self._most:
            return others, cosines
        found, at = [others], [cosines]
        self._seen_from[[row, *others]] = row
        frontier = others
        while len(frontier):
            ends = np.unique(np.concatenate([self._of(self._tails, each) for each in frontier.tolist()]))
            ends = ends[self._seen_from[ends] != row]
            self._seen_from[ends] = row
            values = _cosines(self._vectors, row, ends)
            frontier = ends[values >= self._bound]
            found.append(frontier)
            at.append(values[values >= self._bound])
        others, cosines = np.concatenate(found), np.concatenate(at)
        order = np.argsort(others)
        return others[order], cosines[order]

    def _of(self, values: np.ndarray, row: int) -> np.ndarray:
        return values[self._starts[row] : self._starts[row] + self._counts[row]]


def _cosines(vectors: np.ndarray, row: int, others: np.ndarray) -> np.ndarray:
    """Return the cosines between an image and others, (m,) float32."""
    own, cosines = unit_length(vectors[row : row + 1])[0], np.empty(len(others), np.float32)
    for part in row_slices(len(others), vectors.shape[1]):
        cosines[part] = unit_length(vectors[others[part]]) @ own
    return np.minimum(cosines, 1, out=cosines)


def near_duplicate_cosine(vectors: np.ndarray) -> float:
    """Return the cosine from which two images of (n, dim) features count as nearly the same."""
    if len(vectors) < 2:
        return 1.0
    draw = np.random.default_rng(0)
    first = draw.integers(len(vectors), size=PAIRS)
    second = (first + draw.integers(1, len(vectors), size=PAIRS)) % len(vectors)
    slices = row_slices(PAIRS, vectors.shape[1])
    cosines = [
        np.einsum("ij,ij->i", unit_length(vectors[first[part]]), unit_length(vectors[second[part]])) for part in slices
    ]
    distances = _distance(np.concatenate(cosines))
    others = distances[distances > SAME]
    usual = float(np.median(others)) if len(others) else np.inf
    return 1 - max(min(NEARLY * usual, FARTHEST), SAME) ** 2 / 2 - ROUNDING
