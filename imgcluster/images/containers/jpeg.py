"""JPEG: coding process, precision and colour profile. OpenCV itself turns the picture upright."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from imgcluster.errors import ImageError
from imgcluster.images.containers.exif import ORIENTATION, orientation_of
from imgcluster.images.containers.tiff_scientific import CODEC_ERRORS
from imgcluster.images.damage import why_undecodable
from imgcluster.images.headers import DAMAGE, JPEG_ENDS, JPEG_FRAMES, JPEG_LS_FRAME, MARKER, Size, jpeg_segments
from imgcluster.images.libraries import by_opencv, opened
from imgcluster.images.limits import check_size
from imgcluster.images.opencv import cv2
from imgcluster.images.refusals import SCIENTIFIC, needs, not_read
from imgcluster.images.stored import Stored, Wanted

# OpenCV's flags of decoding at a fraction of the size: the inverse cosine transform gives fewer pixels a block.
REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}

APP1, APP2 = 0xE1, 0xE2
EXIF = b"Exif\0\0"
ICC = b"ICC_PROFILE\0"  # then the number of this part, and of all (ICC.1:2022, B.4)
LOSSLESS = 0xC3
MAX_RUN = 2**15  # pixels that one bit of a JPEG-LS stands for at the most
PLAIN_FRAMES = JPEG_FRAMES - {LOSSLESS}
FRAME_SIZE = struct.Struct(">HH")
INKS = 4


class Frame(NamedTuple):
    """The header of a frame (ITU-T T.81, B.2.2). process: its marker."""

    process: int
    bits: int
    height: int
    width: int
    components: int


def read_plain(data: bytes, least: int | None) -> np.ndarray | None:
    """Return the pixels of a JPEG as most are, (height, width, 3) RGB uint8; None of any other.

    One pass over the header and no objects: of a small picture, more would take a tenth of the time of decoding it.
    least: as in `Wanted`. Raises ImageError.
    """
    at, last = 2, len(data) - 10
    while at <= last and data[at] == MARKER:
        marker = data[at + 1]
        if marker in PLAIN_FRAMES:
            if data[at + 4] != 8:
                return None
            height, width = FRAME_SIZE.unpack_from(data, at + 5)
            check_size(Size(height, width, 3))
            return _by_opencv(data, min(height, width), least)
        if marker in JPEG_ENDS or (marker == APP2 and data.startswith(ICC, at + 4)):
            return None
        at += 1 if marker == MARKER else 2 + (data[at + 2] << 8) + data[at + 3]
    return None


def read(data: bytes, wanted: Wanted) -> Stored:
    """Decode a JPEG, at a fraction of its size where that is sufficient. Raises ImageError."""
    if (pixels := read_plain(data, wanted.least)) is not None:
        return Stored(pixels)
    frame, icc = read_header(data)
    if frame is None:
        return Stored(by_opencv(data, cv2.IMREAD_COLOR_RGB))
    if frame.process == JPEG_LS_FRAME or frame.bits != 8:
        return _by_imagecodecs(data, frame)
    if wanted.reading.color != "managed":
        icc = None
    if frame.process == LOSSLESS or (icc and frame.components == INKS):
        return _by_pillow(data, icc)
    pixels = _by_opencv(data, min(frame.height, frame.width), wanted.least)
    return Stored(pixels[..., :1] if icc and frame.components == 1 else pixels, icc=icc)


def is_too_short(jpegls: bytes, height: int, width: int) -> bool:
    """Tell whether a JPEG-LS has fewer bits than its lines need, one for each run (ITU-T T.87, A.7.1).

    The decoder would go through all the pixels that it declares first.
    """
    return 8 * len(jpegls) < height * -(-width // MAX_RUN)


def read_header(data: bytes) -> tuple[Frame | None, bytes | None]:
    """Return the header of the frame, and the colour profile, which stands before it; None where there is none."""
    frame, parts = None, []
    for marker, at, end in jpeg_segments(data):
        if marker in JPEG_FRAMES or marker == JPEG_LS_FRAME:
            frame = Frame(marker, *struct.unpack_from(">BHHB", data, at))
        elif marker == APP2 and data.startswith(ICC, at):
            parts.append(data[at + len(ICC) : end])
    return frame, b"".join(part[2:] for part in sorted(parts)) or None


def _by_opencv(data: bytes, short: int, least: int | None) -> np.ndarray:
    """Decode at a fraction of the size where its shorter side still has `least` pixels."""
    if least is not None:
        for factor, flag in REDUCED.items():
            if short // factor >= least:  # these flags have no variant in the order red, green, blue
                return np.asarray(cv2.cvtColor(by_opencv(data, flag), cv2.COLOR_BGR2RGB))
    return by_opencv(data, cv2.IMREAD_COLOR_RGB)


def _by_pillow(data: bytes, icc: bytes | None) -> Stored:
    with opened(data) as image:
        orientation = image.getexif().get(ORIENTATION, 1)
        return Stored(np.asarray(image), icc=icc, orientation=orientation, inks=image.mode == "CMYK")


def _by_imagecodecs(data: bytes, frame: Frame) -> Stored:
    """Decode JPEG-LS, and JPEG of more than 8 bits."""
    is_ls = frame.process == JPEG_LS_FRAME
    content = "JPEG-LS" if is_ls else f"JPEG of {frame.bits} bits"
    if frame.components not in (1, 3):
        raise ImageError(not_read(f"{content}, {frame.components} channels"))
    try:
        import imagecodecs
    except ImportError:
        raise ImageError(needs(content, SCIENTIFIC)) from None
    check_size(Size(frame.height, frame.width, 2 * frame.components))
    if is_ls and is_too_short(data, frame.height, frame.width):
        raise ImageError(why_undecodable(data))
    try:
        samples = np.asarray(imagecodecs.jpegls_decode(data) if is_ls else imagecodecs.jpeg8_decode(data))
    except (*CODEC_ERRORS, *DAMAGE):
        raise ImageError(why_undecodable(data)) from None
    blocks = (data[at:end] for marker, at, end in jpeg_segments(data) if marker == APP1)
    exif = next((block for block in blocks if block.startswith(EXIF)), b"")
    white = 2**frame.bits - 1 if 8 < frame.bits < 16 else None
    return Stored(samples, white=white, orientation=orientation_of(exif), is_scientific=True)
