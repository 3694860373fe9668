"""Clusters of features that stay in the store: transforms, K-Means and distances by Dask."""
