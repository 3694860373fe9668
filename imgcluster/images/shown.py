"""Decode the bytes of an image file into what viewers show: everyday files at once, others by their headers."""

from __future__ import annotations

import numpy as np

from imgcluster.config import AS_SHOWN, Reading
from imgcluster.images.containers import jpeg, png
from imgcluster.images.decoders import decode
from imgcluster.images.file_kinds import everyday_kind
from imgcluster.images.limits import check_declared
from imgcluster.images.rendering import render
from imgcluster.images.stored import Wanted
from imgcluster.images.transparency import WHITE


def shown(data: bytes, least: int | None, reading: Reading) -> tuple[np.ndarray, int, bool]:
    """Return the pixels, (height, width, 3) RGB uint8, the grey behind them, and whether extras decoded them.

    least: sufficient size of the shorter side in pixels. Raises ImageError.
    """
    if reading == AS_SHOWN and (pixels := _everyday(data, least)) is not None:
        return pixels, WHITE, False
    check_declared(data)
    stored = decode(data, Wanted(least, reading))
    return *render(stored, reading), stored.is_scientific


def _everyday(data: bytes, least: int | None) -> np.ndarray | None:
    """Return the pixels of a JPEG or PNG as most are; None of any other file. Raises ImageError."""
    kind = everyday_kind(data)
    if kind == "JPEG":
        return jpeg.read_plain(data, least)
    return png.read_plain(data) if kind == "PNG" else None
