"""Tell pictures of 8 bits by their headers alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import IO

from imgcluster.images.containers import tiff_header as tag
from imgcluster.images.containers.png import BITS_AT
from imgcluster.images.containers.tiff_pages import first_numbers
from imgcluster.images.damage import COMMENT
from imgcluster.images.extras import RAWS, extra_of
from imgcluster.images.file_kinds import head_of, kind_of
from imgcluster.images.headers import DAMAGE, JPEG_FRAMES, jpeg_segments
from imgcluster.images.pages import TIFF_SUFFIXES
from imgcluster.images.sources.endings import ending_of

EIGHT_BIT_ENDINGS = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".mpo", ".gif", ".bmp", ".dib", ".webp", ".ico"),
        *(".pcx", ".qoi", ".ras"),
    )
)
# Kinds that are decoded to 8 bits, whatever they hold.
EIGHT_BIT_KINDS = frozenset(("GIF", "BMP", "WebP", "ICO", "PCX", "QOI", "Sun raster", "AVIF", *RAWS))
# Endings of files whose headers tell.
TELLING_ENDINGS = TIFF_SUFFIXES | {".png", ".apng", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".pam"}
MAX_JPEG_HEADER_BYTES = 2**18  # with EXIF and a colour profile
LARGEST_OF_PNM = re.compile(
    rb"P(?:[2356]" + COMMENT + rb"\d+" + COMMENT + rb"\d+" + COMMENT + rb"|7\n.{0,512}?\nMAXVAL\s+)(\d+)\s", re.DOTALL
)


def has_eight_bits(path: Path) -> bool:
    """Tell whether a file's header says that its values have 8 bits; False also where it does not tell."""
    try:
        if not path.is_file():  # a pipe may have no writer
            return False
        with path.open("rb") as file:
            kind = kind_of(head_of(file))
            if kind in EIGHT_BIT_KINDS or (kind == "TIFF" and extra_of(ending_of(path.name))):  # a raw picture
                return True
            file.seek(0)
            return kind in HEADERS and HEADERS[kind](file)
    except DAMAGE:  # decoding will tell
        return False


def _jpeg(file: IO[bytes]) -> bool:
    """Tell by the frame's header (ITU-T T.81, B.2.2)."""
    beginning = file.read(MAX_JPEG_HEADER_BYTES)
    return any(marker in JPEG_FRAMES and beginning[at] == 8 for marker, at, _ in jpeg_segments(beginning))


def _png(file: IO[bytes]) -> bool:
    return head_of(file)[BITS_AT] <= 8


def _pnm(file: IO[bytes]) -> bool:
    largest = LARGEST_OF_PNM.match(head_of(file))
    return largest is not None and int(largest[1]) < 2**8


def _tiff(file: IO[bytes]) -> bool:
    tags = first_numbers(file, (tag.BITS, tag.SAMPLE_FORMAT))
    return {*tags.get(tag.BITS, (1,))} <= {1, 8} and {*tags.get(tag.SAMPLE_FORMAT, ())} <= {tag.UNSIGNED}


HEADERS: dict[str, Callable[[IO[bytes]], bool]] = {"JPEG": _jpeg, "PNG": _png, "PNM": _pnm, "TIFF": _tiff}
