"""From features to clusters: the transform, K-Means, and what can be said of each image."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from imgcluster.clustering.cache import Fitted, KeptClusters, Nearest, NothingKept
from imgcluster.clustering.grouping import Groups, group, method_of
from imgcluster.clustering.n_clusters import AUTO, choose_k
from imgcluster.clustering.numbering import Numbers, number_classes, number_clusters
from imgcluster.config import LEARNED, MODEL, ClustersConfig, parse_range
from imgcluster.errors import ClusteringError
from imgcluster.features import Features, Points, State, fit_steps
from imgcluster.learning import Learned
from imgcluster.types import NOISE, Clusters
from imgcluster.utils import finite_rows, in_order, row_slices

NO_MORE = "no more of them have features of their own"
RULE = "rule_"  # before the names of the arrays of a method's own rule
ROUNDING = 1e-9  # of a squared distance reckoned from products, in float64, against the lengths of what is subtracted


def cluster_features(  # noqa: PLR0913 (options by keyword alone)
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
    space = _Space(vectors, config)
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
        notes=[*chosen, *clusters.notes, *([] if learned is None else [_told(learned)])],
        probabilities=_probabilities(space.points, found, numbered, learned) if soft else None,
    )


class _Space:
    """Vectors, and the points that they are after the steps of a config: fitted when they are first asked for."""

    def __init__(self, vectors: np.ndarray, config: ClustersConfig) -> None:
        self._vectors, self._config = vectors, config

    @property
    def points(self) -> Points:
        """The points that are clustered."""
        return self._steps[0]

    @property
    def state(self) -> State:
        """The fitted steps."""
        return self._steps[1]

    @cached_property
    def _steps(self) -> tuple[Points, State]:
        return fit_steps(self._vectors, self._config.steps(*self._vectors.shape), self._config.random_state)


def _fitted(space: _Space, config: ClustersConfig, show: bool) -> Fitted:
    found = group(space.points, config, show=show)
    return Fitted(found, space.state, nearest_two(space.points, found.centroids, found.labels))


def numbered_clusters(
    found: Groups, numbered: Numbers, nearest: Nearest, config: ClustersConfig, *, state: State
) -> Clusters:
    """Return groups as clusters by their numbers; `nearest`: what `nearest_two` says; `state`: the fitted steps."""
    distance, runner_up, runner_up_distance = nearest
    k, numbers = len(found.centroids), numbered.numbers
    return Clusters(
        labels=_renumbered(found.labels, numbers),
        distance=distance,
        runner_up=_renumbered(runner_up, numbers),
        runner_up_distance=runner_up_distance,
        sizes=spread(np.bincount(found.labels[found.labels >= 0], minlength=k), numbers, 0, numbered.width),
        state={**state, **_kept(found, numbered, distance), "method": np.array(method_of(config))},
        notes=found.notes + _notes(found, config) + numbered.notes,
        names=numbered.names,
        are_labels=numbered.are_labels,
    )


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


def spread(values: np.ndarray, numbers: np.ndarray, missing: float, count: int = 0) -> np.ndarray:
    """Put a value, or a row, for each cluster in the place of its number; numbers that are nobody's get `missing`.

    count: so many rows at least.
    """
    rows = np.full((max(count, int(numbers.max(initial=-1)) + 1), *values.shape[1:]), missing, values.dtype)
    rows[numbers] = values
    return rows


def _kept(found: Groups, numbered: Numbers, distance: np.ndarray) -> dict[str, np.ndarray]:
    """Return what places new images: centroids and farthest images, by number, and the method's own rule."""
    numbers, width = numbered.numbers, numbered.width
    reach = np.zeros(len(numbers))
    inside = found.labels >= 0
    np.maximum.at(reach, found.labels[inside], distance[inside])
    rule = {f"{RULE}{name}": value for name, value in found.rule.items()}
    if rule:
        labels = found.rule["labels"]
        unused = np.arange(len(numbers), int(labels.max()) + 1)  # clusters of a rule that none of these images is in
        others = numbered.others if len(numbered.others) else numbers.max() + 1 + unused - len(numbers)
        rule[f"{RULE}labels"] = _renumbered(labels, np.append(numbers, others))
    centroids = spread(found.centroids, numbers, np.nan, width)
    return {"centroids": centroids, "reach": spread(reach, numbers, 0, width), **rule}


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
    return spread(given.T, numbers, 0).T


def shares_by_distance(squared: np.ndarray, unit: float) -> np.ndarray:
    """Return how likely each centroid is, (n, k) float64, by its squared distance, in units of some such distance."""
    shares = np.exp(-(squared - squared.min(axis=1, keepdims=True)) / (unit or 1.0))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _with_k(space: _Space, config: ClustersConfig, kept: KeptClusters, show: bool) -> tuple[ClustersConfig, list[str]]:
    """Put a number in the place of a range, and say why this one."""
    if not isinstance(config.n_clusters, str):
        return config, []
    ks = AUTO if config.n_clusters == "auto" else parse_range(config.n_clusters)
    chosen, reason = kept.choice(config, ks, lambda: choose_k(space.points, config, ks, show=show))
    return config.model_copy(update={"n_clusters": chosen}), [reason]


def centroid_distances(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Return the Euclidean distance of each point to each centroid: (n, n_clusters) float64."""
    squared = np.empty((len(points), len(centroids)))
    for part in row_slices(*points.shape):
        for number in range(len(centroids)):
            difference = points[part].astype(np.float64) - centroids[number]
            squared[part, number] = np.einsum("ij,ij->i", difference, difference)
    return np.sqrt(squared)


def nearest_two(points: Points, centroids: np.ndarray, labels: np.ndarray) -> Nearest:
    """Return of each point what `centroid_distances` holds of its own centroid, and of the nearest other one.

    distance: (n,) float64, not a number for noise, whose nearest cluster is its runner-up; the other one's number:
    (n,) int64, -1 where there is none; its distance: (n,) float64, infinite where there is none.
    Nothing of the size (n, n_clusters) is held.
    """
    centres = centroids.astype(np.float64)
    lengths = np.einsum("ij,ij->i", centres, centres)

    def of_block(part: slice) -> Nearest:
        block = points.block(part).astype(np.float64)
        own = np.where(labels[part] >= 0, _squared(block, centres[labels[part]]), np.nan)
        return own, *_runners_up(block, centres, lengths, labels[part])

    if not len(centroids):
        return np.full(len(points), np.nan), np.full(len(points), NOISE), np.full(len(points), np.inf)
    slices = points.slices(beside=2 * len(centroids))
    own, runner_up, squared = (np.concatenate(parts) for parts in zip(*in_order(of_block, slices), strict=True))
    return np.sqrt(own), runner_up, np.sqrt(squared)


def check_enough(images: int, n_clusters: int | str | None) -> None:
    """Raise ClusteringError where there are fewer images than clusters."""
    if isinstance(n_clusters, int) and images < n_clusters:
        raise ClusteringError(
            f"clusters.n_clusters: {n_clusters} clusters need at least as many readable images; there are {images}"
        )


def _check_finite(vectors: np.ndarray) -> None:
    if spoilt := len(vectors) - finite_rows(vectors):
        raise ClusteringError(f"the features of {spoilt:,} images are not finite (NaN or infinity)")


def _runners_up(
    points: np.ndarray, centres: np.ndarray, lengths: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest centre but the own one, the first of equally near ones: (m,) int64, and (m,) float64 squared.

    A matrix product tells which can be; the distances to these, most often to one alone, are worked out exactly.
    """
    rows = np.arange(len(points))
    inside = rows[own >= 0]
    if len(centres) == 1 and len(inside):
        runner_up = np.where(own >= 0, NOISE, 0)
        return runner_up, np.where(own >= 0, np.inf, _squared(points, centres[np.zeros(len(points), np.int64)]))
    squares = np.einsum("ij,ij->i", points, points)
    squared = squares[:, None] - 2 * (points @ centres.T) + lengths
    squared[inside, own[inside]] = np.inf
    bound = squared.min(axis=1) + ROUNDING * (squares + lengths.max())
    near_rows, near = np.nonzero(squared <= bound[:, None])
    if len(near) == len(points):
        return near, _squared(points, centres[near])
    squared.fill(np.inf)
    for start in range(0, len(near), len(points)):  # of equal centres all are near: many times the points
        at, to = near_rows[start : start + len(points)], near[start : start + len(points)]
        squared[at, to] = _squared(points[at], centres[to])
    runner_up = squared.argmin(axis=1)
    return runner_up, squared[rows, runner_up]


def _squared(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the squared distance of each point to its centre, (m,) float64; writes to the centres, (m, dim)."""
    difference = np.subtract(points, centres, out=centres)
    return np.asarray(np.einsum("ij,ij->i", difference, difference))


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
