"""How ids become files: patterns, lists, slices, wildcards; other columns, other spellings; what `init` writes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from imgcluster.cli.init.config import write_first_config
from imgcluster.config.file_patterns import NameIndex, fill, glob_regex, problem_of
from imgcluster.config.loader import ImagesConfig, config_from_dict
from imgcluster.errors import ConfigError, ImageError, ImgclusterError
from imgcluster.images.ids.pattern_search import find_patterns
from imgcluster.images.listing import find_images
from tests.conftest import write_picture
from tests.images.test_listing import touch

TEN = [f"{number:04d}" for number in range(10)]


def table(tmp_path: Path, *rows: str, header: str = "id") -> str:
    path = tmp_path / "ids.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return str(path)


def found(tmp_path: Path, *rows: str, header: str = "id", **keys: Any) -> tuple[list[str], list[str]]:
    """Return the file of each row of a table, relative to tmp_path/pics, and the notes."""
    config = ImagesConfig(folder=str(tmp_path / "pics"), ids=table(tmp_path, *rows, header=header), **keys)
    listing = find_images(config)
    paths = [Path(str(image.path)).relative_to(tmp_path / "pics").as_posix() for image in listing.images]
    return paths, listing.notes


def refused(tmp_path: Path, *rows: str, header: str = "id", **keys: Any) -> str:
    with pytest.raises(ImgclusterError) as caught:
        found(tmp_path, *rows, header=header, **keys)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- patterns ---


@pytest.mark.parametrize(
    ("pattern", "id", "name"),
    [
        ("{id}.jpg", "a{id}", "a{id}.jpg"),
        ("{x}/{id}.jpg", "1", "{x}/1.jpg"),
        ("{id[0]}/{id[1]}/{id}.jpg", "abc", "a/b/abc.jpg"),
        ("{id[:2]}/{id[2:]}.jpg", "abcd", "ab/cd.jpg"),
        ("{id[-2:]}/{id[-1]}/{id[1:-1]}", "abcd", "cd/d/bc"),
        ("{id[7]}/{id}", "abc", "/abc"),
    ],
)
def test_an_id_and_its_slices_stand_in_a_pattern(pattern: str, id: str, name: str) -> None:
    assert fill(pattern, id) == name


@pytest.mark.parametrize(
    "pattern", ["x.jpg", "{id}_*.jpg", "a*{id}.jpg", "{id[0]}/*/{id}.jpg", "{id[a]}.jpg", "{id[]}"]
)
def test_patterns_that_cannot_be_are_refused_by_the_config(pattern: str) -> None:
    assert problem_of(pattern) is not None
    with pytest.raises(ConfigError, match=r"images\.file"):
        config_from_dict({"images": {"folder": "x", "file": pattern}, "outputs": {"folder": "y"}})


@pytest.mark.parametrize(
    ("pattern", "id", "names"),
    [
        ("**/{id}.jpg", "1", ("1.jpg", "a/1.jpg", "a/b/1.jpg")),
        ("*/{id}.jpg", "1", ("a/1.jpg",)),
        ("a/**/{id}.jpg", "1", ("a/1.jpg", "a/b/1.jpg")),
        ("a/*/{id}.jpg", "1", ("a/b/1.jpg",)),
        ("**/{id}.jpg", "b/1", ("a/b/1.jpg",)),
        ("**/{id}.*", "1", ("1.jpg", "a/1.jpg", "a/b/1.jpg", "c/1.png")),
        ("c/{id}.*", "1", ("c/1.png",)),
        ("{id}", "1.jpg", ("1.jpg",)),
        ("**/{id}", "../1.jpg", ()),
    ],
)
def test_wildcards_are_looked_up_in_a_listing(pattern: str, id: str, names: tuple[str, ...]) -> None:
    index = NameIndex(["1.jpg", "11.jpg", "a/1.jpg", "a/b/1.jpg", "c/1.png", "x1.jpg"])
    assert index.matches(pattern, id) == names


@pytest.mark.parametrize(
    ("glob", "name", "fits"),
    [
        ("a/*.jpg", "a/b.jpg", True),
        ("a/*.jpg", "a/b/c.jpg", False),
        ("a/**", "a/b/c.jpg", True),
        ("**/c.jpg", "c.jpg", True),
        ("[!a]?.jpg", "b1.jpg", True),
        ("[!a]?.jpg", "a1.jpg", False),
        ("a+b.jpg", "aab.jpg", False),
    ],
)
def test_globs(glob: str, name: str, fits: bool) -> None:
    assert bool(glob_regex(glob).fullmatch(name)) is fits


# --- lists, folders ---


def test_each_id_takes_the_file_that_is_there(tmp_path: Path) -> None:
    touch(tmp_path / "pics", "1.jpg", "2.png", "3.jpg", "1.txt")
    files = {"file": ("{id}.jpg", "{id}.png")}
    assert found(tmp_path, "3", "2", "1", **files) == (["3.jpg", "2.png", "1.jpg"], [])
    assert found(tmp_path, "3", "2", "1", file="{id}.*") == (["3.jpg", "2.png", "1.jpg"], [])
    assert found(tmp_path, "3", "2", "1", missing="skip", **files) == (["3.jpg", "2.png", "1.jpg"], [])


def test_the_hint_of_mixed_endings_names_all_of_them(tmp_path: Path) -> None:
    touch(tmp_path / "pics", "1.jpg", "2.png", "3.jpg")
    message = refused(tmp_path, "1", "2", "3")
    assert """1 of 3 ids have no file: '2'""" in message
    assert """there is a '2.png': set images.file: ["{id}.jpg", "{id}.png"]""" in message
    _, notes = found(tmp_path, "1", "2", "3", missing="skip")
    assert """1 of 3 ids have no file; there is a '2.png': set images.file: ["{id}.jpg", "{id}.png"]""" in notes


def test_two_files_of_an_id_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "pics", "1.jpg", "2.png", "2.jpg", "a/3.jpg", "b/3.jpg")
    message = refused(tmp_path, "1", "2", file=("{id}.jpg", "{id}.png"), missing="skip")
    assert "ids.csv row 2: id '2' has 2 files: '2.jpg', '2.png'; say by images.file" in message
    for file in ("**/{id}.jpg", "*/{id}.*"):
        assert "row 1: id '3' has 2 files: 'a/3.jpg', 'b/3.jpg'" in refused(tmp_path, "3", file=file, missing="skip")
    assert found(tmp_path, "3", file="**/{id}.jpg", exclude=("b",))[0] == ["a/3.jpg"]


def test_a_folder_is_no_second_file_of_an_id(tmp_path: Path) -> None:
    touch(tmp_path / "pics", "1/crop.png", "1.jpg")
    assert found(tmp_path, "1", file=("{id}", "{id}.jpg"))[0] == ["1.jpg"]


def test_files_in_many_folders_are_found_by_one_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"images_{number % 7:03d}/images/{id}.png" for number, id in enumerate(TEN)]
    touch(tmp_path / "pics", *names, "@eaDir/0003.png", ".hidden/0004.png")
    walked: list[str] = []
    names_of = NameIndex.__init__

    def counted(self: NameIndex, *arguments: Any) -> None:
        walked.append("")
        names_of(self, *arguments)

    monkeypatch.setattr(NameIndex, "__init__", counted)
    for file in ("**/{id}.png", "images_*/images/{id}.png", "*/images/{id}.*"):
        assert found(tmp_path, *reversed(TEN), file=file)[0] == names[::-1]
    assert len(walked) == 3
    assert 'set images.file: "**/{id}.png"' in refused(tmp_path, *TEN)


def test_hashed_folders_are_slices(tmp_path: Path) -> None:
    ids = ["3fa9", "07bc", "0a11", "f3c0"]
    touch(tmp_path / "pics", *(f"{id[0]}/{id[1]}/{id}.jpg" for id in ids))
    assert found(tmp_path, *ids, file="{id[0]}/{id[1]}/{id}.jpg")[0] == [f"{id[0]}/{id[1]}/{id}.jpg" for id in ids]
    assert 'set images.file: "{id[0]}/{id[1]}/{id}.jpg"' in refused(tmp_path, *ids)


# --- other spellings ---

SPELLED: dict[str, tuple[list[str], list[str], dict[str, Any], str]] = {
    "blanks and quotes": (["a.jpg", "b.jpg"], ["'a'", " b"], {}, "without the blanks, quotes and marks"),
    "backslashes": (["x/a.jpg", "x/b.jpg"], ["x\\a", "x\\b"], {}, "with / in the place of \\"),
    "one letter or two": (["e\u0301.jpg", "a.jpg"], ["\u00e9", "a"], {}, "in another form of Unicode"),
    "capitals": (["IMG_1.JPG", "IMG_2.JPG"], ["img_1.jpg", "img_2.jpg"], {"file": "{id}"}, "in another case"),
    "decimals": (["1.jpg", "20.jpg"], ["1.0", "20.0"], {}, "as whole numbers"),
    "lost zeros": (["001.jpg", "020.jpg", "300.jpg"], ["1", "20", "300"], {}, "with zeros up to 3 digits"),
    "lost zeros and decimals": (["001.jpg", "020.jpg"], ["1.0", "20.0"], {}, "with zeros up to 3 digits"),
    "added zeros": (["1.jpg", "20.jpg"], ["001", "020"], {}, "without the zeros before them"),
    "another machine": (["a/1.jpg", "b/1.jpg"], ["/kaggle/in/a/1.jpg", "/kaggle/in/b/1.jpg"], {}, "first 2 folders"),
    "Windows": (["1.jpg", "2.jpg"], ["C:\\pics\\1.jpg", "C:\\pics\\2.jpg"], {}, "first 2 folders"),
    "the web": (["1.jpg", "2.jpg"], ["https://host/a/1.jpg", "https://host/a/2.jpg"], {}, "first 3 folders"),
    "several folders": (["1.jpg", "2.jpg"], ["a/1.jpg", "b/c/2.jpg"], {}, "without their folders"),
    "folders and case": (["1.jpg", "2.jpg"], ["a/1.JPG", "a/2.JPG"], {}, "first folder, in another case"),
    "anywhere": (["x/1.jpg", "y/2.jpg"], ["1.JPG", "2.JPG"], {"file": "**/{id}"}, "in another case"),
}


@pytest.mark.parametrize("kind", SPELLED)
def test_one_spelling_of_all_ids_is_taken_and_told(tmp_path: Path, kind: str) -> None:
    names, ids, keys, words = SPELLED[kind]
    touch(tmp_path / "pics", *names)
    paths, notes = found(tmp_path, *(f'"{id}"' for id in ids), **keys)
    assert paths == names
    (note,) = notes
    assert note.startswith("read ")
    assert words in note
    assert "to find their files: " in note


def test_absolute_paths_below_the_folder_are_its_files(tmp_path: Path) -> None:
    touch(tmp_path / "pics", "a/1.jpg", "2.png")
    ids = [f"{tmp_path}/pics/a/1.jpg", f"{tmp_path}/pics/2.png"]
    assert found(tmp_path, *ids, file="{id}") == (["a/1.jpg", "2.png"], [])
    paths, notes = found(tmp_path, *ids)
    assert paths == ["a/1.jpg", "2.png"]
    assert "by their places below images.folder" in notes[0]
    assert "leads outside of images.folder" in refused(tmp_path, f"{tmp_path}/other/1.jpg")
    assert "leads outside of images.folder" in refused(tmp_path, f"{tmp_path}/pics/../3.jpg", file="{id}")


NOT_SPELLED: dict[str, tuple[list[str], list[str]]] = {
    "one of two has another spelling": (["a.jpg", "B.jpg"], ["A", "c"]),
    "two files are alike": (["a.jpg", "A.jpg"], ["\u0391", "aA"]),
    "two files in one case": (["img_a.jpg", "IMG_a.jpg"], ["Img_a"]),
    "two ids become one": (["7.jpg"], ["07", "007"]),
    "the file is another id's": (["0007.jpg"], ["0007", "7"]),
    "another rule than that of those found": (["1.jpg", "0002.jpg"], ["1", "2"]),
    "two faults": (["a.jpg", "b.jpg", "c.jpg"], ["a ", "B", "c"]),
    "out of the folder": (["x.jpg"], ["../x", "y/../../x"]),
}


@pytest.mark.parametrize("kind", NOT_SPELLED)
def test_no_file_is_taken_by_a_spelling_that_is_not_clear(tmp_path: Path, kind: str) -> None:
    names, ids = NOT_SPELLED[kind]
    touch(tmp_path / "pics", *names)
    assert "have no file" in (message := refused(tmp_path, *ids)) or "leads outside" in message


@pytest.mark.parametrize("file", ["{id}", "**/{id}"])
def test_an_id_whose_own_file_is_left_out_takes_no_other(tmp_path: Path, file: str) -> None:
    touch(tmp_path / "pics", "a.png", "b.png", "sub/a.png")
    keys: dict[str, Any] = {"file": file, "exclude": ["sub/*"]}
    message = refused(tmp_path, "sub/a.png", "b.png", **keys)
    assert "1 of 2 ids have no file: 'sub/a.png'" in message
    assert "images.exclude leaves out the files of 1" in message
    paths, notes = found(tmp_path, "sub/a.png", "b.png", **keys, missing="skip")
    assert paths == [file.format(id="sub/a.png"), "b.png"]  # the first is a failure, not the image a.png
    assert notes[0] == "1 of 2 ids have no file; images.include or images.exclude leaves out the files of 1"


def test_the_other_ids_may_still_have_one_spelling(tmp_path: Path) -> None:
    touch(tmp_path / "pics", "a.png", "B.png", "C.png", "sub/a.png")
    keys: dict[str, Any] = {"file": "{id}", "exclude": ["sub/*"], "missing": "skip"}
    paths, _ = found(tmp_path, "sub/a.png", "b.png", "c.png", **keys)
    assert paths == ["sub/a.png", "B.png", "C.png"]


def test_an_exact_name_wins_over_every_spelling(tmp_path: Path) -> None:
    touch(tmp_path / "pics", "1.jpg", "01.jpg", "a.jpg", "A.jpg")
    assert found(tmp_path, "01", "1", "A", "a") == (["01.jpg", "1.jpg", "A.jpg", "a.jpg"], [])


def test_an_ending_that_the_ids_have_is_left_to_the_config(tmp_path: Path) -> None:
    touch(tmp_path / "pics", "1.jpg", "2.jpg")
    assert """there is a '1.jpg': set images.file: "{id}\"""" in refused(tmp_path, "1.jpg", "2.jpg")


def test_the_first_of_ids_that_are_not_all_clear_is_hinted_at(tmp_path: Path) -> None:
    touch(tmp_path / "pics", "B.jpg", "A.jpg")
    assert "there is an image 'A.jpg': correct the ids" in refused(tmp_path, "a", "c")


# --- the column of the ids ---

ROWS = [f"{row},{id}.jpg,x" for row, id in enumerate(reversed(TEN))]


def test_the_column_whose_cells_are_files_is_taken(tmp_path: Path) -> None:
    touch(tmp_path / "pics", *(f"{id}.jpg" for id in TEN))
    paths, notes = found(tmp_path, *ROWS, header=",image,note", file="{id}")
    assert paths == [f"{id}.jpg" for id in reversed(TEN)]
    assert "took the ids from column 'image', whose cells are files, not from ''" in notes[0]
    # and by the default, where the numbers of rows would be the ids of other images
    message = refused(tmp_path, *ROWS, header=",image,note")
    assert """column "image" names files: set images.id_column: "image" and images.file: "{id}\"""" in message


def test_a_first_column_that_cannot_be_ids_is_passed_by(tmp_path: Path) -> None:
    touch(tmp_path / "pics", "a.jpg", "b.jpg", "c.jpg")
    listing = find_images(
        ImagesConfig(folder=str(tmp_path / "pics"), ids=table(tmp_path, "0,a", "0,c", "1,b", header="label,name"))
    )
    assert listing.template is not None
    assert (listing.template.id_column, listing.template.ids) == ("name", ["a", "c", "b"])
    assert "row 2: id '0' stands already in row 1" in refused(tmp_path, "0,a", "0,x", header="label,name")
    assert "stands already" in refused(tmp_path, "0,a", "0,b", header="label,name", id_column="label")


def test_two_columns_that_name_files_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "pics", *(f"{number}.jpg" for number in range(3)))
    message = refused(tmp_path, "0,2", "1,0", "2,1", header=",id")
    assert "several columns of" in message
    assert "name files, '', 'id'; set images.id_column to one of them" in message
    touch(tmp_path / "pics", *(f"{number:03d}.jpg" for number in range(10, 13)))
    assert "name files, 'n', 'id'" in refused(tmp_path, "10.0,12", "11.0,10", "12.0,11", header="n,id")
    assert found(tmp_path, "0,2", "2,0", "1,1", header="n,id")[0] == ["0.jpg", "2.jpg", "1.jpg"]


def test_a_count_of_rows_that_fits_other_images_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "pics", *(f"{number}.jpg" for number in range(4)))
    rows = ["0,2.jpg,x", "1,0.jpg,x", "2,1.jpg,x"]
    assert "several columns of" in refused(tmp_path, *rows, header="n,image,label")
    assert found(tmp_path, *rows, header="n,image,label", id_column="n")[0] == ["0.jpg", "1.jpg", "2.jpg"]
    assert found(tmp_path, "0,x", "1,x", "2,x", header="n,label")[0] == ["0.jpg", "1.jpg", "2.jpg"]


def test_a_column_that_is_named_is_the_one(tmp_path: Path) -> None:
    touch(tmp_path / "pics", "a.jpg", "b.jpg")
    assert "2 of 2 ids have no file" in refused(tmp_path, "x,a", "y,b", header="n,id", id_column="n")


# --- images without a row ---


def test_images_that_no_row_names_are_told(tmp_path: Path) -> None:
    touch(tmp_path / "pics", *(f"{id}.jpg" for id in TEN), "._x.jpg", "notes.txt", "Thumbs.db", "sub/1.jpg")
    _, notes = found(tmp_path, *TEN[:4])
    (note,) = notes
    assert note.startswith("6 images have no row in ")
    assert note.endswith("ids.csv: '0004.jpg', '0005.jpg', '0006.jpg', …")
    assert found(tmp_path, *TEN) == ([f"{id}.jpg" for id in TEN], [])


def test_ids_that_share_a_file_are_told(tmp_path: Path) -> None:
    touch(tmp_path / "pics", "01.jpg", "02.jpg")
    _, notes = found(tmp_path, "01a", "01b", "02a", file="{id[:2]}.jpg")
    assert notes == ["3 ids share 2 files"]


def test_a_file_has_one_name_however_an_id_leads_to_it(tmp_path: Path) -> None:
    touch(tmp_path / "pics", "a.png", "b.png", "c.png", "sub/a.png")
    paths, notes = found(tmp_path, "b.png", "./b.png", "../pics/b.png", "sub/../b.png", file="{id}")
    assert paths == ["b.png"] * 4
    assert notes[0] == "4 ids share 1 files"
    assert notes[1].startswith("2 images have no row in ")
    assert notes[1].endswith("ids.csv: 'a.png', 'c.png'")
    message = refused(tmp_path, "./sub/a.png", "b.png", file="{id}", exclude=["sub/*"])
    assert "1 of 2 ids have no file: './sub/a.png'" in message
    assert "images.exclude leaves out the files of 1" in message


def test_an_id_leads_by_its_text_and_not_by_links(tmp_path: Path) -> None:
    touch(tmp_path, "else/pics/b.png", "else/deep/x.png")
    touch(tmp_path / "pics", "b.png")
    (tmp_path / "pics" / "link").symlink_to(tmp_path / "else" / "deep")
    (tmp_path / "else" / "b.png").write_bytes(b"another")
    paths, _ = found(tmp_path, "link/../b.png", file="{id}")  # the system would open else/b.png
    assert paths == ["b.png"]


# --- what `init` writes ---

WRITTEN: dict[str, tuple[list[str], list[str], Any]] = {
    "mixed endings": (["1.jpg", "2.png", "3.jpg", "4.png"], ["1", "2", "3", "4"], ["{id}.jpg", "{id}.png"]),
    "a few folders": (["a/1.jpg", "b/2.jpg"], ["1", "2"], ["a/{id}.jpg", "b/{id}.jpg"]),
    "many folders": ([f"{at}/i/{id}.png" for at, id in enumerate(TEN)], TEN, "**/{id}.png"),
    "many folders, with endings": (
        [f"{at}/i/{id}.png" for at, id in enumerate(TEN)],
        [f"{i}.png" for i in TEN],
        "**/{id}",
    ),
    "hashed folders": (
        ["3f/3fa9.jpg", "07/07bc.jpg", "0a/0a11.jpg"],
        ["3fa9", "07bc", "0a11"],
        "{id[:2]}/{id}.jpg",
    ),
    "a folder for each id": (["ab1/image.png", "ab2/image.png"], ["ab1", "ab2"], "{id}/image.png"),
    "the id twice": (["ab1/images/ab1.png", "ab2/images/ab2.png"], ["ab1", "ab2"], "{id}/images/{id}.png"),
    "a prefix of the files": (["IMG_1.JPG", "IMG_12.JPG"], ["1", "12"], "IMG_{id}.JPG"),
    "a prefix of the ids": (["1.jpg", "12.jpg"], ["test_1", "test_12"], "{id[5:]}.jpg"),
    "lost zeros": (["001.jpg", "012.jpg"], ["1", "12"], "{id}.jpg"),
    "other case": (["A.JPG", "B.JPG"], ["a.jpg", "b.jpg"], "{id}"),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_init_writes_how_ids_become_files(tmp_path: Path, kind: str) -> None:
    names, ids, file = WRITTEN[kind]
    for name in [*names, "@eaDir/1.jpg"]:
        (tmp_path / "pics" / name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(tmp_path / "pics" / name, np.zeros((8, 8, 3), np.uint8))
    words = write_first_config(tmp_path / "pics", Path(table(tmp_path, *ids)), tmp_path / "c.yaml")
    written = yaml.safe_load((tmp_path / "c.yaml").read_text())["images"]
    assert written["file"] == file
    images = find_images(ImagesConfig.model_validate(written)).images
    assert [str(image.path) for image in images] == [str(tmp_path / "pics" / name) for name in names]
    assert any("passed over 1 @eaDir" in line for line in words)


@pytest.mark.parametrize(("header", "column"), [("n,image", "image"), (",image", "image"), ("image,n", "image")])
def test_init_finds_the_column_of_the_ids(tmp_path: Path, header: str, column: str) -> None:
    """And takes no count of rows for the ids of `IMG_1.jpg`, which it would fit."""
    names = ["IMG_2.jpg", "IMG_0.jpg", "IMG_1.jpg"]
    (tmp_path / "pics").mkdir()
    for name in names:
        write_picture(tmp_path / "pics" / name, np.zeros((8, 8, 3), np.uint8))
    rows = [f"{name},{row},0" if header.startswith("image") else f"{row},{name},0" for row, name in enumerate(names)]
    write_first_config(tmp_path / "pics", Path(table(tmp_path, *rows, header=f"{header},label")), tmp_path / "c.yaml")
    written = yaml.safe_load((tmp_path / "c.yaml").read_text())["images"]
    assert (written["id_column"], written["file"]) == (column, "{id}")


def test_init_says_what_the_ids_fit_besides(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "a/2.jpg", "masks/1.png", "masks/2.png"):
        (tmp_path / "pics" / name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(tmp_path / "pics" / name, np.zeros((8, 8, 3), np.uint8))
    words = write_first_config(tmp_path / "pics", Path(table(tmp_path, "1", "2")), tmp_path / "c.yaml")
    assert "note: the ids fit 'a/{id}.jpg', and 'masks/{id}.png' too; change images.file if that is meant" in words
    words = write_first_config(tmp_path / "pics", None, tmp_path / "d.yaml")
    assert any("the images lie in 2 folders (a, masks); if these are their classes" in line for line in words)


def test_a_pattern_is_no_part_of_a_longer_number() -> None:
    assert find_patterns(["7", "8"], ["0007.jpg", "0008.jpg"]) is None
    assert find_patterns(["1", "2"], ["x1.jpg", "x2.jpg", "x*/1.jpg"]) is not None


def test_a_skipped_id_without_a_file_is_a_failure_with_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    touch(tmp_path / "pics", "1.jpg")
    paths, notes = found(tmp_path, "1", "nobody", missing="skip")
    assert (paths, notes) == (["1.jpg", "nobody.jpg"], [])
    with pytest.raises(ImageError, match="1 of 2 ids have no file: 'nobody'"):
        found(tmp_path, "1", "nobody")
