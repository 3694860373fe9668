"""Process rows in parallel, in blocks that fit the processor's cache, with results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar

import numpy as np

BLOCK_BYTES = 2 * 2**20  # a few temporary arrays of this size are allocated anew each time without being paged in
IN_MEMORY_BYTES = 2 * 2**30
# In three threads and more, scikit-learn adds up centroids in the order in which the threads happen to end, and float32
# sums in another order have other bits. Two threads give the same bytes each time.
OPENMP_THREADS = 2

Item = TypeVar("Item")
Result = TypeVar("Result")


def is_large(bytes_: int) -> bool:
    """Tell whether features of this size are too many to be copied whole: more than `IN_MEMORY_BYTES`."""
    return bytes_ > IN_MEMORY_BYTES


def new_rows(rows: int, width: int, folder: Path) -> np.ndarray:
    """Return room for (rows, width) float32: in memory, or where that is large, in a file without a name in a folder.

    The system takes such a file back when nobody has the array any more, also after a kill. Raises OSError.
    """
    shape = (rows, width)
    if not is_large(4 * rows * width):
        return np.empty(shape, np.float32)
    with TemporaryFile(dir=folder) as file:
        return np.memmap(file, np.float32, "w+", shape=shape)


def row_slices(rows: int, width: int, block_bytes: int | None = None) -> list[slice]:
    """Cut rows of `width` float32 values into consecutive slices of `block_bytes` or less, at least a row each."""
    step = max(1, (block_bytes or BLOCK_BYTES) // (4 * max(1, width)))
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def in_order(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield what `work` makes of each item, in their order, made on all cores and a few items ahead at most.

    The results do not depend on the number of cores: each item has one thread, inside matrix products too. Whoever
    stops asking waits for the items under way alone.
    """
    threads = max(1, min(cores(), len(items)))
    pending: deque[Future[Result]] = deque()
    with _libraries().limit(limits=1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) > 2 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def finite_rows(rows: np.ndarray) -> int:
    """Count the rows of (n, dim) that hold neither NaN nor infinity."""
    slices = row_slices(*rows.shape)
    return sum(in_order(lambda part: int(np.isfinite(rows[part]).all(axis=1).sum()), slices))


def squared_lengths(rows: np.ndarray) -> np.ndarray:
    """Return the squared Euclidean length of each row of (n, dim), (n,) float64, reckoned in float64."""

    def of_block(part: slice) -> np.ndarray:
        block = rows[part].astype(np.float64)
        return np.asarray(np.einsum("ij,ij->i", block, block))

    return np.concatenate(list(in_order(of_block, row_slices(*rows.shape))))


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
