"""Rows of docs/formats.md: all formats but TIFF."""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from tests.support.formats import LOSSY, Variant
from tests.support.formats.files import (
    ALPHA,
    DEEP,
    GREY,
    RGB,
    TURNS,
    bmp32,
    bmp_bitfields,
    by_opencv,
    by_pillow,
    exact_palette,
    jp2,
    over,
    pam,
    pasted,
    pnm,
    small_gif,
    small_webp,
    three,
    turned,
    with_chunk,
)
from tests.support.formats.profiles import managed, profile
from tests.support.formats.readers import by_avif, by_ffmpeg, by_jpeg2k, managed_pillow, pillow

READ = "read"
SCIENTIFIC = 'read with `pip install "imgcluster[scientific]"`'
FIRST = "read: the first picture"
LAID = "read: transparency over white"
TO_8 = "read: brought to 8 bits by the largest value of the depth"
MANAGED = "read: converted to sRGB"
RGBA = np.dstack([RGB, ALPHA])
LA = np.dstack([GREY, ALPHA])
OVER_WHITE, GREY_OVER_WHITE = over(RGB, ALPHA), over(three(GREY), ALPHA)
KEY = (230, 60, 50)  # a colour of the scene
KEYED = np.where((RGB == KEY).all(axis=2), 0, 255).astype(np.uint8)
GREY_KEY = int(GREY[10, 10])
GREY_KEYED = over(three(GREY), np.where(GREY == GREY_KEY, 0, 255).astype(np.uint8))
TWELVE = (RGB.astype(np.uint16) << 4) | (RGB >> 4)
CUT = Image.fromarray(RGB)


def _jpeg(**options: Any) -> bytes:
    return by_pillow("JPEG", RGB, quality=92, subsampling="4:4:4", **options)


def _apng() -> bytes:
    return by_pillow("PNG", RGB, save_all=True, append_images=[Image.fromarray(255 - RGB)])


def _lossless(values: np.ndarray) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(values, lossless=True, predictor=1))


def _jpeg12() -> bytes:
    return bytes(imagecodecs.jpeg8_encode(TWELVE[..., 1].copy(), bitspersample=12))


def _jpeg16() -> bytes:
    return bytes(imagecodecs.jpeg8_encode(DEEP, bitspersample=16, lossless=True))


def _avif10() -> bytes:
    return bytes(imagecodecs.avif_encode(RGB.astype(np.uint16) * 4, level=95, bitspersample=10))


JPEG = [
    Variant("JPEG", "8 bits, colour", READ, _jpeg, RGB, pillow, LOSSY),
    Variant("JPEG", "progressive, 4:2:0", READ, lambda: by_pillow("JPEG", RGB, progressive=True), RGB, pillow, LOSSY),
    Variant("JPEG", "grey", READ, lambda: by_pillow("JPEG", GREY, quality=92), three(GREY), pillow, LOSSY),
    Variant("JPEG", "CMYK", READ, lambda: by_pillow("JPEG", CUT.convert("CMYK"), quality=92), RGB, pillow, LOSSY),
    Variant("JPEG", "EXIF orientation", READ, lambda: _jpeg(exif=turned(6)), TURNS[6](RGB), pillow, LOSSY),
    Variant("JPEG", "ICC profile of sRGB", READ, lambda: _jpeg(icc_profile=profile("sRGB")), RGB, pillow, LOSSY),
    Variant(
        "JPEG",
        "ICC profile of other colours",
        MANAGED,
        lambda: _jpeg(icc_profile=profile("wide")),
        managed(RGB),
        managed_pillow,
        LOSSY,
    ),
    Variant("JPEG", "lossless, grey", READ, lambda: _lossless(GREY), three(GREY), pillow),
    Variant("JPEG", "lossless, colour", READ, lambda: _lossless(RGB), RGB, None),
    Variant("JPEG", "12 bits", SCIENTIFIC, _jpeg12, three(GREY), None, LOSSY),
    Variant("JPEG", "lossless, 16 bits", SCIENTIFIC, _jpeg16, RGB, None),
    Variant("JPEG", "JPEG-LS", SCIENTIFIC, lambda: bytes(imagecodecs.jpegls_encode(GREY)), three(GREY), by_ffmpeg),
]


PNG = [
    Variant("PNG", "8 bits: grey, RGB, palette", READ, lambda: by_pillow("PNG", RGB), RGB, pillow),
    Variant(
        "PNG",
        "1 bit",
        READ,
        lambda: by_pillow("PNG", Image.fromarray(GREY > 128)),
        three((GREY > 128) * np.uint8(255)),
        pillow,
    ),
    Variant("PNG", "16 bits", TO_8, lambda: by_opencv(".png", DEEP), RGB, None),
    Variant(
        "PNG",
        "16 bits that hold 12",
        "read: as 12 bits, see `images.range`",
        lambda: by_opencv(".png", TWELVE),
        RGB,
        None,
    ),
    Variant("PNG", "alpha", LAID, lambda: by_pillow("PNG", RGBA), OVER_WHITE, pillow),
    Variant(
        "PNG", "grey and alpha", LAID, lambda: by_pillow("PNG", Image.fromarray(LA, "LA")), GREY_OVER_WHITE, pillow
    ),
    Variant(
        "PNG", "transparent colour", LAID, lambda: by_pillow("PNG", RGB, transparency=KEY), over(RGB, KEYED), pillow
    ),
    Variant("PNG", "transparent grey", LAID, lambda: by_pillow("PNG", GREY, transparency=GREY_KEY), GREY_KEYED, pillow),
    Variant(
        "PNG",
        "transparent grey, 16 bits",
        LAID,
        lambda: with_chunk(by_opencv(".png", DEEP[..., 1]), b"tRNS", (GREY_KEY * 257).to_bytes(2, "big")),
        GREY_KEYED,
        None,
    ),
    Variant("PNG", "EXIF orientation", READ, lambda: by_pillow("PNG", RGB, exif=turned(5)), TURNS[5](RGB), pillow),
    Variant(
        "PNG",
        "ICC profile of other colours",
        MANAGED,
        lambda: by_pillow("PNG", RGB, icc_profile=profile("wide")),
        managed(RGB),
        managed_pillow,
    ),
    Variant("PNG", "animated", FIRST, _apng, RGB, pillow),
]

OTHERS = [
    Variant("GIF", "palette", READ, lambda: by_pillow("GIF", exact_palette(RGB)), RGB, pillow, LOSSY),
    Variant(
        "GIF", "a first frame smaller than the canvas", LAID, small_gif, pasted(RGB[8:24, 8:40], 8, 8), None, LOSSY
    ),
    Variant("WebP", "lossy", READ, lambda: by_pillow("WEBP", RGB, quality=92), RGB, pillow, LOSSY),
    Variant("WebP", "lossless, alpha", LAID, lambda: by_pillow("WEBP", RGBA, lossless=True), OVER_WHITE, pillow),
    Variant(
        "WebP",
        "EXIF orientation",
        READ,
        lambda: by_pillow("WEBP", RGB, lossless=True, exif=turned(7)),
        TURNS[7](RGB),
        pillow,
    ),
    Variant(
        "WebP",
        "ICC profile of other colours",
        MANAGED,
        lambda: by_pillow("WEBP", RGB, lossless=True, icc_profile=profile("wide")),
        managed(RGB),
        managed_pillow,
    ),
    Variant("WebP", "a first frame smaller than the canvas", LAID, small_webp, pasted(RGB[8:24, 8:40], 8, 8), pillow),
    Variant("BMP", "24 bits, palette", READ, lambda: by_pillow("BMP", RGB), RGB, pillow),
    Variant("BMP", "32 bits without a mask of opacity", READ, bmp_bitfields, RGB, pillow),
    Variant("BMP", "32 bits, the mask of opacity is 0", READ, lambda: bmp32(0, np.zeros_like(ALPHA)), RGB, None),
    Variant("BMP", "32 bits with opacity", LAID, lambda: bmp32(0xFF000000, ALPHA), OVER_WHITE, pillow),
    Variant(
        "PNM",
        "P4: bits",
        READ,
        lambda: by_pillow("PPM", Image.fromarray(GREY > 128)),
        three((GREY > 128) * np.uint8(255)),
        pillow,
    ),
    Variant("PNM", "P5, P6 of 8 bits", READ, lambda: pnm("P6", RGB, 255), RGB, pillow),
    Variant("PNM", "P2, P3: text", READ, lambda: pnm("P3", RGB, 255), RGB, pillow),
    Variant("PNM", "P2, P3 up to 1,023", TO_8, lambda: pnm("P2", GREY, 1023), three(GREY), None),
    Variant("PNM", "P5, P6 up to 100", TO_8, lambda: pnm("P6", RGB, 100), RGB, pillow),
    Variant("PNM", "P5, P6 up to 1,023 or 4,095", TO_8, lambda: pnm("P5", GREY, 4095), three(GREY), pillow),
    Variant("PNM", "P5, P6 of 16 bits", TO_8, lambda: pnm("P6", RGB, 65_535), RGB, pillow),
    Variant("PNM", "PAM", READ, lambda: pam(RGB, "RGB"), RGB, None),
    Variant("PNM", "PAM with alpha", LAID, lambda: pam(RGBA, "RGB_ALPHA"), OVER_WHITE, None),
    Variant("JPEG 2000", "8 bits", READ, lambda: jp2(RGB, 8), RGB, by_jpeg2k(8)),
    Variant("JPEG 2000", "codestream alone", READ, lambda: jp2(RGB, 8, codecformat="j2k"), RGB, by_jpeg2k(8)),
    Variant("JPEG 2000", "10 bits", TO_8, lambda: jp2(RGB.astype(np.uint16) * 4, 10), RGB, by_jpeg2k(10)),
    Variant("JPEG 2000", "12 bits", TO_8, lambda: jp2(TWELVE, 12), RGB, by_jpeg2k(12)),
    Variant("JPEG 2000", "15 bits, grey", TO_8, lambda: jp2(DEEP[..., 1] >> 1, 15), three(GREY), by_jpeg2k(15)),
    Variant("JPEG 2000", "16 bits", TO_8, lambda: jp2(DEEP, 16), RGB, by_jpeg2k(16)),
    Variant("JPEG 2000", "alpha", LAID, lambda: by_pillow("JPEG2000", RGBA), OVER_WHITE, pillow),
    Variant(
        "JPEG 2000",
        "grey and alpha",
        LAID,
        lambda: by_pillow("JPEG2000", Image.fromarray(LA, "LA")),
        GREY_OVER_WHITE,
        pillow,
    ),
    Variant("JPEG 2000", "YCbCr", READ, lambda: by_pillow("JPEG2000", CUT.convert("YCbCr")), RGB, pillow),
    Variant("AVIF", "8 bits", READ, lambda: by_pillow("AVIF", RGB, quality=95), RGB, by_avif(), LOSSY),
    Variant("AVIF", "alpha", LAID, lambda: by_pillow("AVIF", RGBA, quality=95), OVER_WHITE, pillow, LOSSY),
    Variant("AVIF", "10 bits", READ, _avif10, RGB, by_avif(), LOSSY),
    Variant(
        "AVIF",
        "rotated (irot)",
        READ,
        lambda: by_pillow("AVIF", RGB, quality=95, exif=turned(6)),
        TURNS[6](RGB),
        by_avif(6),
        LOSSY,
    ),
    Variant(
        "AVIF",
        "mirrored (imir)",
        READ,
        lambda: by_pillow("AVIF", RGB, quality=95, exif=turned(2)),
        TURNS[2](RGB),
        by_avif(2),
        LOSSY,
    ),
]

VARIANTS = [*JPEG, *PNG, *OTHERS]
