"""Thumbnails."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from imgcluster.report import thumbnails
from imgcluster.report.thumbnails import make_thumbnails, thumbnail_path, thumbnail_side
from tests.conftest import write_picture


def test_thumbnails_are_small_and_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_picture(tmp_path / "wide.png", np.full((100, 500, 3), 200, np.uint8))
    write_picture(tmp_path / "tiny.png", np.full((3, 2, 3), 20, np.uint8))
    (tmp_path / "no.png").write_bytes(b"")
    paths = [tmp_path / name for name in ("wide.png", "tiny.png", "no.png", "gone.png")]
    made = make_thumbnails(paths, tmp_path / "t", show=False)
    assert made[2:] == [None, None]
    shapes = [cv2.imread(str(thumbnail_path(tmp_path / "t", name))).shape for name in made[:2] if name]
    assert shapes == [(45, 224, 3), (3, 2, 3)]
    read = []
    monkeypatch.setattr(thumbnails, "decode_image", lambda data, *_: read.append(data))
    assert make_thumbnails(paths[:2], tmp_path / "t", show=False) == made[:2]
    assert read == []


def test_thumbnails_of_images_that_changed_or_went_are_replaced(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", np.full((9, 9, 3), 200, np.uint8))
    write_picture(tmp_path / "b.png", np.full((9, 9, 3), 100, np.uint8))
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    before = make_thumbnails(paths, tmp_path / "t", show=False)
    write_picture(tmp_path / "a.png", np.full((9, 9, 3), 20, np.uint8))
    os.utime(tmp_path / "a.png", (1, 1))
    (tmp_path / "t" / before[1][:2] / "left.123.tmp").write_bytes(b"")  # type: ignore[index]
    after = make_thumbnails(paths[:1], tmp_path / "t", show=False)
    assert after[0] not in before
    assert [path.name for path in (tmp_path / "t").rglob("*") if path.is_file()] == [f"{after[0]}.jpg".split("/")[1]]
    assert cv2.imread(str(thumbnail_path(tmp_path / "t", str(after[0])))).mean() == pytest.approx(20, abs=2)


def test_a_thumbnail_of_which_nothing_reached_the_disk_is_made_again(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", np.full((9, 9, 3), 200, np.uint8))
    (name,) = make_thumbnails([tmp_path / "a.png"], tmp_path / "t", show=False)
    place = thumbnail_path(tmp_path / "t", str(name))
    whole = place.read_bytes()
    place.write_bytes(b"")
    make_thumbnails([tmp_path / "a.png"], tmp_path / "t", show=False)
    assert place.read_bytes() == whole


def test_thumbnails_have_nothing_of_the_originals_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    exif[0x0112] = 6  # turned: the thumbnail is upright
    exif.get_ifd(0x8825)[1] = "N"
    Image.new("RGB", (40, 20), (200, 10, 10)).save(tmp_path / "a.jpg", exif=exif)
    (name,) = make_thumbnails([tmp_path / "a.jpg"], tmp_path / "t", show=False)
    with Image.open(thumbnail_path(tmp_path / "t", str(name))) as thumbnail:
        assert thumbnail.size == (20, 40)
        assert not thumbnail.getexif()
        assert "secret" not in str(thumbnail.info)


def test_many_images_have_smaller_thumbnails() -> None:
    assert [thumbnail_side(count) for count in (1, 2_000, 2_001, 20_000, 20_001, 10**6)] == [224, 224, 128, 128, 96, 96]


def test_thumbnails_that_are_there_are_no_progress(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_picture(tmp_path / "a.png", np.full((9, 9, 3), 200, np.uint8))
    make_thumbnails([tmp_path / "a.png"], tmp_path / "t")
    assert "thumbnails: 1/1" in capsys.readouterr().err
    make_thumbnails([tmp_path / "a.png"], tmp_path / "t")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("name", "value"), [("RULES", 99), ("decoder_of", lambda ending: f"decoder of {ending} 2.0")])
def test_another_way_of_reading_makes_other_thumbnails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    write_picture(tmp_path / "a.png", np.full((9, 9, 3), 200, np.uint8))
    before = make_thumbnails([tmp_path / "a.png"], tmp_path / "t", show=False)
    monkeypatch.setattr(thumbnails, name, value)
    after = make_thumbnails([tmp_path / "a.png"], tmp_path / "t", show=False)
    assert after != before
    assert thumbnail_path(tmp_path / "t", str(after[0])).is_file()
