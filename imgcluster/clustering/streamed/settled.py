"""K-Means of a store until every centroid has images, with the distances of each image to its nearest two."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from imgcluster.clustering.assign_rules import place
from imgcluster.clustering.distances import Nearest, nearest_two
from imgcluster.clustering.kmeans.dask import StreamedKMeans
from imgcluster.clustering.streamed.points import StreamedPoints
from imgcluster.features import Points
from imgcluster.utils import track

MAX_REFITS = 5  # with new seeds for centroids without images

Labelled = tuple[np.ndarray, np.ndarray, Nearest]  # centroids, labels, and the result of `nearest_two`


def fit_without_empty_clusters(kmeans: StreamedKMeans, show: bool) -> Labelled:
    """Run K-Means: centroids, (k, dim) float32; labels, (n,) int64; distances as of `clusters.nearest_two`.

    dask-ml moves a centroid that loses its images to the mean of all, where `lloyd` gives it the image farthest from
    its own centroid. The same is done here from outside: K-Means runs again from the centroids that have images and
    from the farthest images.
    """
    with track("clustering", None, "runs of K-Means", show=show) as advance:

        def fit(seeds: np.ndarray | None = None) -> Labelled:
            found = _labelled(kmeans.points, kmeans.fit(seeds))
            advance(1)
            return found

        found = fit()
        for _ in range(MAX_REFITS):
            if not len(empty := _empty(found)) or found[2][0].max() <= kmeans.negligible:
                break
            farthest = np.argsort(-found[2][0], kind="stable")[: len(empty)]
            found[0][empty] = kmeans.points.take(farthest)
            found = fit(found[0])
    if len(empty := _empty(found)):  # as copies of another centroid they are nearest to no new image
        found[0][empty] = found[0][np.bincount(found[1]).argmax()]
        found = _labelled(kmeans.points, found[0])
    return found


def _empty(found: Labelled) -> np.ndarray:
    return np.setdiff1d(np.arange(len(found[0])), found[1])


def _labelled(points: StreamedPoints, centroids: np.ndarray) -> Labelled:
    """Find the nearest two centroids of each point in one reading of the store."""
    import dask

    labels, *nearest = (
        np.concatenate(each) for each in zip(*dask.compute(*points.map(_label, centroids)), strict=True)
    )
    return centroids, labels, (nearest[0], nearest[1], nearest[2])


def _label(blocks: Iterator[np.ndarray], centroids: np.ndarray) -> tuple[np.ndarray, ...]:
    block = next(blocks)
    labels = place(block, {"centres": centroids, "labels": np.arange(len(centroids))})
    return labels, *nearest_two(Points(block), centroids, labels)
