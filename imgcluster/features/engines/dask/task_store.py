"""In-memory feature store of one task, written as one shard of each layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from imgcluster.backbones import Blocks
from imgcluster.errors import StoreError
from imgcluster.features.engines.dask.protocol import Job
from imgcluster.features.store.backend import below, files_of
from imgcluster.features.store.layers import least_marks
from imgcluster.features.store.shards import ImageKey, unique_name, write_shard
from imgcluster.features.store.store import FeatureStore, store_name
from imgcluster.utils import fingerprint_of


class TaskStore:
    """Vectors of a task in memory, and read access to those in the stores: a `work.VectorStore`.

    known: the layers' stores as they were before the job; images are looked up there by their bytes.
    """

    seconds_between_writes = 0.5

    def __init__(self, job: Job, shapes: list[dict[str, Any]], known: Sequence[FeatureStore]) -> None:
        self._job, self._shapes, self._known = job, shapes, known
        self._keys: list[ImageKey] = []
        self._blocks: list[list[np.ndarray]] = [[] for _ in shapes]

    def marks(self, key: ImageKey) -> int | None:
        """Return the marks of bytes that the stores had before. The driver has looked up images that have a stamp."""
        return least_marks(self._known, key) if key.digest and self._known else None

    def append(self, keys: list[ImageKey], blocks: list[np.ndarray]) -> None:
        """Add rows: a (len(keys), dim) float32 block for each layer."""
        self._keys += keys
        for held, block in zip(self._blocks, blocks, strict=True):
            held.append(block)

    def vectors(self, keys: list[ImageKey]) -> Blocks:
        """Return the stores' rows of images that have `marks`."""
        return [store.vectors(keys) for store in self._known]

    def rows_of(self, keys: Sequence[ImageKey | None]) -> np.ndarray:
        """Return the row of each key in the shard, (len(keys),) int32; -1 where it has none."""
        rows = {key: row for row, key in enumerate(self._keys)}
        return np.array([-1 if key is None else rows[key] for key in keys], np.int32)

    def write(self, number: int) -> str | None:
        """Write a shard into each layer's store; returns its name, None without rows. Raises StoreError."""
        if not self._keys:
            return None
        name = unique_name(number)
        for folder, (shaped_by, held) in {
            str(below(self._job.store, store_name(shaped_by))): (shaped_by, held)
            for shaped_by, held in zip(self._shapes, self._blocks, strict=True)
        }.items():
            try:
                write_shard(files_of(folder), name, fingerprint_of(shaped_by), self._keys, held)
            except OSError as error:
                raise StoreError(f"features.store: {folder!r}: {error.strerror or error}") from None
        return name
