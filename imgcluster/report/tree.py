"""The hierarchy of a run as a tree of clusters, from one to finer ones than the run's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from imgcluster.types import Hierarchy

MAX_LEVELS = 100  # in the page
TYPICAL = 5  # images of a cluster

Kind = Literal["group", "cluster", "part"]  # several clusters of the run, one, or a part of one


@dataclass(frozen=True)
class Branch:
    """A cluster of the hierarchy, and what it is split into, the larger part first.

    rows: the most typical images of its clusters, of each in turn, the largest cluster first. clusters: those of the
    run that it holds, or the one that it is a part of. level: the number of clusters at which it is split; None: it is
    not. modularity: of all clusters of that level.
    """

    cluster: int
    size: int
    rows: list[int]
    clusters: list[int]
    kind: Kind
    parts: list[Branch] = field(default_factory=list)
    level: int | None = None
    modularity: float | None = None


def tree_of(hierarchy: Hierarchy, rows: np.ndarray, distance: np.ndarray) -> Branch:
    """Return the whole tree, up to `MAX_LEVELS` clusters.

    rows: (n,) int64, the row of clusters.csv of each image. distance: (n,) float64, to the centroid of its cluster: the
    nearest ones are the typical ones.
    """
    order = np.argsort(distance, kind="stable")
    last = min(hierarchy.levels, MAX_LEVELS)
    labels, of_run = hierarchy.cut(last)[order], hierarchy.cut(hierarchy.n_clusters)[order]

    def branch(cluster: int) -> Branch:
        members = np.flatnonzero(labels == cluster)
        clusters = np.unique(of_run[members]).tolist()
        is_whole = len(members) == np.count_nonzero(of_run == clusters[0])
        kind: Kind = "group" if len(clusters) > 1 else "cluster" if is_whole else "part"
        typical = members[_in_turn(of_run[members])[:TYPICAL]]
        return Branch(cluster, len(members), rows[order[typical]].tolist(), clusters, kind)

    found: dict[int, Branch] = {}  # the branch of each cluster at the level that is reached, where it is split
    for level in range(last, 1, -1):
        kept, new = hierarchy.splits[level - 2].tolist()
        parts = [found.pop(each) if each in found else branch(each) for each in (kept, new)]
        labels[labels == new] = kept
        modularity = float(hierarchy.modularity[level - 1])
        found[kept] = replace(branch(kept), parts=parts, level=level, modularity=modularity)
    whole = hierarchy.numbers[0]
    return found.get(whole) or branch(whole)


def _in_turn(labels: np.ndarray) -> np.ndarray:
    """Return the order, (n,) int64, that takes the first image of each cluster, the largest first, then the second."""
    _, place, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    by_cluster = np.argsort(place, kind="stable")
    rank = np.empty(len(labels), np.int64)
    rank[by_cluster] = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.lexsort((place, -sizes[place], rank))
