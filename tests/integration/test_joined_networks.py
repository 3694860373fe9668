"""The installed networks and HOG joined, through the whole program: a run, later runs on its store, commands on it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import imgcluster
from imgcluster.config import Config, load_config
from imgcluster.runs.features import features_of_run
from tests import ROOT
from tests.support.explained import write_photographs

DIMS = {"efficientnet_lite0": 1280, "efficientnet_lite2": 1280, "hog": 576}
NETWORKS = tuple(DIMS)


def config(home: Path, *overrides: str, out: str = "out") -> Config:
    """The shipped config over three subjects, four photographs of each; its command looks at nothing else."""
    own = [f"images.folder={home / 'pictures'}", f"features.store={home / 'store'}", f"outputs.folder={home / out}"]
    return load_config(ROOT / "configs" / "folder.yaml", [*own, "clusters.n_clusters=3", *overrides])


def clusters_of(run: Path) -> list[str]:
    with (run / "clusters.csv").open(encoding="utf-8", newline="") as file:
        return [row["cluster"] for row in csv.DictReader(file)]


def record_of(run: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((run / "run.json").read_bytes())
    return record


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the photographs, and a run of them with both networks, in `out`."""
    home = tmp_path_factory.mktemp("joined")
    write_photographs(home / "pictures")
    imgcluster.run(config(home), show=False)
    return home


def test_the_config_of_folders_joins_them(home: Path) -> None:
    assert config(home).features.backbones == NETWORKS
    origins = record_of(home / "out")["features"]
    assert [(each["backbone"], each["dim"], len(each["stores"])) for each in origins] == [
        (name, dim, 1) for name, dim in DIMS.items()
    ]
    subjects = clusters_of(home / "out")
    assert len(set(subjects[:3])) == 3
    assert subjects == subjects[:3] * 4


def test_either_network_is_reused_alone(home: Path) -> None:
    joined = features_of_run(home / "out").vectors
    begin = 0
    for name, dim in DIMS.items():
        result = imgcluster.run(config(home, f"features.backbone={name}", "outputs.report=false", out=name), show=False)
        (origin,) = result.features.origins
        assert (origin.computed, origin.reused) == (0, 12)
        np.testing.assert_array_equal(result.features.vectors, joined[:, begin : begin + dim])
        begin += dim
    again = imgcluster.run(config(home, "outputs.report=false", out="again"), show=False)
    assert [origin.computed for origin in again.features.origins] == [0, 0, 0]
    assert clusters_of(home / "again") == clusters_of(home / "out")


def test_clusters_are_named_by_the_first_network(home: Path) -> None:
    names = json.loads((home / "out" / "report" / "report.json").read_bytes())["names"]
    assert any("espresso" in each["name"] for each in names.values())


def test_the_same_images_are_assigned_to_their_clusters(home: Path) -> None:
    found = imgcluster.assign(home / "out", home / "pictures", show=False)
    assert [origin.computed for origin in found.features.origins] == [0, 0, 0]
    assert found.placed.labels.astype(str).tolist() == clusters_of(home / "out")


def test_each_network_explains_its_part(home: Path) -> None:
    done = imgcluster.explain_run(home / "out", images=["0001.png"], show=False)
    assert done.networks == [
        "efficientnet_lite0 _swish_1, a 7 x 7 grid",
        "efficientnet_lite2 _swish_1, a 9 x 9 grid",
        "hog mul_1, a 8 x 8 grid",
    ]
