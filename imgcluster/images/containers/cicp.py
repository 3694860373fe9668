"""Bring colours that are described by code points (ITU-T H.273) to sRGB: wide gamuts, linear light, PQ and HLG."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from imgcluster.images.stored import Alpha, Stored
from imgcluster.images.video.hdr import TRANSFERS, to_sdr

SRGB_LIKE = (1, 6, 13)  # transfer characteristics of BT.709, BT.601 and sRGB: viewers show all of them alike
LINEAR = 8
BT2020, P3_DCI, P3 = 9, 11, 12  # primaries
MAX_VALUES = 2**22  # converted at a time, in float32

# From linear RGB of these primaries to that of sRGB (ITU-R BT.2087-0, annex; SMPTE EG 432-1).
TO_SRGB = {
    BT2020: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
    P3: ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979)),
}
TO_SRGB[P3_DCI] = TO_SRGB[P3]


class Coding(NamedTuple):
    """ColourPrimaries and TransferCharacteristics of H.273."""

    primaries: int
    transfer: int


def to_srgb(stored: Stored, coding: Coding) -> Stored:
    """Return a picture with its colours in sRGB, uint8; as it is where they are already, or are of a coding unknown."""
    samples, alpha = stored.samples, stored.alpha
    is_grey = samples.ndim == 2 or samples.shape[2] < 3
    primaries = None if is_grey else TO_SRGB.get(coding.primaries)
    if coding.transfer in TRANSFERS and coding.primaries == BT2020 and not is_grey and alpha is not Alpha.MULTIPLIED:
        return _from_hdr(stored, TRANSFERS[coding.transfer])
    is_linear = coding.transfer == LINEAR
    is_known = is_linear or (primaries is not None and coding.transfer in SRGB_LIKE)
    if not is_known or alpha is Alpha.MULTIPLIED:
        return stored
    white = stored.white or np.iinfo(samples.dtype).max
    matrix = None if primaries is None else np.asarray(primaries, np.float32)
    colours = slice(None) if alpha is Alpha.NONE else slice(-1)
    out = np.empty(samples.shape, np.uint8)
    step = max(1, MAX_VALUES // samples[:1].size)
    for start in range(0, len(out), step):
        rows = samples[start : start + step].astype(np.float32) / white
        light = rows[..., colours] if is_linear else _light(rows[..., colours])
        rows[..., colours] = _coded(light if matrix is None else light @ matrix.T)
        out[start : start + step] = (rows.clip(0, 1) * 255).round()
    return replace(stored, samples=out, white=None)


def _from_hdr(stored: Stored, transfer: str) -> Stored:
    samples, white = stored.samples, stored.white or np.iinfo(stored.samples.dtype).max
    codes = np.minimum(samples.astype(np.uint32) * 65_535 // white, 65_535).astype(np.uint16)
    shown = to_sdr(codes[..., :3], transfer)
    opacity = (codes[..., 3:] >> 8).astype(np.uint8)
    return replace(stored, samples=np.concatenate([shown, opacity], axis=2), white=None)


def _light(values: np.ndarray) -> np.ndarray:
    """Return the linear light of sRGB (IEC 61966-2-1, 5.2)."""
    return np.asarray(np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4))


def _coded(light: np.ndarray) -> np.ndarray:
    light = light.clip(0, 1)
    return np.asarray(np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055))
