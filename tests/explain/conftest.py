"""Pictures, networks and runs to be explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import imgcluster
from tests.support.explained import LITE, MakeRun, write_photographs


@pytest.fixture(scope="session")
def _made() -> dict[str, Path]:
    return {}


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Runs over the photographs, or another folder: `make_run("features.views=whole", ...)` -> the run folder."""

    def make(*overrides: str, folder: Path | None = None, out: str = "run") -> Path:
        if folder is None and not (folder := tmp_path / "photographs").exists():
            write_photographs(folder)
        values = {
            "images": {"folder": str(folder)},
            "features": {"backbone": LITE, "runtime": "torch", "precision": "fp32", "store": str(tmp_path / "store")},
            "clusters": {"method": "kmeans", "n_clusters": 3},
            "outputs": {"folder": str(tmp_path / out)},
        }
        path = tmp_path / "config.yaml"
        path.write_text(json.dumps(values))
        imgcluster.run(imgcluster.load_config(path, list(overrides)), show=False)
        return tmp_path / out

    return make


@pytest.fixture
def run(_made: dict[str, Path], make_run: MakeRun) -> Path:
    """One run of three clusters, the same for all tests: they may write into its report alone."""
    if "run" not in _made:
        _made["run"] = make_run("clusters.transform=[sqrt, l2, {pca: 8}, l2]")
    return _made["run"]
