"""Measures of images from the store; those that it lacks are read, measured and stored."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from imgcluster.config import Reading
from imgcluster.errors import DamagedShard, ImageError, StoreError
from imgcluster.features.store.index import stamps_of
from imgcluster.features.store.keys import known_keys, read_with_key
from imgcluster.features.store.measures import append_measures, as_measured, measures_shape, stored_measures
from imgcluster.features.store.store import FeatureStore, ImageKey
from imgcluster.images import MEASURED, VideoFrame, decode_picture, in_reading_order, measure, room_for
from imgcluster.types import ImageFile, ImagePath
from imgcluster.utils import Place, in_order, track

ENOUGH = 512  # pixels of the shorter side: a larger JPEG is decoded at a reduced size, as for most networks
MEASURE_COLUMNS = tuple(name for name in MEASURED.names or () if name != "signature")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measures:
    """The measures of a list of images.

    records: (n,) of fields of MEASURED; zeros where an image was not measured. found: (n,) bool, which were. read: how
    many were measured now. reasons: by row, why images could not be measured.
    """

    records: np.ndarray
    found: np.ndarray
    read: int
    reasons: dict[int, str]


class _Measured(NamedTuple):
    """What became of an image: a new record, a key under which one is stored, or a reason why neither."""

    row: int
    key: ImageKey | None = None
    record: np.ndarray | None = None
    reason: str = ""


def measured_images(
    images: Sequence[ImageFile],
    root: Place,
    reading: Reading,
    *,
    columns: Sequence[str] = MEASURE_COLUMNS,
    show: bool = True,
) -> Measures:
    """Return the measures of images. Those that the store in `root` lacks are read, and measured for good.

    columns: names of fields of MEASURED. Raises StoreError: the store is damaged, or of a newer format.
    """
    while True:
        try:
            return _found_or_measured(images, root, reading, columns, show)
        except DamagedShard:  # set aside by now, so that its images are new ones: each time there is a shard less
            continue


def _found_or_measured(
    images: Sequence[ImageFile], root: Place, reading: Reading, columns: Sequence[str], show: bool
) -> Measures:
    keys = known_keys([image.path for image in images])
    stamped = [row for row, key in enumerate(keys) if key is not None]
    records, found = np.zeros(len(images), [(name, MEASURED[name]) for name in columns]), np.zeros(len(images), bool)
    records[stamped], found[stamped] = stored_measures(
        root, reading, stamps_of(key for key in keys if key is not None), columns
    )
    lacking = np.flatnonzero(~found).tolist()
    reasons: dict[int, str] = {}
    if not lacking:
        return Measures(records, found, 0, reasons)
    with ExitStack() as opened, track("measures", len(lacking), "images", show=show) as advance:
        writer = _Writer(opened, root, reading)
        ordered = in_reading_order([_Place(row, images[row]) for row in lacking])
        read = 0
        for each in in_order(partial(_measured, reading=reading, store=writer.store), ordered):
            if each.key is None:
                reasons[each.row] = each.reason
            else:
                record = writer.put(each.key, each.record)
                read += each.record is not None
                found[each.row] = True
                records[each.row] = tuple(record[name] for name in columns)
            advance(1)
        writer.flush()
    return Measures(records, found, read, reasons)


class _Place(NamedTuple):
    """An image and its row, as `in_reading_order` takes them."""

    row: int
    image: ImageFile

    @property
    def path(self) -> ImagePath:
        """The location."""
        return self.image.path


def _measured(place: _Place, reading: Reading, store: FeatureStore | None) -> _Measured:
    """Read an image, and measure it unless its bytes were measured before. Called in threads."""
    try:
        data, key = read_with_key(place.path)
        if store is not None and store.find(key) is not None:
            return _Measured(place.row, key)
        with room_for(data):
            picture = decode_picture(data, ENOUGH, reading)
    except ImageError as error:
        return _Measured(place.row, reason=str(error))
    is_frame = isinstance(place.path, VideoFrame)
    return _Measured(place.row, key, measure(picture.pixels, data, picture.transparency, is_frame=is_frame))


class _Writer:
    """Stores measures, those of half a second together; none where another process writes them."""

    def __init__(self, opened: ExitStack, root: Place, reading: Reading) -> None:
        self.store: FeatureStore | None = FeatureStore(root, measures_shape(reading))
        self._held: dict[ImageKey, np.ndarray] = {}
        self._written = time.monotonic()
        try:
            opened.enter_context(self.store)
        except StoreError as error:
            logger.warning("the measures are not kept: %s", error)
            self.store = None

    def put(self, key: ImageKey, record: np.ndarray | None) -> np.ndarray:
        """Take the measures of an image, None: those that are stored of its bytes; returns them."""
        if self.store is None:
            return np.zeros((), MEASURED) if record is None else record
        if record is None:
            record = as_measured(self.store.vectors([key]))[0]
        self._held[key] = record
        if time.monotonic() - self._written >= self.store.files.seconds_between_writes:
            self.flush()
        return record

    def flush(self) -> None:
        """Write what is held."""
        if self.store is not None and self._held:
            append_measures(self.store, list(self._held), list(self._held.values()))
        self._held, self._written = {}, time.monotonic()
