"""A subset that covers a run: the greedy choices against plain ones, what is labelled, and odd sets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imgcluster.curation import choose_subset
from imgcluster.curation.coverage import METHODS, facility_location, k_center, mean_cosine
from imgcluster.errors import ConfigError
from tests.conftest import Command
from tests.curation.conftest import VectorRun, write_labels
from tests.support.feature_runs import blobs, noise

NONE = np.empty(0, np.int64)


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def plain_greedy(points: np.ndarray, count: int, covered: list[int]) -> list[int]:
    """Facility location with every gain worked out each time."""
    cosines, chosen = points @ points.T, list(covered)
    for _ in range(count):
        best = np.maximum(cosines[:, chosen].max(axis=1, initial=0), 0)
        gains = np.maximum(cosines - best[:, None], 0).sum(axis=0)
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
    return chosen[len(covered) :]


@pytest.mark.parametrize("covered", [[], [3, 77, 150]])
def test_facility_location_chooses_what_adds_most(covered: list[int]) -> None:
    points = unit(noise(200, 12))
    found = facility_location(points, 40, np.array(covered, np.int64))
    assert found == plain_greedy(points, 40, covered)
    assert not set(found) & set(covered)


def test_k_center_chooses_the_farthest() -> None:
    points = unit(noise(100, 12))
    found = k_center(points, 10, NONE)
    for place in range(1, 10):
        nearest = (points @ points[found[:place]].T).max(axis=1)
        assert nearest[found[place]] == pytest.approx(nearest.min())
    after = k_center(points, 10, np.array(found[:5]))
    assert after == found[5:] + after[5:]


@pytest.mark.parametrize("method", METHODS)
def test_copies_of_what_is_labelled_come_last_and_the_labelled_ones_never(method: str) -> None:
    points = unit(np.array([[1, 0]] * 5 + [[0, 1]], np.float32))
    assert METHODS[method](points, 4, np.array([0, 2]))[0] == 5
    assert set(METHODS[method](points, 4, np.array([0, 2]))) == {1, 3, 4, 5}


@pytest.mark.parametrize("method", METHODS)
def test_each_group_has_one_of_the_first_images(vector_run: VectorRun, method: str) -> None:
    vectors, groups = blobs(8, 200, 100)
    found = choose_subset(vector_run(vectors), 8, method=method)
    assert {groups[int(id[1:])] for id in found.ids} == set(range(8))
    assert (found.images, found.labelled, len(found.ids)) == (200, 0, 8)
    assert found.coverage > 0.9
    assert found.coverage > mean_cosine(unit(vectors - vectors.mean(axis=0)), np.arange(3))


def test_what_is_labelled_is_covered(tmp_path: Path, vector_run: VectorRun) -> None:
    vectors, groups = blobs(8, 200, 100)
    labels = ["x" if group < 5 and row < 100 else "" for row, group in enumerate(groups)]
    csv = write_labels(tmp_path / "labels.csv", labels)
    csv.write_text(csv.read_text() + "elsewhere,x\n")
    found = choose_subset(vector_run(vectors), 3, labelled=csv)
    assert {groups[int(id[1:])] for id in found.ids} == {5, 6, 7}
    assert (found.labelled, found.unknown) == (labels.count("x"), ["elsewhere"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [1, 30])
def test_images_that_are_all_the_same_or_alone_or_fewer_than_asked(
    vector_run: VectorRun, method: str, count: int
) -> None:
    found = choose_subset(vector_run(np.ones((count, 100), np.float32)), 50, method=method)
    assert sorted(found.ids) == [f"i{row:02d}" for row in range(count)]


def test_what_cannot_be_used_is_an_error(tmp_path: Path, vector_run: VectorRun) -> None:
    run = vector_run(blobs(2, 20)[0])
    with pytest.raises(ConfigError, match="count: 0"):
        choose_subset(run, 0)
    with pytest.raises(ConfigError, match="there is no 'random'; allowed: facility-location, k-center"):
        choose_subset(run, 5, method="random")
    with pytest.raises(ConfigError, match=r"none\.csv"):
        choose_subset(run, 5, labelled=tmp_path / "none.csv")


def test_the_command_writes_a_table_to_fill_in(command: Command, tmp_path: Path, pictures: Path) -> None:
    """Ids with odd characters, and a failed image, which is never chosen."""
    (pictures / "0000.jpg").rename(pictures / "a 'b'; c=1.jpg")
    (pictures / "broken.jpg").write_bytes(b"nothing")
    assert command(pictures, "-k", "3", "--backbone", "efficientnet_lite0", "--out", "r").returncode == 0
    done = command("subset", "r", "-n", "3", "--csv", "s.csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("chosen    3 of 12 images\ncoverage  0.")
    table = pd.read_csv(tmp_path / "s.csv", keep_default_na=False)
    assert (list(table.columns), set(table["label"])) == (["id", "label", "path", "cluster"], {""})
    assert table["cluster"].nunique() == 3
    table["label"] = ["x", "y", "z"]
    table.to_csv(tmp_path / "s.csv", index=False)
    assert command("spread", "r", "s.csv", "--out", "all.csv").returncode == 0
    rest = json.loads(command("subset", "r", "-n", "99", "--labelled", "s.csv", "--json").stdout)
    assert (len(rest["ids"]), rest["labelled"]) == (9, 3)
    assert not set(rest["ids"]) & set(table["id"])
    again = command("subset", "r", "--csv", "s.csv")
    assert (again.returncode, "overwrite it with --force" in again.stderr) == (1, True)
    wrong = command("subset", "r", "-n", "-1")
    assert (wrong.returncode, wrong.stderr) == (1, "imgcluster: --count: -1; allowed: whole numbers >= 1\n")
