"""What `method: auto` holds beside vectors in a memory map."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from imgcluster.clustering.cluster import cluster_features
from imgcluster.config.loader import ClustersConfig

COUNT, DIM, CLUSTERS = 20_000, 1280, 50
MAX_BYTES_BESIDE = 300 * 2**20


@pytest.mark.slow
def test_auto_holds_no_second_copy_of_the_vectors(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    vectors = np.memmap(tmp_path / "vectors", np.float32, "w+", shape=(COUNT, DIM))
    centres = random.normal(size=(CLUSTERS, DIM))
    for start in range(0, COUNT, 1000):
        vectors[start : start + 1000] = centres[random.integers(CLUSTERS, size=1000)] + random.normal(size=(1000, DIM))
    tracemalloc.start()
    try:
        found = cluster_features(vectors, ClustersConfig(n_clusters=CLUSTERS), show=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(found.sizes) == CLUSTERS
    assert peak < MAX_BYTES_BESIDE
