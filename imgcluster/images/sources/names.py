"""Image file names: endings and natural order."""

from __future__ import annotations

import os
import re

# Endings of formats that are read without an extra.
SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".mpo", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp"),
        *(".tif", ".tiff", ".btf", ".tf8", ".ptif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpx", ".jpf", ".avif"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".ico", ".pcx", ".qoi", ".ras"),
    )
)


def natural_key(text: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key that takes runs of digits as numbers and ignores case; the text itself decides between equals."""
    parts = re.split(r"([0-9]+)", text.casefold())
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts if part], text


def as_id(name: str) -> str:
    r"""Escape bytes that are not UTF-8 as `\xNN`, and backslashes as two, so that ids are text and stay distinct."""
    return os.fsencode(name.replace("\\", "\\\\")).decode("utf-8", "backslashreplace")
