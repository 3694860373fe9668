"""Bring colours that are described by code points (ITU-T H.273) to sRGB: wide gamuts, and HDR by PQ or HLG."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from imgcluster.images.stored import Alpha, Stored

SRGB_LIKE = (1, 6, 13)  # transfer characteristics of BT.709, BT.601 and sRGB: viewers show all of them alike
LINEAR, PQ, HLG = 8, 16, 18
BT2020, P3_DCI, P3 = 9, 11, 12
WHITE_NITS = 203.0  # luminance of white on paper in HDR (ITU-R BT.2408-7, table 1)
PEAK_NITS = 1000.0  # the brightest that is told apart from white
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


def to_sdr(stored: Stored, coding: Coding) -> Stored:
    """Return a picture with its colours in sRGB, uint8; as it is where they are already, or are of a coding unknown."""
    primaries, transfer = TO_SRGB.get(coding.primaries), LINEARIZED.get(coding.transfer)
    samples, alpha = stored.samples, stored.alpha
    is_grey = samples.ndim == 2 or samples.shape[2] < 3
    is_known = transfer is not None or (coding.transfer in SRGB_LIKE and primaries is not None and not is_grey)
    if not is_known or alpha is Alpha.MULTIPLIED:
        return stored
    if is_grey:
        samples = samples.reshape(*samples.shape[:2], -1)[..., [0, 0, 0] if alpha is Alpha.NONE else [0, 0, 0, 1]]
    white = stored.white or np.iinfo(samples.dtype).max
    matrix = None if primaries is None else np.asarray(primaries, np.float32)
    out = np.empty(samples.shape, np.uint8)
    step = max(1, MAX_VALUES // samples[:1].size)
    for start in range(0, len(out), step):
        rows = samples[start : start + step].astype(np.float32) / white
        light = (transfer or _from_srgb)(rows[..., :3])
        if matrix is not None:
            light = light @ matrix.T
        rows[..., :3] = _to_srgb(light)
        out[start : start + step] = (rows.clip(0, 1) * 255).round()
    return replace(stored, samples=out, white=None)


def _from_srgb(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _to_srgb(light: np.ndarray) -> np.ndarray:
    light = light.clip(0, 1)
    return np.asarray(np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055))


def _from_pq(values: np.ndarray) -> np.ndarray:
    """Return light relative to white by the EOTF of SMPTE ST 2084, highlights compressed."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 78.84375, 0.8359375, 18.8515625, 18.6875
    root = values ** (1 / m2)
    nits = 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    return _compressed(nits / WHITE_NITS)


def _from_hlg(values: np.ndarray) -> np.ndarray:
    """Return light relative to white by the inverse OETF and the OOTF of ITU-R BT.2100-2, highlights compressed."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593], np.float32)
    nits = PEAK_NITS * scene * np.maximum(luminance, 1e-6)[..., None] ** 0.2
    return _compressed(nits / WHITE_NITS)


def _compressed(light: np.ndarray) -> np.ndarray:
    """Roll off what is brighter than white by its largest channel, so that hues stay (Reinhard et al. 2002, eq. 4)."""
    largest = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
    peak = PEAK_NITS / WHITE_NITS
    return np.asarray(light * ((1 + largest / peak**2) / (1 + largest)), np.float32)


LINEARIZED: dict[int, Callable[[np.ndarray], np.ndarray]] = {LINEAR: lambda light: light, PQ: _from_pq, HLG: _from_hlg}
