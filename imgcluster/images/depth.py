"""Tell pictures of 8 bits by their headers alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

from imgcluster.images.containers import tiff_header as tag
from imgcluster.images.containers.png import BITS_AT
from imgcluster.images.containers.tiff_pages import first_numbers
from imgcluster.images.damage import COMMENT
from imgcluster.images.extras import RAWS, extra_of
from imgcluster.images.file_kinds import head_of, kind_of
from imgcluster.images.headers import DAMAGE
from imgcluster.images.pages import TIFF_SUFFIXES
from imgcluster.images.sources.endings import ending_of

EIGHT_BIT_ENDINGS = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".mpo", ".gif", ".bmp", ".dib", ".webp", ".ico"),
        *(".pcx", ".qoi", ".ras"),
    )
)
# Kinds that are decoded to 8 bits, whatever they hold.
EIGHT_BIT_KINDS = frozenset(("JPEG", "GIF", "BMP", "WebP", "ICO", "PCX", "QOI", "Sun raster", "AVIF", *RAWS))
# Endings of files whose headers tell.
TELLING_ENDINGS = TIFF_SUFFIXES | {".png", ".apng", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".pam"}
LARGEST_OF_PNM = re.compile(
    rb"P(?:[2356]" + COMMENT + rb"\d+" + COMMENT + rb"\d+" + COMMENT + rb"|7\n.{0,512}?\nMAXVAL\s+)(\d+)\s", re.DOTALL
)


def has_eight_bits(path: Path) -> bool:
    """Tell whether a file's header says that its values have 8 bits; False also where it does not tell."""
    try:
        if not path.is_file():  # a pipe may have no writer
            return False
        with path.open("rb") as file:
            head = head_of(file)
            kind = kind_of(head)
            if kind == "PNG":
                return head[BITS_AT] <= 8
            if kind == "PNM":
                return (found := LARGEST_OF_PNM.match(head)) is not None and int(found[1]) < 2**8
            if kind == "TIFF":
                return extra_of(ending_of(path.name)) is not None or _tiff_has(file)
            return kind in EIGHT_BIT_KINDS
    except DAMAGE:  # decoding will tell
        return False


def _tiff_has(file: IO[bytes]) -> bool:
    file.seek(0)
    tags = first_numbers(file, (tag.BITS, tag.SAMPLE_FORMAT))
    return {*tags.get(tag.BITS, (1,))} <= {1, 8} and {*tags.get(tag.SAMPLE_FORMAT, ())} <= {tag.UNSIGNED}
