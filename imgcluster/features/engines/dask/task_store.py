"""The feature store as a task sees it: what is computed is held, and then written as one shard of each layer."""

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
    """The stores of a task's layers, as `Work` wants them: vectors are held, and then written as one shard.

    known: the stores as they were before, in which images are found by their bytes.
    """

    seconds_between_writes = 0.5

    def __init__(self, job: Job, shapes: list[dict[str, Any]], known: Sequence[FeatureStore]) -> None:
        self._job, self._shapes, self._known = job, shapes, known
        self._keys: list[ImageKey] = []
        self._blocks: list[list[np.ndarray]] = [[] for _ in shapes]

    def marks(self, key: ImageKey) -> int | None:
        """Return the marks of these bytes if the stores had them before; of the rest, whoever hands out has asked."""
        return least_marks(self._known, key) if key.digest and self._known else None

    def append(self, keys: list[ImageKey], blocks: list[np.ndarray]) -> None:
        """Hold rows: a (len(keys), dim) float32 block for each layer."""
        self._keys += keys
        for held, block in zip(self._blocks, blocks, strict=True):
            held.append(block)

    def vectors(self, keys: list[ImageKey]) -> Blocks:
        """Return the rows of images of which `marks` are known."""
        return [store.vectors(keys) for store in self._known]

    def rows_of(self, keys: Sequence[ImageKey | None]) -> np.ndarray:
        """Return at which row of what is held each key is, (len(keys),) int32; -1 where it is not."""
        rows = {key: row for row, key in enumerate(self._keys)}
        return np.array([-1 if key is None else rows[key] for key in keys], np.int32)

    def write(self, number: int) -> str | None:
        """Write what is held into each layer's store, under one name, which is returned. Raises StoreError."""
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
