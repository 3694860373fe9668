"""Rows of docs/formats.md: colours that PNG and AVIF describe by numbers or code points (H.273)."""

from __future__ import annotations

import struct

import numpy as np

from tests.support.formats import LOSSY, Variant
from tests.support.formats.files import DEEP, GREY, RGB, by_opencv, by_pillow, three, with_chunk
from tests.support.formats.profiles import profile
from tests.support.formats.rows import MANAGED, READ
from tests.support.formats.rows_extras import GREYS, LIGHT, P3_TO_SRGB, PQ, encoded, wide

SDR = "read: brought to SDR"
P3_POINTS = (0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
SRGB_POINTS = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)


def in_file(*values: float) -> bytes:
    return struct.pack(f">{len(values)}I", *(round(value * 100_000) for value in values))


def png_with(picture: np.ndarray, **chunks: bytes) -> bytes:
    """A PNG with chunks before its pixels, in this order."""
    data = by_opencv(".png", picture)
    for name, content in reversed(chunks.items()):
        data = with_chunk(data, name.encode(), content)
    return data


def avif_with(picture: np.ndarray, primaries: int, transfer: int) -> bytes:
    """An AVIF whose container names other code points."""
    data = by_pillow("AVIF", picture, quality=95)
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


COLOURS = [
    Variant("PNG", "gamma 1 (gAMA)", MANAGED, lambda: png_with(RGB, gAMA=in_file(1)), encoded(LIGHT)),
    Variant(
        "PNG",
        "gamma 1, 16 bits, grey",
        MANAGED,
        lambda: png_with(DEEP[..., 1], gAMA=in_file(1)),
        three(encoded(GREY / 255)),
    ),
    Variant(
        "PNG",
        "gamma 1/2.2, primaries of sRGB",
        READ,
        lambda: png_with(RGB, gAMA=in_file(0.45455), cHRM=in_file(*SRGB_POINTS)),
        RGB,
    ),
    Variant(
        "PNG",
        "primaries of Display P3 (cHRM)",
        MANAGED,
        lambda: png_with(RGB, cHRM=in_file(*P3_POINTS)),
        wide(RGB, P3_TO_SRGB),
    ),
    Variant("PNG", "sRGB, and another gamma", READ, lambda: png_with(RGB, sRGB=b"\0", gAMA=in_file(1)), RGB),
    Variant(
        "PNG",
        "code points (cICP) of Display P3",
        MANAGED,
        lambda: png_with(RGB, cICP=bytes((12, 13, 0, 1))),
        wide(RGB, P3_TO_SRGB),
    ),
    Variant(
        "PNG",
        "code points, and an ICC profile",
        MANAGED,
        lambda: with_chunk(by_pillow("PNG", RGB, icc_profile=profile("wide")), b"cICP", bytes((12, 13, 0, 1))),
        wide(RGB, P3_TO_SRGB),
    ),
    Variant("PNG", "HDR: PQ, BT.2020", SDR, lambda: png_with(PQ, cICP=bytes((9, 16, 0, 1))), GREYS),
    Variant("PNG", "HDR: PQ, Display P3", SDR, lambda: png_with(PQ, cICP=bytes((12, 16, 0, 1))), GREYS),
    Variant(
        "AVIF",
        "Display P3 by code points",
        MANAGED,
        lambda: avif_with(RGB, 12, 13),
        wide(RGB, P3_TO_SRGB),
        within=LOSSY,
    ),
    Variant("AVIF", "HDR: PQ, BT.2020", SDR, lambda: avif_with(PQ, 9, 16), GREYS, within=LOSSY),
]
