"""Find where one picture lies within another, by their signatures."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from imgcluster.images import SIGNATURE_SIDE
from imgcluster.utils import in_order

SEARCH_SIDE = 16  # in which parts are searched: a quarter of the values
SEARCHED_SIDES = (15, 14, 13, 12, 11, 10, 9, 8)  # of a part within SEARCH_SIDE: down to a half of each side
WHOLE_FROM = 0.95  # correlation from which two signatures are of one whole picture, and no part need be searched
MIN_MIRRORED = 0.2  # correlation of the whole signatures from which parts of a mirrored picture are searched
MIN_CORRELATION = 0.80  # of candidates; crops of a fifth on each side had 0.85 and more
MIN_CONTRAST = 2.0  # standard deviation, in grey levels: plainer pictures have nothing to be told by


class Match(NamedTuple):
    """A picture that may be a part of another one.

    part, whole: the rows of the two. left, top, side: the window, in shares of the whole's width and height.
    mirrored: whether the part is one of the mirrored whole; the window is then one of that.
    """

    correlation: float
    part: int
    whole: int
    left: float = 0.0
    top: float = 0.0
    side: float = 1.0
    mirrored: bool = False


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


def register(signatures: np.ndarray, pairs: np.ndarray, *, mirror: bool = False) -> list[Match | None]:
    """Find for each pair the better of two ways: the first picture as a part of the second, or the other way round.

    Normalised cross-correlation over scale and translation. None where neither way correlates.

    Args:
        signatures: (n, 1024) float32, as `centred` returns them.
        pairs: (m, 2) int64, rows of the signatures.
        mirror: whether the whole is mirrored.
    """
    wholes = mirrored(signatures) if mirror else signatures
    correlation = np.einsum("ij,ij->i", signatures[pairs[:, 0]], wholes[pairs[:, 1]])
    found: list[Match | None] = [
        Match(value, one, other, mirrored=mirror) if value >= MIN_CORRELATION else None
        for value, (one, other) in zip(correlation.tolist(), pairs.tolist(), strict=True)
    ]
    searched = np.flatnonzero((correlation < WHOLE_FROM) & (correlation >= (MIN_MIRRORED if mirror else -1)))
    ways = np.concatenate([pairs[searched], pairs[searched, ::-1]])  # a part, and what it is searched in
    order = np.argsort(ways[:, 1], kind="stable")
    starts = np.flatnonzero(np.diff(ways[order, 1], prepend=-1))

    def search(places: np.ndarray) -> list[Match]:
        whole = int(ways[places[0], 1])
        parts = ways[places, 0]
        if not wholes[whole].any():
            return []
        boxes = _searched(signatures[parts], wholes[whole])
        return [
            Match(value, part, whole, left, top, side, mirror)
            for part, (value, left, top, side) in zip(parts.tolist(), boxes.tolist(), strict=True)
        ]

    groups = np.split(order, starts[1:]) if len(order) else []
    for places, matches in zip(groups, in_order(search, groups), strict=True):
        for place, match in zip(places.tolist(), matches, strict=False):
            pair = int(searched[place % len(searched)])
            known = found[pair]
            if match.correlation >= max(MIN_CORRELATION, -1.0 if known is None else known.correlation):
                found[pair] = match
    return found


def _searched(parts: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return the best window of each part in a whole, (m, 4) float64: its correlation, left, top and side."""
    field = _shrunk(whole[None], SEARCH_SIDE)[0]
    best, every = np.full((len(parts), 4), -1.0), np.arange(len(parts))
    for side in SEARCHED_SIDES:
        windows = _unit(np.lib.stride_tricks.sliding_window_view(field, (side, side)).reshape(-1, side * side))
        correlations = _unit(_shrunk(parts, side).reshape(-1, side * side)) @ windows.T
        places = correlations.argmax(axis=1)
        tops, lefts = np.divmod(places, SEARCH_SIDE - side + 1)
        found = np.column_stack([correlations[every, places], lefts, tops, np.full(len(parts), side)])
        found[:, 1:] /= SEARCH_SIDE
        better = found[:, 0] > best[:, 0]
        best[better] = found[better]
    return best


def _shrunk(signatures: np.ndarray, side: int) -> np.ndarray:
    """Return signatures as smaller pictures, (m, side, side) float32, by area means."""
    rows = _area_means(side)
    return np.asarray(rows @ signatures.reshape(-1, SIGNATURE_SIDE, SIGNATURE_SIDE) @ rows.T)


@cache
def _area_means(side: int) -> np.ndarray:
    """Return the weights of SIGNATURE_SIDE pixels for each of fewer pixels, (side, SIGNATURE_SIDE) float32."""
    whole = np.eye(SIGNATURE_SIDE, dtype=np.float32)
    return np.asarray(cv2.resize(whole, (SIGNATURE_SIDE, side), interpolation=cv2.INTER_AREA))


def _unit(rows: np.ndarray) -> np.ndarray:
    values = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9))
