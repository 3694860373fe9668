"""Statistics of pixels: sharpness, information, colour, borders, blocks of JPEG, likeness to a screenshot."""

from __future__ import annotations

import numpy as np

from imgcluster.images.measures import SIGNATURE_SIDE
from imgcluster.images.opencv import cv2
from imgcluster.images.transparency import WHITE

SIDE = 192  # pixels: the shorter side of the copy that most is measured on
CROP_SIDE = 256  # pixels of the undiminished middle, for what reduction destroys: blocks of JPEG, exact edges
TILES = 8  # in each direction, for sharpness
REBLUR = 9  # pixels
# Grey levels between neighbours that noise and compression make, as a scalar of OpenCV.
NOISE = np.array([2.0, 0, 0, 0])
STRUCTURED = 0.5  # mean grey levels between neighbours of a tile above noise; with fewer, sharpness cannot be told
FLAT = 8  # grey levels: the standard deviation of a picture in which there is something to be seen
SHARPEST = 0.8  # the quantile of the tiles: a portrait with a blurred background is sharp
BRIGHTNESS_QUANTILES = (0.02, 0.5, 0.995)
BITS = 8  # of a pixel
BLOCK = 8  # pixels, of JPEG
LEAST_PERIOD = 4  # pixels of a block in a picture that was decoded at a reduced size
FEWEST_BLOCKS = 4  # in a row
UNIFORM = 12  # grey levels within a uniform border
PIXELS_COMPARED = 1_024  # to count colours
COLOUR_NUMBER = np.array([1, 256, 65_536], np.float32)  # another one for each colour
# Of red, green, blue: the two axes of opponent colours, in which grey is at the origin.
OPPONENTS = np.array([[1, -1, 0], [0.5, 0.5, -1]], np.float32)


def grey(pixels: np.ndarray) -> np.ndarray:
    """Return (height, width) uint8 of (height, width, 3) RGB uint8."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))


def sharpness(grey: np.ndarray) -> float:
    """Return how much of its variation a picture loses by a blur, from 0 (blurred) to 1; NaN for a flat one.

    grey: (height, width) uint8. Crete, Dolmiere, Ladret and Nicolas, The blur effect: perception and estimation with a
    new no-reference perceptual blur metric, 2007; here above the noise, in tiles, the sharper ones of them.
    """
    if min(grey.shape) <= TILES:
        return np.nan
    before, lost = zip(_lost_by_blur(grey, 0), _lost_by_blur(grey, 1), strict=True)
    structure, gone = _tiles(cv2.add(*before)), _tiles(cv2.add(*lost))
    measurable = structure >= STRUCTURED
    if not measurable.any():
        return 0.0 if grey.std() >= FLAT else np.nan
    ratios = np.sort(gone[measurable] / structure[measurable])
    return float(ratios[int(SHARPEST * (len(ratios) - 1))])


def _lost_by_blur(grey: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the differences of neighbours above the noise, (h - 1, w - 1) uint8, and what a blur along them takes."""
    again = cv2.blur(grey, (REBLUR, 1) if axis else (1, REBLUR))
    before = cv2.subtract(_differences(grey, axis), NOISE)
    return before, cv2.subtract(before, _differences(again, axis))


def _differences(grey: np.ndarray, axis: int) -> np.ndarray:
    """Return the differences of neighbours along an axis, (h - 1, w - 1) uint8."""
    return cv2.absdiff(grey[1:, 1:], grey[1:, :-1] if axis else grey[:-1, 1:])


def _tiles(values: np.ndarray) -> np.ndarray:
    """Return the means of (h, w) uint8 in TILES x TILES parts."""
    rows, columns = (np.arange(TILES + 1) * length // TILES for length in values.shape)
    sums = cv2.integral(values)[rows][:, columns]
    sums = sums[1:, 1:] - sums[1:, :-1] - sums[:-1, 1:] + sums[:-1, :-1]
    return np.asarray(sums / np.outer(rows[1:] - rows[:-1], columns[1:] - columns[:-1]))


def information(grey: np.ndarray, light: np.ndarray, contrast: float) -> float:
    """Return how much of the range of greys and of the bits of a pixel a picture uses, from 0 (one colour) to 1.

    grey: (height, width) uint8. light: (256,) counts of its greys, all or a sample. contrast: from 0 to 1. The mean of
    that and of two entropies: of the greys, and of what a pixel's neighbours do not tell of it, about what lossless
    coding takes.
    """
    if min(grey.shape) < 2:
        return 0.0
    across = cv2.subtract(grey[:, 1:], grey[:, :-1], dtype=cv2.CV_16S)
    change = cv2.subtract(across[1:], across[:-1])[::4]
    bits = _entropy(light) + _entropy(np.bincount(change.ravel() + 2 * 255))
    return (bits / (2 * BITS) + contrast) / 2


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return max(0.0, float(-(shares * np.log2(shares)).sum()))


def brightness(light: np.ndarray) -> list[float]:
    """Return the BRIGHTNESS_QUANTILES of counts of greys, from 0 to 1."""
    counts = light.cumsum()
    found: list[float] = (counts.searchsorted(np.array(BRIGHTNESS_QUANTILES) * counts[-1]) / WHITE).tolist()
    return found


def colorfulness(pixels: np.ndarray) -> float:
    """Return how colourful (n, 1, 3) RGB float32 is: 0 for grey, 20 for muted, 100 and more for vivid colours.

    Hasler and Suesstrunk, Measuring colourfulness in natural images, 2003, section 7.
    """
    mean, deviation = cv2.meanStdDev(cv2.transform(pixels, OPPONENTS))
    return float(np.hypot(*deviation.ravel()) + 0.3 * np.hypot(*mean.ravel()))


def uniform_border(grey: np.ndarray) -> float:
    """Return the share of a picture's width or height, the larger one, that uniform borders take, from 0 to 1.

    grey: (height, width) uint8.
    """
    shares = []
    for axis in (0, 1):
        low, high = grey.min(axis=axis), grey.max(axis=axis)
        shares.append((_uniform(low, high) + _uniform(low[::-1], high[::-1])) / len(low))
    return min(1.0, max(shares))


def _uniform(low: np.ndarray, high: np.ndarray) -> int:
    """Return how many lines from the first one on have its grey; low, high: the extremes of each line, (n,) uint8."""
    if int(high[0]) - int(low[0]) > UNIFORM:
        return 0
    others = np.flatnonzero(np.maximum.accumulate(high) - np.minimum.accumulate(low) > UNIFORM)
    return int(others[0]) if len(others) else len(low)


def exact_pixels(grey: np.ndarray, sampled: np.ndarray, reduction: float) -> dict[str, float]:
    """Measure the middle of a picture at its full size, or by how much it was reduced in decoding."""
    top, left = (max(0, (length - CROP_SIDE) // 2) for length in grey.shape)
    crop = grey[top : top + CROP_SIDE, left : left + CROP_SIDE]
    if min(crop.shape) < 2:
        return {"blocks": np.nan, "screenshot": np.nan}
    across, down = _differences(crop, 1), _differences(crop, 0)
    period = round(BLOCK / reduction)
    blocks = max(_blocks(across.mean(axis=0), period), _blocks(down.mean(axis=1), period))
    return {"blocks": blocks, "screenshot": _screenshot(across, down, sampled)}


def _blocks(lines: np.ndarray, period: int) -> float:
    """Return by how much neighbours differ more on the grid of blocks than elsewhere, as a share of the difference.

    lines: the mean difference from each line to the next, (n,). NaN where too few blocks are there.
    """
    if period < LEAST_PERIOD or len(lines) < FEWEST_BLOCKS * period:
        return np.nan
    by_phase = np.sort(lines[: len(lines) // period * period].reshape(-1, period), axis=0)
    phases = np.sort(by_phase[len(by_phase) // 2])
    return float((phases[-1] - phases[-2]) / (phases[:-1].mean() + 1))


def _screenshot(across: np.ndarray, down: np.ndarray, sampled: np.ndarray) -> float:
    """Return how much of a screenshot a picture has, from 0 to 1: flat areas, edges along the axes, few colours."""
    flat_across, flat_down = (cv2.threshold(each, 1, 1, cv2.THRESH_BINARY_INV)[1] for each in (across, down))
    flat = cv2.countNonZero(cv2.bitwise_and(flat_across, flat_down)) / across.size
    if flat == 1:
        return 0.0
    along = cv2.countNonZero(cv2.bitwise_xor(flat_across, flat_down)) / across.size / (1 - flat)
    few_pixels = sampled[:: max(1, len(sampled) // PIXELS_COMPARED), 0]
    colours = len(np.unique(few_pixels @ COLOUR_NUMBER)) / len(few_pixels)
    return float((flat * along * (1 - colours)) ** (1 / 3))


def reduced(grey: np.ndarray) -> np.ndarray:
    """Return a copy whose shorter side has SIDE pixels, of a larger picture; halving is fast, other factors are not."""
    while min(grey.shape) >= 2 * SIDE:
        height, width = grey.shape[0] // 2, grey.shape[1] // 2
        grey = cv2.resize(grey[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
    if (shorter := min(grey.shape)) > SIDE:
        height, width = (round(length * SIDE / shorter) for length in grey.shape)
        grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_LINEAR)
    return grey


def squashed(grey: np.ndarray) -> np.ndarray:
    """Return (1024,) uint8 of the reduced copy."""
    return np.asarray(cv2.resize(grey, (SIGNATURE_SIDE, SIGNATURE_SIDE), interpolation=cv2.INTER_AREA)).ravel()
