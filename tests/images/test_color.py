"""Colour profiles and code points that change nothing, and the choices of a config that ignore them."""

from __future__ import annotations

import struct
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from imgcluster.config import AS_SHOWN, Reading
from imgcluster.images.color import to_srgb, transform_of
from imgcluster.images.containers.cicp import WIDE, Coding, Colours, converted, power, to_linear_srgb
from imgcluster.images.containers.cicp import to_srgb as from_code_points
from imgcluster.images.containers.png import colours_of, special_chunks
from imgcluster.images.decode import decode_image
from imgcluster.images.pixel_check import picture
from imgcluster.images.stored import Alpha, Stored
from tests.support.formats.profiles import wide_profile

RGB = picture(24, 32)
LINEAR = {b"gAMA": struct.pack(">I", 100_000)}


def black_profile() -> bytes:
    """A profile that can be parsed, in which all colours have no light."""
    data = bytearray(wide_profile())
    for name in (b"rXYZ", b"gXYZ", b"bXYZ"):
        at = struct.unpack_from(">I", data, data.index(name) + 4)[0]
        data[at + 8 : at + 20] = bytes(12)
    return bytes(data)


def test_a_profile_that_makes_black_and_white_alike_is_ignored() -> None:
    assert ImageCms.ImageCmsProfile(BytesIO(black_profile())).profile.xcolor_space == "RGB "
    assert transform_of(black_profile(), "RGB") is None
    np.testing.assert_array_equal(to_srgb(RGB, black_profile()), RGB)
    out = BytesIO()
    Image.fromarray(RGB).save(out, "PNG", icc_profile=black_profile())
    np.testing.assert_array_equal(decode_image(out.getvalue()), RGB)
    assert transform_of(wide_profile(), "RGB") is not None


@pytest.mark.parametrize(
    "chunks",
    [
        {b"gAMA": b"\0\0\0\0"},
        {b"gAMA": b"\0\0"},
        {b"gAMA": struct.pack(">I", 45_000)},
        {b"cHRM": struct.pack(">8I", *[31_270] * 8)},
        {b"cHRM": bytes(32)},
        {b"cICP": b"\x09\x10\0\0"},
        {**LINEAR, b"sRGB": b"\0"},
    ],
)
def test_chunks_that_say_nothing_or_nonsense_change_nothing(chunks: dict[bytes, bytes]) -> None:
    assert colours_of(chunks) is None


def test_what_comes_first_among_the_chunks_of_a_png() -> None:
    points, profile = {b"cICP": bytes((12, 13, 0, 1))}, {b"iCCP": b"name\0\0damaged"}
    assert colours_of({**LINEAR, **points}) == Coding(12, 13)
    assert colours_of({**LINEAR, **profile}) is not None, "behind a damaged profile, the gamma counts"


@pytest.mark.parametrize("coding", [Coding(1, 13), Coding(2, 2), Coding(6, 6), Coding(12, 200), Coding(99, 16)])
def test_what_is_like_srgb_or_not_known_stays(coding: Coding) -> None:
    stored = Stored(RGB)
    assert from_code_points(stored, coding, AS_SHOWN) is stored


@pytest.mark.parametrize("coding", [Coding(1, 8), Coding(9, 16), Coding(12, 13)])
def test_a_config_that_wants_values_or_bands_gets_them(coding: Coding) -> None:
    deep = Stored(RGB.astype(np.uint16) * 257)
    assert from_code_points(deep, coding, AS_SHOWN).samples.dtype == np.uint8
    for reading in (Reading(color="raw"), Reading(bands=(3, 2, 1)), Reading(range=(0, 4095)), Reading(range="shared")):
        assert from_code_points(deep, coding, reading) is deep
    assert from_code_points(Stored(RGB), coding, Reading(range="percentile")).samples.dtype == np.uint8
    multiplied = replace(deep, alpha=Alpha.MULTIPLIED)
    assert from_code_points(multiplied, coding, AS_SHOWN) is multiplied


def test_opacity_is_no_colour() -> None:
    rgba = np.dstack([RGB, np.full(RGB.shape[:2], 77, np.uint8)])
    found = from_code_points(Stored(rgba, Alpha.STRAIGHT), Coding(1, 8), AS_SHOWN)
    assert (found.samples[..., 3] == 77).all()
    assert (found.samples[..., :3] >= RGB).all()


def test_white_stays_white_in_all_primaries() -> None:
    for primaries in WIDE.values():
        np.testing.assert_allclose(to_linear_srgb(primaries).sum(axis=1), 1, atol=1e-9)
    white = Stored(np.full((2, 2, 3), 1023, np.uint16), white=1023)
    assert (converted(white, Colours(power(1.0)), AS_SHOWN).samples == 255).all()


def test_what_lies_behind_the_end_of_a_png_is_not_looked_at() -> None:
    out = BytesIO()
    Image.fromarray(RGB).save(out, "PNG")
    behind = struct.pack(">I", 4) + b"gAMA" + struct.pack(">II", 100_000, 0)
    assert special_chunks(out.getvalue() + behind) == {}
    np.testing.assert_array_equal(decode_image(out.getvalue() + behind), RGB)
