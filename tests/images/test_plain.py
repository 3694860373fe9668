"""Uncompressed files: the pixels that were put in, however they are read."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from imgcluster.images import decode_image
from imgcluster.images.plain import plain_file, plain_pixels


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 5, 3), (40, 30, 3)])
def test_pixels_come_back(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    data = plain_file(pixels)
    for found in (plain_pixels(data), decode_image(data), cv2.imdecode(np.frombuffer(data, np.uint8), -1)[..., ::-1]):
        np.testing.assert_array_equal(found, pixels)
    np.testing.assert_array_equal(plain_pixels(plain_file(pixels[::-1, ::-1])), pixels[::-1, ::-1])


@pytest.mark.parametrize(
    "data",
    [
        b"P6 2 2 255\n" + bytes(11),
        b"P6 2 2 255\n" + bytes(13),
        b"P6 2 2 254\n" + bytes(12),
        b"P6\n2 2\n255\n" + bytes(12),
        b"P6 0 2 255\n",
        b"P6 9999999 9999999 255\n",
        b"P5 2 2 255\n" + bytes(12),
        b"",
    ],
)
def test_other_files_are_left_to_the_decoders(data: bytes) -> None:
    assert plain_pixels(data) is None
