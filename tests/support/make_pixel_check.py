"""Write imgcluster/pixel_check.json: `python -m tests.support.make_pixel_check`.

Only what is missing is added. The bytes of a file stay, whatever encoder is installed, and so does the reference: as
long as RULES in imgcluster/images/decode.py stays, a store whose fingerprint mentions no pixels holds those of the
reference.
Where RULES is raised, remove the table first, and make it with the versions that are then to be the reference.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from PIL import Image

from imgcluster.config.recipe import INTERPOLATIONS, RESAMPLINGS, Recipe
from imgcluster.images import pixel_check
from imgcluster.images.pixel_check import FORMATS, REDUCED, TABLE, WAYS, digests_of, resizing

ORIENTATION, SAMPLE_FORMAT = 0x0112, 339
HEIGHT, WIDTH = 21, 27  # odd, so that the halves of 4:2:0 do not come out even


def all_parts() -> list[str]:
    """Return the names of all parts that the reference has."""
    every = [
        Recipe((), interpolation=interpolation, resampling=resampling)
        for resampling in RESAMPLINGS
        for interpolation in INTERPOLATIONS
    ]
    return [*FORMATS, REDUCED, *dict.fromkeys(resizing(way, recipe) for recipe in every for way in WAYS)]


def shapes(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Soft shades with hard edges: what decoders of lossy formats make into different values."""
    rows, columns = np.mgrid[:height, :width]
    values = np.stack([rows * 11, columns * 9, 255 - rows * 6 - columns * 4], axis=-1).astype(np.uint8)
    values[5:12, 7:19] = (230, 30, 60)
    values[14:19, 3:25:3] = (10, 250, 240)
    return values


def alpha(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Opacity from none to all."""
    rows, columns = np.mgrid[:height, :width]
    return ((rows * 17 + columns * 7) % 256).astype(np.uint8)


def by_pillow(format: str, image: Image.Image, **options: Any) -> bytes:
    """Encode by Pillow."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def by_opencv(ending: str, values: np.ndarray) -> bytes:
    """Encode by OpenCV: channels are BGR."""
    return cv2.imencode(ending, values)[1].tobytes()


def turned(orientation: int) -> Image.Exif:
    """EXIF with an orientation alone."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def unsigned(image: Image.Image) -> bytes:
    """A TIFF that says of its whole numbers that they have no sign; Pillow writes none of 32 bits."""
    signed = struct.pack("<HHII", SAMPLE_FORMAT, 3, 1, 2)
    data = by_pillow("TIFF", image)
    assert signed in data
    return data.replace(signed, struct.pack("<HHII", SAMPLE_FORMAT, 3, 1, 1))


RGB = Image.fromarray(shapes())
RGBA = Image.fromarray(np.dstack([shapes(), alpha()]))
GREY = RGB.convert("L")
GREY_ALPHA = Image.merge("LA", (GREY, Image.fromarray(alpha())))
PALETTE = RGB.quantize(16)
CMYK = RGB.convert("CMYK")
DEEP = (
    np.asarray(RGB).astype(np.uint16) * 257
    - np.arange(HEIGHT * WIDTH * 3, dtype=np.uint16).reshape(HEIGHT, WIDTH, 3) % 99
)
FLOATS = shapes().astype(np.float32)[..., 0] / 3 - 11

FILES: dict[str, Callable[[], bytes]] = {
    "jpeg: 4:2:0": lambda: by_pillow("JPEG", RGB, quality=80, subsampling="4:2:0"),
    "jpeg: 4:2:2, progressive": lambda: by_pillow("JPEG", RGB, quality=60, subsampling="4:2:2", progressive=True),
    "jpeg: 4:4:4": lambda: by_pillow("JPEG", RGB, quality=95, subsampling="4:4:4"),
    "jpeg: grey": lambda: by_pillow("JPEG", GREY, quality=80),
    "jpeg: CMYK": lambda: by_pillow("JPEG", CMYK, quality=80),
    "jpeg: RGB": lambda: by_pillow("JPEG", RGB, quality=80, keep_rgb=True),
    "jpeg: orientation 6": lambda: by_pillow("JPEG", RGB, quality=80, exif=turned(6)),
    "png: RGB": lambda: by_pillow("PNG", RGB),
    "png: RGBA": lambda: by_pillow("PNG", RGBA),
    "png: grey, alpha": lambda: by_pillow("PNG", GREY_ALPHA),
    "png: palette, transparent": lambda: by_pillow("PNG", PALETTE, transparency=3),
    "png: RGB, transparent colour": lambda: by_pillow("PNG", RGB, transparency=(230, 30, 60)),
    "png: one bit": lambda: by_pillow("PNG", RGB.convert("1")),
    "png: 16 bits": lambda: by_opencv(".png", DEEP),
    "png: 16 bits, alpha": lambda: by_opencv(".png", np.dstack([DEEP, alpha().astype(np.uint16) * 257])),
    "png: 16 bits, grey": lambda: by_opencv(".png", DEEP[..., 0]),
    "png: orientation 8": lambda: by_pillow("PNG", RGB, exif=turned(8)),
    "png: animated": lambda: by_pillow("PNG", RGBA, save_all=True, append_images=[CMYK.convert("RGBA")]),
    "gif: palette": lambda: by_pillow("GIF", PALETTE),
    "gif: transparent": lambda: by_pillow("GIF", PALETTE, transparency=3),
    "gif: animated": lambda: by_pillow("GIF", PALETTE, save_all=True, append_images=[RGB.quantize(9)]),
    "webp: lossy": lambda: by_pillow("WEBP", RGB, quality=75),
    "webp: lossy, alpha": lambda: by_pillow("WEBP", RGBA, quality=75),
    "webp: lossless": lambda: by_pillow("WEBP", RGB, lossless=True),
    "webp: lossless, alpha, orientation 3": lambda: by_pillow("WEBP", RGBA, lossless=True, exif=turned(3)),
    "webp: animated": lambda: by_pillow("WEBP", RGBA, save_all=True, append_images=[CMYK.convert("RGBA")]),
    "tiff: LZW": lambda: by_pillow("TIFF", RGB, compression="tiff_lzw"),
    "tiff: Deflate, grey": lambda: by_pillow("TIFF", GREY, compression="tiff_adobe_deflate"),
    "tiff: JPEG": lambda: by_pillow("TIFF", RGB, compression="jpeg", quality=80),
    "tiff: RGBA": lambda: by_pillow("TIFF", RGBA, compression="tiff_lzw"),
    "tiff: CMYK": lambda: by_pillow("TIFF", CMYK, compression="tiff_lzw"),
    "tiff: palette": lambda: by_pillow("TIFF", PALETTE, compression="tiff_lzw"),
    "tiff: one bit, fax": lambda: by_pillow("TIFF", RGB.convert("1"), compression="group4"),
    "tiff: orientation 6": lambda: by_pillow("TIFF", RGB, compression="tiff_lzw", exif=turned(6)),
    "tiff: 16 bits": lambda: by_opencv(".tif", DEEP),
    "tiff: 32 bits": lambda: by_pillow("TIFF", Image.fromarray(np.asarray(GREY).astype(np.int32) * 70_000)),
    "tiff: 32 bits, unsigned": lambda: unsigned(Image.fromarray(np.asarray(GREY).astype(np.int32) * 70_000)),
    "tiff: float": lambda: by_opencv(".tif", FLOATS),
    "bmp: 24 bits": lambda: by_pillow("BMP", RGB),
    "bmp: 32 bits": lambda: by_pillow("BMP", RGBA),
    "bmp: palette": lambda: by_pillow("BMP", PALETTE),
    "bmp: one bit": lambda: by_pillow("BMP", RGB.convert("1")),
    "pnm: colours": lambda: by_pillow("PPM", RGB),
    "pnm: grey": lambda: by_pillow("PPM", GREY),
    "pnm: bits": lambda: by_pillow("PPM", RGB.convert("1")),
    "pnm: 16 bits": lambda: by_opencv(".ppm", DEEP),
    "jp2: lossy": lambda: by_pillow("JPEG2000", RGB, irreversible=True, quality_layers=[12]),
    "jp2: lossless": lambda: by_pillow("JPEG2000", RGB),
    "jp2: RGBA": lambda: by_pillow("JPEG2000", RGBA),
}


def main() -> None:
    """Write the table."""
    old = json.loads(TABLE.read_bytes()) if TABLE.exists() else {"files": {}, "reference": {}}
    table = {
        name: old["files"].get(name) or b64encode(zlib.compress(make(), 9)).decode() for name, make in FILES.items()
    }
    _write(table, old["reference"])
    here = {name: digest for part in all_parts() for name, digest in digests_of(part).items()}
    _write(table, {name: old["reference"].get(name, digest) for name, digest in here.items()})


def _write(files: dict[str, str], reference: dict[str, str | None]) -> None:
    TABLE.write_text(json.dumps({"files": files, "reference": reference}, indent=1) + "\n")
    pixel_check._table.cache_clear()


if __name__ == "__main__":
    main()
