"""Decode the bytes of an image file into what viewers show: everyday files at once, others by their headers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from imgcluster.config import AS_SHOWN, Reading
from imgcluster.images.containers import jpeg, png
from imgcluster.images.decoders import decode
from imgcluster.images.file_kinds import everyday_kind
from imgcluster.images.limits import check_declared
from imgcluster.images.rendering import render
from imgcluster.images.stored import Alpha, Stored, Wanted
from imgcluster.images.transparency import WHITE


class Shown(NamedTuple):
    """pixels: (height, width, 3) RGB uint8. ground: the grey behind them. transparency: the share of it that is seen.

    is_scientific: whether the packages of that extra decoded them.
    """

    pixels: np.ndarray
    ground: int = WHITE
    is_scientific: bool = False
    transparency: float = 0.0


def shown(data: bytes, least: int | None, reading: Reading) -> Shown:
    """Decode the bytes of an image file. Raises ImageError.

    least: sufficient size of the shorter side in pixels.
    """
    if reading == AS_SHOWN and (pixels := _everyday(data, least)) is not None:
        return Shown(pixels)
    check_declared(data)
    stored = decode(data, Wanted(least, reading))
    return Shown(*render(stored, reading), stored.is_scientific, _transparency(stored))


def _transparency(stored: Stored) -> float:
    """Return the mean transparency of the samples, from 0 to 1."""
    if stored.alpha is Alpha.NONE or stored.samples.ndim == 2:
        return 0.0
    opacity = stored.samples[..., -1]
    largest = 1 if opacity.dtype.kind == "f" else stored.white or np.iinfo(opacity.dtype).max
    return float(np.clip(1 - opacity.mean() / largest, 0, 1))


def _everyday(data: bytes, least: int | None) -> np.ndarray | None:
    """Return the pixels of a JPEG or PNG as most are; None of any other file. Raises ImageError."""
    kind = everyday_kind(data)
    if kind == "JPEG":
        return jpeg.read_plain(data, least)
    return png.read_plain(data) if kind == "PNG" else None
