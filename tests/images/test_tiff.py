"""TIFF: every number format in every layout gives the values that were written."""

from __future__ import annotations

import struct
from itertools import product
from typing import Any

import numpy as np
import pytest

from imgcluster.errors import ImageError
from imgcluster.images.decode import decode_image
from imgcluster.images.decoders import decode
from imgcluster.images.headers import tiff_tags
from imgcluster.images.stored import Wanted

pytest.importorskip("imagecodecs", reason="its encoders write the files")
pytest.importorskip("tifffile", reason="its writer makes the files")

from imgcluster.config import Reading
from imgcluster.images.containers.tiff_header import BITS, EXTRA_SAMPLES, ORIENTATION, edited, read_page
from tests.support.extras import without
from tests.support.formats.files import INFRARED, RGB, bands, planes, tiff

PLANES = "planes apart"
LAYOUTS: dict[str, dict[str, Any]] = {
    "strips": {},
    "big-endian": {"byteorder": ">"},
    "tiles": {"tile": (32, 32)},
    "Deflate": {"compression": "deflate"},
    "Deflate with a predictor": {"compression": "deflate", "predictor": True},
    "BigTIFF": {"bigtiff": True},
    "BigTIFF, big-endian": {"bigtiff": True, "byteorder": ">"},
    "BigTIFF, big-endian, ZSTD": {"bigtiff": True, "byteorder": ">", "compression": "zstd"},
    "small tiles": {"tile": (16, 16)},
    PLANES: {},
    f"{PLANES}, tiles, LZW": {"tile": (32, 32), "compression": "lzw"},
    f"{PLANES}, small tiles": {"tile": (16, 16)},
}
KINDS = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8")
MOST = 2**40  # of the values: whole numbers of floats


def values_of(kind: str, channels: int) -> np.ndarray:
    """The scene, and a fourth band, over the whole range of a number format: (height, width, channels)."""
    shares = np.dstack([RGB, INFRARED])[..., :channels] / 255
    if np.dtype(kind).kind == "f":
        return (shares * 1000 - 200).astype(kind)
    limits = np.iinfo(kind)
    return ((shares - (limits.min < 0) / 2) * min(limits.max, MOST)).astype(kind)


def written(values: np.ndarray, photometric: str, layout: str) -> bytes:
    channels = values.shape[2]
    if channels == 1:
        return tiff(values[..., 0], photometric, **LAYOUTS[layout])
    extra = channels - (3 if photometric == "rgb" else 1)
    options = {**LAYOUTS[layout], **({"extrasamples": [0] * extra} if extra else {})}
    return (planes if layout.startswith(PLANES) else bands)(values, photometric, **options)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_values_come_as_they_were_written(kind: str, layout: str) -> None:
    if kind in ("u8", "i8") and "predictor" in LAYOUTS[layout]:
        pytest.skip("there is no predictor of 64 bits")
    all_bands = Wanted(reading=Reading(bands=(1,)))
    for channels, photometric in product((1, 2, 3, 4), ("minisblack", "rgb")):
        if photometric == "rgb" and channels < 3:
            continue
        values = values_of(kind, channels)
        found = decode(written(values, photometric, layout), all_bands).samples
        np.testing.assert_array_equal(found.reshape(values.shape), values, err_msg=f"{channels} {photometric}")


def test_editing_leaves_all_other_tags() -> None:
    data = bands(np.dstack([RGB, INFRARED]), "rgb", extrasamples=[2])
    changed = edited(data, {ORIENTATION: (6,), 258: (8, 8, 8, 7), EXTRA_SAMPLES: ()})
    every = range(2**16)
    before, after = tiff_tags(data, every), tiff_tags(changed, every)
    assert after[258] == (8, 8, 8, 7)
    assert EXTRA_SAMPLES in before
    assert EXTRA_SAMPLES not in after
    left = {258, EXTRA_SAMPLES, 337}
    assert {key: value for key, value in after.items() if key not in left} == {
        key: value for key, value in before.items() if key not in left
    }


def test_a_band_beside_the_colours_can_be_asked_for() -> None:
    data = bands(np.dstack([RGB, INFRARED]), "rgb", extrasamples=[2])
    found = decode_image(data, reading=Reading(bands=(4, 3, 2)))
    np.testing.assert_array_equal(found, np.dstack([INFRARED, RGB[..., 2], RGB[..., 1]]))


@pytest.mark.parametrize(("layout", "big"), [("strips", False), ("BigTIFF", True)])
def test_what_a_page_says_of_itself(layout: str, big: bool) -> None:
    data = written(values_of("u2", 3), "rgb", layout)
    assert (data[2:4] == b"+\0") is big
    page = read_page(data)
    assert (page.height, page.width, page.samples, page.bits) == (*RGB.shape, 16)
    assert str(page) == "TIFF, 3 samples of 16 bits"


@pytest.mark.parametrize("kind", ["u1", "u2"])
@pytest.mark.parametrize("layout", [bands, planes])
@pytest.mark.parametrize(
    ("photometric", "extra"),
    [
        ("rgb", [0, 0]),
        ("rgb", [0, 0, 0, 0]),
        ("rgb", [0, 0, 2]),
        ("rgb", [2, 0]),
        ("rgb", [0, 2, 0]),
        ("minisblack", [0, 0, 0, 0]),
        ("minisblack", [0, 0, 0, 0, 0, 0]),
        ("minisblack", [0, 0, 0, 2]),
        ("minisblack", [0, 0, 2, 0]),
    ],
)
def test_opacity_is_where_the_header_says(kind: str, layout: Any, photometric: str, extra: list[int]) -> None:
    largest = np.iinfo(kind).max
    count = (3 if photometric == "rgb" else 1) + len(extra)
    values = np.dstack([RGB, *([INFRARED] * (count - 3))]).astype(kind) * (largest // 255)
    truth = RGB.copy()
    if 2 in extra:
        place = count - len(extra) + extra.index(2)
        values[..., place] = largest
        values[:9, :, place] = 0
        truth[:9] = 255
    data = layout(values, photometric, extrasamples=extra)
    np.testing.assert_array_equal(decode_image(data), truth)


def test_opacity_of_one_bit_is_one() -> None:
    whole = planes(np.full((*RGB.shape[:2], 5), 0xF0, np.uint8), "minisblack", extrasamples=[0, 0, 0, 2])
    found = decode_image(edited(whole, {BITS: (1,) * 5}))  # four white and opaque pixels, four transparent ones, ...
    row = np.resize([255] * 4 + [128] * 4, RGB.shape[1])  # on grey, for what is opaque is white
    np.testing.assert_array_equal(found, np.broadcast_to(row[None, :, None], RGB.shape))


def test_a_size_within_what_is_compressed_is_damage() -> None:
    data = bytearray(tiff(RGB[..., 0].astype(np.uint16), compression="lerc"))
    height = data.index(b"Lerc2 ") + 14
    assert data[height : height + 4] == struct.pack("<I", len(RGB))
    struct.pack_into("<I", data, height, 0x70000030)  # 224 GiB
    with pytest.raises(ImageError, match=r"^damaged TIFF$"):
        decode_image(bytes(data))


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        (f"{PLANES}, small tiles", "TIFF, 3 samples of 8 bits, planes apart, small tiles"),
        ("BigTIFF, big-endian, ZSTD", "TIFF, 3 samples of 8 bits, ZSTD, big-endian BigTIFF"),
    ],
)
def test_without_the_extra_the_reason_names_what_others_do_not_read(layout: str, said: str) -> None:
    data = written(RGB, "rgb", layout)
    np.testing.assert_array_equal(decode_image(data), RGB)
    with without("tifffile"), pytest.raises(ImageError, match=f'^{said}: not read; pip install "imgcluster'):
        decode_image(data)
    with pytest.raises(ImageError, match=r"^truncated TIFF$"):
        decode_image(data[: len(data) * 2 // 3])
