"""Similarity of images: the nearest neighbours of each, near-duplicates, outlier scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imgcluster.clustering.neighbors import knn
from imgcluster.features import unit_length
from imgcluster.utils import in_order, row_slices

NEAREST = 12
SEARCHED = 24  # nearest in the space of the search, of which the nearest are taken
SEARCH_DIM = 128
SEARCHED_WHOLE = 2_000  # images; of more, vectors longer than SEARCH_DIM are searched by their principal components
FITTED = 5_000  # images that the principal components are found from
ROUNDING = 1e-6  # of a cosine in float32
SEARCH_ROUNDING = 1e-4  # of a squared distance in the space of the search
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


def find_similar(vectors: np.ndarray, *, nearest: int = NEAREST) -> Similarity:
    """Compare all images by the cosines of their features, (n, dim) float32.

    The outlier score is the mean distance to the nearest neighbours: Ramaswamy, Rastogi and Shim, Efficient Algorithms
    for Mining Outliers from Large Data Sets, 2000, with the mean in the place of the last distance (Angiulli and
    Pizzuti, 2002). Time grows with n², memory with n.
    """
    count = len(vectors)
    wanted = max(0, min(nearest, count - 1))
    space = _search_space(vectors)
    near, similarity = _nearest(vectors, space, wanted)
    distances = _distance(similarity[:, :SCORED_BY])
    outlier_score = distances.mean(axis=1) if wanted else np.zeros(count, np.float32)
    return Similarity(near, similarity, outlier_score, _duplicates(vectors, space, near, similarity))


def _nearest(vectors: np.ndarray, space: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest images of each, of equally near ones the first, and the cosines to them: (n, wanted) both."""
    found = np.sort(knn(space, max(SEARCHED, 2 * wanted), "sqeuclidean")[0], axis=1)

    def of_block(part: slice) -> tuple[np.ndarray, np.ndarray]:
        cosines = _cosines(vectors, range(*part.indices(len(vectors))), found[part])
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :wanted]
        return np.take_along_axis(found[part], order, axis=1), np.take_along_axis(cosines, order, axis=1)

    if not wanted:
        return np.empty((len(vectors), 0), np.int64), np.empty((len(vectors), 0), np.float32)
    blocks = list(in_order(of_block, row_slices(*vectors.shape)))
    near, similarity = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return near, similarity


def _search_space(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of the length 1, or what their principal components say of them: (n, SEARCH_DIM or less)."""
    count, dim = vectors.shape
    if count <= SEARCHED_WHOLE or dim <= SEARCH_DIM:
        return unit_length(vectors)
    from sklearn.decomposition import PCA

    drawn = np.sort(np.random.default_rng(0).permutation(count)[:FITTED])
    pca = PCA(SEARCH_DIM, svd_solver="randomized", random_state=0).fit(unit_length(vectors[drawn]))
    mean, components = pca.mean_.astype(np.float32), pca.components_.T.astype(np.float32)
    blocks = in_order(lambda part: (unit_length(vectors[part]) - mean) @ components, row_slices(count, dim))
    return np.concatenate(list(blocks))


def _cosines(vectors: np.ndarray, rows: range, others: np.ndarray) -> np.ndarray:
    """Return the cosines between some rows and others of each: (len(rows), m) float32."""
    cosines = np.empty(others.shape, np.float32)
    own = unit_length(vectors[rows.start : rows.stop])
    for place, near in enumerate(others):
        cosines[place] = unit_length(vectors[near]) @ own[place]
    return np.minimum(cosines, 1, out=cosines)


def _distance(cosines: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.maximum(2 - 2 * cosines, 0)), np.float32)


def _duplicates(vectors: np.ndarray, space: np.ndarray, near: np.ndarray, similarity: np.ndarray) -> list[Group]:
    """Gather images around those that have most of them nearby: all of a group are near its first one.

    Chains, as of the frames of a film, are cut where they lead away.
    """
    bound = _bound(vectors)
    close = similarity >= bound
    linked: dict[int, dict[int, float]] = {}
    for row, place in np.argwhere(close).tolist():
        other, cosine = int(near[row, place]), float(similarity[row, place])
        linked.setdefault(row, {})[other] = cosine
        linked.setdefault(other, {})[row] = cosine
    free, groups = set(linked), []
    for row in sorted(linked, key=lambda each: (-len(linked[each]), each)):
        if row in free:
            around = linked[row] if len(linked[row]) < near.shape[1] else _all_near(vectors, space, row, bound)
            members = sorted(other for other in around if other in free and other != row)
            free -= {row, *members}
            if members:
                groups.append(Group([row, *members], min(around[other] for other in members)))
    return sorted(groups, key=lambda group: (-len(group.rows), group.rows[0]))


def _all_near(vectors: np.ndarray, space: np.ndarray, row: int, bound: float) -> dict[int, float]:
    """Find all that is as near to an image, where its list of the nearest is full of such: the cosines by row.

    In the space of the search nothing is farther than in truth: what is too far there need not be looked at.
    """
    difference = space - space[row]
    squared = np.einsum("ij,ij->i", difference, difference)
    rows = np.flatnonzero(squared <= 2 - 2 * bound + SEARCH_ROUNDING)
    cosines = _cosines(vectors, range(row, row + 1), rows[None])[0]
    return {other: float(cosine) for other, cosine in zip(rows.tolist(), cosines, strict=True) if cosine >= bound}


def _bound(vectors: np.ndarray) -> float:
    """Return the cosine from which two images count as nearly the same."""
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
