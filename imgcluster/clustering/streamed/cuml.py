"""K-Means of cuML on the GPUs of a cluster's workers, where they have both."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from imgcluster.clustering.kmeans.lloyd import MAX_ITERATIONS, TOLERANCE
from imgcluster.config import ClustersConfig

if TYPE_CHECKING:
    import dask.array
    from distributed import Client


def have_cuml(client: Client) -> bool:
    """Tell whether this machine and all workers have cuML, and every worker a GPU."""
    if find_spec("cuml") is None:
        return False
    found = client.run(_has_gpu)
    return bool(found) and all(found.values())


def fit_on_gpus(
    array: dask.array.Array, config: ClustersConfig, seeds: np.ndarray | None, step: Any, client: Client
) -> np.ndarray:
    """Return the centroids, (k, dim), that `cuml.dask` finds, seeded by k-means|| or by given ones, (k, dim).

    https://docs.rapids.ai/api/cuml/stable/api/#cuml.dask.cluster.KMeans; it tells of no step before its end.
    """
    import cupy
    from cuml.dask.cluster import KMeans

    model = KMeans(
        client=client,
        n_clusters=config.k,
        init="scalable-k-means++" if seeds is None else cupy.asarray(seeds),
        random_state=config.random_state,
        max_iter=MAX_ITERATIONS,
        tol=TOLERANCE,
    )
    model.fit(array.map_blocks(cupy.asarray))
    step()
    return np.asarray(cupy.asnumpy(model.cluster_centers_))


def _has_gpu() -> bool:
    import torch

    return find_spec("cuml") is not None and torch.cuda.is_available()
