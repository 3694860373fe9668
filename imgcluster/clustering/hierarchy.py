"""A hierarchy around clusters: merges above them and splits below, nested by construction."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from imgcluster.clustering.distinct_graph import DistinctGraph
from imgcluster.clustering.graph import Graph
from imgcluster.clustering.normalized_cut import cut_in_two
from imgcluster.types import NOISE, Hierarchy

MAX_CLUSTERS = 1000  # of a run: the time of merging grows with the cube of their number
PARTS_PER_CLUSTER, MIN_PARTS = 4, 32  # at the finest level

Split = tuple[int, int]  # the cluster that loses a part, and the number of the part
Cut = tuple[float, int, np.ndarray, np.ndarray]  # likeness of the parts, number of the cluster, rows of its parts


def find_hierarchy(around: DistinctGraph, labels: np.ndarray, k: int) -> Hierarchy | None:
    """Return the hierarchy around k clusters of points; None where none has a point, or more than `MAX_CLUSTERS` have.

    labels: (n,) int64, of all points, the same for equal ones. Finer clusters are numbered from k on.
    """
    used = np.unique(labels[labels != NOISE])
    if not 1 <= len(used) <= MAX_CLUSTERS:
        return None
    some = labels[around.copies.first]
    places = np.where(some == NOISE, NOISE, np.searchsorted(used, some))
    found = build_hierarchy(around.graph, around.points, places)
    new = k + np.arange(found.levels - len(used))
    return replace(found, finest=found.finest[around.copies.place]).renumbered(np.append(used, new))


def build_hierarchy(graph: Graph, points: np.ndarray, labels: np.ndarray) -> Hierarchy:
    """Build the hierarchy around clusters of the points, (n, dim), of a graph: labels, (n,) int64 from 0 on, noise -1.

    Above the clusters, the two that are most alike merge first: `_Groups.likeness`. Below, clusters are cut in two,
    first those whose parts are least alike. The order of the points makes no difference.
    """
    inside = np.flatnonzero(labels != NOISE)
    if len(inside) < len(labels):
        graph, points = graph[inside][:, inside], points[inside]
    linked = _Linked.of(graph, points)
    with threadpool_limits(1):
        merges = _merges(_Groups.of(linked, labels[inside]))
        parts, splits = _split(linked, labels[inside])
        levels = np.array([*reversed(merges), *splits], np.int64).reshape(-1, 2)
        modularity = _modularity(_Groups.of(linked, parts), levels)
    finest = np.full(len(labels), NOISE)
    finest[inside] = parts
    return Hierarchy(levels, finest, modularity, len(merges) + 1)


@dataclass(frozen=True)
class _Linked:
    """Points, (n, dim), and their links, or some of them.

    degrees: (n,), of the links of each point to all others. total: the sum of all degrees. spread: the mean squared
    distance between two points, weighted by their degrees.
    """

    graph: Graph
    points: np.ndarray
    degrees: np.ndarray
    total: float
    spread: float

    @classmethod
    def of(cls, graph: Graph, points: np.ndarray) -> _Linked:
        """Return all points of a graph."""
        degrees = np.asarray(graph.sum(axis=1)).ravel()
        total = float(degrees.sum())
        centred = points - (degrees @ points / total).astype(points.dtype)
        spread = 2 * float(degrees @ np.einsum("ij,ij->i", centred, centred)) / total
        return cls(graph, centred, degrees, total, spread or 1.0)

    def some(self, rows: np.ndarray) -> _Linked:
        """Return the points of some rows, with the links among them."""
        return replace(self, graph=self.graph[rows][:, rows], points=self.points[rows], degrees=self.degrees[rows])


@dataclass(frozen=True)
class _Groups:
    """Groups of points, k, which can be merged in place.

    weights: (k, k), of the links between them. degrees: (k,), of all links of their points. sizes: (k,), points.
    means: (k, dim), squares: (k,), of the points and of their squared lengths, weighted by the degrees.
    total, spread: as of `_Linked`.
    """

    weights: np.ndarray
    degrees: np.ndarray
    sizes: np.ndarray
    means: np.ndarray
    squares: np.ndarray
    total: float
    spread: float

    @classmethod
    def of(cls, linked: _Linked, labels: np.ndarray) -> _Groups:
        """Return the groups of points, by labels, (n,) int64 from 0 on."""
        import scipy.sparse as sp

        rows, points = np.arange(len(labels)), linked.points
        members = sp.csr_matrix((np.ones(len(labels)), (labels, rows)))
        weighted = sp.csr_matrix((linked.degrees, (labels, rows)))
        degrees = members @ linked.degrees
        return cls(
            weights=(members @ linked.graph @ members.T).toarray(),
            degrees=degrees,
            sizes=np.bincount(labels),
            means=weighted @ points / degrees[:, None],
            squares=weighted @ np.einsum("ij,ij->i", points, points) / degrees,
            total=linked.total,
            spread=linked.spread,
        )

    def likeness(self, one: int) -> np.ndarray:
        """Return how alike a group is to each, (k,): how linked they are, less how far apart; both 1 by chance.

        The weight of their links over that by chance: Bonald et al., Hierarchical Graph Clustering using Node Pair
        Sampling, 2018; and the squared distance of their points over that of any two. Both are means over the pairs of
        points, so that no merger is more alike than one before it. Clear clusters have next to no links between them:
        there the distance decides, and no few chance links.
        """
        linked = self.total * self.weights[one] / (self.degrees[one] * self.degrees)
        apart = (self.squares[one] + self.squares - 2 * self.means @ self.means[one]) / self.spread
        return np.asarray(linked - apart)

    def merge(self, kept: int, gone: int) -> float:
        """Add a group to another, and return what that adds to the modularity: their links, less those by chance."""
        by_chance = self.degrees[kept] * self.degrees[gone] / self.total**2
        gain = 2 * float(self.weights[kept, gone] / self.total - by_chance)
        both = [kept, gone]
        shares = self.degrees[both] / self.degrees[both].sum()
        self.means[kept] = shares @ self.means[both]
        self.squares[kept] = shares @ self.squares[both]
        self.weights[kept] += self.weights[gone]
        self.weights[:, kept] += self.weights[:, gone]
        self.sizes[kept] += self.sizes[gone]
        self.degrees[kept] += self.degrees[gone]
        return gain


def _merges(groups: _Groups) -> list[Split]:
    """Merge groups until one is left, those most alike first; the larger one keeps its number."""
    count = len(groups.sizes)
    likeness = np.stack([groups.likeness(number) for number in range(count)])
    np.fill_diagonal(likeness, -np.inf)
    gone: list[int] = []
    merges = []
    for _ in range(count - 1):
        pair = map(int, np.unravel_index(likeness.argmax(), likeness.shape))
        larger, smaller = sorted(pair, key=lambda number: (-groups.sizes[number], number))
        merges.append((larger, smaller))
        groups.merge(larger, smaller)
        gone.append(smaller)
        likeness[larger] = likeness[:, larger] = groups.likeness(larger)
        likeness[larger, [*gone, larger]] = likeness[[*gone, larger], larger] = -np.inf
        likeness[smaller] = likeness[:, smaller] = -np.inf
    return merges


def _modularity(groups: _Groups, levels: np.ndarray) -> np.ndarray:
    """Return the modularity of 1, 2, ... groups, (m + 1,), from that of the finest ones up."""
    finest = groups.weights.trace() / groups.total - np.square(groups.degrees / groups.total).sum()
    gains = [groups.merge(kept, gone) for kept, gone in levels[::-1].tolist()]
    return np.cumsum([float(finest), *gains])[::-1]


def _split(linked: _Linked, labels: np.ndarray) -> tuple[np.ndarray, list[Split]]:
    """Cut clusters until there are enough parts, those least alike first; returns their labels, and the cuts.

    The larger part keeps the number of its cluster; the other one takes the next free number.
    """
    count = int(labels.max(initial=-1)) + 1
    parts, splits = labels.copy(), []
    cuts = [cut for number in range(count) for cut in _cut(linked, np.flatnonzero(labels == number), number)]
    heapq.heapify(cuts)
    for new in range(count, max(MIN_PARTS, PARTS_PER_CLUSTER * count)):
        if not cuts:
            break
        _, number, larger, smaller = heapq.heappop(cuts)
        parts[smaller] = new
        splits.append((number, new))
        for cut in (*_cut(linked, larger, number), *_cut(linked, smaller, new)):
            heapq.heappush(cuts, cut)
    return parts, splits


def _cut(linked: _Linked, rows: np.ndarray, number: int) -> Iterator[Cut]:
    """Yield the best cut of a cluster, where it can be cut."""
    some = linked.some(rows)
    side = cut_in_two(some.graph, some.points)
    if side is not None:
        larger, smaller = sorted((rows[side], rows[~side]), key=len, reverse=True)
        yield float(_Groups.of(some, side.astype(np.int64)).likeness(0)[1]), number, larger, smaller
