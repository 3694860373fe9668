"""Clustering of features larger than memory: transform, K-Means and distances by Dask over the shards of a store."""

from imgcluster.streamed.clusters import cluster_stored, should_use_dask

__all__ = ["cluster_stored", "should_use_dask"]
