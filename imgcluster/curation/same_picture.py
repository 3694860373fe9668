"""Tell whether two pictures show the same photograph, drawing or screenshot, block by block."""

from __future__ import annotations

import cv2
import numpy as np

from imgcluster.curation.registration import Match

THUMBNAIL_SIDE = 128  # of the pictures that are compared, squashed to a square
COMPARED_SIDE = 64  # of the part, and of its window in the whole
MARGIN = 4  # pixels of COMPARED_SIDE, where a border around the other picture shines through
BLOCK = 8  # pixels
BLUR = 3  # pixels: takes out what half a pixel of misplacement changes
MIN_SIMILARITY = 0.65  # docs/duplicates.md has the figures
MIN_UNCHANGED = 0.75  # of whole pictures in the same tones, which were at most compressed or resized
MAX_UNCHANGED = 6.0  # mean difference of these, in levels
MIN_CORRELATION = 0.9  # of the whole part
MIN_CONTRAST = 4.0  # grey levels
MAX_SHEAR = 0.03
MAX_STRETCH = 0.1  # of the width against the height
ITERATIONS, ACCURACY = 40, 1e-4


def compare(part: np.ndarray, whole: np.ndarray, match: Match) -> float | None:
    """Return how alike a picture and its window in another one are, up to 1; None where they are not one picture.

    The window is refined by the enhanced correlation coefficient (Evangelidis and Psarakis, 2008). The similarity is
    that of the worst block: other frames of a film, other texts in a form and other icons differ in a few of them.

    Args:
        part: (128, 128, 3) RGB uint8.
        whole: the same, not mirrored yet.
        match: where the part lies in the whole.
    """
    if match.mirrored:
        whole = np.ascontiguousarray(whole[:, ::-1])
    small = cv2.resize(part, (COMPARED_SIDE, COMPARED_SIDE), interpolation=cv2.INTER_AREA)
    scale = COMPARED_SIDE / match.side  # from here on both have the same resolution
    size = round(scale)
    field = cv2.resize(whole, (size, size), interpolation=cv2.INTER_AREA)
    one, other = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (small, field))
    start = np.array([[1, 0, match.left * scale], [0, 1, match.top * scale]], np.float32)
    warp = _refined(one, other, start)
    if warp is None:
        return None
    window = cv2.warpAffine(
        field, warp, small.shape[1::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    similarity = _worst_block(small, window)
    unchanged = match.side == 1 and np.abs(small.astype(np.float32) - window).mean() < MAX_UNCHANGED
    return similarity if similarity >= (MIN_UNCHANGED if unchanged else MIN_SIMILARITY) else None


def _refined(part: np.ndarray, whole: np.ndarray, start: np.ndarray) -> np.ndarray | None:
    """Return the affine map from the part into the whole, (2, 3) float32; None where it is lost or skewed."""
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ITERATIONS, ACCURACY)
    everywhere = np.full(whole.shape, 255, np.uint8)
    try:
        correlation, warp = cv2.findTransformECC(part, whole, start, cv2.MOTION_AFFINE, criteria, everywhere, BLUR)
    except cv2.error:  # it leads nowhere
        return None
    skewed = max(abs(warp[0, 1]), abs(warp[1, 0])) > MAX_SHEAR or abs(warp[0, 0] / warp[1, 1] - 1) > MAX_STRETCH
    return None if skewed or correlation < MIN_CORRELATION else np.asarray(warp, np.float32)


def _worst_block(one: np.ndarray, other: np.ndarray) -> float:
    """Return 1 minus the residual of the worst block, in standard deviations of the whole picture.

    What is left when one picture has the tones of the other: brightness, contrast and blown-out highlights do not
    count. Tones that are lost in one picture are there in the other, so both ways are tried.
    """
    inner = slice(MARGIN, -MARGIN)
    first, second = (cv2.blur(each, (BLUR, BLUR))[inner, inner] for each in (one, other))
    return 1 - min(_residual(first, second), _residual(second, first))


def _residual(one: np.ndarray, other: np.ndarray) -> float:
    values = one.astype(np.float32)
    worst = float(np.sqrt((_blocks(values - _toned(other, values)) ** 2).mean(axis=1)).max())
    return worst / max(float(values.std()), MIN_CONTRAST)


def _toned(picture: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return a picture of uint8 with the distribution of the wanted values, (m, n, 3) float32: histogram matching."""
    counts = np.bincount(picture.ravel(), minlength=256)
    ends = np.cumsum(counts)
    sums = np.concatenate([[0.0], np.cumsum(np.sort(wanted, axis=None), dtype=np.float64)])
    return np.asarray(((sums[ends] - sums[ends - counts]) / np.maximum(counts, 1))[picture], np.float32)


def _blocks(picture: np.ndarray) -> np.ndarray:
    """Return the blocks of a square picture, (m, BLOCK * BLOCK * 3) float32."""
    count = len(picture) // BLOCK
    parts = picture.reshape(count, BLOCK, count, BLOCK, 3).swapaxes(1, 2)
    return np.asarray(parts.reshape(count * count, BLOCK * BLOCK * 3), np.float32)
