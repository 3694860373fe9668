"""The feature store of one task on a worker: computed vectors are held in memory, then written as a shard per layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from typing_extensions import override

from imgcluster.backbones import Blocks
from imgcluster.errors import StoreError
from imgcluster.features.engines.dask.protocol import Job
from imgcluster.features.store.backend import files_of
from imgcluster.features.store.index import Keys, Stamps, stamps_of
from imgcluster.features.store.layers import VectorStore, least_marks
from imgcluster.features.store.shards import ImageKey, unique_name, write_shard
from imgcluster.features.store.store import FeatureStore, store_name
from imgcluster.utils import fingerprint_of


class TaskStore(VectorStore):
    """The stores of a task's layers, a `VectorStore`. Vectors are held, and written together at the end.

    known: the stores as they were before the run, one for each layer, in which images are found by their bytes.
    """

    seconds_between_writes = 0.5

    def __init__(self, job: Job, shapes: list[dict[str, Any]], known: Sequence[FeatureStore]) -> None:
        self._job, self._shapes, self._known = job, shapes, known
        self._keys: list[ImageKey] = []
        self._blocks: list[list[np.ndarray]] = [[] for _ in shapes]

    @override
    def marks(self, key: ImageKey) -> int | None:
        # Images known by path and times are never handed out.
        return least_marks(self._known, key) if key.digest and self._known else None

    @override
    def append(self, keys: list[ImageKey], blocks: list[np.ndarray]) -> None:
        self._keys += keys
        for held, block in zip(self._blocks, blocks, strict=True):
            held.append(block)

    @override
    def vectors(self, keys: Keys) -> Blocks:
        return [store.vectors(keys) for store in self._known]

    def rows_of(self, stamps: Stamps) -> np.ndarray:
        """Return the row of each image among those held, (len(stamps),) int32; -1 where it has none."""
        rows = {stamp.tobytes(): row for row, stamp in enumerate(stamps_of(self._keys))}
        return np.array([rows.get(stamp.tobytes(), -1) for stamp in stamps], np.int32)

    def write(self, number: int) -> str | None:
        """Write the rows held as a shard of each layer's store; returns its name, or None for no rows.

        Raises StoreError.
        """
        if not self._keys:
            return None
        name = unique_name(number)
        for folder, (shaped_by, held) in {
            self._job.store / store_name(shaped_by): (shaped_by, held)
            for shaped_by, held in zip(self._shapes, self._blocks, strict=True)
        }.items():
            try:
                write_shard(files_of(folder), name, fingerprint_of(shaped_by), self._keys, held)
            except OSError as error:
                raise StoreError(f"features.store: {str(folder)!r}: {error.strerror or error}") from None
        return name
