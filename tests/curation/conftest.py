"""A finished run on given vectors, for what is found in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from imgcluster import run
from tests.support.feature_runs import config_of

VectorRun = Callable[..., Path]


@pytest.fixture
def vector_run(tmp_path: Path) -> VectorRun:
    """Return what runs on vectors, (n, dim), with ids i00, i01, ...; returns the run folder."""

    def make(vectors: np.ndarray, **clusters: object) -> Path:
        settings = {"method": "kmeans", "n_clusters": 1, **clusters}
        return run(config_of(tmp_path, vectors, **settings), show=False).folder

    return make


def write_labels(path: Path, labels: Sequence[str]) -> Path:
    rows = (f'i{number:02d},"{label}"' for number, label in enumerate(labels))
    path.write_text("\n".join(["id,label", *rows]) + "\n")
    return path
