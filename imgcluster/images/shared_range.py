"""One range of values for all images of a run: percentiles of the values of a sample of them.

`images.range: auto` takes each file by itself, so that a dim tile of a scene becomes as bright as its neighbour.
Images of 8 bits give no values and keep theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from imgcluster.config import Config, Limits, Reading
from imgcluster.errors import ImageError
from imgcluster.images.decode import RULES, bytes_of, room_for
from imgcluster.images.decoders import decode
from imgcluster.images.depth import EIGHT_BIT_ENDINGS, TELLING_ENDINGS, has_eight_bits
from imgcluster.images.limits import check_declared
from imgcluster.images.rendering import counted_values
from imgcluster.images.sources.base import local_stamp
from imgcluster.images.sources.endings import ending_of
from imgcluster.images.stored import Wanted
from imgcluster.images.video.frames import VideoFrame
from imgcluster.types import ImageFile, ImagePath, Source
from imgcluster.utils import in_order, installed, remembered

MAX_IMAGES = 64  # of more than 8 bits
MAX_COST = 5000  # of looking for them, in headers of local files
COST_OF_A_FILE = 20  # that is read and decoded because its header does not tell, or is not read by itself
RULES_OF_SAMPLE = 2  # raise it where other images are taken
GOLDEN_SECTION = (math.sqrt(5) - 1) / 2
MAX_VALUES = 2**16  # of an image
STEPS = 50  # of a range at the most, to which its ends are rounded: a few more images then seldom change it
PACKAGES = ("numpy", "opencv-python", "pillow", "tifffile", "imagecodecs", "pydicom", "rawpy")  # that decode


def with_shared_range(config: Config, images: Sequence[ImageFile]) -> Config:
    """Return a config with the limits that its images give, where `images.range` is shared; else the config itself."""
    percentiles, reading = config.images.shared_percentiles, config.images.reading
    if percentiles is None or reading.limits is not None:
        return config
    paths = _spread(images)
    limits: Limits | None = None
    for looked_at in (paths[:MAX_IMAGES], paths):
        limits, is_enough = _kept(looked_at, reading, percentiles)
        if is_enough or len(looked_at) == len(paths):
            break
    return config.with_limits(limits)


def _kept(paths: Sequence[ImagePath], reading: Reading, percentiles: Limits) -> tuple[Limits | None, bool]:
    """Return `_limits`, of an earlier call where none of the files has changed."""
    stamps = [_stamp(path) for path in paths]
    if None in stamps:  # only reading shows whether they have changed
        return _limits(paths, reading, percentiles)
    about = [
        "shared range",
        *(RULES_OF_SAMPLE, RULES, percentiles, reading.changes(), stamps),
        {package: installed(package) for package in PACKAGES},
    ]
    limits, is_enough = remembered(about, lambda: _as_list(*_limits(paths, reading, percentiles)))
    return None if limits is None else (limits[0], limits[1]), is_enough


def range_notes(config: Config, images: Sequence[ImageFile]) -> list[str]:
    """Return a note on the range that the images of a run share, if they do."""
    if config.images.shared_percentiles is None:
        return []
    limits = config.images.reading.limits
    if limits is None:
        looked_at, candidates = len(_spread(images)), len(_candidates(images))
        among = f" in {looked_at:,} files out of {candidates:,}" if looked_at < candidates else ""
        return [f"images.range: shared has no effect: no image of more than 8 bits was found{among}"]
    low, high = (repr(float(limit)).removesuffix(".0") for limit in limits)  # all digits: they may differ in the last
    return [f"images.range: shared is [{low}, {high}]"]


def _candidates(images: Sequence[ImageFile]) -> list[int]:
    """Return the places of the images that may have more than 8 bits by their endings."""
    return [place for place, image in enumerate(images) if _may_be_deep(image.path)]


def _spread(images: Sequence[ImageFile]) -> list[ImagePath]:
    """Return the paths of images that may have more than 8 bits, at most what MAX_COST allows to look at.

    The first MAX_IMAGES are evenly spread over the run, and so are any further ones, at multiples of the golden section
    of the whole.
    """
    places = _candidates(images)
    count = len(places)
    step = max(1, round(count * GOLDEN_SECTION))
    while math.gcd(step, count) > 1:
        step += 1
    evenly = np.linspace(0, count - 1, min(MAX_IMAGES, count)).round().astype(int).tolist()
    further = (number * step % count for number in range(min(count, MAX_COST + MAX_IMAGES)))
    paths = [images[places[at]].path for at in dict.fromkeys([*evenly, *further])]
    costs = np.cumsum([COST_OF_A_FILE if _is_read_whole(path) else 1 for path in paths])
    return paths[: int(np.searchsorted(costs, MAX_COST, "right"))]


def _may_be_deep(path: ImagePath) -> bool:
    return not isinstance(path, VideoFrame) and ending_of(str(path)) not in EIGHT_BIT_ENDINGS


def _is_read_whole(path: ImagePath) -> bool:
    return isinstance(path, Source) or ending_of(path.name) not in TELLING_ENDINGS


def _stamp(path: ImagePath) -> list[str | int] | None:
    try:
        stamp = path.stamp if isinstance(path, Source) else local_stamp(str(path))
    except (OSError, ValueError):
        return None
    return None if stamp is None else [*stamp]


def _as_list(limits: Limits | None, is_enough: bool) -> list[Any]:
    return [None if limits is None else [*limits], is_enough]


def _limits(paths: Sequence[ImagePath], reading: Reading, percentiles: Limits) -> tuple[Limits | None, bool]:
    """Return the percentiles of the values of images, rounded outwards, and whether there are MAX_IMAGES of them.

    Of images of more than 8 bits the first MAX_IMAGES count. None: no image has more.
    """
    with_values = (values for values in in_order(lambda path: _values(path, reading), paths) if values.size)
    found = list(islice(with_values, MAX_IMAGES))
    if not found:
        return None, False
    low, high = np.percentile(np.concatenate(found), percentiles).tolist()
    return _rounded(low, high), len(found) == MAX_IMAGES


def _values(path: ImagePath, reading: Reading) -> np.ndarray:
    """Return some values of an image of more than 8 bits, (n,) float64; none of any other, or one that is not read."""
    if isinstance(path, Path) and has_eight_bits(path):
        return np.empty(0)
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
