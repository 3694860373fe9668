"""Pictures read ahead by threads, straight into the batches the network takes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from imgcluster.errors import ImageError
from imgcluster.layer_stores import LayerStores
from imgcluster.preprocess import prepare
from imgcluster.reading import decode_image, read_bytes
from imgcluster.recipes import Recipe
from imgcluster.store import ImageKey, image_key
from imgcluster.tables import ImageFile

READ_AHEAD = 3  # batches: one in the network, one ready, one being read
MAX_READERS = 16


@dataclass(frozen=True)
class Slot:
    """What became of one image: pixels in the batch, bytes the store knows already, or a reason why neither."""

    image: ImageFile
    key: ImageKey | None = None
    known: bool = False
    reason: str | None = None


@dataclass(frozen=True)
class Batch:
    """pixels: (batch_size, side, side, 3) uint8, always whole; slots: one an image, fewer only in the last batch."""

    pixels: np.ndarray
    slots: list[Slot]


def read_batches(
    images: Sequence[ImageFile],
    recipe: Recipe,
    batch_size: int,
    store: LayerStores,
    new_buffer: Callable[[int, int], np.ndarray],
) -> Iterator[Batch]:
    """Read images in order, ahead of the consumer. A batch's pixels are valid until the next one is asked for.

    Every batch has the same shape, the last one too: the same network on the same shape gives the same bits, so that
    a vector does not depend on which images happened to be computed with it. (Of another batch size it may differ in
    the last bits.)
    """
    buffers = [new_buffer(batch_size, recipe.crop) for _ in range(READ_AHEAD)]
    pool = ThreadPoolExecutor(min(MAX_READERS, os.cpu_count() or 1), thread_name_prefix="imgcluster-reader")
    pending: deque[tuple[np.ndarray, list[Future[Slot]]]] = deque()
    try:
        for start in range(0, len(images), batch_size):
            pixels = buffers[start // batch_size % READ_AHEAD]
            chunk = images[start : start + batch_size]
            pending.append(
                (pixels, [pool.submit(_fill, pixels[i], chunk[i], recipe, store) for i in range(len(chunk))])
            )
            if len(pending) == READ_AHEAD:
                yield _collect(*pending.popleft())
        while pending:
            yield _collect(*pending.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _collect(pixels: np.ndarray, futures: list[Future[Slot]]) -> Batch:
    return Batch(pixels, [future.result() for future in futures])


def _fill(pixels: np.ndarray, image: ImageFile, recipe: Recipe, store: LayerStores) -> Slot:
    try:
        data, status = read_bytes(image.path)
        key = image_key(image.path, status, data)
        if store.find(key):
            return Slot(image, key, known=True)
        prepare(decode_image(data), recipe, pixels)
    except ImageError as error:
        return Slot(image, reason=str(error))
    except MemoryError:
        return Slot(image, reason="does not fit into memory")
    return Slot(image, key)
