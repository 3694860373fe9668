"""Search by example: from the run and from elsewhere, with bad examples, and what is said of the pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from imgcluster.curation import ImageSearch, find_like
from imgcluster.errors import ConfigError, ImageError
from tests.conftest import Command, write_pictures
from tests.curation.conftest import VectorRun
from tests.support.feature_runs import blobs


def test_the_nearest_come_first_and_the_picture_itself_is_marked(vector_run: VectorRun) -> None:
    vectors, groups = blobs(3, 60, 100)
    found = find_like(vector_run(vectors), ["i07"], count=15)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = np.argsort(-(unit @ unit[7]), kind="stable")[:15]
    assert [each.id for each in found.matches] == [f"i{row:02d}" for row in expected.tolist()]
    assert [each.is_query for each in found.matches] == [True] + [False] * 14
    assert found.matches[0].similarity == pytest.approx(1)
    assert {groups[row] for row in expected.tolist()} == {groups[7]}


def test_several_pictures_are_searched_by_the_mean_of_their_directions(vector_run: VectorRun) -> None:
    vectors = np.eye(6, dtype=np.float32) * np.array([1, 9, 1, 1, 1, 1], np.float32)[:, None]
    vectors[4] = [1, 1, 0, 0, 0, 0]
    found = find_like(vector_run(vectors), ["i00", "i01"], count=3)
    assert found.matches[0].id == "i04"  # between both, however long they are
    assert [each.is_query for each in found.matches] == [False, True, True]
    assert [each.similarity for each in found.matches] == pytest.approx([1, 0.5**0.5, 0.5**0.5])


def test_bad_examples_push_what_is_like_them_back(vector_run: VectorRun) -> None:
    vectors = np.array([[4, 1, 0], [4, 0, 1], [3, 3, 0.1], [3, 0.1, 3], [0, 0, 1]], np.float32)
    search = ImageSearch(vector_run(vectors))
    assert [each.id for each in search.find(["i00"]).matches][:3] == ["i00", "i01", "i02"]
    assert [each.id for each in search.find(["i00"], ["i03"]).matches][:3] == ["i00", "i02", "i01"]


def test_bad_examples_help_on_handwritten_digits(vector_run: VectorRun) -> None:
    """Precision of the first 20, once with and once without the three first ones that are wrong."""
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    pixels, digits = pixels[:900], digits[:900]
    search = ImageSearch(vector_run(pixels.astype(np.float32)))
    ids = {f"i{row:02d}": int(digit) for row, digit in enumerate(digits)}
    before, after = [], []
    for query in range(0, 900, 15):
        first = [each.id for each in search.find([f"i{query:02d}"], count=21).matches if not each.is_query]
        wrong = [id for id in first if ids[id] != digits[query]][:3]
        if wrong:
            again = search.find([f"i{query:02d}"], wrong, count=24).matches
            left = [each.id for each in again if not each.is_query and each.id not in wrong][:20]
            before.append(np.mean([ids[id] == digits[query] for id in first]))
            after.append(np.mean([ids[id] == digits[query] for id in left]))
    assert len(before) > 15
    assert np.mean(after) > np.mean(before) + 0.05


@pytest.mark.parametrize("vectors", [np.ones((5, 8), np.float32), np.ones((1, 8), np.float32)])
def test_images_that_are_all_the_same_or_alone(vector_run: VectorRun, vectors: np.ndarray) -> None:
    found = find_like(vector_run(vectors), ["i00"], count=99)
    assert [each.id for each in found.matches] == [f"i{row:02d}" for row in range(len(vectors))]
    assert all(each.is_query for each in found.matches)


def test_pictures_from_elsewhere_have_features_as_the_run_has_them(
    command: Command, tmp_path: Path, pictures: Path
) -> None:
    """A copy of an image of the run finds it; ids with odd characters; a failed image; a frame of an animation."""
    (pictures / "0000.jpg").rename(pictures / "a 'b'; c=1.jpg")
    (pictures / "broken.jpg").write_bytes(b"nothing")
    assert command(pictures, "-k", "3", "--backbone", "efficientnet_lite0", "--out", "r").returncode == 0
    shutil.copy(pictures / "0004.jpg", tmp_path / "other.jpg")
    done = command("find", "r", "other.jpg", "-n", "4", "--csv", "found.csv", "--sheet", "found.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "    1  1.0000  0004.jpg (the picture itself)"
    table = pd.read_csv(tmp_path / "found.csv")
    assert list(table.columns) == ["rank", "id", "similarity", "query", "cluster", "path"]
    assert list(table["query"]) == ["yes", "no", "no", "no"]
    assert set(table["id"]) == {"0001.jpg", "0004.jpg", "0007.jpg", "0010.jpg"}
    assert cv2.imread(str(tmp_path / "found.png")).shape[1] == 4 * 168 + 8
    odd = command("find", "r", "a 'b'; c=1.jpg", "--not", "0001.jpg", "--json", "-n", "2")
    assert odd.returncode == 0, odd.stderr
    matches = json.loads(odd.stdout)["matches"]
    assert (matches[0]["id"], matches[0]["is_query"]) == ("a 'b'; c=1.jpg", True)
    again = command("find", "r", "other.jpg", "--sheet", "found.png")
    assert (again.returncode, "overwrite it with --force" in again.stderr) == (1, True)
    for arguments, said in (
        (("broken.jpg",), "broken.jpg"),
        (("nowhere.jpg",), "no such file"),
        (("pictures",), "pictures"),
        (("other.jpg", "-n", "0"), "--count: 0"),
        (("other.jpg", "--sheet", "x.gif"), "ends in .png or .jpg"),
    ):
        wrong = command("find", "r", *arguments, "--quiet")
        assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1), wrong.stderr
        assert said in wrong.stderr


def test_a_frame_of_a_film(command: Command, tmp_path: Path, pictures: Path) -> None:
    pytest.importorskip("av", reason="the extra `video` is not installed")
    from tests.support.videos import encoded

    frames = [cv2.imread(str(pictures / f"{number:04d}.jpg"))[..., ::-1] for number in (1, 2)]
    encoded(tmp_path / "film.mp4", [frame for frame in frames for _ in range(50)])
    assert command(pictures, "-k", "3", "--backbone", "efficientnet_lite0", "--out", "r").returncode == 0
    done = command("find", "r", "film.mp4#t=0.4", "-n", "4", "--quiet")
    assert done.returncode == 0, done.stderr
    assert {line.split()[2] for line in done.stdout.splitlines()} == {"0001.jpg", "0004.jpg", "0007.jpg", "0010.jpg"}


def test_features_from_a_file_allow_the_runs_own_images_alone(tmp_path: Path, vector_run: VectorRun) -> None:
    run = vector_run(blobs(2, 20)[0])
    write_pictures(tmp_path / "more", range(1))
    with pytest.raises(ConfigError, match="has its features from a file"):
        find_like(run, [tmp_path / "more/0000.jpg"])
    with pytest.raises(ConfigError, match="name a picture"):
        find_like(run, [])


def test_one_bad_picture_among_good_ones_is_named(command: Command, tmp_path: Path, pictures: Path) -> None:
    assert command(pictures, "-k", "3", "--backbone", "efficientnet_lite0", "--out", "r").returncode == 0
    (tmp_path / "bad.jpg").write_bytes(b"nothing")
    write_pictures(tmp_path / "more", range(20, 21))
    with pytest.raises(ImageError, match=r"bad\.jpg"):
        find_like(tmp_path / "r", [tmp_path / "more/0020.jpg", tmp_path / "bad.jpg"], show=False)


def test_a_picture_of_the_run_that_failed_is_named_with_the_reason(
    command: Command, tmp_path: Path, pictures: Path
) -> None:
    (pictures / "b1.jpg").write_text("no picture")
    assert command(pictures, "-k", "3", "--backbone", "efficientnet_lite0", "--out", "r").returncode == 0
    done = command("find", "r", "b1.jpg")
    said = "imgcluster: 'b1.jpg' is in the run, and could not be read: a text file, not an image\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
