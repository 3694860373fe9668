"""How sure `method: auto` is, against the truth: the reliability of its probabilities, and of its number of clusters.

On the samples, and on the sets in the folder IMGCLUSTER_SETS. The map from shares to probabilities is fitted on all
sets but the one that it is tried on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score

from imgcluster import cluster_features
from imgcluster.clustering.confidence import OFFSET, SLOPE, logits_of_shares
from imgcluster.clustering.distinct_graph import DistinctGraph
from imgcluster.clustering.numbering import match_clusters
from imgcluster.clustering.space import fit_space
from imgcluster.config.loader import ClustersConfig
from tests.benchmarks.rows import Row
from tests.benchmarks.sets.stored import stored_sets

BINS = 10
MAX_ECE, MAX_FACTOR = 0.08, 1.25


@dataclass(frozen=True)
class Found:
    """Clusters of a set. logits: of the shares of its distinct images, (n,); right: which are in the right cluster."""

    name: str
    logits: np.ndarray
    right: np.ndarray


def confidence(quick: bool) -> Iterator[Row]:
    """Calibration error, leaving out each set in turn; chosen and true numbers of clusters."""
    found = []
    for name, vectors, truth in stored_sets(quick):
        k = int(truth.max()) + 1
        yield from _numbers(name, vectors, truth)
        found.append(_found(name, vectors, truth, k))
    pooled = []
    for one in found:
        others = [other for other in found if other is not one]
        slope, offset = _fitted(others)
        probabilities = 1 / (1 + np.exp(-(slope * one.logits + offset)))
        pooled.append((probabilities, one.right))
        error = f"{calibration_error(probabilities, one.right):.3f}"
        yield Row("confidence", f"{one.name}: calibration error", error, f"{one.right.mean():.2f} right")
    probabilities, right = (np.concatenate(parts) for parts in zip(*pooled, strict=True))
    error = calibration_error(probabilities, right)
    yield Row("confidence", f"all {len(found)} sets: calibration error", f"{error:.3f}", aim=f"<= {MAX_ECE}")
    for low in range(BINS):  # the reliability diagram
        inside = (probabilities * BINS).astype(int) == low
        if inside.any():
            figure = f"{low / BINS:.1f} to {(low + 1) / BINS:.1f}, {inside.sum():,} images: mean probability; right"
            yield Row("confidence", figure, f"{probabilities[inside].mean():.2f}", f"{right[inside].mean():.2f}")
    slope, offset = _fitted(found)
    yield Row("confidence", "slope and offset of the map", f"{slope:.2f} {offset:.2f}", f"{SLOPE} {OFFSET} in use")


def calibration_error(probabilities: np.ndarray, right: np.ndarray) -> float:
    """Return the expected calibration error: Naeini, Cooper and Hauskrecht, AAAI 2015."""
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    apart = np.bincount(bins, probabilities - right, minlength=BINS)
    return float(np.abs(apart).sum() / counts.sum())


def _fitted(sets: list[Found]) -> tuple[float, float]:
    """Fit the map, each set counted once."""
    logits, right = np.concatenate([each.logits for each in sets]), np.concatenate([each.right for each in sets])
    weights = np.concatenate([np.full(len(each.right), 300 / len(each.right)) for each in sets])
    model = LogisticRegression(C=10).fit(logits[:, None], right, sample_weight=weights)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def _found(name: str, vectors: np.ndarray, truth: np.ndarray, k: int) -> Found:
    config = ClustersConfig(n_clusters=k)
    labels = cluster_features(vectors, config, show=False).labels
    space = fit_space(vectors, config)
    around = DistinctGraph.of(space.points)
    labels, truth = labels[space.order], truth[space.order]
    first = around.copies.first
    classes = match_clusters(labels, truth, k)
    return Found(name, logits_of_shares(around.graph, labels[first]), (classes[labels] == truth)[first])


def _numbers(name: str, vectors: np.ndarray, truth: np.ndarray) -> Iterator[Row]:
    clusters = cluster_features(vectors, ClustersConfig(n_clusters="auto"), show=False)
    known = cluster_features(vectors, ClustersConfig(n_clusters=int(truth.max()) + 1), show=False)
    chosen, k = clusters.chosen, len(known.sizes)
    assert chosen is not None
    good = [chosen.n_clusters, *chosen.runners_up]
    factors = [max(each / k, k / each) for each in good]
    figure = f"{name}: clusters chosen, runners-up, true"
    numbers = f"{good[0]}, {good[1:]}, {k}"
    yield Row("confidence", figure, numbers, "", f"{factors[0]:.2f}", f"one <= {MAX_FACTOR}: {min(factors):.2f}")
    scores = (f"{adjusted_rand_score(truth, each.labels):.3f}" for each in (clusters, known))
    yield Row("confidence", f"{name}: ARI, number chosen; known", *scores)
