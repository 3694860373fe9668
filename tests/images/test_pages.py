"""Pages of TIFFs as images: which ones, in which order, with which pixels; what is damaged tells so."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgcluster.config import ImagesConfig
from imgcluster.errors import ImageError
from imgcluster.images import Listing, find_images, open_again, read_image
from imgcluster.images.containers.tiff_pages import MAX_PAGES, MAX_TAGS, find_pages
from imgcluster.images.pages import TiffPage
from imgcluster.types import Source
from tests.images.video.test_listing import reasons
from tests.support.tiff_pages import (
    NEW_SUBFILE,
    STRIP_OFFSETS,
    directories,
    followed_by,
    many,
    nested,
    of_one_strip,
    scan,
    with_count,
    with_value,
    write_scan,
)

SIZES = [(8, 12), (20, 30), (5, 7), (16, 16)]  # height and width of each page


def picture(number: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (height, width, 3)).astype(np.uint8)


PICTURES = [picture(number, *size) for number, size in enumerate(SIZES)]


def by_pillow(path: Path, **options: Any) -> Path:
    return write_scan(path, PICTURES, **options)


def listed(folder: Path, **images: Any) -> Listing:
    return find_images(ImagesConfig(folder=str(folder), **{"pages": "all", **images}))


def ids(listing: Listing) -> list[str]:
    return [image.id for image in listing.images]


@pytest.fixture
def typed(tmp_path: Path) -> Path:
    """A file of four pages that have NewSubfileType."""
    tifffile = pytest.importorskip("tifffile", reason='needs tifffile: pip install "imgcluster[scientific]"')
    path = tmp_path / "scan.tif"
    with tifffile.TiffWriter(path, byteorder="<") as writer:
        for each in PICTURES:
            writer.write(each, photometric="rgb", subfiletype=2, metadata=None)
    return path


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"compression": "jpeg"}, {"big_tiff": True}])
def test_each_page_is_an_image_in_its_size(options: dict[str, Any], tmp_path: Path) -> None:
    by_pillow(tmp_path / "scan.tif", **options)
    found = listed(tmp_path)
    assert ids(found) == ["scan.tif#1", "scan.tif#2", "scan.tif#3", "scan.tif#4"]
    assert [read_image(image.path).shape[:2] for image in found.images] == SIZES
    assert found.files == 1
    if "compression" not in options:
        for image, wanted in zip(found.images, PICTURES, strict=True):
            np.testing.assert_array_equal(read_image(image.path), wanted)


def test_by_default_the_first_page_alone_is_read(tmp_path: Path) -> None:
    path = by_pillow(tmp_path / "scan.tif")
    found = find_images(ImagesConfig(folder=str(tmp_path)))
    assert [(image.id, image.path) for image in found.images] == [("scan.tif", path)]
    np.testing.assert_array_equal(read_image(path), PICTURES[0])


def test_files_of_one_page_and_other_pictures_stay_as_they_are(tmp_path: Path) -> None:
    by_pillow(tmp_path / "2.tiff")
    for name in ("1.tif", "10.png", "3.gif"):
        Image.fromarray(PICTURES[0]).save(tmp_path / name)
    found = listed(tmp_path)
    assert ids(found) == ["1.tif", "2.tiff#1", "2.tiff#2", "2.tiff#3", "2.tiff#4", "3.gif", "10.png"]
    assert found.images[0].path == tmp_path / "1.tif"


LAYOUTS = [
    {"bigtiff": big, "byteorder": order, **how}
    for big, order, how in [
        (False, "<", {}),
        (True, "<", {"tile": (16, 16), "compression": "zlib"}),
        (False, ">", {"tile": (32, 32), "planarconfig": "separate"}),
        (True, ">", {"compression": "zlib", "rowsperstrip": 7}),
        (False, "<", {"compression": "zlib", "planarconfig": "separate", "rowsperstrip": 4}),
        (False, ">", {"dtype": np.uint16, "rowsperstrip": 7}),
        (True, "<", {"dtype": np.uint16, "compression": "zlib", "tile": (32, 32)}),
    ]
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_page_is_the_file_of_this_page_alone(layout: dict[str, Any], tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason='needs tifffile: pip install "imgcluster[scientific]"')
    how = dict(layout)
    file = {key: how.pop(key) for key in ("bigtiff", "byteorder")}
    dtype = how.pop("dtype", np.uint8)
    pages = [
        picture(number, 40 + 9 * number, 50).astype(dtype) * (257 if dtype == np.uint16 else 1) for number in range(3)
    ]
    stored = [np.moveaxis(page, 2, 0) if how.get("planarconfig") else page for page in pages]
    path = tmp_path / "scan.btf"
    with tifffile.TiffWriter(path, **file) as writer:
        for page in stored:
            writer.write(page, photometric="rgb", **how)
    found = listed(tmp_path)
    assert ids(found) == ["scan.btf#1", "scan.btf#2", "scan.btf#3"]
    for image, page, data in zip(found.images, pages, stored, strict=True):
        assert isinstance(image.path, Source)
        assert len(image.path.read()) < 0.6 * path.stat().st_size
        np.testing.assert_array_equal(
            read_image(image.path), (page / (257 if dtype == np.uint16 else 1)).astype(np.uint8)
        )
        (tmp_path / "page.tif").write_bytes(image.path.read())
        with tifffile.TiffFile(tmp_path / "page.tif") as read:
            assert len(read.pages) == 1
            assert not any(tag.valueoffset % 2 for tag in read.pages[0].tags)
            assert not any(offset % 2 for offset in read.pages[0].dataoffsets)
            np.testing.assert_array_equal(read.pages[0].asarray(), data)


@pytest.mark.parametrize(("kind", "is_page"), [(0, True), (1, False), (2, True), (4, False), (5, False)])
def test_thumbnails_and_masks_are_no_pages(kind: int, is_page: bool, typed: Path) -> None:
    typed.write_bytes(with_value(typed.read_bytes(), 1, NEW_SUBFILE, kind))
    found = listed(typed.parent)
    wanted = PICTURES if is_page else [PICTURES[0], *PICTURES[2:]]
    assert ids(found) == [f"scan.tif#{number + 1}" for number in range(len(wanted))]
    for image, pixels in zip(found.images, wanted, strict=True):
        np.testing.assert_array_equal(read_image(image.path), pixels)


def test_the_one_page_behind_a_thumbnail_has_the_name_of_the_file(typed: Path) -> None:
    data = typed.read_bytes()
    for place in (0, 1, 3):
        data = with_value(data, place, NEW_SUBFILE, 1)
    typed.write_bytes(data)
    found = listed(typed.parent)
    assert ids(found) == ["scan.tif"]
    np.testing.assert_array_equal(read_image(found.images[0].path), PICTURES[2])


def test_directories_below_a_page_are_no_pages(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason='needs tifffile: pip install "imgcluster[scientific]"')
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for each in PICTURES[:2]:
            writer.write(each, photometric="rgb", subifds=1)
            writer.write(each[::2, ::2], photometric="rgb", subfiletype=1)
    found = listed(tmp_path)
    assert ids(found) == ["a.tif#1", "a.tif#2"]
    for image, pixels in zip(found.images, PICTURES, strict=False):
        np.testing.assert_array_equal(read_image(image.path), pixels)
        assert isinstance(image.path, Source)
        with tifffile.TiffFile(io.BytesIO(image.path.read())) as page:
            assert "SubIFDs" not in page.pages[0].tags  # they would lie where the file has something else


def test_a_circle_of_pages_ends(tmp_path: Path) -> None:
    path = by_pillow(tmp_path / "a.tif")
    path.write_bytes(followed_by(path.read_bytes(), 2, 1))
    found = listed(tmp_path)
    assert ids(found) == ["a.tif#1", "a.tif#2", "a.tif#3", "a.tif#4"]
    assert reasons(found) == {"a.tif#4": "damaged TIFF: after page 3 the pages begin anew"}


def test_pages_that_break_off_tell_after_how_many(tmp_path: Path) -> None:
    path = by_pillow(tmp_path / "a.tif")
    data = path.read_bytes()
    path.write_bytes(data[: directories(data)[2] + 9])
    found = listed(tmp_path)
    assert ids(found) == ["a.tif#1", "a.tif#2", "a.tif#3"]
    assert reasons(found)["a.tif#3"] == "damaged TIFF: the pages break off after 2"
    np.testing.assert_array_equal(read_image(found.images[0].path), PICTURES[0])


@pytest.mark.parametrize("count", [0, MAX_TAGS + 1, 65_535])
def test_a_directory_of_too_many_tags_or_none_ends_the_pages(count: int, tmp_path: Path) -> None:
    path = by_pillow(tmp_path / "a.tif")
    path.write_bytes(with_count(path.read_bytes(), 1, count))
    assert reasons(listed(tmp_path)) == {"a.tif#2": "damaged TIFF: the pages break off after 1"}


def test_directories_in_each_other_end_the_pages(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(nested(3000))
    found = listed(tmp_path)
    assert ids(found) == ["a.tif#1", "a.tif#2"]
    assert reasons(found)["a.tif#2"] == "damaged TIFF: the pages break off after 1"


def test_pages_end_at_a_bound() -> None:
    found = find_pages(io.BytesIO(many(MAX_PAGES + 2)))
    assert (len(found.offsets), found.trouble) == (MAX_PAGES, "has more than 100,000 pages")
    assert find_pages(io.BytesIO(many(MAX_PAGES))).trouble == ""


def test_a_page_without_its_strips_is_damaged_and_no_other_one(tmp_path: Path) -> None:
    path = by_pillow(tmp_path / "a.tif")
    data = path.read_bytes()
    path.write_bytes(with_value(data, 1, STRIP_OFFSETS, len(data) - 10))
    assert set(reasons(listed(tmp_path))) == {"a.tif#2"}


def test_strips_that_are_the_same_bytes_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(of_one_strip(scan(PICTURES), 1))
    assert reasons(listed(tmp_path)) == {"a.tif#2": "has more than 1,073,741,824 bytes"}


@pytest.mark.parametrize("data", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"no picture at all", b"II+\0" + bytes(9)])
def test_a_file_without_pages_is_read_as_a_picture(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(data)
    found = listed(tmp_path)
    assert ids(found) == ["a.tif"]
    assert set(reasons(found)) == {"a.tif"}


def test_pages_are_told_apart_and_opened_again(tmp_path: Path) -> None:
    path = by_pillow(tmp_path / "a.tif")
    pages = [image.path for image in listed(tmp_path).images]
    assert len({page.stamp for page in pages if isinstance(page, Source)}) == 4
    first = pages[0]
    assert isinstance(first, TiffPage)
    assert first.stamp.path == f"{path}#1"
    assert replace(first, offset=first.offset + 2).stamp != first.stamp
    assert replace(first, file=first.file._replace(size=7)).stamp != first.stamp
    assert [open_again(str(page)) for page in pages] == pages
    for lost in (f"{path}#5", f"{path}#0", f"{tmp_path}/b.tif#1"):
        with pytest.raises(ImageError, match=r"^no such (page|file)$"):
            read_image(open_again(lost))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_pipes_and_folders_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tif")
    (tmp_path / "b.tif").mkdir()
    assert set(reasons(listed(tmp_path)).values()) == {"is not a regular file", "is a folder"}
    for name in ("a.tif#1", "b.tif#1"):
        with pytest.raises(ImageError, match="is not a regular file"):
            read_image(open_again(f"{tmp_path}/{name}"))


def test_a_file_with_the_name_of_a_page_is_this_file(tmp_path: Path) -> None:
    by_pillow(tmp_path / "a.tif")
    Image.fromarray(PICTURES[3]).save(tmp_path / "a.tif#2", "png")
    np.testing.assert_array_equal(read_image(open_again(f"{tmp_path}/a.tif#2")), PICTURES[3])


def test_ids_name_pages_also_by_default(tmp_path: Path) -> None:
    by_pillow(tmp_path / "a.tif")
    (tmp_path / "ids.csv").write_text("id\na.tif#3\na.tif\na.tif#1\n")
    found = listed(tmp_path, ids=str(tmp_path / "ids.csv"), file="{id}", pages="first")
    assert ids(found) == ["a.tif#3", "a.tif", "a.tif#1"]
    for image, number in zip(found.images, (2, 0, 0), strict=True):
        np.testing.assert_array_equal(read_image(image.path), PICTURES[number])


def test_pages_that_are_not_there_are_missing_ids(tmp_path: Path) -> None:
    by_pillow(tmp_path / "a.tif")
    (tmp_path / "ids.csv").write_text("id\na.tif#3\na.tif#5\n")
    with pytest.raises(ImageError, match=r"row 2: id 'a\.tif#5': no such page; correct it"):
        listed(tmp_path, ids=str(tmp_path / "ids.csv"), file="{id}")


def test_of_archives_the_first_page_is_taken_and_told(tmp_path: Path) -> None:
    path = by_pillow(tmp_path / "a.tif")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(path, "a.tif")
    found = find_images(ImagesConfig(folder=str(tmp_path / "b.zip"), pages="all"))
    assert ids(found) == ["a.tif"]
    assert found.notes == [
        "took the first page of 1 TIFF; to take all pages, unpack or download them into a folder, and name it in "
        "images.folder"
    ]


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def in_big_endian(data: bytes) -> bytes:
    return b"MM\0*" + data[4:]


@pytest.mark.parametrize("spoil", [cut, in_big_endian])
def test_spoiled_files_give_reasons(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = by_pillow(tmp_path / "a.tif")
    path.write_bytes(spoil(path.read_bytes()))
    assert reasons(listed(tmp_path))
