"""K-Means of a store until every centroid has images, and what is said of each image then."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from imgcluster.clustering.assign_rules import place
from imgcluster.clustering.distances import Nearest, nearest_two
from imgcluster.clustering.kmeans.dask import ROUNDS, StreamedKMeans
from imgcluster.clustering.kmeans.lloyd import MAX_ITERATIONS, Steps
from imgcluster.clustering.streamed.points import StreamedPoints
from imgcluster.features import Points
from imgcluster.utils import track

RELOCATIONS = 5  # of centroids without images; each is a K-Means of its own

Labelled = tuple[np.ndarray, np.ndarray, Nearest]  # centroids, labels, and what `nearest_two` says


def settled(kmeans: StreamedKMeans, show: bool) -> Labelled:
    """Run K-Means: centroids, (k, dim) float32; labels, (n,) int64; distances as of `nearest_two`.

    As in scikit-learn, clusters that end without images get those farthest from their centroids. dask-ml leaves such a
    centroid where nothing is; it begins again from the others and the images far out.
    """
    most = ROUNDS + MAX_ITERATIONS
    with kmeans.ready() as fit, track("clustering", most, "steps", show=show) as advance:
        steps = Steps(advance)
        steps.begin(most)
        found = _labelled(kmeans.points, fit(None, steps.step))
        for _ in range(RELOCATIONS):
            if not len(empty := _empty(found)) or found[2][0].max() <= kmeans.negligible:
                break
            farthest = np.argsort(-found[2][0], kind="stable")[: len(empty)]
            found[0][empty] = kmeans.points.take(farthest)
            found = _labelled(kmeans.points, fit(found[0], steps.step))
        steps.end()
    if len(empty := _empty(found)):  # no place of their own: a new image must not be nearest to them
        found[0][empty] = found[0][np.bincount(found[1]).argmax()]
        found = _labelled(kmeans.points, found[0])
    return found


def _empty(found: Labelled) -> np.ndarray:
    return np.setdiff1d(np.arange(len(found[0])), found[1])


def _labelled(points: StreamedPoints, centroids: np.ndarray) -> Labelled:
    """Find the nearest centroid of each point, and what `nearest_two` says of it, in one reading of the store."""
    import dask

    labels, *nearest = (
        np.concatenate(each) for each in zip(*dask.compute(*points.map(_label, centroids)), strict=True)
    )
    return centroids, labels, (nearest[0], nearest[1], nearest[2])


def _label(blocks: Iterator[np.ndarray], centroids: np.ndarray) -> tuple[np.ndarray, ...]:
    block = next(blocks)
    labels = place(block, {"centres": centroids, "labels": np.arange(len(centroids))})
    return labels, *nearest_two(Points(block), centroids, labels)
