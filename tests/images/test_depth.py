"""What headers say of depth agrees with what decoders return, for every format of docs/formats.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imgcluster.images.decoders import decode
from imgcluster.images.depth import has_eight_bits
from imgcluster.images.stored import Wanted
from tests.support.formats import Variant
from tests.support.formats.cases import READABLE, made, name_of


@pytest.mark.parametrize("variant", READABLE, ids=name_of)
def test_a_picture_of_eight_bits_by_its_header_is_decoded_to_them(variant: Variant, tmp_path: Path) -> None:
    file = tmp_path / "picture"
    file.write_bytes(data := made(variant))
    if has_eight_bits(file):
        assert decode(data, Wanted()).samples.dtype == np.uint8


def test_headers_tell_of_the_usual_formats(tmp_path: Path) -> None:
    told = set()
    for number, variant in enumerate(READABLE):
        if variant.format in ("PNG", "PNM", "TIFF", "JPEG"):
            file = tmp_path / str(number)
            file.write_bytes(variant.make())
            told.add((variant.format, has_eight_bits(file)))
    assert told >= {(format, answer) for format in ("PNG", "PNM", "TIFF", "JPEG") for answer in (True, False)}


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"II*\0", b"II*\0\xff\xff\xff\xff", b"P5 1 1", b"?"])
def test_a_damaged_header_tells_nothing(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(data)
    assert not has_eight_bits(tmp_path / "a.tif")
    assert not has_eight_bits(tmp_path)
    assert not has_eight_bits(tmp_path / "none.tif")
