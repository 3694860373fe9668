"""What commands hold beside the vectors of 20,000 images: no second copy of them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from imgcluster.evaluation.cluster_stability import SHARE, stability
from imgcluster.pipeline import run, sweep_clusters
from imgcluster.report import write_report
from tests.support.feature_runs import config_of

COUNT, DIM, CLUSTERS = 20_000, 1280, 20
VECTORS_BYTES = 4 * COUNT * DIM
MAX_BYTES_BESIDE = 180 * 2**20  # measured: 115 MiB by a run, 121 by a report, 138 by a sweep, 100 by stability


@contextmanager
def at_most(bytes_: float) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < bytes_


@pytest.mark.slow
def test_no_command_holds_a_second_copy_of_the_vectors(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    vectors = np.empty((COUNT, DIM), np.float32)
    centres = random.normal(size=(CLUSTERS, DIM))
    for start in range(0, COUNT, 1000):
        some = centres[random.integers(CLUSTERS, size=1000)] + random.normal(size=(1000, DIM))
        vectors[start : start + 1000] = np.maximum(some, 0)
    config = config_of(tmp_path, vectors, method="auto", n_clusters=CLUSTERS)
    del vectors
    drawn = SHARE * VECTORS_BYTES  # the images of a trial
    commands: list[tuple[Callable[[], object], float]] = [
        (lambda: run(config, show=False), 0),
        (lambda: write_report(tmp_path / "out", show=False), 0),
        (lambda: sweep_clusters(config, range(2, 4), show=False), 0),
        (lambda: stability(tmp_path / "out", trials=1, show=False), drawn),
    ]
    for command, more in commands:
        with at_most(VECTORS_BYTES + more + MAX_BYTES_BESIDE):
            command()
