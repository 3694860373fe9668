"""The pictures of runs, read again as their features were: signatures, thumbnails, sizes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from imgcluster.config import Reading
from imgcluster.curation.registration import SIGNATURE_SIDE, signature_of
from imgcluster.curation.same_picture import THUMBNAIL_SIDE
from imgcluster.errors import ImageError
from imgcluster.images import read_image, readers_for
from imgcluster.runs import FinishedRun, listed_images
from imgcluster.types import ImagePath
from imgcluster.utils import at_once, digest_bytes, in_order, track

SIGNATURE_PIXELS = 2 * SIGNATURE_SIDE  # on the shorter side: less is lost by a reduced JPEG than by its compression
KEPT_THUMBNAILS = 2_000
IMAGES_PER_TASK = 16


class RunPictures:
    """The pictures of the images of runs that did not fail, one after the other. What cannot be read is blank."""

    def __init__(self, runs: Sequence[FinishedRun]) -> None:
        self._sources: list[tuple[ImagePath, Reading]] = []
        for run in runs:
            rows = [row for row in run.rows if row["status"] == "ok"]
            images = listed_images(run.places.rows(rows), run.places.storage)
            self._sources += [(image.path, run.config.images.reading) for image in images]
        self.thumbnail = lru_cache(KEPT_THUMBNAILS)(self._thumbnail)
        self.pixels_digest = lru_cache(None)(self._pixels_digest)

    def __len__(self) -> int:
        return len(self._sources)

    def signatures(self, *, show: bool = False) -> np.ndarray:
        """Return the signatures of all pictures, (n, 1024) float32."""
        starts = range(0, len(self), IMAGES_PER_TASK)

        def of_some(start: int) -> list[np.ndarray]:
            rows = range(start, min(start + IMAGES_PER_TASK, len(self)))
            return [signature_of(self._read(row, SIGNATURE_PIXELS)) for row in rows]

        found: list[np.ndarray] = []
        threads = at_once if readers_for([path for path, _ in self._sources]) else in_order
        with track("compare", len(self), "images", show=show) as advance:
            for some in threads(of_some, starts):
                found += some
                advance(len(some))
        return np.array(found, np.float32).reshape(-1, SIGNATURE_SIDE**2)

    def size(self, row: int) -> tuple[int, int]:
        """Return the width and the height of a picture in pixels."""
        return self.pixels_digest(row)[:2]

    def sharpness(self, row: int) -> float:
        """Return the mean absolute Laplacian of a picture at the size of a thumbnail, as a share of its contrast."""
        grey = cv2.cvtColor(self.thumbnail(row), cv2.COLOR_RGB2GRAY).astype(np.float32)
        return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean() / max(float(grey.std()), 1.0))

    def _thumbnail(self, row: int) -> np.ndarray:
        """Return a picture squashed to a square, (128, 128, 3) RGB uint8."""
        pixels = self._read(row, THUMBNAIL_SIDE)
        return np.asarray(cv2.resize(pixels, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA))

    def _pixels_digest(self, row: int) -> tuple[int, int, str]:
        """Return width, height and a digest of the pixels of a picture; no digest where it cannot be read."""
        try:
            pixels = self._decoded(row, None)
        except ImageError:
            return 0, 0, ""
        return pixels.shape[1], pixels.shape[0], digest_bytes(pixels.tobytes())

    def _read(self, row: int, least: int) -> np.ndarray:
        try:
            return self._decoded(row, least)
        except ImageError:
            return np.zeros((1, 1, 3), np.uint8)

    def _decoded(self, row: int, least: int | None) -> np.ndarray:
        path, reading = self._sources[row]
        return read_image(path, least, reading)
