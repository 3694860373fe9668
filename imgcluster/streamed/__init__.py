"""Clusters of features that no machine holds: the transform, K-Means and distances by Dask, over the store's shards."""

from imgcluster.streamed.clusters import cluster_stored, should_use_dask

__all__ = ["cluster_stored", "should_use_dask"]
