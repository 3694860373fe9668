"""Rows of docs/formats.md: TIFF."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageCms

from tests.support.formats import LOSSY, Variant
from tests.support.formats.files import (
    ALPHA,
    DEEP,
    FLOATS,
    GREY,
    INFRARED,
    RGB,
    TURNS,
    bands,
    by_pillow,
    exact_palette,
    over,
    planes,
    stretched,
    tag,
    three,
    tiff,
)
from tests.support.formats.profiles import managed, profile
from tests.support.formats.readers import by_tifffile, managed_pillow, pillow
from tests.support.formats.rows import (
    CUT,
    FIRST,
    GREY_OVER_WHITE,
    LA,
    LAID,
    MANAGED,
    OVER_WHITE,
    READ,
    RGBA,
    SCIENTIFIC,
    TO_8,
    TWELVE,
)

STRETCHED = "read: stretched from the smallest to the largest value"
MULTIPLIED = np.dstack([over(RGB, ALPHA, 0), ALPHA])


def _pages() -> bytes:
    return by_pillow("TIFF", RGB, save_all=True, append_images=[Image.fromarray(255 - RGB)])


def _nodata() -> tuple[np.ndarray, np.ndarray]:
    """Heights with a hole, and the truth: the hole is white."""
    heights = GREY.astype(np.float32) * 10 + 300
    truth = three(stretched(heights))
    heights[:10, :10] = -9999
    truth[:10, :10] = 255
    return heights, truth


HEIGHTS, HEIGHTS_TRUTH = _nodata()


def _compressed(name: str, **options: Any) -> bytes:
    return tiff(RGB, "rgb", compression=name, **options)


def _grey4() -> bytes:
    return tiff(GREY >> 4, bitspersample=4)


def _packed(values: np.ndarray, bits: int) -> bytes:
    return tiff(values, bitspersample=bits)


def _lab() -> Image.Image:
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    return ImageCms.applyTransform(CUT, to_lab)


TIFF = [
    *(
        Variant(
            "TIFF", f"8 bits, {name or 'not compressed'}", READ, lambda each=name: _compressed(each), RGB, by_tifffile()
        )
        for name in (None, "lzw", "deflate", "packbits", "zstd", "lzma")
    ),
    Variant(
        "TIFF", "8 bits, JPEG", READ, lambda: by_pillow("TIFF", RGB, compression="jpeg", quality=92), RGB, pillow, LOSSY
    ),
    Variant(
        "TIFF",
        "1 bit, fax",
        READ,
        lambda: by_pillow("TIFF", Image.fromarray(GREY > 128), compression="group4"),
        three((GREY > 128) * np.uint8(255)),
        pillow,
    ),
    Variant("TIFF", "2 or 4 bits, grey", READ, _grey4, three((GREY >> 4) * np.uint8(17)), pillow),
    Variant("TIFF", "palette", READ, lambda: by_pillow("TIFF", exact_palette(RGB)), RGB, pillow, LOSSY),
    Variant(
        "TIFF",
        "8 bits, MinIsWhite",
        READ,
        lambda: tiff(255 - GREY, "miniswhite"),
        three(GREY),
        by_tifffile(inverted=True),
    ),
    Variant("TIFF", "CMYK", READ, lambda: by_pillow("TIFF", CUT.convert("CMYK")), RGB, pillow),
    Variant("TIFF", "CIELab", READ, lambda: by_pillow("TIFF", _lab()), RGB, None),
    *(
        Variant(
            "TIFF",
            f"8 bits, orientation {turn}, {'tiles' if tiled else 'strips'}",
            READ,
            lambda each=turn, size=tiled: tiff(RGB, "rgb", **tag(274, each), **size),
            TURNS[turn](RGB),
            by_tifffile(turn=turn),
        )
        for turn in range(2, 9)
        for tiled in ({}, {"tile": (16, 16)})
    ),
    Variant("TIFF", "planes apart, 8 bits", READ, lambda: planes(RGB), RGB, by_tifffile()),
    Variant("TIFF", "planes apart, 16 bits", TO_8, lambda: planes(DEEP), RGB, by_tifffile(16)),
    Variant(
        "TIFF",
        "planes apart, 16 bits, tiles, LZW",
        TO_8,
        lambda: planes(DEEP, tile=(16, 16), compression="lzw"),
        RGB,
        by_tifffile(16),
    ),
    Variant(
        "TIFF",
        "planes apart, 16 bits, big-endian BigTIFF",
        TO_8,
        lambda: planes(DEEP, byteorder=">", bigtiff=True),
        RGB,
        by_tifffile(16),
    ),
    Variant("TIFF", "planes apart, float", STRETCHED, lambda: planes(FLOATS), stretched(FLOATS), None),
    Variant(
        "TIFF",
        "planes apart, 16 bits, five bands",
        "read: the first three bands, see `images.bands`",
        lambda: planes(np.dstack([DEEP, DEEP[..., :2]]), "minisblack"),
        RGB,
        by_tifffile(16),
    ),
    Variant(
        "TIFF",
        "three or four bands, MinIsBlack, 8 bits",
        "read: the first three bands, see `images.bands`",
        lambda: bands(np.dstack([RGB, INFRARED])),
        RGB,
        by_tifffile(),
    ),
    Variant(
        "TIFF",
        "three or four bands, MinIsBlack, 16 bits",
        "read: the first three bands, see `images.bands`",
        lambda: bands(DEEP),
        RGB,
        by_tifffile(16),
    ),
    Variant(
        "TIFF",
        "RGB and a band that is no opacity, 8 bits",
        "read: without it",
        lambda: bands(np.dstack([RGB, INFRARED]), "rgb", extrasamples=[0]),
        RGB,
        by_tifffile(),
    ),
    Variant(
        "TIFF",
        "RGB and a band that is no opacity, 16 bits",
        "read: without it",
        lambda: bands(np.dstack([DEEP, INFRARED.astype(np.uint16) * 257]), "rgb", extrasamples=[0]),
        RGB,
        by_tifffile(16),
    ),
    Variant(
        "TIFF",
        "RGB and two bands, 8 bits",
        "read: without them",
        lambda: bands(np.dstack([RGB, INFRARED, INFRARED]), "rgb", extrasamples=[0, 0]),
        RGB,
        by_tifffile(),
    ),
    Variant("TIFF", "straight alpha, 8 bits", LAID, lambda: bands(RGBA, "rgb", extrasamples=[2]), OVER_WHITE, pillow),
    Variant(
        "TIFF", "associated alpha, 8 bits", LAID, lambda: bands(MULTIPLIED, "rgb", extrasamples=[1]), OVER_WHITE, None
    ),
    Variant(
        "TIFF",
        "straight alpha, 16 bits",
        LAID,
        lambda: bands(RGBA.astype(np.uint16) * 257, "rgb", extrasamples=[2]),
        OVER_WHITE,
        None,
    ),
    Variant(
        "TIFF",
        "associated alpha, 16 bits",
        LAID,
        lambda: bands(MULTIPLIED.astype(np.uint16) * 257, "rgb", extrasamples=[1]),
        OVER_WHITE,
        None,
    ),
    Variant("TIFF", "grey and alpha", LAID, lambda: bands(LA, extrasamples=[2]), GREY_OVER_WHITE, pillow),
    Variant("TIFF", "16 bits", TO_8, lambda: tiff(DEEP, "rgb"), RGB, by_tifffile(16)),
    Variant(
        "TIFF",
        "16 bits, tiles, orientation 6",
        TO_8,
        lambda: tiff(DEEP, "rgb", tile=(16, 16), **tag(274, 6)),
        TURNS[6](RGB),
        by_tifffile(16, 6),
    ),
    Variant(
        "TIFF",
        "16 bits, MinIsWhite",
        TO_8,
        lambda: tiff(65_535 - DEEP[..., 1], "miniswhite"),
        three(GREY),
        by_tifffile(16, inverted=True),
    ),
    Variant(
        "TIFF",
        "16 bits that hold 10 to 14",
        "read: as 10, 12 or 14 bits, see `images.range`",
        lambda: tiff(TWELVE, "rgb"),
        RGB,
        by_tifffile(12),
    ),
    Variant("TIFF", "32 bits, float, 64 bits", STRETCHED, lambda: tiff(FLOATS, "rgb"), stretched(FLOATS), None),
    Variant(
        "TIFF",
        "float, a value without data (tag 42113)",
        "read: stretched without it, which becomes white",
        lambda: tiff(HEIGHTS, extratags=[(42_113, 2, 6, "-9999", True)]),
        HEIGHTS_TRUTH,
        None,
    ),
    Variant(
        "TIFF",
        "ICC profile of other colours",
        MANAGED,
        lambda: by_pillow("TIFF", RGB, icc_profile=profile("wide")),
        managed(RGB),
        managed_pillow,
    ),
    Variant("TIFF", "several pages", f"{FIRST}, or all by `images.pages`", _pages, RGB, pillow),
    Variant(
        "TIFF", "10, 12 or 14 bits, packed", TO_8, lambda: _packed(TWELVE[..., 1], 12), three(GREY), by_tifffile(12)
    ),
    Variant(
        "TIFF",
        "9, 11, 13 or 15 bits, packed",
        SCIENTIFIC,
        lambda: _packed(DEEP[..., 1] >> 5, 11),
        three(GREY),
        by_tifffile(11),
    ),
    Variant(
        "TIFF", "16 bits, ZSTD or LZMA", SCIENTIFIC, lambda: tiff(DEEP, "rgb", compression="zstd"), RGB, by_tifffile(16)
    ),
    Variant("TIFF", "half floats", SCIENTIFIC, lambda: tiff(FLOATS.astype(np.float16), "rgb"), stretched(FLOATS), None),
    Variant("TIFF", "JPEG 2000 inside", SCIENTIFIC, lambda: _compressed("jpeg2000"), RGB, by_tifffile()),
    Variant("TIFF", "JPEG XL inside", SCIENTIFIC, lambda: _compressed("jpegxl"), RGB, by_tifffile(), LOSSY),
    Variant("TIFF", "WebP inside", SCIENTIFIC, lambda: _compressed("webp"), RGB, by_tifffile(), LOSSY),
    Variant(
        "TIFF", "LERC inside", SCIENTIFIC, lambda: tiff(DEEP[..., 1], compression="lerc"), three(GREY), by_tifffile(16)
    ),
    Variant(
        "TIFF",
        "five bands of 16 bits",
        SCIENTIFIC,
        lambda: bands(np.dstack([DEEP, DEEP[..., :2]])),
        RGB,
        by_tifffile(16),
    ),
    Variant(
        "TIFF",
        "complex numbers",
        "refused",
        lambda: tiff(GREY.astype(np.complex64)),
        reason="TIFF, 1 sample of 64 bits, complex: not read; convert it to",
    ),
]
