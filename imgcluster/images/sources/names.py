"""Image file names: endings and natural order."""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jp2")
)
# Pictures that a folder is not walked for: what telephones, cameras, scanners, programs leave between the others, and
# other endings of formats that are read, which a name in `images.ids` reaches.
OTHER_PICTURES = frozenset(
    (
        *(".heic", ".heif", ".hif", ".avif", ".jxl", ".svg", ".psd", ".ai", ".tga", ".exr", ".dcm", ".ico", ".pcx"),
        *(".qoi", ".dds", ".hdr", ".pfm", ".pam", ".ras", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf"),
        *(".rw2", ".jfif", ".pjpeg", ".mpo", ".dib", ".pbm", ".pnm", ".apng", ".j2k", ".j2c", ".jpc", ".jpx", ".btf"),
        ".ptif",
    )
)


def natural_key(text: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key that takes runs of digits as numbers and ignores case; the text itself decides between equals."""
    parts = re.split(r"([0-9]+)", text.casefold())
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts if part], text


def is_image_name(name: str) -> bool:
    """Tell whether a name below a folder, with slashes, is an image's, and neither it nor a folder above is hidden."""
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in path.parts if part != "..")


def as_id(name: str) -> str:
    r"""Escape bytes that are not UTF-8 as `\xNN`, and backslashes as two, so that ids are text and stay distinct."""
    return os.fsencode(name.replace("\\", "\\\\")).decode("utf-8", "backslashreplace")
