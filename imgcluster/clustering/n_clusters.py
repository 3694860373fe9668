"""The number of clusters: that of a range with the highest modularity in the graph of nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from imgcluster.clustering.diffusion import DiffusionClustering
from imgcluster.clustering.estimators import shared_estimator
from imgcluster.clustering.graph import modularity, neighbour_graph
from imgcluster.clustering.grouping import SEQUENCE, group
from imgcluster.config import ClustersConfig
from imgcluster.errors import ClusteringError
from imgcluster.features import Points, distinct_images
from imgcluster.types import ChosenNumber
from imgcluster.utils import counted, track

AUTO = range(2, 21)
MOST_NEIGHBOURS = 10_000
OTHER = 1.25  # times as many clusters, or as few, are another answer, and no variant of the best
GOOD_SHARE = 0.95  # of the highest modularity: as good an answer


class KnnModularity:
    """The modularity of clusterings of the same points in their graph of nearest neighbours.

    The graph is of `MOST_NEIGHBOURS` points at most. Equal points are one: their links to one another would outweigh
    all others.
    """

    def __init__(self, points: Points, random_state: int, *, show: bool) -> None:
        # Of the points of `auto` only distinct ones are drawn, so that their copies make no difference.
        candidates = np.arange(len(points)) if points.rows is None else points.copies.first
        places = np.random.default_rng(random_state).permutation(len(candidates))[:MOST_NEIGHBOURS]
        rows = candidates[np.sort(places)]
        drawn = Points(points.take(rows))
        distinct = drawn.copies.first
        self._rows = rows[distinct]
        self._graph = neighbour_graph(drawn.vectors[distinct], show=show)

    def of(self, labels: np.ndarray) -> float:
        """Return the modularity of labels, (n,) int64, of all points."""
        return modularity(self._graph, labels[self._rows])


def choose_k(
    points: Points,
    config: ClustersConfig,
    ks: Sequence[int],
    *,
    show: bool,
    shared: DiffusionClustering | None = None,
) -> ChosenNumber:
    """Choose the number of clusters with the highest modularity; shared: as of `group`.

    Where there are fewer distinct points than the least number, it is theirs. One or two points are one cluster for
    AUTO, or one for each sequence: nothing tells them apart.
    """
    distinct = points.distinct(ks[-1])
    told = distinct_images(distinct, len(points))
    if distinct < ks[0] and distinct < len(points):
        return ChosenNumber(distinct, f"{told}: {counted(distinct, 'cluster')}")
    if ks == AUTO and len(points) <= AUTO[0]:
        fewest = len(points.starts) if config.order == SEQUENCE else 1
        return ChosenNumber(fewest, f"{counted(len(points), 'image')}: {counted(fewest, 'cluster')}")
    modularity_of = KnnModularity(points, config.random_state, show=show).of
    scores = {k: modularity_of(labels) for k, labels in group_each(points, config, ks, show=show, shared=shared)}
    chosen, reason = best_k(scores)
    reason += at_the_edge(chosen, ks)
    others = runners_up(scores, chosen)
    if others[1:]:  # the first one is in the reason
        named = (f"{k}, {'coarser' if k < chosen else 'finer'} ({scores[k]:.3f})" for k in others[1:])
        reason += f"; also good: {' or '.join(named)}"
    if distinct < min(ks[-1], len(points)):
        reason += f" ({told}: tried up to {distinct})"
    return ChosenNumber(chosen, reason, scores, others)


def group_each(
    points: Points,
    config: ClustersConfig,
    ks: Sequence[int],
    *,
    show: bool,
    shared: DiffusionClustering | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each number of clusters that the points allow, and the labels, (n,) int64, that `group` gives them for it.

    Of the first number all progress is shown: it finds the neighbours and eigenvectors that all numbers share.
    Raises ClusteringError where no number of `ks` is possible with so many points.
    """
    near = ks[: len(points)] if isinstance(ks, range) else ks  # which may go to a billion, one by one
    distinct = points.distinct(max(near, default=0))
    least = max(2, len(points.starts)) if config.order == SEQUENCE else 2
    possible = [k for k in near if least <= k <= distinct and k < len(points)]
    if not possible:
        images = f"{len(points)} images" if distinct == len(points) else distinct_images(distinct, len(points))
        raise ClusteringError(f"clusters.n_clusters: no number of clusters from {ks[0]} to {ks[-1]} suits {images}")
    shared = shared or shared_estimator(config)
    with track("numbers of clusters", len(possible), "tried", show=show) as advance:
        for k in possible:
            asked = config.model_copy(update={"n_clusters": k})
            yield k, group(points, asked, show=show and k == possible[0], shared=shared).labels
            advance(1)


def runners_up(scores: Mapping[int, float], chosen: int) -> list[int]:
    """Return the second best number, and the best clearly smaller and the best clearly larger one, if nearly as good.

    The better one first.
    """
    ranked = _ranked(scores)
    good = [k for k in ranked if scores[k] >= GOOD_SHARE * scores[chosen]]
    coarser, finer = [k for k in good if k * OTHER <= chosen], [k for k in good if k >= chosen * OTHER]
    best = {*ranked[1:2], *coarser[:1], *finer[:1]}
    return [k for k in ranked if k in best]


def best_k(scores: Mapping[int, float]) -> tuple[int, str]:
    """Choose the highest modularity, of equal ones the fewest clusters."""
    ranked = _ranked(scores)
    best = ranked[0]
    reason = f"{best} clusters, chosen by the modularity of the nearest-neighbour graph: {scores[best]:.3f}"
    if len(ranked) > 1:
        reason += f", {scores[ranked[1]]:.3f} with {ranked[1]}"
    return best, reason


def at_the_edge(chosen: int, ks: Sequence[int]) -> str:
    """Return what a reason adds for a number at an end of the range that was asked for; empty for any other."""
    if chosen not in (ks[0], ks[-1]) or chosen <= 2:
        return ""
    end = "smallest" if chosen == ks[0] else "largest"
    return f" ({chosen} is the {end} number tried: a wider range may have a better one)"


def _ranked(scores: Mapping[int, float]) -> list[int]:
    """Return the numbers, that of the highest modularity first, of equal ones the fewest clusters."""
    return sorted(scores, key=lambda k: (-round(scores[k], 6), k))
