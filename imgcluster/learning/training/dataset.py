"""Batches of labelled images as network input, augmented or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from imgcluster.backbones import Runtime
from imgcluster.config import Recipe
from imgcluster.errors import ImageError
from imgcluster.images import Augmentation, Pixels, read_batches, read_image, readers_for
from imgcluster.types import ImagePath


class Pictures:
    """The files of labelled images, read anew each time: as many as there are, they take no memory."""

    def __init__(
        self, paths: Sequence[ImagePath], recipe: Recipe, runtime: Runtime, augmentation: Augmentation
    ) -> None:
        self._paths = paths
        self._readers = readers_for(paths)
        self._recipe = recipe
        self._runtime = runtime
        self._augmentation = augmentation

    def batches(self, rows: np.ndarray, batch_size: int, epoch: int | None) -> Iterator[tuple[Pixels, np.ndarray]]:
        """Yield pixels, (batch_size, n_views, side, side, 3) uint8, and the rows that its first pictures are of.

        epoch: of which the pictures are varied; None: they are not. Raises ImageError where one cannot be read.
        """
        runtime, readers = self._runtime, self._readers
        for batch in read_batches(rows.tolist(), self._fill, self._recipe, batch_size, runtime, readers=readers):
            if epoch is not None:
                self._augmentation.vary(batch.pixels, self._recipe.channels, epoch, batch.slots)
            yield batch.pixels, np.array(batch.slots, np.int64)

    def _fill(self, out: Pixels, row: int) -> int:
        path = self._paths[row]
        try:
            image = read_image(path, self._recipe.least, self._recipe.reading)
        except ImageError as error:
            raise ImageError(f"{path}: {error}") from None
        self._runtime.prepare(image, self._recipe, out)
        return row
