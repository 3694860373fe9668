"""Rows of docs/formats.md: HEIC, raw pictures, JPEG XL, DICOM, and formats that Pillow reads."""

from __future__ import annotations

from collections.abc import Callable

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
from tests.support.formats.files import (
    DEEP,
    GREY,
    RGB,
    TURNS,
    by_opencv,
    by_pillow,
    stretched,
    three,
    turned,
)
from tests.support.formats.profiles import managed, profile
from tests.support.formats.readers import by_ffmpeg_of
from tests.support.formats.rows import GREY_OVER_WHITE, LA, LAID, OVER_WHITE, READ, RGBA
from tests.support.formats.writers import (
    by_plugin,
    compressed,
    dataset,
    deep_heic,
    dicom,
    dng,
    heic,
    jxl,
    jxl_by_ffmpeg,
    oriented_jxl,
    saved,
)

FORMATS = 'read with `pip install "imgcluster[formats]"`'
MANAGED = f"{FORMATS}: converted to sRGB"
HDR = f"{FORMATS}: brought to SDR"
PREVIEWED = f"{FORMATS}: the camera's preview"
STRETCHED = f"{FORMATS}: stretched from the smallest to the largest value"
P3_TO_SRGB = [[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]]
P3_CODES = {"color_primaries": 12, "transfer_characteristics": 13, "matrix_coefficients": 6, "full_range_flag": 1}
PQ_CODES = {"color_primaries": 9, "transfer_characteristics": 16, "matrix_coefficients": 9, "full_range_flag": 1}
# Greys of PQ below the knee of the curve, and what a display of gamma 2.4 shows them by if white is 203 cd/m2.
PQ = np.repeat(np.repeat(np.array([0, 50, 75, 100, 110], np.uint8), 12)[None, :, None], 48, axis=0).repeat(3, axis=2)
LARGE = np.asarray(Image.fromarray(RGB).resize((800, 600), Image.Resampling.BICUBIC))  # as a raw picture is, and more
PREVIEW = LARGE[::-1]  # which the sensor did not see, so that nobody takes the one for the other
LIGHT = RGB.astype(np.float32) / 255
SPREAD = stretched(GREY.astype(float))
CT = GREY.astype(np.int16) * 8 - 1000
WINDOW = {"RescaleSlope": 2, "RescaleIntercept": -1024, "WindowCenter": [40, 400], "WindowWidth": [400, 2000]}
TWELVE = GREY.astype(np.uint16) << 4
SHOWN = three(SPREAD)


def encoded(light: np.ndarray) -> np.ndarray:
    """Light from 0 to 1 by the curve of sRGB."""
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (curve.clip(0, 1) * 255).round().astype(np.uint8)


def wide(coded: np.ndarray, to_srgb: list[list[float]]) -> np.ndarray:
    """Colours of other primaries, with the curve of sRGB, in sRGB."""
    values = coded / 255
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return encoded((light @ np.array(to_srgb).T).clip(0, 1))


def nits(code: np.ndarray) -> np.ndarray:
    """Light of PQ (SMPTE ST 2084, 5.1)."""
    root = code ** (32 / 2523)
    return 10_000 * (np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)) ** (16_384 / 2610)


GREYS = ((nits(PQ / 255) / 203) ** (1 / 2.4) * 255).round().astype(np.uint8)


def windowed(stored: np.ndarray, center: float, width: float) -> np.ndarray:
    """PS3.3, C.11.2.1.2.1, pixel by pixel."""
    values = stored.astype(np.float64) * 2 - 1024
    shown = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
    shown[values <= center - 0.5 - (width - 1) / 2] = 0
    shown[values > center - 0.5 + (width - 1) / 2] = 255
    return three(shown.round().astype(np.uint8))


def _turned_heic(orientation: int) -> Variant:
    name, turn = f"turned by irot and imir, EXIF orientation {orientation}", TURNS[orientation]
    return Variant("HEIC", name, FORMATS, lambda: heic(RGB, orientation=orientation), turn(RGB))


def _turned_raw(orientation: int) -> Variant:
    name, turn = f"DNG with a preview, orientation {orientation}", TURNS[orientation]
    return Variant("raw image", name, PREVIEWED, lambda: dng(LARGE, PREVIEW, orientation), turn(PREVIEW), within=LOSSY)


def _turned_jxl(orientation: int) -> Variant:
    name, turn = f"orientation {orientation}", TURNS[orientation]
    return Variant("JPEG XL", name, FORMATS, lambda: oriented_jxl(jxl(RGB), orientation), turn(RGB))


def _by_pydicom(name: str, syntax: str) -> Variant:
    def make() -> bytes:
        file = dataset(CT, **WINDOW)
        file.compress(syntax)
        return saved(file)

    return Variant("DICOM", name, FORMATS, make, windowed(CT, 40, 400))


def _twelve(name: str, encode: Callable[..., bytes], syntax: str, **options: object) -> Variant:
    def make() -> bytes:
        return compressed(TWELVE, bytes(encode(TWELVE, **options)), syntax, bits=12)

    return Variant("DICOM", name, FORMATS, make, SHOWN, within=LOSSY)


def _frames() -> bytes:
    file = dataset(SPREAD)
    file.NumberOfFrames = 2
    file.PixelData = SPREAD.tobytes() + (255 - SPREAD).tobytes()
    return saved(file)


def _report() -> bytes:
    file = dataset(SPREAD, Modality="SR")
    del file.PixelData
    return saved(file)


def _jpeg_dicom() -> bytes:
    frame = by_pillow("JPEG", RGB, quality=95)
    return compressed(RGB, frame, JPEGBaseline8Bit, kind="YBR_FULL_422")


HEIC = [
    Variant("HEIC", "8 bits", FORMATS, lambda: heic(RGB), RGB),
    Variant("HEIC", "8 bits, 4:2:0", FORMATS, lambda: heic(RGB, quality=90, chroma=420), RGB, within=LOSSY),
    Variant("HEIC", "grey", FORMATS, lambda: heic(GREY), three(GREY)),
    Variant("HEIC", "alpha", f"{FORMATS}: transparency over white", lambda: heic(RGBA), OVER_WHITE),
    Variant("HEIC", "10 bits", FORMATS, lambda: deep_heic(DEEP), RGB),
    Variant("HEIC", "12 bits", FORMATS, lambda: deep_heic(DEEP, twelve=True), RGB),
    *map(_turned_heic, range(2, 9)),
    Variant("HEIC", "EXIF orientation alone", f"{FORMATS}: not turned", lambda: by_plugin(RGB, exif=turned(6)), RGB),
    Variant("HEIC", "several pictures", f"{FORMATS}: the primary one", lambda: heic(255 - RGB, RGB, primary=1), RGB),
    Variant(
        "HEIC",
        "ICC profile of other colours",
        MANAGED,
        lambda: by_plugin(RGB, icc_profile=profile("wide")),
        managed(RGB),
    ),
    Variant("HEIC", "HDR: PQ, BT.2020", HDR, lambda: by_plugin(PQ, **PQ_CODES), GREYS),
    Variant("HEIC", "Display P3 by code points", MANAGED, lambda: by_plugin(RGB, **P3_CODES), wide(RGB, P3_TO_SRGB)),
]
RAW = [
    Variant("raw image", "DNG with a preview", PREVIEWED, lambda: dng(LARGE, PREVIEW), PREVIEW, within=LOSSY),
    *(_turned_raw(orientation) for orientation in (3, 6, 8)),
    Variant(
        "raw image",
        "DNG whose preview has an EXIF orientation of its own",
        PREVIEWED,
        lambda: dng(LARGE, PREVIEW, 8, exif=turned(6)),
        TURNS[6](PREVIEW),
        within=LOSSY,
    ),
]
JPEG_XL = [
    Variant("JPEG XL", "8 bits, lossless", FORMATS, lambda: jxl(RGB), RGB, by_ffmpeg_of(".jxl")),
    Variant("JPEG XL", "8 bits, lossy", FORMATS, lambda: jxl(RGB, lossless=False, distance=0.5), RGB, within=LOSSY),
    Variant("JPEG XL", "grey", FORMATS, lambda: jxl(GREY), three(GREY), by_ffmpeg_of(".jxl")),
    Variant("JPEG XL", "alpha", f"{FORMATS}: transparency over white", lambda: jxl(RGBA), OVER_WHITE),
    Variant("JPEG XL", "grey and alpha", f"{FORMATS}: transparency over white", lambda: jxl(LA), GREY_OVER_WHITE),
    Variant("JPEG XL", "16 bits", FORMATS, lambda: jxl_by_ffmpeg(RGB, "-pix_fmt", "rgb48"), RGB),
    Variant("JPEG XL", "10 bits, linear light", FORMATS, lambda: jxl(DEEP >> 6, bitspersample=10), encoded(LIGHT)),
    Variant("JPEG XL", "16 bits, linear light", FORMATS, lambda: jxl(DEEP), encoded(LIGHT)),
    Variant("JPEG XL", "float, linear light", FORMATS, lambda: jxl(LIGHT), encoded(LIGHT)),
    Variant("JPEG XL", "animated", f"{FORMATS}: the first picture", lambda: jxl(np.stack([RGB, 255 - RGB])), RGB),
    *(_turned_jxl(orientation) for orientation in range(2, 9)),
]
DICOM = [
    Variant("DICOM", "8 bits, MONOCHROME2", STRETCHED, lambda: dicom(SPREAD), three(SPREAD)),
    Variant("DICOM", "8 bits, MONOCHROME1", STRETCHED, lambda: dicom(SPREAD, "MONOCHROME1"), three(255 - SPREAD)),
    Variant("DICOM", "rescale and window, signed", FORMATS, lambda: dicom(CT, **WINDOW), windowed(CT, 40, 400)),
    Variant(
        "DICOM",
        "rescale and window, MONOCHROME1",
        FORMATS,
        lambda: dicom(CT, "MONOCHROME1", **WINDOW),
        255 - windowed(CT, 40, 400),
    ),
    Variant("DICOM", "RGB", FORMATS, lambda: dicom(RGB, "RGB"), RGB),
    Variant("DICOM", "several frames", f"{FORMATS}: the first picture", _frames, three(SPREAD)),
    _by_pydicom("RLE", RLELossless),
    _twelve("JPEG 2000", imagecodecs.jpeg2k_encode, JPEG2000Lossless, level=0, bitspersample=12, codecformat="j2k"),
    Variant("DICOM", "JPEG", FORMATS, _jpeg_dicom, RGB, within=LOSSY),
    _twelve("JPEG of 12 bits", imagecodecs.jpeg8_encode, JPEGExtended12Bit, bitspersample=12, level=98),
    _twelve("JPEG, lossless", imagecodecs.ljpeg_encode, JPEGLosslessSV1, bitspersample=12),
    _twelve("JPEG-LS", imagecodecs.jpegls_encode, JPEGLSLossless),
    _twelve("HTJ2K", imagecodecs.htj2k_encode, HTJ2KLossless),
    Variant("DICOM", "without a picture", "refused", _report, reason="DICOM without a picture (SR)"),
]
SIMPLE = [
    Variant("ICO", "the largest picture", READ, lambda: by_pillow("ICO", RGB, sizes=[(16, 12), (64, 48)]), RGB),
    Variant("ICO", "alpha", LAID, lambda: by_pillow("ICO", RGBA, sizes=[(64, 48)]), OVER_WHITE),
    Variant("PCX", "8 bits, colour", READ, lambda: by_pillow("PCX", RGB), RGB, by_ffmpeg_of(".pcx")),
    Variant("PCX", "grey", READ, lambda: by_pillow("PCX", GREY), three(GREY)),
    Variant("QOI", "8 bits, colour", READ, lambda: by_pillow("QOI", RGB), RGB, by_ffmpeg_of(".qoi")),
    Variant("QOI", "alpha", LAID, lambda: by_pillow("QOI", RGBA), OVER_WHITE, by_ffmpeg_of(".qoi")),
    Variant("Sun raster", "8 bits, colour", READ, lambda: by_opencv(".ras", RGB), RGB, by_ffmpeg_of(".ras")),
    Variant("Sun raster", "grey", READ, lambda: by_opencv(".ras", GREY), three(GREY)),
]
EXTRAS = [*HEIC, *RAW, *JPEG_XL, *DICOM, *SIMPLE]
