"""Vectors, and configs of runs on them, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import make_blobs

from imgcluster.config.loader import Config, config_from_dict


def blobs(k: int, n: int = 300, dim: int = 30) -> tuple[np.ndarray, np.ndarray]:
    vectors, labels = make_blobs(n, dim, centers=k, cluster_std=1.5, random_state=k)
    return vectors.astype(np.float32), labels


def config_of(folder: Path, vectors: np.ndarray, **clusters: Any) -> Config:
    """A config of images that are not there, with features from a file; its outputs go into `out`."""
    ids = [f"i{number:02d}" for number in range(len(vectors))]
    np.savez(folder / "features.npz", ids=ids, vectors=vectors.astype(np.float32))
    (folder / "ids.csv").write_text("id\n" + "\n".join(ids) + "\n")
    images = {"folder": str(folder), "ids": str(folder / "ids.csv"), "missing": "skip"}
    features = {"file": str(folder / "features.npz")}
    outputs = {"folder": str(folder / "out"), "report": False}
    clusters = {"method": "kmeans", "numbering": "first_appearance", **clusters}
    return config_from_dict({"images": images, "features": features, "clusters": clusters, "outputs": outputs})


def noise(n: int, dim: int) -> np.ndarray:
    return np.random.default_rng(8).normal(0, 1, (n, dim)).astype(np.float32)
