"""Find where one picture lies within another, by their signatures."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

SIGNATURE_SIDE = 32  # of a signature: a grey picture squashed to this side by area means, (1024,) float32
SEARCH_SIDE = 16  # in which parts are searched: a quarter of the values
SEARCHED_SIDES = (15, 14, 13, 12, 11, 10, 9, 8)  # of a part within SEARCH_SIDE: down to a half of each side
WHOLE_FROM = 0.95  # correlation from which two signatures are of one whole picture, and no part need be searched
MIN_CORRELATION = 0.80  # of candidates; crops of a fifth on each side had 0.85 and more
MIN_CONTRAST = 2.0  # standard deviation, in grey levels: plainer pictures have nothing to be told by


class Match(NamedTuple):
    """A picture that may be a part of another one.

    part, whole: the rows of the two. left, top, side: the window, in shares of the whole's width and height.
    mirrored: whether the part is one of the mirrored whole.
    """

    correlation: float
    part: int
    whole: int
    left: float = 0.0
    top: float = 0.0
    side: float = 1.0
    mirrored: bool = False


def signature_of(pixels: np.ndarray) -> np.ndarray:
    """Return the signature of a picture, (height, width, 3) RGB uint8: (1024,) float32."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(cv2.resize(grey, (SIGNATURE_SIDE, SIGNATURE_SIDE), interpolation=cv2.INTER_AREA)).ravel()


def centred(signatures: np.ndarray) -> np.ndarray:
    """Return signatures, (n, 1024) float32, without their mean, scaled to the length 1; zeros where they are plain."""
    values = signatures - signatures.mean(axis=1, keepdims=True)
    plain = values.std(axis=1) < MIN_CONTRAST
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    values[plain] = 0
    return np.asarray(values, np.float32)


def mirrored(signatures: np.ndarray) -> np.ndarray:
    """Return the signatures of the mirrored pictures, (n, 1024)."""
    pictures = signatures.reshape(-1, SIGNATURE_SIDE, SIGNATURE_SIDE)
    return np.ascontiguousarray(pictures[:, :, ::-1]).reshape(signatures.shape)


def register(signatures: np.ndarray, first: int, second: int, *, mirror: bool = False) -> Match | None:
    """Find the better of two ways: the first picture as a part of the second, or the second as a part of the first.

    Normalised cross-correlation over scale and translation. Returns None where neither correlates.

    Args:
        signatures: (n, 1024) float32, as `centred` returns them.
        first: the row of one picture.
        second: the row of the other one.
        mirror: whether the second one is mirrored.
    """
    one, other = (signatures[row].reshape(SIGNATURE_SIDE, SIGNATURE_SIDE) for row in (first, second))
    if not (one.any() and other.any()):
        return None
    if mirror:
        other = np.ascontiguousarray(other[:, ::-1])
    same = float((one * other).sum())
    if same >= WHOLE_FROM:
        return Match(same, first, second, mirrored=mirror)
    ways = (Match(same, first, second), _searched(one, other, first, second), _searched(other, one, second, first))
    best = max(ways, key=lambda match: match.correlation)
    return best._replace(mirrored=mirror) if best.correlation >= MIN_CORRELATION else None


def _searched(part: np.ndarray, whole: np.ndarray, part_row: int, whole_row: int) -> Match:
    field = _shrunk(whole, SEARCH_SIDE)
    best = Match(-1.0, part_row, whole_row)
    for side in SEARCHED_SIDES:
        found = cv2.matchTemplate(field, _shrunk(part, side), cv2.TM_CCOEFF_NORMED)
        _, value, _, (left, top) = cv2.minMaxLoc(found)
        if value > best.correlation:
            best = Match(value, part_row, whole_row, left / SEARCH_SIDE, top / SEARCH_SIDE, side / SEARCH_SIDE)
    return best


def _shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA))
