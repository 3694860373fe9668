"""Encoders: what is decoded again is what was encoded, in RGB."""

from __future__ import annotations

import numpy as np
import pytest

from imgcluster.images.decode import decode_image
from imgcluster.images.opencv import jpeg, png


def colours() -> np.ndarray:
    """Red, green and blue, one above the other."""
    return np.repeat(np.eye(3, dtype=np.uint8)[:, None] * 255, 30, axis=1).repeat(10, axis=0)


def test_png_keeps_every_pixel() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (7, 11, 3), dtype=np.uint8)
    assert np.array_equal(decode_image(png(noise)), noise)
    assert np.array_equal(decode_image(png(noise[..., 0])), noise[..., :1].repeat(3, axis=2))


def test_jpeg_keeps_colours_in_their_order() -> None:
    found = decode_image(jpeg(colours(), 95))
    assert np.abs(found.astype(int) - colours())[2:8].max() < 20
    grey = np.full((8, 8), 77, np.uint8)
    assert decode_image(jpeg(grey, 95))[0, 0].tolist() == pytest.approx([77] * 3, abs=2)


def test_lower_quality_takes_fewer_bytes() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert len(jpeg(noise, 40)) < len(jpeg(noise, 90))


def test_views_of_arrays_are_encoded_as_their_copies() -> None:
    assert png(colours()[::-1, ::2]) == png(colours()[::-1, ::2].copy())
