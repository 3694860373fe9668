"""Decoded frames as viewers show them: sRGB, opaque, square pixels, upright, of one moment, without HDR."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from imgcluster.config import Reading
from imgcluster.errors import ImageError
from imgcluster.images.containers.cicp import WIDE, Coding, to_srgb
from imgcluster.images.stored import Stored
from imgcluster.images.transparency import ground_of, laid_over
from imgcluster.images.video.fields import progressive
from imgcluster.images.video.hdr import TRANSFERS, to_sdr

# From the matrix coefficients of a stream (ITU-T H.273, table 4) to swscale's numbers.
BT709, BT601 = 1, 5
MATRICES = {1: BT709, 4: 4, 5: BT601, 6: BT601, 7: 7, 9: 9, 10: 9}
# A stream that does not name its matrix has BT.709 from this size on, as mpv takes it (`mp_csp_guess_colorspace`).
HD_WIDTH, HD_HEIGHT = 1280, 577
MAX_FRAME_PIXELS = 2**26  # twice those of 8K: a decoder holds many frames at a time
TOO_LARGE = f"has frames of more than {MAX_FRAME_PIXELS:,} pixels"
LIMITED, FULL = 1, 2
MAX_ASPECT = 10  # of a pixel; one that is narrower or wider is taken for a mistake
SCALING = 0x80000 | 2  # SWS_BITEXACT, SWS_BILINEAR: what ffmpeg does by default, on every processor

# What turns a picture upright, by the signs of a, b, c, d in the display matrix (ISO/IEC 14496-12, 8.3.2), which places
# a point (x, y) at (ax + cy, bx + dy).
TURNS: dict[tuple[int, int, int, int], Callable[[np.ndarray], np.ndarray]] = {
    (-1, 0, 0, 1): lambda image: image[:, ::-1],
    (-1, 0, 0, -1): lambda image: image[::-1, ::-1],
    (1, 0, 0, -1): lambda image: image[::-1],
    (0, 1, 1, 0): lambda image: image.swapaxes(0, 1),
    (0, 1, -1, 0): lambda image: np.rot90(image, -1),
    (0, -1, -1, 0): lambda image: image[::-1, ::-1].swapaxes(0, 1),
    (0, -1, 1, 0): np.rot90,
}

_own = threading.local()  # a thread's reformatter, which keeps its tables for frames of one kind


def to_rgb(frame: Any, pixel_aspect: Fraction) -> np.ndarray:
    """Return a frame of PyAV as (height, width, 3) RGB uint8.

    pixel_aspect: width of a pixel by its height; the side that is too short is stretched. Raises ImageError.
    """
    size = _square_size(frame.width, frame.height, pixel_aspect)
    frame = progressive(frame)
    if frame.color_trc in TRANSFERS:
        picture = to_sdr(_converted(frame, "rgb48le", size), TRANSFERS[frame.color_trc])
    elif frame.format.has_palette or any(part.is_alpha for part in frame.format.components):
        stored = _converted(frame, "rgba", size)
        colour, alpha = _in_srgb(stored[..., :3], frame), stored[..., 3]
        picture = laid_over(colour, alpha[..., None], ground_of(colour, alpha))
    else:
        picture = _in_srgb(_converted(frame, "rgb24", size), frame)
    return np.ascontiguousarray(_turned(picture, frame))


def _converted(frame: Any, pixel_format: str, size: tuple[int, int]) -> np.ndarray:
    from av.video.reformatter import VideoReformatter

    if not hasattr(_own, "reformatter"):
        _own.reformatter = VideoReformatter()
    is_hd = frame.width >= HD_WIDTH or frame.height >= HD_HEIGHT
    is_full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
    converted = _own.reformatter.reformat(
        frame,
        *size,
        format=pixel_format,
        src_colorspace=MATRICES.get(frame.colorspace, BT709 if is_hd else BT601),
        src_color_range=FULL if is_full or frame.format.is_rgb else LIMITED,
        dst_color_range=FULL,
        interpolation=SCALING,
    )
    return np.asarray(converted.to_ndarray())


def _in_srgb(picture: np.ndarray, frame: Any) -> np.ndarray:
    """Return RGB uint8 of a wide gamut in that of sRGB, and any other as it is: viewers show its primaries alike."""
    if frame.color_primaries not in WIDE:
        return picture
    return to_srgb(Stored(picture), Coding(frame.color_primaries, BT709), Reading()).samples


def _square_size(width: int, height: int, pixel_aspect: Fraction) -> tuple[int, int]:
    """Return width and height with square pixels. Raises ImageError: too large."""
    if 1 < pixel_aspect <= MAX_ASPECT:
        width = round(width * pixel_aspect)
    elif 1 > pixel_aspect >= 1 / Fraction(MAX_ASPECT):
        height = round(height / pixel_aspect)
    if height * width > MAX_FRAME_PIXELS:
        raise ImageError(TOO_LARGE)
    return width, height


def _turned(picture: np.ndarray, frame: Any) -> np.ndarray:
    from av.sidedata.sidedata import SideDataContainer

    # Not frame.side_data, which leads back to the frame: its memory would wait for the garbage collector.
    matrix = next((each for each in SideDataContainer(frame) if each.type.name == "DISPLAYMATRIX"), None)
    if matrix is None:
        return picture
    a, b, _, c, d = struct.unpack("<5i", bytes(matrix)[:20])
    turn = TURNS.get(tuple(int(np.sign(value)) for value in (a, b, c, d)))  # type: ignore[arg-type]
    return picture if turn is None else turn(picture)
