"""Each row of docs/formats.md: a file by a real writer, compared with the truth and with a second reader."""

from __future__ import annotations

import re
import shutil
import sys

import cv2
import numpy as np
import pytest

from imgcluster.errors import ImageError
from imgcluster.images.decode import decode_image
from imgcluster.images.decoders import DECODERS
from imgcluster.images.extras import RAW, RAWS
from imgcluster.images.file_kinds import kind_of
from tests import ROOT
from tests.support.formats import Variant
from tests.support.formats.cases import READABLE, REFUSED, made, name_of
from tests.support.formats.files import FLOATS, GREY, RGB, planes, tiff
from tests.support.formats.readers import by_ffmpeg
from tests.support.formats.rows import SCIENTIFIC
from tests.support.formats.table import ALL, table


def error_between(found: np.ndarray, wanted: np.ndarray) -> float:
    assert found.shape == wanted.shape
    return float(np.abs(found.astype(int) - wanted).mean())


@pytest.mark.parametrize("variant", READABLE, ids=name_of)
def test_a_variant_gives_the_picture_that_was_written(variant: Variant) -> None:
    data = made(variant)
    found = decode_image(data)
    assert variant.truth is not None
    assert error_between(found, variant.truth) <= variant.within
    assert np.array_equal(decode_image(data), found), "another reading gives other pixels"


@pytest.mark.parametrize("variant", [each for each in READABLE if each.second], ids=name_of)
def test_a_second_reader_agrees(variant: Variant) -> None:
    data = made(variant)
    assert variant.second is not None
    if variant.second is by_ffmpeg and shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    assert error_between(decode_image(data), variant.second(data)) <= variant.within


@pytest.mark.parametrize("variant", REFUSED, ids=name_of)
def test_a_variant_that_is_not_read_is_refused_by_name(variant: Variant) -> None:
    with pytest.raises(ImageError, match=f"^{re.escape(variant.reason)}"):
        decode_image(made(variant))


def test_the_docs_have_these_rows() -> None:
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert table() in text, "python -m tests.support.formats prints the table"


def test_every_kind_that_is_read_has_a_row() -> None:
    by_makers = {*RAWS} - {RAW}  # cameras alone write these
    assert {each.format for each in ALL} >= {*DECODERS} - by_makers
    assert all(kind_of(made(each)) in DECODERS for each in ALL)


@pytest.mark.parametrize("variant", [each for each in ALL if each.result == SCIENTIFIC], ids=name_of)
def test_without_the_extra_the_reason_names_it(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tifffile", None)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    data = made(variant)
    with pytest.raises(
        ImageError, match=r'^(TIFF|JPEG).*: not read; pip install "imgcluster\[scientific\]", or convert it'
    ):
        decode_image(data)


@pytest.mark.parametrize("ending", [".hdr", ".pfm", ".exr"])
def test_formats_that_are_not_in_the_table_reach_no_decoder(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        data = cv2.imencode(ending, RGB.astype(np.float32))[1].tobytes()
    except cv2.error:
        pytest.skip(f"this OpenCV writes no {ending}")
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(ImageError, match=r"not an image|convert it to"):
        decode_image(data)


@pytest.mark.parametrize("number", range(5))
def test_planes_apart_are_read_alike_whatever_lay_in_memory(number: int) -> None:
    np.full((500 + number, 500), number * 17, np.uint16)  # OpenCV would hand out what was there
    found = decode_image(planes(FLOATS))
    assert error_between(found, decode_image(tiff(FLOATS, "rgb"))) == 0


def test_a_broken_plane_is_an_error() -> None:
    data = planes(np.dstack([GREY] * 3).astype(np.uint16))
    with pytest.raises(ImageError, match=r"^truncated TIFF$"):
        decode_image(data[: len(data) * 2 // 3])
