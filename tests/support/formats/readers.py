"""Second readers of the files: other libraries, and what they return brought to RGB by hand."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageCms, ImageOps

from tests.support.formats.files import HEIGHT, TURNS, WIDTH, over, three

Reader = Callable[[bytes], np.ndarray]


def pillow(data: bytes) -> np.ndarray:
    """As Pillow reads it, upright, over white."""
    with Image.open(io.BytesIO(data)) as opened:
        image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):
        return three((np.asarray(image).astype(np.uint32) // 257).astype(np.uint8))
    if image.has_transparency_data:
        layers = np.asarray(image.convert("RGBA"))
        return over(layers[..., :3], layers[..., 3])
    return np.asarray(image.convert("RGB"))


def managed_pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        source = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        return np.asarray(ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"))


def by_tifffile(bits: int = 8, turn: int = 1, inverted: bool = False) -> Reader:
    def read(data: bytes) -> np.ndarray:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages[0]
            values = page.asarray()
            if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
                values = np.moveaxis(values, 0, -1)
        values = np.asarray(values[..., :3] if values.ndim == 3 else three(values)).astype(np.float64)
        shown = (values * 255 / (2**bits - 1)).round().astype(np.uint8)
        return TURNS[turn](255 - shown if inverted else shown)

    return read


def by_jpeg2k(bits: int) -> Reader:
    def read(data: bytes) -> np.ndarray:
        values = imagecodecs.jpeg2k_decode(data).astype(np.float64) * 255 / (2**bits - 1)
        shown = values.round().astype(np.uint8)
        return three(shown) if shown.ndim == 2 else shown

    return read


def by_avif(turn: int = 1) -> Reader:
    def read(data: bytes) -> np.ndarray:
        values = imagecodecs.avif_decode(data)
        shown = (values >> (10 - 8)).astype(np.uint8) if values.dtype == np.uint16 else values
        return TURNS[turn](shown)

    return read


def by_ffmpeg_of(ending: str) -> Reader:
    def read(data: bytes) -> np.ndarray:
        with TemporaryDirectory() as folder:
            source, target = Path(folder, f"a{ending}"), Path(folder, "a.png")
            source.write_bytes(data)
            subprocess.run(["ffmpeg", "-loglevel", "error", "-i", source, "-frames:v", "1", target], check=True)
            return pillow(target.read_bytes())

    return read


def by_ffmpeg(data: bytes) -> np.ndarray:
    """As ffmpeg reads a JPEG-LS; the size is that of the scene."""
    command = ["ffmpeg", "-v", "error", "-f", "jpegls_pipe", "-i", "-", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    found = subprocess.run(command, input=data, capture_output=True, check=True).stdout
    return np.frombuffer(found, np.uint8).reshape(HEIGHT, WIDTH, 3)
