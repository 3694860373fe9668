"""The picture of the rows of docs/formats.md, and writers that make files of it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import imagecodecs
import numpy as np
import tifffile
from PIL import Image

ORIENTATION = 0x0112

HEIGHT, WIDTH = 48, 64  # of whole tiles of 16 x 16


def scene() -> np.ndarray:
    """RGB in which every quarter differs, and each channel from the others."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    values = np.stack([40 + rows * 4, 200 - columns * 2, 60 + rows + columns * 2], axis=-1)
    values[8:20, 8:28] = (230, 60, 50)
    values[28:44, 40:60] = (40, 90, 220)
    return values.astype(np.uint8)


def opacity() -> np.ndarray:
    """Opacity from none at the left to all at the right."""
    return np.tile(np.linspace(0, 255, WIDTH).round().astype(np.uint8), (HEIGHT, 1))


def over(colours: np.ndarray, alpha: np.ndarray, ground: int = 255) -> np.ndarray:
    weight = alpha[..., None] / 255
    return (colours * weight + ground * (1 - weight)).round().astype(np.uint8)


def three(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def pasted(colours: np.ndarray, top: int, left: int) -> np.ndarray:
    """The scene's part on a white canvas."""
    canvas = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    canvas[top : top + colours.shape[0], left : left + colours.shape[1]] = colours
    return canvas


RGB, ALPHA = scene(), opacity()
GREY = RGB[..., 1].copy()
INFRARED = (255 - RGB[..., 0]).astype(np.uint8)
DEEP = RGB.astype(np.uint16) * 257
FLOATS = RGB.astype(np.float32) / 3 - 11
TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda image: image,
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(image, 2).swapaxes(0, 1),
    8: np.rot90,
}


def by_pillow(format: str, image: Image.Image | np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, format, **options)
    return buffer.getvalue()


def by_opencv(ending: str, rgb: np.ndarray, *options: int) -> bytes:
    values = rgb if rgb.ndim == 2 else rgb[..., [2, 1, 0, 3][: rgb.shape[2]]]
    return cv2.imencode(ending, values, options)[1].tobytes()


def tiff(values: np.ndarray, photometric: str = "minisblack", **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, photometric=photometric, metadata=None, **options)
    return buffer.getvalue()


def planes(values: np.ndarray, photometric: str = "rgb", **options: Any) -> bytes:
    return tiff(np.moveaxis(values, 2, 0), photometric, planarconfig="separate", **options)


def bands(values: np.ndarray, photometric: str = "minisblack", **options: Any) -> bytes:
    return tiff(values, photometric, planarconfig="contig", **options)


def tag(number: int, value: int) -> dict[str, Any]:
    return {"extratags": [(number, 3, 1, value, True)]}


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def jp2(values: np.ndarray, bits: int, **options: Any) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(values, level=0, reversible=True, bitspersample=bits, **options))


def bmp32(alpha_mask: int, alpha: np.ndarray) -> bytes:
    """A BMP of 32 bits with masks; the header has one of opacity where it is not 0 (BITMAPV4HEADER)."""
    pixels = np.dstack([RGB[..., ::-1], alpha])[::-1].tobytes()
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, alpha_mask)
    header = struct.pack("<IiiHHIIiiII", 108, WIDTH, HEIGHT, 1, 32, 3, len(pixels), 0, 0, 0, 0) + masks + bytes(52)
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(pixels), 0, 0, 14 + len(header)) + header + pixels


def bmp_bitfields() -> bytes:
    """A BMP of 32 bits with three masks behind the plain header, as screenshots have it."""
    pixels = np.dstack([RGB[..., ::-1], np.zeros_like(ALPHA)])[::-1].tobytes()
    masks = struct.pack("<3I", 0xFF0000, 0xFF00, 0xFF)
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 32, 3, len(pixels), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 66 + len(pixels), 0, 0, 66) + header + masks + pixels


def pnm(kind: str, values: np.ndarray, white: int) -> bytes:
    scaled = (values.astype(np.uint32) * white + 127) // 255
    head = f"{kind}\n# made by hand\n{values.shape[1]} {values.shape[0]}\n{white}\n".encode()
    if kind in ("P2", "P3"):
        return head + " ".join(map(str, scaled.ravel())).encode() + b"\n"
    return head + scaled.astype(">u2" if white > 255 else "u1").tobytes()


def pam(values: np.ndarray, kind: str, white: int = 255) -> bytes:
    depth = 1 if values.ndim == 2 else values.shape[2]
    head = f"P7\nWIDTH {WIDTH}\nHEIGHT {HEIGHT}\nDEPTH {depth}\nMAXVAL {white}\nTUPLTYPE {kind}\nENDHDR\n"
    return head.encode() + values.tobytes()


def small_gif() -> bytes:
    """A GIF whose one frame is a part of the canvas."""
    data = bytearray(by_pillow("GIF", exact_palette(RGB[8:24, 8:40])))
    data[6:10] = struct.pack("<HH", WIDTH, HEIGHT)
    at = data.index(b"\x2c" + struct.pack("<4H", 0, 0, 32, 16))
    data[at + 1 : at + 5] = struct.pack("<HH", 8, 8)
    return bytes(data)


def exact_palette(rgb: np.ndarray) -> Image.Image:
    return Image.fromarray(rgb).quantize(256)


def small_webp() -> bytes:
    """A WebP that moves and whose first frame is a part of the canvas."""
    still = by_pillow("WEBP", RGB[8:24, 8:40], lossless=True)[12:]
    frame = (
        bytes((4, 0, 0, 4, 0, 0))
        + (31).to_bytes(3, "little")
        + (15).to_bytes(3, "little")
        + bytes((100, 0, 0, 0))
        + still
    )
    canvas = (WIDTH - 1).to_bytes(3, "little") + (HEIGHT - 1).to_bytes(3, "little")
    parts = [(b"VP8X", b"\x12\0\0\0" + canvas), (b"ANIM", bytes(6)), (b"ANMF", frame)]
    body = b"".join(name + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for name, part in parts)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def with_chunk(png: bytes, name: bytes, content: bytes) -> bytes:
    """A PNG with one more chunk behind its header."""
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return png[:33] + chunk + png[33:]


def stretched(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    return ((values - low) * (255 / (high - low))).round().astype(np.uint8)
