"""Which files earlier versions read alike: the rows of docs/formats.md that they read otherwise are none of these."""

from __future__ import annotations

import pytest

from imgcluster.images.earlier import reads_as_before

pytest.importorskip("imagecodecs", reason="its encoders write the files")
pytest.importorskip("tifffile", reason="its writer makes the files")

from tests.support.formats import Variant
from tests.support.formats.files import RGB, by_pillow
from tests.support.formats.profiles import profile
from tests.support.formats.rows import READ
from tests.support.formats.table import ALL

# All others were read otherwise, or refused, or are not common enough to be known.
ALIKE = {
    "JPEG": ("8 bits, colour", "progressive, 4:2:0", "grey", "CMYK", "EXIF orientation", "ICC profile of sRGB"),
    "PNG": (
        *("8 bits: grey, RGB, palette", "1 bit", "alpha", "grey and alpha", "transparent colour", "EXIF orientation"),
        *("animated", "gamma 1/2.2, primaries of sRGB", "sRGB, and another gamma"),
    ),
    "GIF": ("palette",),
    "WebP": ("lossy", "lossless, alpha", "EXIF orientation"),
    "BMP": ("24 bits, palette",),
    "PNM": ("P5, P6 of 8 bits",),
    "TIFF": (
        *("8 bits, not compressed", "8 bits, lzw", "8 bits, deflate", "8 bits, packbits"),
        *("8 bits, JPEG", "planes apart, 8 bits", "several pages"),
    ),
}


@pytest.mark.parametrize("variant", ALL, ids=lambda variant: f"{variant.format}, {variant.name}")
def test_only_what_is_surely_alike_is_taken_for_it(variant: Variant) -> None:
    assert reads_as_before(variant.make()) is (variant.name in ALIKE.get(variant.format, ()))


@pytest.mark.parametrize("variant", [each for each in ALL if each.result == READ and each.format == "PNG"])
def test_the_beginning_of_a_file_is_enough_where_it_holds_the_header(variant: Variant) -> None:
    data = variant.make()
    assert reads_as_before(data[: data.index(b"IDAT") + 4])
    assert not reads_as_before(data[: data.index(b"IDAT") - 4])


def test_a_profile_that_is_cut_off_tells_nothing() -> None:
    data = by_pillow("JPEG", RGB, icc_profile=profile("sRGB"))
    at = data.index(b"ICC_PROFILE")
    assert not reads_as_before(data[: at + 100])
