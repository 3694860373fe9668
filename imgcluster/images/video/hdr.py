"""High dynamic range to standard dynamic range: PQ and HLG of BT.2020 to BT.709.

Light as a display of 1,000 cd/m² shows it (ITU-R BT.2100-2, tables 4 and 5) is compressed to the 203 cd/m² of reference
white (BT.2408-7) by the curve of BT.2390-11, section 5.4.1: tones below its knee stay, those above are rolled off. The
curve is applied to the largest of red, green and blue, so that hues stay.
"""

from __future__ import annotations

from functools import cache

import numpy as np

PQ, HLG = "PQ", "HLG"
TRANSFERS = {16: PQ, 18: HLG}  # by the transfer characteristics of a stream (ITU-T H.273, table 3)
PQ_PEAK, PEAK, WHITE = 10_000.0, 1_000.0, 203.0  # cd/m²
M1, M2, C1, C2, C3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
HLG_A, HLG_B, HLG_C, HLG_GAMMA = 0.17883277, 0.28466892, 0.55991073, 1.2
LUMA_2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)
# ITU-R BT.2087-0, section 4: from the primaries of BT.2020 to those of BT.709.
TO_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
SDR_GAMMA = 2.4  # of a display (BT.1886)
CODES = 2**16
PIXELS_AT_ONCE = 2**18


def to_sdr(picture: np.ndarray, transfer: str, to_709: np.ndarray = TO_709) -> np.ndarray:
    """Convert (height, width, 3) uint16 to RGB uint8 of BT.709. transfer: PQ or HLG. to_709: from its primaries."""
    out = np.empty(picture.shape, np.uint8)
    rows = max(1, PIXELS_AT_ONCE // picture.shape[1])
    for start in range(0, len(picture), rows):
        light = _light(picture[start : start + rows], transfer)
        gain = _gains()[_place(light.max(axis=2) / PQ_PEAK)]
        shown = (light * gain[..., None]) @ to_709.T
        out[start : start + rows] = _sdr_codes()[_rounded(np.clip(shown, 0, 1))]
    return out


def pq_light(code: np.ndarray) -> np.ndarray:
    """Return the light of PQ codes from 0 to 1, in cd/m² (BT.2100-2, table 4)."""
    power = code ** (1 / M2)
    return np.asarray(PQ_PEAK * (np.maximum(power - C1, 0) / (C2 - C3 * power)) ** (1 / M1))


def pq_code(light: np.ndarray) -> np.ndarray:
    """Return the PQ code, from 0 to 1, of light in cd/m²."""
    power = (light / PQ_PEAK) ** M1
    return np.asarray(((C1 + C2 * power) / (1 + C3 * power)) ** M2)


def tone_mapped(light: np.ndarray) -> np.ndarray:
    """Compress light up to PEAK, in cd/m², to WHITE (BT.2390-11, section 5.4.1, for a black of 0)."""
    peak = pq_code(np.array(PEAK))
    target = float(pq_code(np.array(WHITE)) / peak)
    knee = 1.5 * target - 0.5
    code = np.minimum(pq_code(light) / peak, 1)
    share = np.maximum(code - knee, 0) / (1 - knee)
    rolled = (
        (2 * share**3 - 3 * share**2 + 1) * knee
        + (share**3 - 2 * share**2 + share) * (1 - knee)
        + (3 * share**2 - 2 * share**3) * target
    )
    return pq_light(np.where(code < knee, code, rolled) * peak)


def _light(codes: np.ndarray, transfer: str) -> np.ndarray:
    """Return the light that a display of PEAK shows, in cd/m², (height, width, 3) float32."""
    light: np.ndarray = _lights(transfer)[codes]
    if transfer == HLG:  # which has the light of the scene
        light *= PEAK * (light @ LUMA_2020)[..., None] ** np.float32(HLG_GAMMA - 1)
    return light


@cache
def _lights(transfer: str) -> np.ndarray:
    """The light of each code: of PQ in cd/m², of HLG that of the scene, from 0 to 1."""
    code = np.arange(CODES) / (CODES - 1)
    if transfer == PQ:
        return pq_light(code).astype(np.float32)
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - HLG_C) / HLG_A) + HLG_B) / 12).astype(np.float32)


@cache
def _gains() -> np.ndarray:
    """By what light is multiplied so that WHITE is 1, by the `_place` of its largest channel."""
    light = (np.maximum(np.arange(CODES), 1) / (CODES - 1)) ** 4 * PQ_PEAK
    return (tone_mapped(light) / WHITE / light).astype(np.float32)


def _place(share: np.ndarray) -> np.ndarray:
    """Return the place of light, as a share of PQ_PEAK, in a table: finer in the dark."""
    return _rounded(np.sqrt(np.sqrt(np.clip(share, 0, 1))))


def _rounded(share: np.ndarray) -> np.ndarray:
    return np.asarray((share * (CODES - 1) + 0.5).astype(np.uint16))


@cache
def _sdr_codes() -> np.ndarray:
    light = np.arange(CODES) / (CODES - 1)
    return (255 * light ** (1 / SDR_GAMMA) + 0.5).astype(np.uint8)
