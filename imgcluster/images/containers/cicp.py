"""Bring colours that are described by code points (ITU-T H.273), or by numbers, to sRGB: gamuts, gammas, PQ and HLG."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np

from imgcluster.config import Reading
from imgcluster.images.stored import Alpha, Stored
from imgcluster.images.video.hdr import TRANSFERS, to_sdr

SRGB_LIKE = (1, 6, 13, 14, 15)  # transfer characteristics of BT.709, 601, sRGB, BT.2020: viewers show all alike
LINEAR = 8
BT709, BT2020, P3_DCI, P3 = 1, 9, 11, 12  # primaries
MAX_VALUES = 2**22  # converted at a time, in float32
CODES = 2**16
DEEP_RANGES = ("auto", "declared")  # with others, what is deeper than 8 bits are measurements

Curve = Callable[[np.ndarray], np.ndarray]


class Chromaticities(NamedTuple):
    """The x and y of white, red, green and blue (CIE 1931)."""

    white: tuple[float, float]
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]


D65 = (0.3127, 0.3290)
SRGB_PRIMARIES = Chromaticities(D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
P3_PRIMARIES = Chromaticities(D65, (0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
# H.273, table 2. The white of DCI-P3 is taken for that of Display P3, as by viewers; older systems for sRGB.
WIDE = {
    BT2020: Chromaticities(D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    P3: P3_PRIMARIES,
    P3_DCI: P3_PRIMARIES,
}
# Of linear light (Lam 1985; in ICC.1:2022, annex E): what is adapted to another white.
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


class Coding(NamedTuple):
    """ColourPrimaries and TransferCharacteristics of H.273."""

    primaries: int
    transfer: int


@dataclass(frozen=True)
class Colours:
    """What code values from 0 to 1 mean. light: linear light of them. matrix: (3, 3), to linear sRGB; None: it is."""

    light: Curve
    matrix: np.ndarray | None = None


def to_srgb(stored: Stored, coding: Coding, reading: Reading) -> Stored:
    """Return a picture with its colours in sRGB, uint8; as it is where they are already, or are of a coding unknown."""
    if coding.transfer in TRANSFERS:
        return _from_hdr(stored, coding) if _is_converted(stored, reading) else stored
    curve = CURVES.get(coding.transfer)
    matrix = to_linear_srgb(WIDE[coding.primaries]) if coding.primaries in WIDE else None
    if curve is None or (curve is srgb_light and matrix is None):
        return stored
    return converted(stored, Colours(curve, matrix), reading)


def converted(stored: Stored, colours: Colours, reading: Reading) -> Stored:
    """Return a picture with its colours in sRGB, uint8; as it is where a config wants the values, not the colours."""
    matrix = None if _is_grey(stored) or colours.matrix is None else colours.matrix.T.astype(np.float32)
    if not _is_converted(stored, reading) or (matrix is None and colours.light is srgb_light):
        return stored
    samples, white = stored.samples, _white(stored)
    light = colours.light(np.arange(white + 1) / white).astype(np.float32)
    shown = slice(None) if stored.alpha is Alpha.NONE else slice(-1)
    out = np.empty(samples.shape, np.uint8)
    step = max(1, MAX_VALUES // samples[:1].size)
    for start in range(0, len(out), step):
        rows, made = np.minimum(samples[start : start + step], white), out[start : start + step]
        made[:] = (rows.astype(np.uint32) * 510 + white) // (2 * white)
        linear = light[rows[..., shown]]
        linear = linear if matrix is None else linear @ matrix
        made[..., shown] = _srgb_codes()[(linear.clip(0, 1) * (CODES - 1) + 0.5).astype(np.uint16)]
    return replace(stored, samples=out, white=None)


def to_linear_srgb(primaries: Chromaticities) -> np.ndarray:
    """Return the matrix, (3, 3), from linear light of some primaries to that of sRGB, white to white.

    Raises ValueError, LinAlgError: they span no colours.
    """
    adapted = _adaptation(primaries.white) @ _to_xyz(primaries)
    return np.asarray(np.linalg.inv(_to_xyz(SRGB_PRIMARIES)) @ adapted)


def power(exponent: float) -> Curve:
    """Return the linear light of a gamma."""
    return lambda values: np.asarray(values**exponent)


def srgb_light(values: np.ndarray) -> np.ndarray:
    """Return the linear light of sRGB (IEC 61966-2-1, 5.2)."""
    return np.asarray(np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4))


# By transfer characteristics (H.273, table 3): the linear light, as displays show it.
CURVES: dict[int, Curve] = {**dict.fromkeys(SRGB_LIKE, srgb_light), 4: power(2.2), 5: power(2.8), LINEAR: power(1.0)}


def _is_converted(stored: Stored, reading: Reading) -> bool:
    is_shown = stored.samples.dtype == np.uint8 or reading.range in DEEP_RANGES
    return reading.color == "managed" and reading.bands is None and is_shown and stored.alpha is not Alpha.MULTIPLIED


def _is_grey(stored: Stored) -> bool:
    return stored.samples.ndim == 2 or stored.samples.shape[2] < 3


def _white(stored: Stored) -> int:
    return stored.white or int(np.iinfo(stored.samples.dtype).max)


def _from_hdr(stored: Stored, coding: Coding) -> Stored:
    if _is_grey(stored) or coding.primaries not in (BT709, *WIDE):
        return stored
    matrix = to_linear_srgb(WIDE.get(coding.primaries, SRGB_PRIMARIES)).astype(np.float32)
    codes = np.minimum(stored.samples.astype(np.uint32) * (CODES - 1) // _white(stored), CODES - 1).astype(np.uint16)
    shown = to_sdr(codes[..., :3], TRANSFERS[coding.transfer], matrix)
    opacity = (codes[..., 3:] >> 8).astype(np.uint8)
    return replace(stored, samples=np.concatenate([shown, opacity], axis=2), white=None)


def _to_xyz(primaries: Chromaticities) -> np.ndarray:
    """Return the matrix from linear RGB to XYZ in which white has a Y of 1 (SMPTE RP 177, 3.3)."""
    columns = np.array([_xyz(point) for point in primaries[1:]]).T
    return columns * np.linalg.solve(columns, _xyz(primaries.white))


def _xyz(point: tuple[float, float]) -> np.ndarray:
    x, y = point
    if y <= 0:
        raise ValueError(f"a chromaticity without light: {point}")
    return np.array([x / y, 1, (1 - x - y) / y])


def _adaptation(white: tuple[float, float]) -> np.ndarray:
    cones = (BRADFORD @ _xyz(D65)) / (BRADFORD @ _xyz(white))
    return np.asarray(np.linalg.inv(BRADFORD) @ np.diag(cones) @ BRADFORD)


@cache
def _srgb_codes() -> np.ndarray:
    """Return the codes of sRGB, from 0 to 255, by linear light in CODES steps."""
    light = np.arange(CODES) / (CODES - 1)
    coded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (coded * 255).round().astype(np.uint8)
