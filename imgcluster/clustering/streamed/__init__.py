"""Clustering of features larger than memory: transforms, K-Means and distances by Dask over the shards of a store."""
