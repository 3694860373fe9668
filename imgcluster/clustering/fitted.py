"""The clusters of a finished run, as its clusterer.npz keeps them: enough to place new images, and no pickle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imgcluster.clustering.assign_rules import place
from imgcluster.clustering.cluster import RULE
from imgcluster.clustering.confidence import placed_probability
from imgcluster.clustering.distances import centroid_distances, nearest_two, used_numbers
from imgcluster.config import AUTO, RunFiles
from imgcluster.errors import ClusteringError
from imgcluster.features import Points, State, apply_transform
from imgcluster.types import NOISE

ROUNDING = 1e-5  # of float32 steps, as a share of the lengths


@dataclass(frozen=True)
class Placed:
    """Where new images belong: labels, runner_up: (m,) int64; distance, runner_up_distance: (m,) float64, Euclidean.

    new: (m,) bool, whether an image lies farther from its cluster's centroid than any image of the run did. Where no
    image of the run is in the class that a model says, there is no centroid: the distance is not a number.
    probability: (m,) float64, as of `placed_probability`; None where the run's method has none.
    """

    labels: np.ndarray
    distance: np.ndarray
    runner_up: np.ndarray
    runner_up_distance: np.ndarray
    new: np.ndarray
    probability: np.ndarray | None


@dataclass(frozen=True)
class Clusterer:
    """A run's transform, centroids and rule."""

    state: State

    def check(self) -> None:
        """Raise ClusteringError where the method, or a step of the transform, knows of no new images."""
        if not any(name.startswith(RULE) for name in self.state):
            raise ClusteringError(
                f"clusters by {self.state['method']} are those of the run's own images: it has no rule for others; "
                "kmeans, minibatch_kmeans, bisecting_kmeans, gaussian_mixture, birch, affinity_propagation, "
                "mean_shift and learned have"
            )
        if "umap" in self.state["steps"]:
            raise ClusteringError("clusters.transform: umap has coordinates for the images of its run alone")

    def place(self, vectors: np.ndarray) -> Placed:
        """Place new vectors, (m, dim), into the clusters of the run. Raises ClusteringError as `check`."""
        self.check()
        points = self._points(vectors)
        rule = {name.removeprefix(RULE): value for name, value in self.state.items() if name.startswith(RULE)}
        labels = place(points, rule)
        numbers = used_numbers(self.state["centroids"])
        strange = ~np.isin(labels, numbers)  # in a cluster of the rule that no image of the run is in
        if f"{RULE}classifier" not in self.state:  # a model's class is a class without images as well
            centroids = self.state["centroids"][numbers]
            labels[strange] = numbers[centroid_distances(points[strange], centroids).argmin(axis=1)]
            strange[:] = False
        compact = np.where(strange, NOISE, np.searchsorted(numbers, labels))
        distance, runner_up, farther = nearest_two(Points(points), self.state["centroids"][numbers], compact)
        return Placed(
            labels=labels,
            distance=distance,
            runner_up=np.append(numbers, -1)[runner_up],
            runner_up_distance=farther,
            new=strange | (distance > self._reach()[labels]),
            probability=self._probability(points, labels),
        )

    def _probability(self, points: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
        if self.state["method"] != AUTO:
            return None
        own, clusters = (self.state[f"{RULE}{name}"] for name in ("centres", "labels"))
        return placed_probability(own, clusters, points.astype(own.dtype), labels)

    def _reach(self) -> np.ndarray:
        """Return how far from its centroid each cluster has images, (k,) float64, with the rounding of the steps.

        Steps round otherwise in a block of another size, so that an image of the run is not exactly where it was.
        """
        reach = self.state["reach"]
        return np.asarray(reach + ROUNDING * (reach + np.linalg.norm(self.state["centroids"], axis=1)))

    def _points(self, vectors: np.ndarray) -> np.ndarray:
        try:
            points = apply_transform(np.asarray(vectors, np.float32), self.state)
        except (KeyError, ValueError):  # what a step has learned is not there, or of features of another length
            points = None
        dim = self.state["centroids"].shape[1]
        if points is None or points.shape[1] != dim:
            raise ClusteringError(
                f"{RunFiles.CLUSTERER} is damaged: it does not know features of {vectors.shape[1]:,} values"
            )
        return points
