"""Rows of docs/formats.md: HEIC, raw pictures, JPEG XL, DICOM, and formats that Pillow reads."""

from __future__ import annotations

import imagecodecs
import numpy as np
from PIL import Image
from pydicom.uid import (
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.support.formats import LOSSY, Variant
from tests.support.formats.files import ALPHA, DEEP, GREY, RGB, TURNS, by_opencv, by_pillow, managed, over, profile, three
from tests.support.formats.readers import by_ffmpeg, managed_pillow, pillow
from tests.support.formats.rows import FIRST, GREY_OVER_WHITE, LA, LAID, MANAGED, OVER_WHITE, READ, RGBA
from tests.support.formats.writers import (
    compressed,
    dataset,
    deep_heic,
    dicom,
    dng,
    exif_heic,
    heic,
    jxl,
    jxl_by_ffmpeg,
    saved,
)

FORMATS = 'read with `pip install "imgcluster[formats]"`'
LARGE = np.asarray(Image.fromarray(RGB).resize((800, 600), Image.Resampling.BICUBIC))  # as a raw picture is, and more
PREVIEW = LARGE[::-1]  # which the sensor did not see, so that nobody takes the one for the other
LIGHT = RGB.astype(np.float32) / 255
CT = GREY.astype(np.int16) * 8 - 1000
WINDOW = {"RescaleSlope": 2, "RescaleIntercept": -1024, "WindowCenter": [40, 400], "WindowWidth": [400, 2000]}


def encoded(light: np.ndarray) -> np.ndarray:
    """Light from 0 to 1 by the curve of sRGB."""
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (curve.clip(0, 1) * 255).round().astype(np.uint8)


def wide(coded: np.ndarray, to_srgb: list[list[float]]) -> np.ndarray:
    """Colours of other primaries, with the curve of sRGB, in sRGB."""
    values = coded / 255
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return encoded((light @ np.array(to_srgb).T).clip(0, 1))


def windowed(stored: np.ndarray, center: float, width: float) -> np.ndarray:
    """PS3.3, C.11.2.1.2.1, pixel by pixel."""
    values = stored.astype(np.float64) * 2 - 1024
    shown = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
    shown[values <= center - 0.5 - (width - 1) / 2] = 0
    shown[values > center - 0.5 + (width - 1) / 2] = 255
    return three(shown.round().astype(np.uint8))


def _turned_heic(orientation: int) -> Variant:
    return Variant(
        "HEIC",
        f"turned by irot and imir, EXIF orientation {orientation}",
        FORMATS,
        lambda: heic(RGB, orientation=orientation),
        TURNS[orientation](RGB),
    )


HEIC = [
    Variant("HEIC", "8 bits", FORMATS, lambda: heic(RGB), RGB),
    Variant("HEIC", "8 bits, 4:2:0", FORMATS, lambda: heic(RGB, quality=90, chroma=420), RGB, within=LOSSY),
    Variant("HEIC", "grey", FORMATS, lambda: heic(GREY), three(GREY)),
    Variant("HEIC", "alpha", f"{FORMATS}: transparency over white", lambda: heic(RGBA, chroma=444), OVER_WHITE),
    Variant("HEIC", "10 bits", FORMATS, lambda: deep_heic(DEEP), RGB),
    Variant("HEIC", "12 bits", FORMATS, lambda: deep_heic(DEEP, twelve=True), RGB),
    *map(_turned_heic, range(2, 9)),
    Variant("HEIC", "EXIF orientation alone", f"{FORMATS}: not turned", lambda: exif_heic(RGB, 6), RGB),
    Variant("HEIC", "several pictures", f"{FORMATS}: the primary one", lambda: heic(255 - RGB, RGB, primary=1), RGB),
    Variant(
        "HEIC",
        "ICC profile of other colours",
        f"{FORMATS}: converted to sRGB",
        lambda: heic_with_profile(),
        managed(RGB),
        within=LOSSY,
    ),
]


def heic_with_profile() -> bytes:
    import io

    import pillow_heif

    pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "HEIF", quality=-1, chroma=444, icc_profile=profile("wide"))
    return buffer.getvalue()
