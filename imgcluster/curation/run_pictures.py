"""The pictures of runs: measures of the store, and thumbnails read again as the features were."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from imgcluster.config import Reading
from imgcluster.curation.same_picture import THUMBNAIL_SIDE
from imgcluster.errors import ImageError
from imgcluster.features import measured_images
from imgcluster.images import read_image
from imgcluster.runs import FinishedRun, listed_images
from imgcluster.types import ImagePath
from imgcluster.utils import digest_bytes

KEPT_THUMBNAILS = 2_000
COLUMNS = ("signature", "width", "height", "sharpness")


class RunPictures:
    """The pictures of the images of runs that did not fail, one after the other. What cannot be read is blank.

    Images whose measures are not stored are read now, and their measures stored. Raises StoreError: the store is
    damaged, or of a newer format.
    """

    def __init__(self, runs: Sequence[FinishedRun], *, show: bool = False) -> None:
        self._sources: list[tuple[ImagePath, Reading]] = []
        measures = []
        for run in runs:
            rows, places = [row for row in run.rows if row["status"] == "ok"], run.places
            images, features = listed_images(places.rows(rows), places.storage), run.config.features
            root = places.storage.place(features.store)
            measures.append(measured_images(images, root, features.reading, columns=COLUMNS, show=show).records)
            self._sources += [(image.path, features.reading) for image in images]
        self._measures = np.concatenate(measures)
        self.thumbnail = lru_cache(KEPT_THUMBNAILS)(self._thumbnail)
        self.pixels_digest = lru_cache(None)(self._pixels_digest)

    @property
    def signatures(self) -> np.ndarray:
        """The signatures of all pictures, (n, 1024) float32 from 0 to 255."""
        return np.asarray(self._measures["signature"], np.float32)

    def size(self, row: int) -> tuple[int, int]:
        """Return the width and the height of a picture in pixels."""
        return int(self._measures["width"][row]), int(self._measures["height"][row])

    def sharpness(self, row: int) -> float:
        """Return how much a picture loses by a blur."""
        return float(self._measures["sharpness"][row])

    def _thumbnail(self, row: int) -> np.ndarray:
        """Return a picture squashed to a square, (128, 128, 3) RGB uint8."""
        try:
            pixels = self._decoded(row, THUMBNAIL_SIDE)
        except ImageError:
            pixels = np.zeros((1, 1, 3), np.uint8)
        return np.asarray(cv2.resize(pixels, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA))

    def _pixels_digest(self, row: int) -> tuple[int, int, str]:
        """Return width, height and a digest of the pixels of a picture; no digest where it cannot be read."""
        try:
            pixels = self._decoded(row, None)
        except ImageError:
            return 0, 0, ""
        return pixels.shape[1], pixels.shape[0], digest_bytes(pixels.tobytes())

    def _decoded(self, row: int, least: int | None) -> np.ndarray:
        path, reading = self._sources[row]
        return read_image(path, least, reading)
