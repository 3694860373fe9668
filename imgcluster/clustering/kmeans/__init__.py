"""K-Means: in memory, streamed from disk, on a GPU, by Dask."""
