"""From features to clusters: the transform, K-Means, and what can be said of each image."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from imgcluster.clustering.cache import Fitted, KeptClusters, NothingKept
from imgcluster.clustering.confidence import own_probability
from imgcluster.clustering.diffusion import DiffusionClustering
from imgcluster.clustering.distances import Nearest, centroid_distances, nearest_two, shares_by_distance
from imgcluster.clustering.distinct_graph import DistinctGraph
from imgcluster.clustering.estimators import shared_estimator
from imgcluster.clustering.grouping import Groups, group, method_of
from imgcluster.clustering.hierarchy import MAX_CLUSTERS, find_hierarchy
from imgcluster.clustering.n_clusters import AUTO, choose_k
from imgcluster.clustering.numbering import Numbers, number_classes, number_clusters
from imgcluster.clustering.space import Space, fit_space
from imgcluster.config import LEARNED, MODEL, ClustersConfig, parse_range
from imgcluster.errors import ClusteringError
from imgcluster.features import Features, Points, State
from imgcluster.learning import Learned
from imgcluster.types import NOISE, ChosenNumber, Clusters, Hierarchy
from imgcluster.utils import counted, finite_rows

NO_MORE = "no more of them have features of their own"
RULE = "rule_"  # before the names of the arrays of a method's own rule


def cluster_features(
    features: Features | np.ndarray,
    config: ClustersConfig,
    *,
    soft: bool = False,
    first_label: int = 0,
    show: bool = True,
    kept: KeptClusters | None = None,
) -> Clusters:
    """Cluster features, or an (n, dim) float32 array, as a config says. Same input, same bits.

    The array may be a memory map, is only read, and is never copied whole by K-Means when it is larger than 2 GiB. Up
    to there K-Means is one call of scikit-learn's, and beyond it, or on a GPU, what `kmeans.find_clusters` says; the
    notes tell. With `soft`, each row gets its probabilities too. first_label: where labels begin, for clusters that no
    known label names. What `kept` has of these vectors and this config, whatever its numbering, is not computed again.
    Raises ClusteringError: fewer vectors than clusters, values that are not finite, a transform or a method that cannot
    be done, too little memory for it; ConfigError where a numbering names what is not there, or a model is for others.
    """
    vectors = features.vectors if isinstance(features, Features) else features
    check_enough(len(vectors), config.n_clusters)
    _check_finite(vectors)
    learned = _model_for(features, config)
    kept = NothingKept() if kept is None or learned is not None else kept
    starts = features.starts if isinstance(features, Features) and config.order is not None else None
    space = _Space(vectors, config, starts)
    config, chosen = _with_k(space, config, kept, show)
    fitted = kept.fitted(config, lambda: _fitted(space, config, show))
    found = fitted.groups
    k = len(found.centroids)
    if learned is None:
        ids = features.ids if isinstance(features, Features) else None
        numbered = number_clusters(found.labels, k, config.numbering, ids, first_label)
    else:
        numbered = number_classes(learned.classes, found.rule["labels"], k)
    clusters = numbered_clusters(found, numbered, fitted.nearest, config, state=fitted.state)
    return replace(
        clusters,
        hierarchy=_numbered_hierarchy(fitted.hierarchy, numbered),
        probability=fitted.probability,
        chosen=chosen,
        notes=[
            *([] if chosen is None else [chosen.reason]),
            *clusters.notes,
            *([] if learned is None else [_told(learned)]),
            *_unbuilt(config, fitted),
        ],
        probabilities=space.by_row(_probabilities(space.points, found, numbered, learned)) if soft else None,
    )


class _Space:
    """The space of a config, fitted when it is first asked for."""

    def __init__(self, vectors: np.ndarray, config: ClustersConfig, starts: np.ndarray | None) -> None:
        self._vectors, self._config, self._starts = vectors, config, starts

    @cached_property
    def points(self) -> Points:
        """The points that are clustered."""
        points = self._fitted.points
        return points if self._starts is None else replace(points, starts=self._starts)

    @property
    def state(self) -> State:
        """The fitted steps."""
        return self._fitted.state

    def by_row(self, values: np.ndarray) -> np.ndarray:
        """Return values of the points, (n, ...), in the order of the vectors."""
        return self._fitted.by_row(values)

    @cached_property
    def shared(self) -> DiffusionClustering | None:
        """What computes neighbours and eigenvectors once, to choose a number of clusters and to find the clusters."""
        return shared_estimator(self._config)

    @cached_property
    def _fitted(self) -> Space:
        return fit_space(self._vectors, self._config)


def _fitted(space: _Space, config: ClustersConfig, show: bool) -> Fitted:
    """Find the clusters, and what is said of each image, in the order of the vectors."""
    found = group(space.points, config, show=show, shared=space.shared)
    distance, runner_up, farther = map(space.by_row, nearest_two(space.points, found.centroids, found.labels))
    shares = None if found.probabilities is None else space.by_row(found.probabilities)
    groups = replace(found, labels=space.by_row(found.labels), probabilities=shares)
    fitted = Fitted(groups, space.state, (distance, runner_up, farther))
    if not (config.has_hierarchy or config.has_probability):
        return fitted
    around = DistinctGraph.of(space.points, space.shared)
    hierarchy = find_hierarchy(around, found.labels, len(found.centroids)) if config.has_hierarchy else None
    if hierarchy is not None:
        hierarchy = replace(hierarchy, finest=space.by_row(hierarchy.finest))
    if not config.has_probability:
        return replace(fitted, hierarchy=hierarchy)
    own = own_probability(around.graph, found.labels[around.copies.first])
    return replace(fitted, hierarchy=hierarchy, probability=space.by_row(own[around.copies.place]))


def numbered_clusters(
    found: Groups, numbered: Numbers, nearest: Nearest, config: ClustersConfig, *, state: State
) -> Clusters:
    """Return groups as clusters by their numbers; `nearest`: as of `nearest_two`; `state`: the fitted steps."""
    distance, runner_up, runner_up_distance = nearest
    k, numbers = len(found.centroids), numbered.numbers
    return Clusters(
        labels=_renumbered(found.labels, numbers),
        distance=distance,
        runner_up=_renumbered(runner_up, numbers),
        runner_up_distance=runner_up_distance,
        sizes=scatter_by_number(np.bincount(found.labels[found.labels >= 0], minlength=k), numbers, 0, numbered.width),
        state={**state, **_kept(found, numbered, distance), "method": np.array(method_of(config))},
        notes=found.notes + _notes(found, config) + numbered.notes,
        names=numbered.names,
        are_labels=numbered.are_labels,
    )


def _numbered_hierarchy(hierarchy: Hierarchy | None, numbered: Numbers) -> Hierarchy | None:
    """Return a hierarchy with the numbers of the clusters; the finer ones take those that follow."""
    if hierarchy is None:
        return None
    new = numbered.width + np.arange(hierarchy.levels)
    return hierarchy.renumbered(np.append(numbered.numbers, new))


def _unbuilt(config: ClustersConfig, fitted: Fitted) -> list[str]:
    """Say why there is no hierarchy, where there should be one."""
    if not config.has_hierarchy or fitted.hierarchy is not None or not len(fitted.groups.centroids):
        return []
    return [f"no hierarchy: there are more than {MAX_CLUSTERS:,} clusters"]


def _model_for(features: Features | np.ndarray, config: ClustersConfig) -> Learned | None:
    """Return the model whose classes are the clusters, where there is one, having checked what features it is for."""
    if config.method != LEARNED or config.order is not None:
        return None
    folder = Path(str(config.parameters[MODEL])).expanduser()
    learned = Learned.load(folder)
    if isinstance(features, Features):
        learned.check_fingerprints(
            [origin.fingerprint for origin in features.origins], f"clusters.parameters: {folder}"
        )
    return learned


def _told(learned: Learned) -> str:
    labels = sum(learned.counts.values())
    made = f"by {learned.classifier} ({learned.mode})"
    return f"the clusters are the classes of a model, learned from {labels:,} labels {made}; digest {learned.digest}"


def _renumbered(labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    return np.asarray(np.append(numbers, NOISE)[labels])


def scatter_by_number(values: np.ndarray, numbers: np.ndarray, missing: float, count: int = 0) -> np.ndarray:
    """Scatter a value, or a row, per cluster to an array indexed by cluster number; unused numbers get `missing`.

    count: the least length of that array.
    """
    rows = np.full((max(count, int(numbers.max(initial=-1)) + 1), *values.shape[1:]), missing, values.dtype)
    rows[numbers] = values
    return rows


def _kept(found: Groups, numbered: Numbers, distance: np.ndarray) -> dict[str, np.ndarray]:
    """Return what places new images: centroids and cluster radii, by number, and the method's own rule."""
    numbers, width = numbered.numbers, numbered.width
    cluster_radius = np.zeros(len(numbers))
    inside = found.labels >= 0
    np.maximum.at(cluster_radius, found.labels[inside], distance[inside])
    rule = {f"{RULE}{name}": value for name, value in found.rule.items()}
    if rule:
        labels = found.rule["labels"]
        unused = np.arange(len(numbers), int(labels.max()) + 1)  # clusters of a rule that none of these images is in
        others = numbered.others if len(numbered.others) else numbers.max() + 1 + unused - len(numbers)
        rule[f"{RULE}labels"] = _renumbered(labels, np.append(numbers, others))
    centroids = scatter_by_number(found.centroids, numbers, np.nan, width)
    return {"centroids": centroids, "reach": scatter_by_number(cluster_radius, numbers, 0, width), **rule}


def _probabilities(points: Points, found: Groups, numbered: Numbers, learned: Learned | None) -> np.ndarray:
    """Return how likely each cluster is, (n, k) float64, by number: the method's own word, or by the distances.

    A model has a word on each of its classes, whether or not images are in them. Where there is none, they fall with
    the squared distance to the centroids, in units of its mean at the nearest ones: a centroid that is farther by one
    such unit is 2.7 times less likely.
    """
    given, numbers = found.probabilities, numbered.numbers
    if learned is not None:
        given = learned.probabilities(points.array())
        numbers = np.append(numbers, numbered.others)[found.rule["labels"]]
    if not len(numbers):
        return np.empty((len(points), 0))
    if given is None:
        squared = centroid_distances(points.array(), found.centroids) ** 2
        given = shares_by_distance(squared, float(squared.min(axis=1).mean()))
    return scatter_by_number(given.T, numbers, 0).T


def _with_k(
    space: _Space, config: ClustersConfig, kept: KeptClusters, show: bool
) -> tuple[ClustersConfig, ChosenNumber | None]:
    """Put a number in the place of a range; None where there is no range."""
    if not isinstance(config.n_clusters, str):
        return config, None
    ks = AUTO if config.n_clusters == "auto" else parse_range(config.n_clusters)
    chosen = kept.choice(config, ks, lambda: choose_k(space.points, config, ks, show=show, shared=space.shared))
    return config.model_copy(update={"n_clusters": chosen.n_clusters}), chosen


def check_enough(images: int, n_clusters: int | str | None, kind: str = "readable images") -> None:
    """Raise ClusteringError where there are fewer images than clusters. kind: what was counted."""
    if isinstance(n_clusters, int) and images < n_clusters:
        there = f"there {'is' if images == 1 else 'are'} {images}"
        raise ClusteringError(f"clusters.n_clusters: {n_clusters} clusters need at least as many {kind}; {there}")


def _check_finite(vectors: np.ndarray) -> None:
    if spoilt := len(vectors) - finite_rows(vectors):
        raise ClusteringError(f"the features of {counted(spoilt, 'image')} are not finite (NaN or infinity)")


def _notes(found: Groups, config: ClustersConfig) -> list[str]:
    k, full = len(found.centroids), len(np.unique(found.labels[found.labels >= 0]))
    notes = []
    if full < k:
        why = "the smoothing emptied the others" if isinstance(config.order, dict) else NO_MORE
        notes.append(f"{full} of {k} clusters have images: {why}")
    elif found.asked is not None and k < found.asked:
        notes.append(f"{method_of(config)} found {k} of {found.asked} clusters")
    if noise := int((found.labels < 0).sum()):
        notes.append(f"{noise:,} of {len(found.labels):,} images are noise: cluster -1 in clusters.csv")
    return notes
