"""The variants of docs/formats.md as tests take them. Its import skips a test module where an encoder is missing."""

from __future__ import annotations

import pytest
from PIL import features

pytest.importorskip("imagecodecs", reason="its encoders write the files")
pytest.importorskip("tifffile", reason="its writer makes the files")
pytest.importorskip("pillow_heif", reason="its encoder writes HEIC")
pytest.importorskip("pydicom", reason="it writes DICOM")
pytest.importorskip("rawpy", reason="it reads raw pictures")

from tests.support.formats import Variant
from tests.support.formats.table import ALL

READABLE = [each for each in ALL if each.truth is not None]
REFUSED = [each for each in ALL if each.truth is None]


def name_of(variant: Variant) -> str:
    return f"{variant.format}, {variant.name}"


def made(variant: Variant) -> bytes:
    """Return a variant's file; skips the test where this Pillow cannot write it."""
    if variant.format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    return variant.make()
