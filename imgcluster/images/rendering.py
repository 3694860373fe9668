"""Make RGB uint8 of the samples that a file stores: bands, range, polarity, colour profile, transparency, orientation.

The rules, whatever the format (docs/formats.md has them as a table for users):

- Bands: those that `images.bands` names; else red, green and blue, or the first three; of one or two bands, the first.
- Range: 8 bits as they are. 16 bits from 0 to the largest value that the header declares; where it declares none, to
  that of the fewest of 8, 10, 12, 14 or 16 bits that hold the picture's values. Other formats from their own minimum
  to their maximum. Pixels without data do not count. A shared range replaces these rules for all but 8 bits.
- Colours with an ICC profile are converted to sRGB.
- Transparency is laid over white, and over grey where what is opaque is nearly white itself. Pixels without data are
  transparent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from imgcluster.config import AS_SHOWN, SHARED, Limits, Reading
from imgcluster.errors import ImageError
from imgcluster.images.color import from_inks, to_srgb
from imgcluster.images.opencv import cv2
from imgcluster.images.stored import Alpha, Stored
from imgcluster.images.transparency import WHITE, ground_of, laid_over, laid_over_multiplied

ROW_BYTES = 2**24  # of a picture whose values are converted, at a time
LARGEST = {np.dtype(np.uint8): 2**8 - 1, np.dtype(np.uint16): 2**16 - 1}
USED_BITS = (8, 10, 12, 14)  # of values that are kept in 16 bits: those of cameras, scanners and microscopes
NOT_FINITE = "holds values that are not finite"
MAX_VALUES_RANKED = 2**20  # of a picture, evenly spread: enough to know its percentiles

# What has to be done to a stored picture to see it upright, by the value of the orientation tag (EXIF 2.32, page 34).
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


def render(stored: Stored, reading: Reading = AS_SHOWN) -> tuple[np.ndarray, int]:
    """Return (height, width, 3) RGB uint8, upright, and the grey that it is laid over where it is transparent.

    Raises:
        ImageError: A band that is asked for is missing, or values are not finite.
    """
    if reading == AS_SHOWN and stored.is_plain:
        return stored.samples, WHITE
    colours, opacity, valid = _bands(stored, reading)
    counted = colours if valid is None else colours[valid]
    if valid is not None and counted.size:
        colours = np.where(valid[..., None], colours, counted.min())
    white = stored.white
    if white is None and reading.range in ("auto", SHARED):
        white = white_of(counted if opacity is None else stored.samples)
    values = _in_range(colours, counted, reading, white)
    if stored.white_is_zero:
        values = 255 - values
    alpha = None if opacity is None else _opacity(opacity, white)
    if valid is not None and not valid.all():
        alpha = np.where(valid, 255 if alpha is None else alpha, 0).astype(np.uint8)
    pixels, ground = _flattened(values, alpha, stored, reading)
    turn = UPRIGHT.get(stored.orientation)
    return pixels if turn is None else np.ascontiguousarray(turn(pixels)), ground


def counted_values(stored: Stored, reading: Reading, most: int = MAX_VALUES_RANKED) -> np.ndarray:
    """Return the values that give a picture's range, (n,), at most about `most`, evenly spread. Raises ImageError."""
    colours, _, valid = _bands(stored, reading)
    counted = (colours if valid is None else colours[valid]).ravel()
    return np.asarray(counted[:: max(1, counted.size // most)])


def _bands(stored: Stored, reading: Reading) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Return the bands to be shown, the opacity, and which pixels hold data, (height, width); None: all."""
    samples = stored.samples[..., None] if stored.samples.ndim == 2 else stored.samples
    colours, opacity = _split(samples, stored, reading)
    nodata = stored.nodata
    if nodata is None or colours.dtype == np.uint8 or not _is_value_of(nodata, colours.dtype):
        return colours, opacity, None
    return colours, opacity, _holds_data(colours, nodata)


def _split(samples: np.ndarray, stored: Stored, reading: Reading) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the bands to be shown, and the opacity, (height, width)."""
    channels = samples.shape[2]
    opacity = None if stored.alpha is Alpha.NONE or channels == 1 else samples[..., -1]
    if reading.bands is not None:
        if channels in reading.bands:
            opacity = None
        if max(reading.bands) > channels:
            raise ImageError(f"images.bands asks for band {max(reading.bands)}; it has {channels}")
        return samples[..., [band - 1 for band in reading.bands]], opacity
    bands = channels - (opacity is not None)
    shown = 4 if stored.inks else 3 if bands >= 3 else 1
    return samples[..., :shown], opacity


def _is_value_of(nodata: float, dtype: np.dtype[Any]) -> bool:
    """Tell whether samples of a number format can hold `nodata`: -9999 is often written for unsigned ones too."""
    if dtype.kind == "f":
        return True
    limits = np.iinfo(dtype)
    return limits.min <= nodata <= limits.max and nodata == int(nodata)


def _holds_data(colours: np.ndarray, nodata: float) -> np.ndarray:
    """Return whether any band of a pixel holds another value than `nodata`, (height, width) bool."""
    with np.errstate(over="ignore"):  # of a value beyond the largest float32, which becomes infinite
        value = np.asarray(nodata).astype(colours.dtype)
    empty = np.isnan(colours) if np.isnan(nodata) else colours == value
    return ~np.asarray(empty.all(axis=2))


def _in_range(colours: np.ndarray, counted: np.ndarray, reading: Reading, white: int | None) -> np.ndarray:
    """Return uint8; counted: the values that give a range. Raises ImageError where they are not finite."""
    if not counted.size:
        return np.zeros(colours.shape, np.uint8)
    if (limits := _limits(colours.dtype, reading)) is not None:
        if colours.dtype.kind == "f" and not _all_shown(counted, reading):
            raise ImageError(NOT_FINITE)
        return _stretched(colours, *limits)
    if reading.range == "percentile":
        every = max(1, counted.size // MAX_VALUES_RANKED)
        return _stretched(colours, *_percentiles(counted.ravel()[::every], reading.percentiles))
    if colours.dtype in LARGEST:
        return to_uint8(colours, white)
    return _stretched(colours, float(counted.min()), float(counted.max()))


def _limits(dtype: np.dtype[Any], reading: Reading) -> Limits | None:
    """Return the values that a config or a run has for black and white; None: the picture gives them."""
    if isinstance(reading.range, tuple):
        return reading.range
    return reading.limits if dtype != np.uint8 else None


def _all_shown(values: np.ndarray, reading: Reading) -> bool:
    """Tell whether a range shows all floats: that of a config infinity too, a shared one only what `auto` shows."""
    if isinstance(reading.range, tuple):
        return not np.isnan(values).any()
    return bool(np.isfinite(values).all())


def white_of(values: np.ndarray) -> int | None:
    """Return the largest value of the fewest of USED_BITS that hold uint16 values; None: they need all 16 bits."""
    if values.dtype != np.uint16 or not values.size:
        return None
    highest = int(values.max())
    return next((2**bits - 1 for bits in USED_BITS if highest < 2**bits), None)


def to_uint8(values: np.ndarray, white: int | None = None) -> np.ndarray:
    """Bring values of any number format to 0..255; white: the value that becomes 255, of uint8 and uint16.

    Raises:
        ImageError: Some are not finite.
    """
    if values.dtype not in LARGEST:
        return _stretched(values, float(values.min()), float(values.max()))
    white = white or LARGEST[values.dtype]
    if white == 255:
        return values if values.dtype == np.uint8 else np.minimum(values, 255).astype(np.uint8)
    if white == 65_535:
        return _by_rows(lambda rows: (rows.astype(np.uint32) + 128) // 257, values)
    return _by_rows(lambda rows: np.minimum((rows.astype(np.uint32) * 510 + white) // (2 * white), 255), values)


def _stretched(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Bring low..high to 0..255. Raises ImageError where one of them is not finite."""
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(NOT_FINITE)
    share = 255.0 / ((high - low) or 1.0)
    return _by_rows(lambda rows: ((rows.astype(np.float64) - low) * share).clip(0, 255).round(), values)


def _opacity(values: np.ndarray, white: int | None) -> np.ndarray:
    """Return an opacity as uint8: of floats, 1 is opaque, of whole numbers the largest that their format has."""
    if values.dtype in LARGEST:
        return to_uint8(values, white)
    return _stretched(values, 0, 1 if values.dtype.kind == "f" else np.iinfo(values.dtype).max)


def _percentiles(values: np.ndarray, percentiles: Limits) -> Limits:
    if not np.isfinite(values).all():
        raise ImageError(NOT_FINITE)
    low, high = np.percentile(values, percentiles)
    return float(low), float(high)


def _by_rows(convert: Callable[..., np.ndarray], *images: np.ndarray, channels: int | None = None) -> np.ndarray:
    """Convert values to uint8, some rows at a time: what is computed with takes several times the picture's memory."""
    first = images[0]
    out = np.empty(first.shape if channels is None else (*first.shape[:2], channels), np.uint8)
    step = max(1, ROW_BYTES // max(1, first[:1].nbytes))
    for start in range(0, len(first), step):
        out[start : start + step] = convert(*(image[start : start + step] for image in images))
    return out


def _flattened(
    values: np.ndarray, alpha: np.ndarray | None, stored: Stored, reading: Reading
) -> tuple[np.ndarray, int]:
    """Return RGB uint8 of grey, RGB or CMYK, (height, width, 1, 3 or 4), and opacity, and the grey it is laid over."""
    multiplied = stored.alpha is Alpha.MULTIPLIED
    icc = stored.icc if reading.color == "managed" and reading.bands is None else None
    if stored.inks and reading.bands is None:
        values = to_srgb(values, icc) if icc else from_inks(values)
    elif icc and not multiplied:
        values = to_srgb(values, icc)
    ground = WHITE
    if alpha is not None:
        ground = ground_of(values, alpha, multiplied=multiplied)
        lay = laid_over_multiplied if multiplied else laid_over
        values = _by_rows(lambda colours, weight: lay(colours, weight, ground), values, alpha[..., None])
        if icc and multiplied:
            values = to_srgb(values, icc)
    if values.shape[2] == 1:
        values = cv2.cvtColor(np.ascontiguousarray(values), cv2.COLOR_GRAY2RGB)
    return np.ascontiguousarray(values), ground
