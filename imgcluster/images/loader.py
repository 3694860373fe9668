"""Read images ahead in threads, directly into the batches of the network."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from imgcluster.config import Recipe

READ_AHEAD = 2  # batches, beside those in the network: one ready, one being read
MAX_READERS = 16

Pixels = Any  # uint8: an array of numpy, or a tensor on the device that computes

Item = TypeVar("Item")
Slot = TypeVar("Slot")


class PixelBuffers(Protocol):
    """Memory for batches. depth: batches in flight at a time."""

    depth: int

    def buffer(self, shape: tuple[int, ...]) -> Pixels:
        """Return black pixels of this shape, in memory that the device reads."""


@dataclass(frozen=True)
class Batch(Generic[Slot]):
    """pixels: (batch_size, n_views, side, side, 3) uint8, always whole; slots: what `fill` said of each item."""

    pixels: Pixels
    slots: list[Slot]


def read_batches(
    items: Sequence[Item],
    fill: Callable[[Pixels, Item], Slot],
    recipe: Recipe,
    batch_size: int,
    runtime: PixelBuffers,
    *,
    readers: int | None = None,
) -> Generator[Batch[Slot], None, None]:
    """Fill batches in order, ahead of the consumer. A batch's pixels are valid until `depth` more are asked for.

    `fill` is called in threads, with an item's part of the pixels, (n_views, side, side, 3), and the item.
    Every batch has the same shape, the last one too: the same network on the same shape gives the same bits, so that
    a vector does not depend on which images happened to be computed with it. (Of another batch size it may differ in
    the last bits.)
    readers: threads that call `fill`, where they wait for a network; None: as many as there are cores for.
    """
    shape = (batch_size, recipe.n_views, recipe.side, recipe.side, 3)
    threads = readers or min(MAX_READERS, os.cpu_count() or 1)
    # Of small batches more are begun where readers wait for a network, so that none of them is idle.
    ahead = max(READ_AHEAD, -(-(readers or 0) // batch_size))
    needed = min(ahead + runtime.depth, -(-len(items) // batch_size))
    buffers = [runtime.buffer(shape) for _ in range(needed)]
    pool = ThreadPoolExecutor(threads, thread_name_prefix="imgcluster-reader")
    pending: deque[tuple[Pixels, list[Future[Slot]]]] = deque()
    try:
        for start in range(0, len(items), batch_size):
            pixels = buffers[start // batch_size % needed]
            chunk = items[start : start + batch_size]
            pending.append((pixels, [pool.submit(fill, pixels[i], chunk[i]) for i in range(len(chunk))]))
            if len(pending) > ahead:
                yield _collect(*pending.popleft())
        while pending:
            yield _collect(*pending.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _collect(pixels: Pixels, futures: list[Future[Slot]]) -> Batch[Slot]:
    return Batch(pixels, [future.result() for future in futures])
