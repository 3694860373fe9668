from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imgcluster.curation import find_leaks
from imgcluster.curation.overlap import COLUMNS
from imgcluster.errors import ConfigError
from tests.support.copied import CHANGES, cropped, photograph, picture_run, png


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """A training set and a test set of six images each: three of the test set are copies."""
    train: dict[str, np.ndarray | bytes] = {f"train{seed}.png": photograph(seed) for seed in range(6)}
    test = {
        "copy.png": png(photograph(0)),
        "saved again.png": CHANGES["quality 10"](photograph(1)),
        "mirrored.png": CHANGES["mirrored"](photograph(2)),
        **{f"test{seed}.png": photograph(seed) for seed in range(10, 13)},
    }
    train["train0.png"] = png(photograph(0))
    return picture_run(tmp_path / "a", train, "run"), picture_run(tmp_path / "b", test, "run")


def test_the_pairs_of_two_runs_are_found_the_closest_first(runs: tuple[Path, Path]) -> None:
    found = find_leaks(*runs)
    assert [(pair.id_a, pair.id_b, pair.level) for pair in found.pairs] == [
        ("train0.png", "copy.png", "bytes"),
        *sorted(
            [("train1.png", "saved again.png", "same"), ("train2.png", "mirrored.png", "same")],
            key=lambda pair: [each.id_b for each in found.pairs].index(pair[1]),
        ),
    ]
    assert (found.images_a, found.images_b, found.notes) == (6, 6, [])
    assert found.text_table().columns == list(found.table().columns) == list(COLUMNS)
    assert found.pairs[0].path_b.endswith("copy.png")


def test_exact_copies_alone(runs: tuple[Path, Path]) -> None:
    assert [pair.id_b for pair in find_leaks(*runs, level="exact").pairs] == ["copy.png"]


def test_a_run_shares_all_with_itself(runs: tuple[Path, Path]) -> None:
    found = find_leaks(runs[0], runs[0])
    assert [(pair.id_a, pair.level) for pair in found.pairs] == [(f"train{seed}.png", "bytes") for seed in range(6)]


def test_copies_within_one_run_are_no_leaks(tmp_path: Path) -> None:
    picture = photograph(0)
    one = picture_run(tmp_path / "a", {"a.png": png(picture), "b.png": png(picture, 1), "c.png": photograph(1)})
    other = picture_run(tmp_path / "b", {"d.png": photograph(2), "e.png": CHANGES["a third"](photograph(2))})
    assert find_leaks(one, other).pairs == []
    again = picture_run(tmp_path / "c", {"f.png": png(picture), "g.png": png(picture)})
    assert {(pair.id_a, pair.id_b) for pair in find_leaks(one, again).pairs} == {
        (first, second) for first in ("a.png", "b.png") for second in ("f.png", "g.png")
    }


def test_other_features_leave_the_pictures(tmp_path: Path, runs: tuple[Path, Path]) -> None:
    pictures = {"b.png": CHANGES["quality 10"](photograph(1)), "c.png": cropped(photograph(9), 0.1)}
    other = picture_run(tmp_path / "c", pictures, "of other features")
    found = find_leaks(runs[0], other)
    assert [(pair.id_a, pair.id_b) for pair in found.pairs] == [("train1.png", "b.png")]
    assert "compared by their pictures alone" in found.notes[0]
    assert find_leaks(runs[0], other, level="exact").notes == []
    with pytest.raises(ConfigError, match="level: scene needs features of the same settings"):
        find_leaks(runs[0], other, level="scene")


@pytest.mark.parametrize("level", ["exact", "same", "scene"])
def test_runs_without_images_share_nothing(tmp_path: Path, runs: tuple[Path, Path], level: str) -> None:
    none = picture_run(tmp_path / "none", {"broken.png": b"x"})
    one = picture_run(tmp_path / "one", {"a.png": photograph(0)})
    assert find_leaks(none, runs[0], level=level).pairs == []
    assert find_leaks(none, none, level=level).pairs == []
    assert [pair.id_a for pair in find_leaks(one, runs[0], level="same").pairs] == ["a.png"]


def test_pictures_of_one_colour_are_the_same_only_by_their_pixels(tmp_path: Path) -> None:
    white = np.full((40, 60, 3), 255, np.uint8)
    one = picture_run(tmp_path / "a", {"a.png": png(white, 1)})
    other = picture_run(tmp_path / "b", {"b.png": png(white, 9), "c.png": white[:30], "d.png": white - 1})
    assert [(pair.id_b, pair.level) for pair in find_leaks(one, other).pairs] == [("b.png", "pixels")]
