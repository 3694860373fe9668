"""One range of values for all images of a run: percentiles of the values of a sample of them.

`images.range: auto` takes each file by itself, so that a dim tile of a scene becomes as bright as its neighbour.
Images of 8 bits give no values and keep theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from imgcluster.config import Config, Limits, Reading
from imgcluster.errors import ImageError
from imgcluster.images.decode import RULES, bytes_of, room_for
from imgcluster.images.decoders import decode
from imgcluster.images.limits import check_declared
from imgcluster.images.rendering import counted_values
from imgcluster.images.sources.base import local_stamp
from imgcluster.images.sources.endings import ending_of
from imgcluster.images.stored import Wanted
from imgcluster.images.video.frames import VideoFrame
from imgcluster.types import ImageFile, ImagePath, Source
from imgcluster.utils import in_order, installed, remembered

MAX_IMAGES = 64
MAX_VALUES = 2**16  # of an image
STEPS = 50  # of a range at the most, to which its ends are rounded: a few more images then seldom change it
EIGHT_BIT_ENDINGS = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".mpo", ".gif", ".bmp", ".dib", ".webp", ".ico"),
        *(".pcx", ".qoi", ".ras"),
    )
)
PACKAGES = ("numpy", "opencv-python", "pillow", "tifffile", "imagecodecs", "pydicom", "rawpy")  # that decode


def with_shared_range(config: Config, images: Sequence[ImageFile]) -> Config:
    """Return a config with the limits that its images give, where `images.range` is shared; else the config itself."""
    percentiles, reading = config.images.shared_percentiles, config.images.reading
    if percentiles is None or reading.limits is not None:
        return config
    sample = _sample(images)
    stamps = [_stamp(path) for path in sample]
    about = [
        "shared range",
        *(RULES, percentiles, reading.changes(), stamps),
        {package: installed(package) for package in PACKAGES},
    ]
    if None in stamps:  # only reading shows whether they have changed
        return config.with_limits(_limits(sample, reading, percentiles))
    found = remembered(about, lambda: _as_list(_limits(sample, reading, percentiles)))
    return config.with_limits(None if found is None else (found[0], found[1]))


def range_notes(config: Config) -> list[str]:
    """Return a note on the range that the images of a run share, if they do."""
    if config.images.shared_percentiles is None:
        return []
    limits = config.images.reading.limits
    if limits is None:
        return ["images.range: shared has no effect: no image of more than 8 bits was found"]
    low, high = (repr(float(limit)).removesuffix(".0") for limit in limits)  # all digits: they may differ in the last
    return [f"images.range: shared is [{low}, {high}]"]


def _sample(images: Sequence[ImageFile]) -> list[ImagePath]:
    """Return the paths of some images, evenly spread over those that may have more than 8 bits."""
    deep = [place for place, image in enumerate(images) if _may_be_deep(image.path)]
    chosen = np.linspace(0, len(deep) - 1, min(MAX_IMAGES, len(deep))).round().astype(int).tolist()
    return [images[deep[place]].path for place in chosen]


def _may_be_deep(path: ImagePath) -> bool:
    return not isinstance(path, VideoFrame) and ending_of(str(path)) not in EIGHT_BIT_ENDINGS


def _stamp(path: ImagePath) -> list[str | int] | None:
    try:
        stamp = path.stamp if isinstance(path, Source) else local_stamp(str(path))
    except (OSError, ValueError):
        return None
    return None if stamp is None else [*stamp]


def _as_list(limits: Limits | None) -> list[float] | None:
    return None if limits is None else [*limits]


def _limits(sample: Sequence[ImagePath], reading: Reading, percentiles: Limits) -> Limits | None:
    """Return the percentiles of the values of a sample, rounded outwards; None: no image of it has more than 8 bits."""
    found = [values for values in in_order(lambda path: _values(path, reading), sample) if values.size]
    if not found:
        return None
    low, high = np.percentile(np.concatenate(found), percentiles).tolist()
    return _rounded(low, high)


def _values(path: ImagePath, reading: Reading) -> np.ndarray:
    """Return some values of an image of more than 8 bits, (n,) float64; none of any other, or one that is not read."""
    try:
        data = bytes_of(path)
        check_declared(data)
        with room_for(data):
            stored = decode(data, Wanted(reading=reading))
            values = counted_values(stored, reading, MAX_VALUES)
    except (ImageError, MemoryError):  # extraction reports the reason
        return np.empty(0)
    if values.dtype == np.uint8:
        return np.empty(0)
    return np.asarray(values[np.isfinite(values)], np.float64)


def _rounded(low: float, high: float) -> Limits:
    """Round both ends of a range outwards to 1, 2 or 5 times a power of ten, at least STEPS of which fit into it."""
    if not low < high:
        return low, low + 1
    power = 10.0 ** math.floor(math.log10((high - low) / STEPS))
    step = max(power * factor for factor in (1, 2, 5) if power * factor * STEPS <= high - low)
    digits = max(0, -math.floor(math.log10(step)))
    return round(math.floor(low / step) * step, digits), round(math.ceil(high / step) * step, digits)
