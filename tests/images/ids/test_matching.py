"""Names of images that are not the same text: matched where they can only mean one image, and never else."""

from __future__ import annotations

import pytest

from imgcluster.images.ids.matching import bare, match_names


def matched(known: list[str], ids: list[str], *, label_folders: bool = False) -> dict[str, str]:
    return match_names(known, ids, label_folders=label_folders).names


@pytest.mark.parametrize(
    ("known", "ids"),
    [
        (["1", "2"], ["1", "2"]),
        (["1.jpg", "2.PNG"], ["1", "2"]),
        (["1", "2"], ["1.jpg", "2.PNG"]),
        (["1.png", "2.jpg"], ["1.jpg", "2.jpg"]),
        (["1", "2.jpg"], ["1.jpg", "2.jpg"]),
        (["a/1.jpg", "b/2.jpg"], ["1.jpg", "2.jpg"]),
        (["1.jpg", "2.jpg"], ["a/1.jpg", "b/2.jpg"]),
        (["1", "2"], ["a/1.jpg", "b/2.jpg"]),
        (["/home/x/a/1.jpg", "./b/2.jpg"], ["a/1.jpg", "b/2.jpg"]),
        (["https://h/a/1.jpg", "a\\2.jpg"], ["a/1", "a/2"]),
        (["a/1.npy", "a/2.npy"], ["a/1.jpg", "a/2.jpg"]),
        (["1.jpg", "2.jpg"], ["1.jpg", "deep/2.jpg"]),
        (["2020.01.05.jpg", "2020.01.06.jpg"], ["2020.01.05", "2020.01.06"]),
        (["a/1", "b/1"], ["x/a/1.jpg", "x/b/1.jpg"]),
    ],
)
def test_names_that_mean_the_same_image(known: list[str], ids: list[str]) -> None:
    assert matched(known, ids) == dict(zip(ids, known, strict=True))
    assert matched(ids, known) == dict(zip(known, ids, strict=True))


@pytest.mark.parametrize(
    ("known", "ids"),
    [
        (["1"], ["a/1.jpg", "b/1.jpg"]),  # which of them?
        (["a/1.jpg", "b/1.jpg"], ["1"]),
        (["1"], ["1.jpg", "1.png"]),
        (["train/1.jpg"], ["test/1.jpg"]),  # numbers begin again in each folder
        (["07"], ["007"]),
        (["2020.01.05"], ["2020.01.06"]),
        (["x1.jpg"], ["1.jpg"]),
        ([".jpg"], ["a/.jpg"]),
    ],
)
def test_names_that_may_mean_others(known: list[str], ids: list[str]) -> None:
    assert matched(known, ids) == ({} if known != [".jpg"] else {"a/.jpg": ".jpg"})


def test_an_equal_name_is_taken_by_its_own_image() -> None:
    assert matched(["1.jpg"], ["1.jpg", "a/1.jpg"]) == {"1.jpg": "1.jpg"}
    assert matched(["1.jpg", "a/1.jpg"], ["1.jpg"]) == {"1.jpg": "1.jpg"}
    assert matched(["1", "1.jpg"], ["1.jpg", "1.png"]) == {"1.jpg": "1.jpg"}  # 1 may be either


def test_the_folder_of_a_label_is_no_part_of_the_name() -> None:
    ids = ["in/1.jpg", "in/2.jpg"]
    assert matched(["cat/1.jpg", "dog/2.png"], ids) == {}
    assert matched(["cat/1.jpg", "dog/2.png"], ids, label_folders=True) == dict(
        zip(ids, ["cat/1.jpg", "dog/2.png"], strict=True)
    )
    assert matched(["cat/1.jpg", "dog/1.jpg"], ["in/1.jpg"], label_folders=True) == {}
    assert matched(["cat/1.jpg", "dog/1.jpg"], ["cat/1.jpg"], label_folders=True) == {"cat/1.jpg": "cat/1.jpg"}


def test_only_the_endings_of_files_are_endings() -> None:
    assert matched(["s0.R", "s0.L"], ["s0.L.png", "s0.R.png"]) == {"s0.L.png": "s0.L", "s0.R.png": "s0.R"}
    assert matched(["s0.R.png", "s0.L.png"], ["s0.L", "s0.R"]) == {"s0.L": "s0.L.png", "s0.R": "s0.R.png"}
    assert matched(["s0.L", "s1.L"], ["s0.R", "s1.R"]) == {}
    assert matched(["s0.L.png"], ["s0.R.png"]) == {}


def test_the_ending_of_one_side_is_left_out_before_that_of_both() -> None:
    known, ids = ["s0.png", "s0.tif"], ["s0.png.jpg", "s0.tif.jpg"]
    assert matched(known, ids) == dict(zip(ids, known, strict=True))
    assert matched(ids, known) == dict(zip(known, ids, strict=True))
    assert matched(["x/s0.png"], ["s0.png.jpg", "s0.jpg"]) == {"s0.png.jpg": "x/s0.png"}


def test_an_image_in_the_folder_of_one_label_never_has_another() -> None:
    ids = ["cat/0.png", "cat/3.png", "dog/1.png", "dog/4.png"]
    known = ["cat/0.png", "cat/4.png", "dog/1.png"]
    assert matched(known, ids, label_folders=True) == {"cat/0.png": "cat/0.png", "dog/1.png": "dog/1.png"}
    assert matched(["cat/4.jpg", "dog/1.jpg"], ["in/dog/4.png", "in/dog/1.png"], label_folders=True) == {
        "in/dog/1.png": "dog/1.jpg"
    }


def test_one_line_says_the_rule_and_what_is_left() -> None:
    found = match_names(["1", "2", "3", "4.jpg", "9"], ["x/1.jpg", "x/2.jpg", "y/2.jpg", "4.jpg", "5.jpg"])
    assert found.notes("labels") == [
        "matched 2 labels by name: 1 equal, 1 without folders and endings ('1' is image 'x/1.jpg'); 3 labels and 3 "
        "images left over; 1 name is ambiguous: '2'"
    ]
    assert (found.unknown, found.unnamed) == (["2", "3", "9"], ["x/2.jpg", "y/2.jpg", "5.jpg"])
    assert match_names(["1", "2"], ["1"]).notes("labels") == []
    assert match_names(["1.jpg", "a/1.jpg"], ["1.jpg", "2.jpg"]).ambiguous == []  # whoever that is, 1.jpg has its name
    assert match_names(["a/1.jpg", "b/1.jpg"], ["1.jpg"]).ambiguous == ["a/1.jpg", "b/1.jpg"]
    assert match_names(["1", "2"], ["1"]).notes("labels", left=True) == ["1 labels match no image: '2'"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a.jpg", "a"),
        ("a.JPEG", "a"),
        ("x/a.tar.png", "x/a.tar"),
        ("a.heic", "a"),
        ("a.npy", "a"),
        ("2020.01", "2020.01"),
        ("St.Gallen", "St.Gallen"),
        (".jpg", ".jpg"),
        ("x/.jpg", "x/.jpg"),
        ("x.y/a", "x.y/a"),
        ("a", "a"),
    ],
)
def test_what_an_ending_is(name: str, wanted: str) -> None:
    assert bare(name) == wanted
