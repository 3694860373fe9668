"""The clusters of a run at another level of its hierarchy, or merged and split: by its files alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import imgcluster
from imgcluster import load_config
from imgcluster.errors import ConfigError
from imgcluster.images.ids.table import read_rows
from imgcluster.runs import cut_run, read_run
from imgcluster.types import Hierarchy
from tests.conftest import write_pictures, write_template

IMAGES, FAILED = 36, 7
KEYS = ("clusters.method=auto", "clusters.numbering=size", "outputs.label_offset=1")


def run(config_file: Path, *overrides: str) -> Path:
    return imgcluster.run(load_config(config_file, [*KEYS, *overrides]), force=True, show=False).folder


@pytest.fixture
def folder(config_file: Path, tmp_path: Path, pictures: Path) -> Path:
    """A finished run of three clusters, without its images and its features."""
    write_pictures(pictures, range(IMAGES))
    (pictures / f"{FAILED:04d}.jpg").write_bytes(b"")
    write_template(tmp_path / "template.csv", range(IMAGES))
    found = run(config_file)
    for gone in ("pictures", "store"):
        shutil.rmtree(tmp_path / gone)
    return found


def hierarchy_of(folder: Path) -> Hierarchy:
    found = read_run(folder).hierarchy
    assert found is not None
    return found


def cells(folder: Path, column: str) -> list[str]:
    return read_rows(folder / "submission.csv", None).frame[column]


def test_a_level_is_that_of_the_hierarchy_and_a_failed_image_has_none(folder: Path) -> None:
    hierarchy = hierarchy_of(folder)
    for k in (1, 2, 3, hierarchy.levels):
        found = cut_run(folder, k)
        np.testing.assert_array_equal(found.labels, hierarchy.cut(k))
        assert (found.level, len(found.members), found.sizes.sum()) == (k, k, IMAGES - 1)
        table = found.table()
        assert table.columns == ["id", "path", "cluster", "run_cluster", "status", "error"]
        assert [text for text in table["cluster"] if text] == [str(label) for label in hierarchy.cut(k)]
        assert (table["cluster"][FAILED], table["run_cluster"][FAILED], table["status"][FAILED]) == ("", "", "failed")
    assert cut_run(folder, 1).members == {hierarchy.numbers[0]: [0, 1, 2]}


def test_numbers_are_the_same_at_all_levels(folder: Path) -> None:
    found = cut_run(folder, 4)
    kept, new = hierarchy_of(folder).splits[2].tolist()
    np.testing.assert_array_equal(np.where(found.labels == new, kept, found.labels), found.run_labels)
    np.testing.assert_array_equal(cut_run(folder, split=[kept]).labels, found.labels)
    np.testing.assert_array_equal(cut_run(folder, split=[kept], merge=[[new, kept]]).labels, found.run_labels)


def test_one_cluster_merges_with_those_that_the_hierarchy_merges_it_with(folder: Path) -> None:
    hierarchy = hierarchy_of(folder)
    kept, gone = hierarchy.next_merge() or (-1, -1)
    (other,) = {0, 1, 2} - {kept, gone}
    np.testing.assert_array_equal(cut_run(folder, merge=[[gone]]).labels, hierarchy.cut(2))
    np.testing.assert_array_equal(cut_run(folder, merge=[[kept]]).labels, hierarchy.cut(2))
    assert cut_run(folder, merge=[[other]]).members == {0: [0, 1, 2]}  # the largest one keeps its number
    assert cut_run(folder, merge=[[other, gone]]).members == {min(other, gone): sorted([other, gone]), kept: [kept]}
    assert cut_run(folder, merge=[[other, gone]]).level is None


def test_a_split_of_what_somebody_merged_is_what_it_was(folder: Path) -> None:
    hierarchy = hierarchy_of(folder)
    kept, gone = hierarchy.next_merge() or (-1, -1)
    (other,) = {0, 1, 2} - {kept, gone}
    parts = hierarchy.parts_of(np.flatnonzero(np.isin(hierarchy.cut(3), [gone, other])))
    assert parts is not None
    assert {*hierarchy.cut(3)[parts[0]]} | {*hierarchy.cut(3)[parts[1]]} == {gone, other}
    assert len({*hierarchy.cut(3)[parts[0]]}) == 1
    assert hierarchy.around(np.arange(IMAGES - 1)) is None
    assert hierarchy.parts_of(np.flatnonzero(hierarchy.finest == hierarchy.finest[0])) is None


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"k": 0}, r"^k: 0; the hierarchy of '.*out' has 1 to [0-9]+ clusters$"),
        ({"k": 99}, r"^k: 99; the hierarchy of '.*out' has 1 to [0-9]+ clusters$"),
        ({"split": [9]}, r"^split: there is no cluster 9 \(clusters: 0, 1, 2\)$"),
        ({"split": [-1]}, r"^split: there is no cluster -1 \(clusters: 0, 1, 2\)$"),
        ({"merge": [[0, 9]]}, r"^merge: there is no cluster 9 \(clusters: 0, 1, 2\)$"),
        ({"split": [0, 0, 0, 0, 0]}, "^split: the hierarchy does not split cluster 0 further$"),
    ],
    ids=str,
)
def test_what_is_not_there(folder: Path, keys: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        cut_run(folder, **keys)  # type: ignore[arg-type]


def test_the_only_cluster_has_none_to_merge_with(folder: Path) -> None:
    only = hierarchy_of(folder).numbers[0]
    with pytest.raises(ConfigError, match=f"^merge: cluster {only} is the only one$"):
        cut_run(folder, 1, merge=[[only]])


def test_a_run_without_a_hierarchy(config_file: Path) -> None:
    folder = run(config_file, "clusters.hierarchy=false")
    with pytest.raises(ConfigError, match=r"out' has no hierarchy; run its config with clusters\.hierarchy: true$"):
        cut_run(folder, 2)


def test_the_submission_has_the_rows_of_the_runs_own(folder: Path) -> None:
    own = cut_run(folder, 3).submission()
    assert own["label"] == cells(folder, "label")
    found = cut_run(folder, 2)
    table = found.submission()
    assert table.columns == ["ImageID", "label", "note"]
    assert table["note"] == ["a, b"] * IMAGES
    labels = [*map(str, found.labels + 1)]
    assert table["label"] == [*labels[:FAILED], str(int(found.sizes.argmax()) + 1), *labels[FAILED:]]


@pytest.mark.parametrize("key", ["outputs.submission=null", "outputs.layout=one_hot", "outputs.layout=soft"])
def test_a_submission_without_one_label_per_image(config_file: Path, tmp_path: Path, key: str) -> None:
    write_ids = tmp_path / "template.csv"
    write_ids.write_text("ImageID\n" + "".join(f"{number:04d}\n" for number in range(12)))
    folder = run(config_file, key, "outputs.label_offset=0")
    with pytest.raises(ConfigError, match=r"^submission: '.*out' has none with one label per image \(submission: "):
        cut_run(folder, 2).submission()


def test_names_are_those_of_the_runs_clusters(config_file: Path) -> None:
    names = "outputs.names={0: red, 1: green, 2: blue}"
    folder = run(config_file, names, "outputs.layout=names", "outputs.label_offset=0", "outputs.submission=null")
    found = cut_run(folder, merge=[[0, 2]])
    assert found.names == {0: "red + blue", 1: "green"}
    assert set(found.table()["name"]) == {"red + blue", "green"}
    folder = run(config_file, "outputs.names={1: green, 2: green}", "outputs.submission=null")
    assert cut_run(folder, 1).names == {0: "0 + green"}
    assert cut_run(folder, merge=[[1, 2]]).names == {1: "green"}
    assert cut_run(folder, merge=[[1, 2]]).table()["name"].count("") == 4


def test_what_became_of_clusters_is_told(folder: Path) -> None:
    hierarchy = hierarchy_of(folder)
    kept, gone = hierarchy.splits[1].tolist()
    merged = cut_run(folder, merge=[[kept, gone]])
    assert merged.changes == [(sorted([kept, gone]), [kept])]
    new = int(hierarchy.splits[2, 1])
    of = int(hierarchy.splits[2, 0])
    assert cut_run(folder, 4).changes == [([of], sorted([of, new]))]
    assert cut_run(folder, 3).changes == []
