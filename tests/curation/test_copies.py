from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from imgcluster.curation import find_duplicates
from imgcluster.curation.copies import COLUMNS, Duplicates
from imgcluster.curation.distinct_pairs import note_distinct
from imgcluster.errors import ConfigError, OutputError
from imgcluster.runs.folder_export.parts import fixed_because
from tests.runs.folder_export.test_export import EVIL
from tests.support.copied import CHANGES, link_to, photograph, picture_run, png, resized, stamp


def grouped(found: Duplicates) -> list[list[tuple[str, str, str]]]:
    return [[(copy.id, copy.level, copy.action) for copy in group] for group in found.groups.values()]


def names(found: Duplicates) -> list[list[str]]:
    return [sorted(copy.id for copy in group) for group in found.groups.values()]


def ids(found: Duplicates) -> Sequence[str]:
    return [copy.id for copy in found.copies]


def test_all_ten_changes_are_found_around_the_largest(tmp_path: Path) -> None:
    pictures = {f"{seed}.png": photograph(seed) for seed in range(6)}
    changed = {f"0 {name}.png": change(pictures["0.png"]) for name, change in CHANGES.items()}
    found = find_duplicates(picture_run(tmp_path, {**pictures, **changed}))
    assert names(found) == [sorted(["0.png", *changed])]
    assert found.images == len(pictures) + len(changed)
    first, *others = found.groups[1]
    assert (first.id, first.action, first.reason) == ("0 a border.png", "keep", "largest")
    assert {copy.action for copy in others} == {"move"}
    assert all(0.7 <= copy.similarity <= 1 for copy in others)


def test_the_levels_are_told_apart(tmp_path: Path) -> None:
    picture = photograph(0)
    run = picture_run(
        tmp_path,
        {
            "a.png": png(picture, 9),
            "b.png": png(picture, 9),
            "c.png": png(picture, 1),
            "d.png": resized(picture, 0.5),
            "e.png": photograph(1),
        },
    )
    exact = [("a.png", "pixels", "move"), ("b.png", "pixels", "move")]
    assert grouped(find_duplicates(run, level="exact")) == [[("c.png", "pixels", "keep"), *exact]]
    assert grouped(find_duplicates(run)) == [[("c.png", "same", "keep"), *exact, ("d.png", "same", "move")]]
    assert grouped(find_duplicates(run, keep=["path:*b.png"]))[0][0] == ("b.png", "same", "keep")
    assert grouped(find_duplicates(run, keep=["path:*b.png"]))[0][1] == ("a.png", "bytes", "move")


def test_pictures_of_one_scene_are_listed_and_kept(tmp_path: Path) -> None:
    first, second = photograph(0), photograph(0)
    first[100:140, 100:140], second[100:140, 150:190] = 255, 255
    pictures = {f"other{seed}.png": photograph(seed) for seed in range(1, 12)}
    run = picture_run(tmp_path, {"a.png": first, "b.png": second, **pictures})
    assert grouped(find_duplicates(run)) == []
    assert grouped(find_duplicates(run, level="scene")) == [[("a.png", "scene", "keep"), ("b.png", "scene", "keep")]]


@pytest.mark.parametrize("pictures", [{}, {"a.png": photograph(0)}, {"broken.png": b"x", "broken2.png": b"y"}])
def test_fewer_than_two_images(tmp_path: Path, pictures: dict[str, np.ndarray | bytes]) -> None:
    found = find_duplicates(picture_run(tmp_path, pictures), level="scene")
    assert found.copies == []
    assert found.text_table().columns == list(COLUMNS)
    assert list(found.table().columns) == list(COLUMNS)


@pytest.mark.parametrize("plain", [False, True])
def test_all_the_same_image(tmp_path: Path, plain: bool) -> None:
    picture = np.full((60, 80, 3), 255, np.uint8) if plain else photograph(0)
    same = {f"{number:02d}.png": png(picture) for number in range(20)}
    other = {f"level{number}.png": png(picture, number) for number in (0, 1, 9)}
    found = find_duplicates(picture_run(tmp_path, {**same, **other}))
    assert names(found) == [sorted([*same, *other])]
    assert [copy.action for copy in found.copies] == ["keep"] + ["move"] * 22


def test_more_versions_of_one_picture_than_neighbours_are_one_group(tmp_path: Path) -> None:
    picture = np.minimum(photograph(0), 200)
    versions = {f"{number:02d}.png": picture + np.uint8(number) for number in range(40)}
    assert names(find_duplicates(picture_run(tmp_path, versions))) == [sorted(versions)]


def test_failed_images_stand_aside(tmp_path: Path) -> None:
    run = picture_run(tmp_path, {"broken.png": b"x", "a.png": photograph(0), "b.png": resized(photograph(0), 0.5)})
    assert ids(find_duplicates(run)) == ["a.png", "b.png"]


def test_chains_are_cut(tmp_path: Path) -> None:
    """Each picture is a good part of the one before; the last has too little of the first."""
    whole = photograph(0, 600, 800)
    parts = {"a.png": whole, "b.png": whole[:360, :480], "c.png": whole[:216, :288], "d.png": whole[:130, :173]}
    found = find_duplicates(picture_run(tmp_path, parts))
    assert names(found) == [["a.png", "b.png"], ["c.png", "d.png"]]


@pytest.mark.parametrize(
    ("keep", "kept", "reason"),
    [
        (["largest"], "in/big.png", "largest"),
        (["oldest"], "in/old.png", "oldest"),
        (["path:*safe*"], "safe/small.png", "path:*safe*"),
        (["folder-first"], "in/old.png", "folder-first"),
        (["sharpest"], "in/big.png", "sharpest"),
        ([], "in/old.png", "first in the run"),
    ],
)
def test_rules_choose_what_is_kept(tmp_path: Path, keep: list[str], kept: str, reason: str) -> None:
    picture = photograph(0)
    blurred = resized(cv2.GaussianBlur(picture, (0, 0), 4), 0.75)
    run = picture_run(tmp_path, {"in/old.png": blurred, "in/big.png": picture, "safe/small.png": resized(blurred, 0.9)})
    first = find_duplicates(run, keep=keep).groups[1][0]
    if keep == ["folder-first"]:
        assert first.id.startswith("in/")
    else:
        assert (first.id, first.reason) == (kept, reason)


def test_the_next_rule_decides_where_the_first_does_not(tmp_path: Path) -> None:
    picture = photograph(0)
    run = picture_run(tmp_path, {"a.png": png(picture), "b.png": png(picture)})
    stamp(tmp_path / "images" / "b.png", -100)
    assert [copy.reason for copy in find_duplicates(run).groups[1]] == ["oldest", "copy of b.png"]


def test_a_protected_folder_is_kept_whole(tmp_path: Path) -> None:
    picture = photograph(0)
    run = picture_run(
        tmp_path, {"big.png": picture, "safe/a.png": resized(picture, 0.5), "safe/b.png": resized(picture, 0.4)}
    )
    found = find_duplicates(run, protect=[tmp_path / "images" / "safe"])
    assert [(copy.id, copy.action) for copy in found.copies] == [
        ("safe/a.png", "keep"),
        *sorted([("safe/b.png", "keep"), ("big.png", "move")], key=lambda each: ids(found).index(each[0])),
    ]


def test_odd_names_come_through_the_table(tmp_path: Path) -> None:
    pictures = {f"{number} {name}.png"[-120:]: png(photograph(0)) for number, name in enumerate(EVIL)}
    found = find_duplicates(picture_run(tmp_path, pictures))
    assert sorted(ids(found)) == sorted(pictures)


def test_what_was_called_distinct_is_not_proposed_again(tmp_path: Path) -> None:
    pictures = {"a.png": photograph(0), "b.png": resized(photograph(0), 0.5), "c.png": resized(photograph(0), 0.4)}
    run = picture_run(tmp_path, pictures)
    digest = {copy.id: copy.digest for copy in find_duplicates(run).copies}
    assert note_distinct(run, [tuple(sorted((digest["a.png"], digest["b.png"])))]) == 1
    assert names(find_duplicates(run)) == [["a.png", "c.png"]]
    (run / "distinct.csv").write_text("nonsense\n")
    with pytest.raises(OutputError, match=r"distinct\.csv.*lacks the columns"):
        find_duplicates(run)
    (run / "distinct.csv").write_text("")
    with pytest.raises(OutputError, match=r"distinct\.csv' is empty; correct it"):
        find_duplicates(run)
    (run / "distinct.csv").unlink()
    (run / "distinct.csv").mkdir()
    with pytest.raises(OutputError, match=r"distinct\.csv' is a folder; correct it"):
        find_duplicates(run)


def test_the_same_bytes_can_be_called_distinct(tmp_path: Path) -> None:
    run = picture_run(tmp_path, {"a.png": png(photograph(0)), "b.png": png(photograph(0))})
    digest = find_duplicates(run).copies[0].digest
    note_distinct(run, [(digest, digest)])
    assert find_duplicates(run).copies == []


def test_what_is_no_file_cannot_be_moved(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    assert "frame of a video" in fixed_because(f"{tmp_path}/a.mp4#t=1.5")
    assert "page of a TIFF" in fixed_because(f"{tmp_path}/a.tif#2")
    assert "no file" in fixed_because("https://example.com/a.jpg")
    assert "no file" in fixed_because(f"zip://a.jpg::{tmp_path}/a.zip")
    assert fixed_because(str(tmp_path / "a.mp4")) == ""


def test_unknown_words_are_told(tmp_path: Path) -> None:
    run = picture_run(tmp_path, {"a.png": photograph(0)})
    with pytest.raises(ConfigError, match="level: 'near'; allowed: exact, same, scene"):
        find_duplicates(run, level="near")
    with pytest.raises(ConfigError, match="keep: there is no rule 'biggest'; allowed: largest"):
        find_duplicates(run, keep=["biggest"])
    pair = picture_run(tmp_path / "pair", {"a.png": photograph(0), "b.png": photograph(1)})
    with pytest.raises(ConfigError, match="protect: no image of the run lies in 'nope'"):
        find_duplicates(pair, protect=["nope"])
    with pytest.raises(OutputError, match="not a run folder"):
        find_duplicates(tmp_path)


def test_a_link_to_an_image_of_the_run_is_no_copy_of_it(tmp_path: Path) -> None:
    picture = png(photograph(0))
    run = picture_run(tmp_path, {"a/link.png": picture, "z/real.png": picture, "other.png": photograph(1)})
    link_to(tmp_path / "images" / "z" / "real.png", tmp_path / "images" / "a" / "link.png")
    assert find_duplicates(run).copies == []


def test_links_are_moved_with_their_file(tmp_path: Path) -> None:
    picture = photograph(0)
    run = picture_run(tmp_path, {"a/link.png": picture, "big.png": picture, "z/real.png": resized(picture, 0.5)})
    link_to(tmp_path / "images" / "z" / "real.png", tmp_path / "images" / "a" / "link.png")
    found = [(copy.id, copy.action, copy.reason) for copy in find_duplicates(run).copies]
    moved = [("z/real.png", "move", "copy of big.png"), ("a/link.png", "move", "link to z/real.png")]
    assert found == [("big.png", "keep", "largest"), *moved]
    protected = find_duplicates(run, protect=[tmp_path / "images" / "a"])
    assert [(copy.id, copy.action) for copy in protected.copies] == [("z/real.png", "keep"), ("big.png", "move")]


def test_two_ids_of_one_file_are_one_image(tmp_path: Path) -> None:
    run = picture_run(
        tmp_path, {"z/real.png": png(photograph(0)), "other.png": photograph(1), "z/../z/real.png": png(photograph(0))}
    )
    assert find_duplicates(run).copies == []
