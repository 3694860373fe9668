"""Which images a run is about: walking folders, and reading ids from CSVs of every kind."""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import yaml

from imgcluster import load_config, run
from imgcluster.cli.format.run import summarize_run
from imgcluster.config.loader import ImagesConfig
from imgcluster.errors import ConfigError, ImageError, ImgclusterError
from imgcluster.images.extras import EXTRAS, Extra
from imgcluster.images.file_kinds import head_of
from imgcluster.images.listing import FolderImages, find_images, list_images, walk_images
from imgcluster.images.sources import local
from imgcluster.images.sources.debris import DEBRIS, debris_in
from imgcluster.images.sources.names import as_id, natural_key
from imgcluster.images.video.extra import video_hint
from imgcluster.types import ImageFile, ImageSubset
from imgcluster.utils import counted
from tests import ROOT
from tests.conftest import write_pictures, write_template
from tests.support.extras import DECODERS, without


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def ids_of(folder: Path) -> list[str]:
    return [image.id for image in walk_images(folder)]


def test_folders_are_walked_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, "10.jpg", "2.jpg", "b/1.png", "B/03.JPG", "a10/x.tif", "a9/x.tif", "1.JPEG")
    assert ids_of(tmp_path) == ["1.JPEG", "2.jpg", "10.jpg", "a9/x.tif", "a10/x.tif", "b/1.png", "B/03.JPG"]


def test_both_cases_of_every_suffix_and_nothing_else(tmp_path: Path) -> None:
    wanted = [f"x.{suffix}" for suffix in ["jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff", "gif", "ppm", "jp2"]]
    touch(
        tmp_path,
        *wanted,
        *(f"upper/{name.upper()}" for name in wanted),
        "notes.txt",
        "jpg",
        ".hidden.jpg",
        ".git/a.png",
    )
    assert sorted(ids_of(tmp_path)) == sorted([*wanted, *(f"upper/{name.upper()}" for name in wanted)])


def test_links_in_circles_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "a")
    assert ids_of(tmp_path) == ["a/1.jpg"]


def test_folders_and_broken_links_with_an_image_name_are_not_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "x.jpg/inside.png")
    (tmp_path / "y.jpg").symlink_to("nowhere")
    assert ids_of(tmp_path) == ["x.jpg", "x.jpg/inside.png", "y.jpg"]


def test_a_name_that_is_not_utf8_becomes_a_writable_id(tmp_path: Path) -> None:
    (tmp_path / b"caf\xe9.jpg".decode("utf-8", "surrogateescape")).touch()
    (tmp_path / "caf\\xe9.jpg").touch()
    assert sorted(ids_of(tmp_path)) == ["caf\\\\xe9.jpg", "caf\\xe9.jpg"]


def test_an_empty_folder_and_a_missing_one_are_told(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no image below .*: there are no files in it"):
        walk_images(tmp_path)
    with pytest.raises(ConfigError, match=r"images.folder: '.*nope' is not a folder \('.*' exists\)"):
        list_images(ImagesConfig(folder=str(tmp_path / "nope")))


def listed(tmp_path: Path, csv: bytes | str, **keys: str) -> list[str]:
    path = tmp_path / "ids.csv"
    path.write_bytes(csv.encode() if isinstance(csv, str) else csv)
    config = ImagesConfig(folder=str(tmp_path), ids=str(path), **keys)
    return [image.id for image in list_images(config)[0]]


@pytest.mark.parametrize(
    ("csv", "keys"),
    [
        ("ImageID,label\n0007,0\nNA,1\n1e5,2\n", {}),
        ("\ufeffImageID,label\n0007,0\nNA,1\n1e5,2\n".encode(), {}),
        ("ImageID,label\n0007,0\nNA,1\n1e5,2\n".encode("utf-16"), {}),
        ("ImageID,label\n0007,0\nNA,1\n1e5,2\n".encode("utf-32"), {}),
        ("größe,ImageID\n1,0007\n1,NA\n1,1e5\n".encode("cp1252"), {"encoding": "cp1252", "id_column": "ImageID"}),
        ("x,ImageID\r\n,0007\r\n,NA\r\n,1e5\r\n", {"id_column": "ImageID"}),
    ],
    ids=["plain", "BOM", "UTF-16", "UTF-32", "cp1252", "CRLF"],
)
def test_ids_are_text_in_any_encoding(tmp_path: Path, csv: bytes, keys: dict[str, str]) -> None:
    touch(tmp_path, "0007.jpg", "NA.jpg", "1e5.jpg")
    assert listed(tmp_path, csv, **keys) == ["0007", "NA", "1e5"]


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        ("ImageID\n1\n../../etc/passwd\n", "ids.csv row 2: id '../../etc/passwd' leads outside of images.folder"),
        ("ImageID\n/etc/passwd\n", "ids.csv row 1: id '/etc/passwd' leads outside of images.folder"),
        ("ImageID\n1\n2\n1\n", "ids.csv row 3: id '1' stands already in row 1"),
        ("ImageID,x\n1,0\n,0\n", "ids.csv row 2: the id in column 'ImageID' is empty"),
        ("ImageID\n1\n3\n4\n", "ids.csv row 2: 2 of 3 ids have no file: '3', '4' (tried '"),
        ("ImageID\n", "ids.csv' has a header and no rows"),
        ("", "ids.csv' is empty"),
        ("ImageID;label\n1;0\n", "ids.csv' separates its columns by semicolons; commas are needed"),
        ("ImageID\tlabel\n1\t0\n", "ids.csv' separates its columns by tabs; commas are needed"),
        ("ImageID,label\n1,0\n2,0,0,0\n", "ids.csv' is not valid CSV: "),
        ("größe\n1\n".encode("cp1252"), "ids.csv' is not UTF-8; set images.encoding (for example cp1252)"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, csv: bytes | str, message: str) -> None:
    touch(tmp_path, "1.jpg", "2.jpg")
    with pytest.raises(ImgclusterError) as raised:
        listed(tmp_path, csv)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_id_may_lie_deeper_but_not_outside(tmp_path: Path) -> None:
    touch(tmp_path, "a/b/1.jpg", "2.jpg")
    assert listed(tmp_path, "ImageID\na/b/1\na/../2\n") == ["a/b/1", "a/../2"]
    with pytest.raises(ImageError, match="leads outside"):
        listed(tmp_path, "ImageID\na/../../x\n")


@pytest.mark.parametrize("folder", ["..", "../pictures", ".", "./"])
def test_an_id_leads_outside_of_a_relative_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    touch(tmp_path, "pictures/1.jpg", "1.jpg", "outside.jpg")
    (tmp_path / "ids.csv").write_text("ImageID\n../../outside\n")
    monkeypatch.chdir(tmp_path / "pictures")
    with pytest.raises(ImageError, match="leads outside"):
        list_images(ImagesConfig(folder=folder, ids=str(tmp_path / "ids.csv")))
    (tmp_path / "ids.csv").write_text("ImageID\n1\n")
    assert len(list_images(ImagesConfig(folder=folder, ids=str(tmp_path / "ids.csv")))[0]) == 1


def test_a_folder_that_cannot_be_listed_is_left_out_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "open/1.jpg", "closed/2.jpg")
    scandir = os.scandir

    def refuse(folder: Path) -> object:
        if Path(folder).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert ids_of(tmp_path) == ["open/1.jpg"]
    assert "closed' cannot be listed (Permission denied): the images below it are left out" in caplog.text


def test_odd_names_are_listed(tmp_path: Path) -> None:
    touch(tmp_path, "1²3.jpg", "x٣.jpg", "a\nb.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "loop").symlink_to("loop")
    assert sorted(ids_of(tmp_path)) == sorted(["1²3.jpg", "x٣.jpg", "a\nb.jpg", "loop.jpg"])


def test_a_very_long_id_is_a_missing_one(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg")
    with pytest.raises(ImageError, match="row 2: 1 of 2 ids have no file"):
        listed(tmp_path, "ImageID\n1\n" + "x" * 5000 + "\n")
    with pytest.raises(ConfigError, match="is not a folder"):
        list_images(ImagesConfig(folder="x" * 5000))


def test_a_missing_id_column_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no column 'ImageID' \(its columns: 'name', 'label'\)"):
        listed(tmp_path, "name,label\n1,0\n", id_column="ImageID")
    with pytest.raises(ConfigError, match="has 2 columns called 'id'"):
        listed(tmp_path, "id,id\n1,0\n")


def test_a_wrong_pattern_is_told_with_the_right_one(tmp_path: Path) -> None:
    touch(tmp_path, "1.PNG")
    with pytest.raises(ImageError, match=r"""there is a '1.PNG': set images.file: "\{id\}.PNG\""""):
        listed(tmp_path, "ImageID\n1\n")
    with pytest.raises(ImageError, match=r"""set images.file: "\{id\}\""""):
        listed(tmp_path, "ImageID\n1.PNG\n")


def test_missing_files_can_be_let_through(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg")
    assert listed(tmp_path, "ImageID\n1\n2\n", missing="skip") == ["1", "2"]


def test_an_id_is_put_into_the_pattern_as_it_is(tmp_path: Path) -> None:
    touch(tmp_path, "img_{x}_0.png")
    assert listed(tmp_path, "ImageID\n{x}\n", file="img_{id}_0.png") == ["{x}"]


def test_ten_thousand_ids_are_listed_in_order(tmp_path: Path) -> None:
    write_template(tmp_path / "t.csv", range(9999, -1, -1))
    touch(tmp_path, *(f"{number:04d}.jpg" for number in range(10_000)))
    images, template = list_images(ImagesConfig(folder=str(tmp_path), ids=str(tmp_path / "t.csv")))
    assert [image.id for image in images] == [f"{number:04d}" for number in range(9999, -1, -1)]
    assert template is not None
    assert list(template.frame.columns) == ["ImageID", "label", "note"]


def test_pictures_of_formats_that_are_not_read_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, "1.jpg", "2.PSD", "3.psd", "4.svg", "notes.txt", ".5.psd")
    assert ids_of(tmp_path) == ["1.jpg"]
    assert "skipped 3 files in unsupported formats (.psd, .svg); convert to .png or .jpg to include them" in caplog.text
    assert "skipped 1 hidden, 1 file that is not a picture (.txt)" in caplog.text


def test_pictures_that_an_extra_reads_are_told_with_its_command(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "1.jpg", "2.HEIC", "3.heic", "4.nef")
    with without(*DECODERS):
        assert ids_of(tmp_path) == ["1.jpg"]
        heif = 'skipped 3 files in unsupported formats (.heic, .nef); pip install "imgcluster[formats]" to include them'
        assert heif in caplog.text
        touch(tmp_path, "5.psd")
        assert ids_of(tmp_path) == ["1.jpg"]
    both = 'pip install "imgcluster[formats]" (.heic, .nef) and convert to .png or .jpg (.psd) to include them'
    assert f"skipped 4 files in unsupported formats (.heic, .nef, .psd); {both}" in caplog.text


@pytest.mark.parametrize("extra", EXTRAS, ids=lambda extra: extra.kinds[0])
def test_endings_of_an_extra_are_taken_where_it_is_installed(tmp_path: Path, extra: Extra) -> None:
    if extra.module is None:
        pytest.skip(f"needs {extra.modules[0]}")
    names = [f"x{ending}" for ending in extra.endings]
    touch(tmp_path, *names)
    assert ids_of(tmp_path) == sorted(names, key=natural_key)


def test_other_endings_of_pictures_that_are_read_are_taken(tmp_path: Path) -> None:
    endings = (
        ".jfif .pjpeg .mpo .dib .pbm .pnm .pam .apng .j2k .j2c .jpc .jpx .btf .tf8 .ptif .avif .ico .pcx .qoi .ras"
    )
    names = [f"1{ending}" for ending in endings.split()] + ["2.PBM"]
    touch(tmp_path, *names, "6.py")
    assert ids_of(tmp_path) == sorted(names, key=natural_key)


def of_each_kind(folder: Path) -> None:
    """Fill a folder with 24 files, and two folders that are not entered."""
    write_pictures(folder, range(2))
    (folder / "b").mkdir()
    (folder / "0000.jpg").rename(folder / "b" / "picture")
    (folder / "0001.jpg").rename(folder / "frame.0001")
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "zeros").write_bytes(bytes(100))
    (folder / "drawing").write_bytes(b"8BPS\0\1")
    (folder / "photo").write_bytes(b"\0\0\0\x18ftypheic")
    touch(
        folder, "1.xmp", "b/1.AAE", "2.heic", "3.psd", "4.mp4", "5.zip", "notes.txt", "b/Makefile", "6.jpg", "7_m.jpg"
    )
    touch(folder, "6.TIF.aux.xml")
    touch(folder, ".DS_Store", "b/.8.jpg", ".git/a/9.jpg", "@eaDir/1.jpg/1.jpg", "._1.jpg", "Thumbs.db", "a.b/~x.jpg~")


LEFT_OUT = {
    "debris": {"._*": 1, "@eaDir": 1},
    "hidden": 3,
    "needs_extra": {".heic": 1, "HEIC": 1},
    "formats": {".psd": 1, "PSD": 1},
    "sidecars": {".aae": 1, ".aux.xml": 1, ".xmp": 1},
    "videos": {".mp4": 1},
    "archives": {".zip": 1},
    "no_picture": {".db": 1, ".jpg~": 1, ".txt": 1, "none": 2},
    "exclude": 1,
}


def test_each_file_below_a_folder_is_counted_once(tmp_path: Path) -> None:
    of_each_kind(tmp_path)
    with without(*DECODERS):
        listing = find_images(ImagesConfig(folder=str(tmp_path), exclude=("*_m.jpg",)))
    assert [image.id for image in listing.images] == ["6.jpg", "b/picture", "broken.jpg", "frame.0001"]
    assert listing.left_out == LEFT_OUT
    names = [
        path.relative_to(tmp_path).as_posix()
        for path in tmp_path.rglob("*")
        if not path.is_dir() and not {".git", "@eaDir"} & set(path.relative_to(tmp_path).parts)
    ]
    assert listing.files == len(names) + 2  # folders that are not entered
    assert listing.notes == [
        "passed over 1 ._*, 1 @eaDir: files and folders of storage systems and photo programs",
        'skipped 4 files in unsupported formats (.heic, .psd, HEIC, PSD); pip install "imgcluster[formats]" '
        "(.heic, HEIC) and convert to .png or .jpg (.psd, PSD) to include them",
        f"skipped 1 video (.mp4); {video_hint(None)}",
        "skipped 3 hidden, 3 sidecars (.aae, .aux.xml, .xmp), 1 archive (.zip), "
        "5 files that are not pictures (.db, .jpg~, .txt, none)",
        "images.exclude left out 1 image",
    ]


@pytest.mark.parametrize("ending", ["tar", "zip"])
def test_each_file_of_an_archive_is_counted_once(tmp_path: Path, ending: str) -> None:
    of_each_kind(tmp_path / "in")
    shutil.make_archive(str(tmp_path / "all"), ending, tmp_path / "in")
    with without(*DECODERS):
        listing = find_images(ImagesConfig(folder=str(tmp_path / f"all.{ending}"), exclude=("*_m.jpg",)))
    assert [image.id for image in listing.images] == ["6.jpg", "b/picture", "broken.jpg", "frame.0001"]
    assert listing.left_out == LEFT_OUT
    assert listing.files == 4 + 20


def test_only_files_without_an_ending_are_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "1.jpg", "2.txt", "a/3.xmp", "README", "frame.0004", "5.psd")
    opened: list[str] = []
    monkeypatch.setattr(local, "head_of", lambda path: opened.append(path.name) or b"\xff\xd8\xff")
    assert ids_of(tmp_path) == ["1.jpg", "frame.0004", "README"]
    assert sorted(opened) == ["README", "frame.0004"]


def test_a_file_without_an_ending_that_nobody_can_read_is_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "1.jpg", "closed")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "broken").symlink_to("nowhere")

    def refuse(path: Path) -> bytes:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return head_of(path)

    monkeypatch.setattr(local, "head_of", refuse)
    assert find_images(ImagesConfig(folder=str(tmp_path))).left_out == {"no_picture": {"none": 4}}


def test_a_header_is_missing_only_where_its_first_cell_is_an_image(tmp_path: Path) -> None:
    """And not where an index without a name, or a folder of that name, stands there."""
    write_pictures(tmp_path / "pics", range(2))
    (tmp_path / "pics" / "image.jpg").mkdir()
    for header in (",label", "image.jpg,label"):
        (tmp_path / "ids.csv").write_text(f"{header}\n0000.jpg,1\n0001.jpg,2\n")
        config = ImagesConfig(folder=str(tmp_path / "pics"), ids=str(tmp_path / "ids.csv"), file="{id}")
        assert [image.id for image in list_images(config)[0]] == ["0000.jpg", "0001.jpg"]
    (tmp_path / "ids.csv").write_text("0000.jpg,1\n0001.jpg,2\n")
    with pytest.raises(ConfigError, match="has no header"):
        list_images(config)


def test_only_what_a_run_has_written_is_passed_over(tmp_path: Path) -> None:
    """Folders that are called so, and are somebody's own, are taken before a run and after it."""
    for name in ("report", "clusters"):
        (tmp_path / name).mkdir()
        write_pictures(tmp_path / name, range(1))
    before = [image.id for image in walk_images(tmp_path)]
    (tmp_path / "run.json").touch()
    (tmp_path / "clusters.csv").touch()
    assert [image.id for image in walk_images(tmp_path)] == before
    assert len(before) == 2
    (tmp_path / "report" / "index.html").touch()
    (tmp_path / "clusters" / ".sheets").touch()
    with pytest.raises(ImageError):
        walk_images(tmp_path)


@pytest.mark.parametrize("encoding", [None, "utf-8", "utf-16-le"])
def test_a_byte_order_mark_is_no_letter_of_the_first_name(tmp_path: Path, encoding: str | None) -> None:
    write_pictures(tmp_path, range(1))
    text = '\ufeff"id",label\n0000.jpg,1\n'
    (tmp_path / "ids.csv").write_bytes(text.encode(encoding or "utf-8"))
    config = ImagesConfig(
        folder=str(tmp_path), ids=str(tmp_path / "ids.csv"), file="{id}", id_column="id", encoding=encoding
    )
    assert [image.id for image in list_images(config)[0]] == ["0000.jpg"]


# --- what is passed over ---


@pytest.mark.parametrize("name", [each.name for each in DEBRIS])
def test_each_kind_of_debris_is_passed_over_and_counted(tmp_path: Path, name: str) -> None:
    made = name.replace("*", "x1").upper()
    debris = f"a/{made}.jpg" if name == "._*" else f"a/{made}/2.jpg"
    touch(tmp_path, "1.jpg", debris)
    listing = find_images(ImagesConfig(folder=str(tmp_path)))
    assert "1.jpg" in [image.id for image in listing.images]
    assert debris not in [image.id for image in listing.images]
    assert listing.left_out == {"debris": {name: 1}}
    assert listing.notes == [f"passed over 1 {name}: files and folders of storage systems and photo programs"]
    assert debris_in(debris) == (name, debris.removesuffix("/2.jpg"))


def test_the_documents_have_the_table_of_debris() -> None:
    text = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    assert "\n".join(f"| `{each.name}` | {each.origin} |" for each in DEBRIS) in text


def nas(folder: Path) -> list[str]:
    """Fill a folder as a share of a NAS is; return the names of its photographs."""
    photos = [f"2023/IMG_{number}.jpg" for number in range(15)]
    thumbs = [f"2023/@eaDir/IMG_{number}.jpg/SYNOPHOTO_THUMB_{size}.jpg" for number in range(15) for size in "SMX"]
    others = [
        "#recycle/2023/IMG_99.jpg",
        "2023/._IMG_0.jpg",
        "$Recycle.Bin/S-1-5/x.jpg",
        "lost+found/1.jpg",
        ".DS_Store",
    ]
    touch(folder, *photos, *thumbs, *others, "A.photoslibrary/resources/derivatives/1.jpg")
    return photos


def test_a_share_of_a_nas_is_its_photographs(tmp_path: Path) -> None:
    photos = nas(tmp_path)
    listing = find_images(ImagesConfig(folder=str(tmp_path)))
    assert sorted(image.id for image in listing.images) == sorted(photos)
    kinds = {"#recycle": 1, "$RECYCLE.BIN": 1, "*.photoslibrary/resources": 1, "._*": 1, "@eaDir": 1, "lost+found": 1}
    assert listing.left_out == {"debris": kinds, "hidden": 1}
    recycled = find_images(ImagesConfig(folder=str(tmp_path / "#recycle")))  # somebody asks for it
    assert [image.id for image in recycled.images] == ["2023/IMG_99.jpg"]


def test_words_of_debris_in_other_names_are_no_debris(tmp_path: Path) -> None:
    names = [
        "eaDir/1.jpg",
        "recycle/1.jpg",
        "originals.photoslibrary/originals/1.jpg",
        "resources/1.jpg",
        "x_@eaDir/1.jpg",
    ]
    touch(tmp_path, *names)
    assert sorted(ids_of(tmp_path)) == sorted(names)


def test_an_id_that_names_debris_has_it(tmp_path: Path) -> None:
    nas(tmp_path)
    assert listed(tmp_path, "id\n#recycle/2023/IMG_99\n") == ["#recycle/2023/IMG_99"]
    assert listed(tmp_path, "id\nlost+found/1.jpg\n", file="{id}") == ["lost+found/1.jpg"]


MASKED = ["1.jpg", "1_mask.PNG", "a/2.jpg", "a/2_mask.png", "a/masks/3.png", "b/masks.jpg", "b/4.jpeg"]


@pytest.mark.parametrize(
    ("include", "exclude", "left", "counts"),
    [
        ([], ["*_mask.png"], ["1.jpg", "a/2.jpg", "a/masks/3.png", "b/4.jpeg", "b/masks.jpg"], {"exclude": 2}),
        ([], ["*_mask.png", "masks"], ["1.jpg", "a/2.jpg", "b/4.jpeg", "b/masks.jpg"], {"exclude": 3}),
        (
            [],
            ["a/*.png"],
            ["1.jpg", "1_mask.PNG", "a/2.jpg", "a/masks/3.png", "b/4.jpeg", "b/masks.jpg"],
            {"exclude": 1},
        ),
        ([], ["./a/"], ["1.jpg", "1_mask.PNG", "b/4.jpeg", "b/masks.jpg"], {"exclude": 3}),
        (["*.jpg", "*.jpeg"], [], ["1.jpg", "a/2.jpg", "b/4.jpeg", "b/masks.jpg"], {"include": 3}),
        (["a/**"], ["*.png"], ["a/2.jpg"], {"include": 4, "exclude": 2}),
        (["[1-2].jpg"], [], ["1.jpg", "a/2.jpg"], {"include": 5}),
    ],
)
def test_include_and_exclude(
    tmp_path: Path, include: list[str], exclude: list[str], left: list[str], counts: dict[str, int]
) -> None:
    touch(tmp_path, *MASKED)
    listing = find_images(ImagesConfig(folder=str(tmp_path), include=include, exclude=exclude))  # type: ignore[arg-type]
    assert [image.id for image in listing.images] == left
    assert listing.left_out == counts
    assert listing.notes == [f"images.{key} left out {counted(count, 'image')}" for key, count in counts.items()]


def test_an_include_or_exclude_that_matches_nothing_is_told(tmp_path: Path) -> None:
    touch(tmp_path, *MASKED)
    with pytest.raises(
        ConfigError, match=r"images.include: none of the 7 images below .* matches '\*.gif', 'c'; a pattern"
    ):
        find_images(ImagesConfig(folder=str(tmp_path), include=("*.gif", "c")))
    listing = find_images(ImagesConfig(folder=str(tmp_path), include=("*.jpg", "c"), exclude=("*_msk.png",)))
    assert listing.notes[1:] == ["images.include: 'c' matches no image", "images.exclude: '*_msk.png' matches no image"]
    with pytest.raises(ImageError, match=r"is left by images.exclude: all 7 match it"):
        find_images(ImagesConfig(folder=str(tmp_path), exclude=("*",)))


def test_include_and_exclude_hold_for_ids(tmp_path: Path) -> None:
    touch(tmp_path, *MASKED)
    assert listed(tmp_path, "id\n1\n", exclude=["*_mask.png"]) == ["1"]
    with pytest.raises(ImageError, match=r"1 of 2 ids have no file: 'a/2' .*images.exclude leaves out the files of 1"):
        listed(tmp_path, "id\n1\na/2\n", exclude=["a"])
    assert listed(tmp_path, "id\n2\n", file="**/{id}.jpg", exclude=["b"]) == ["2"]


def test_what_was_passed_over_is_in_the_summary_and_the_record(config_file: Path, pictures: Path) -> None:
    touch(pictures, "@eaDir/1.jpg", "0000_mask.png", "1.psd")
    data = yaml.safe_load(config_file.read_text())
    data["images"] = {"folder": str(pictures), "exclude": ["*_mask.png"]}
    data["outputs"]["submission"] = None
    config_file.write_text(yaml.safe_dump(data))
    done = run(load_config(config_file), show=False)
    notes = [
        "passed over 1 @eaDir: files and folders of storage systems and photo programs",
        "skipped 1 file in an unsupported format (.psd); convert to .png or .jpg to include it",
        "images.exclude left out 1 image",
    ]
    record = json.loads((done.folder / "run.json").read_text())
    assert (record["counts"]["images"], record["notes"][:3]) == (12, notes)
    assert record["left_out"] == {"debris": {"@eaDir": 1}, "formats": {".psd": 1}, "exclude": 1}
    assert record["counts"]["files"] == 12 + 3
    assert summarize_run(done).splitlines()[0] == "files     15: 12 taken, 3 left out"
    assert [line for line in summarize_run(done).splitlines() if line[6:] in notes] == [
        f"note: {note}" for note in notes
    ]


# --- several folders, and folders without images ---


def test_several_folders_are_told_apart_by_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "cats/1.jpg", "cats/a/2.jpg", "x/dogs/1.jpg", "y/cats/1.jpg")

    def ids(*folders: str, **keys: object) -> list[str]:
        places = [str(tmp_path / folder) for folder in folders]
        return [image.id for image in list_images(ImagesConfig(folder=places, **keys))[0]]  # type: ignore[arg-type]

    assert ids("cats", "x/dogs") == ["cats/1.jpg", "cats/a/2.jpg", "dogs/1.jpg"]
    assert ids("y/cats/", "cats") == [
        f"{tmp_path.name}/cats/1.jpg",
        f"{tmp_path.name}/cats/a/2.jpg",
        "y/cats/1.jpg",
    ]
    assert ids("cats", "x/dogs", exclude=["cats/a"]) == ["cats/1.jpg", "dogs/1.jpg"]
    assert ids("cats", "x/dogs", exclude=["a"]) == ["cats/1.jpg", "dogs/1.jpg"]
    for twice, words in ((("cats", "x/../cats"), "is named twice"), (("x", "x/dogs"), "lies in")):
        with pytest.raises(ConfigError, match=f"{words}.*would be taken twice"):
            ids(*twice)
    with pytest.raises(ConfigError, match="is not a folder"):
        ids("cats", "birds")


def test_ids_of_several_folders(tmp_path: Path) -> None:
    touch(tmp_path, "cats/1.jpg", "dogs/2.jpg", "dogs/1.jpg", "dogs/3.jpg")
    folders = [str(tmp_path / "cats"), str(tmp_path / "dogs")]
    (tmp_path / "ids.csv").write_text(f"id\n2\ncats/1\n{tmp_path}/dogs/1\n")
    config = ImagesConfig.model_validate(
        {"folder": folders, "ids": str(tmp_path / "ids.csv"), "file": ["{id}.jpg", "{id}"]}
    )
    listing = find_images(config)
    assert [str(image.path)[len(str(tmp_path)) + 1 :] for image in listing.images[:2]] == ["dogs/2.jpg", "cats/1.jpg"]
    (tmp_path / "ids.csv").write_text("id\n1\n")
    with pytest.raises(
        ImageError, match=r"'1.jpg' is in two of the folders: .*cats/1.jpg and .*dogs/1.jpg; put the folder's"
    ):
        find_images(config)
    (tmp_path / "ids.csv").write_text("id\ncats/../../secret\n")
    with pytest.raises(ImageError, match="leads outside"):
        find_images(config)
    (tmp_path / "ids.csv").write_text("id\ndogs/../../etc/passwd\n../cats/1\n")
    with pytest.raises(ImageError, match="leads outside"):
        find_images(config)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ["a/1.tar", "2.tar"],
            r"but archives \(2 .tar\); set images.folder: \"{}/\*\*/\*.tar\" for the images in them",
        ),
        (["1.zip", "2.parquet"], r'set images.folder: \["{}/\*\*/\*.zip", "{}/\*\*/\*.parquet"\]'),
        (["1.svg", "2.psd"], r"that can be read, but 2 files in unsupported formats \(.psd, .svg\); convert to .png"),
        (["1.txt", "x"], "it has 2 other files, with the endings: .txt, none"),
        (["@eaDir/1.jpg"], "passed over 1 @eaDir"),
        ([".1.jpg", ".git/2.jpg"], "it has 2 other files, with the endings: hidden names"),
        ([], "there are no files in it"),
    ],
)
def test_a_folder_without_images_says_what_it_has(tmp_path: Path, names: list[str], words: str) -> None:
    touch(tmp_path, *names)
    with pytest.raises(ImageError, match=words.replace("{}", str(tmp_path))):
        walk_images(tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg")
    with pytest.raises(ConfigError, match=r"1.jpg' is a file; name the folder that it is in"):
        list_images(ImagesConfig(folder=str(tmp_path / "1.jpg")))


def test_the_images_of_a_folder_are_a_list_in_natural_order_with_few_bytes_each(tmp_path: Path) -> None:
    names = ["b/10.jpg", "b/2.jpg", "a back\\slash.png", os.fsdecode(b"\xff.jpg")]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    images, _ = list_images(ImagesConfig(folder=str(tmp_path)))
    expected = [ImageFile(as_id(name), tmp_path / name) for name in sorted(names, key=natural_key)]
    assert images == expected
    assert list(images) == expected
    assert [images[-1], *images[1:3], images.index(expected[2])] == [expected[-1], *expected[1:3], 2]
    assert ImageSubset(images, np.array([3, 0])) == [expected[3], expected[0]]
    assert images != expected[:3]
    with pytest.raises(IndexError):
        images[4]
    tracemalloc.start()
    many = FolderImages(tmp_path, (f"{number:06d}.jpg" for number in range(100_000)))
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept / len(many) < 20
