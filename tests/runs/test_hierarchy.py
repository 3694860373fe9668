"""hierarchy.json: what a run writes of its hierarchy, and reads again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import imgcluster
from imgcluster import load_config
from imgcluster.config import RunFiles
from imgcluster.errors import OutputError
from imgcluster.runs import read_run
from imgcluster.runs.hierarchy import hierarchy_text, read_hierarchy
from imgcluster.types import Hierarchy

NESTED = Hierarchy(np.array([[2, 0], [0, 5]]), np.array([2, 0, -1, 5, 2]), np.array([0.0, 0.25, 0.125]), 2)


def run(config_file: Path, *overrides: str) -> imgcluster.Run:
    return imgcluster.run(load_config(config_file, overrides), force=True, show=False)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    text = hierarchy_text(NESTED, [False, True, False, False, False, False])
    record = json.loads(text)
    assert record["n_clusters"] == 2
    assert record["finest"] == [2, None, 0, -1, 5, 2]
    assert record["levels"] == [
        {"level": 1, "cluster": 2, "parent": None, "size": 4, "modularity": 0.0},
        {"level": 2, "cluster": 0, "parent": 2, "size": 2, "modularity": 0.25},
        {"level": 3, "cluster": 5, "parent": 0, "size": 1, "modularity": 0.125},
    ]
    (tmp_path / RunFiles.HIERARCHY).write_text(text)
    found = read_hierarchy(tmp_path)
    assert found is not None
    for level, labels in enumerate(([2, 2, -1, 2, 2], [2, 0, -1, 0, 2], [2, 0, -1, 5, 2]), 1):
        assert found.cut(level).tolist() == NESTED.cut(level).tolist() == labels
    assert (found.n_clusters, found.modularity.tolist()) == (2, [0.0, 0.25, 0.125])


def test_a_run_has_its_hierarchy_in_its_folder(config_file: Path, tmp_path: Path, pictures: Path) -> None:
    (pictures / "0004.jpg").write_bytes(b"")
    found = run(config_file, "clusters.method=auto", "clusters.numbering=size")
    stored = read_run(tmp_path / "out").hierarchy
    assert found.hierarchy is not None
    assert stored is not None
    np.testing.assert_array_equal(stored.finest, found.hierarchy.finest)
    np.testing.assert_array_equal(stored.splits, found.hierarchy.splits)
    np.testing.assert_array_equal(stored.cut(3), found.clusters.labels)
    assert json.loads((tmp_path / "out" / RunFiles.HIERARCHY).read_text())["finest"][4] is None


@pytest.mark.parametrize("key", ["clusters.hierarchy=false", "clusters.method=kmeans"])
def test_a_run_without_one_removes_that_of_the_run_before(config_file: Path, tmp_path: Path, key: str) -> None:
    run(config_file, "clusters.method=auto")
    assert (tmp_path / "out" / RunFiles.HIERARCHY).is_file()
    assert run(config_file, key).hierarchy is None
    assert not (tmp_path / "out" / RunFiles.HIERARCHY).exists()
    assert read_run(tmp_path / "out").hierarchy is None


def test_turning_it_off_is_no_other_run(config_file: Path, tmp_path: Path) -> None:
    before = run(config_file)
    again = imgcluster.run(load_config(config_file, ["clusters.hierarchy=false"]), show=False)
    np.testing.assert_array_equal(again.clusters.labels, before.clusters.labels)


def test_too_many_clusters_have_none_and_a_note_says_so(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgcluster.clustering.hierarchy.MAX_CLUSTERS", 2)
    found = run(config_file, "clusters.method=auto")
    assert any(note.startswith("no hierarchy: there are more than ") for note in found.clusters.notes)
    assert read_run(tmp_path / "out").hierarchy is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-9],
        lambda text: text.replace('"finest"', '"first"'),
        lambda text: text.replace('"modularity": 0.25', '"modularity": []'),
        lambda text: text.replace("[2,0,-1,5,2]", "[2,0,-1,7,2]"),
        lambda text: text.replace("[2,0,-1,5,2]", "[2,2,-1,2,2]"),
        lambda text: text.replace('"n_clusters": 2', '"n_clusters": 0'),
        lambda text: text.replace('"n_clusters": 2', '"n_clusters": 4'),
        lambda text: text.replace('"cluster": 5, "parent": 0', '"cluster": 0, "parent": 0'),
        lambda text: text.replace('"parent": 0', '"parent": 5'),
        lambda text: text.replace('"modularity": 0.25', '"modularity": NaN'),
        lambda text: "[]",
    ],
)
def test_a_damaged_file(tmp_path: Path, spoil: Callable[[str], str]) -> None:
    (tmp_path / RunFiles.HIERARCHY).write_text(spoil(hierarchy_text(NESTED, [False] * 5)))
    with pytest.raises(OutputError, match=r"hierarchy.json' is damaged; run the config again with force=True$"):
        read_hierarchy(tmp_path)


def test_one_of_other_clusters_is_left_out(config_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(config_file, "clusters.method=auto", "clusters.n_clusters=2")
    older = (tmp_path / "out" / RunFiles.HIERARCHY).read_text()
    run(config_file, "clusters.method=auto", "clusters.n_clusters=3")
    (tmp_path / "out" / RunFiles.HIERARCHY).write_text(older)
    assert read_run(tmp_path / "out").hierarchy is None
    assert caplog.messages == ["hierarchy.json is of other clusters than clusters.csv: it is left out"]
