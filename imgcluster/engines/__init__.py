"""Extraction on the workers of a Dask cluster."""

from imgcluster.engines.cluster import Cluster, open_cluster, start_early

__all__ = ["Cluster", "open_cluster", "start_early"]
