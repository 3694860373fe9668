"""The feature store of one task on a worker: computed vectors are held in memory, then written as a shard per layer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any

import numpy as np
from typing_extensions import override

from imgcluster.backbones import Blocks
from imgcluster.errors import StoreError
from imgcluster.features.engines.dask.protocol import Job
from imgcluster.features.store.backend import files_of
from imgcluster.features.store.index import Keys, Stamps, stamps_of
from imgcluster.features.store.layers import VectorStore, least_marks
from imgcluster.features.store.measures import as_vectors, measures_shape
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
        self._measured: dict[ImageKey, np.ndarray] = {}

    @override
    def marks(self, key: ImageKey) -> int | None:
        # Images known by path and times are never handed out.
        return least_marks(self._known, key) if key.digest and self._known else None

    @override
    def is_measured(self, key: ImageKey) -> bool:
        return not self._job.is_measuring

    @override
    def append(self, keys: list[ImageKey], blocks: list[np.ndarray], measured: list[np.ndarray | None]) -> None:
        self._keys += keys
        self._measured.update((key, row) for key, row in zip(keys, measured, strict=True) if row is not None)
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
        """Write the rows held as a shard of each layer's store, and of the measures; returns its name.

        None: no rows are held. Raises StoreError.
        """
        if not self._keys:
            return None
        name, shards = unique_name(number), list(zip(self._shapes, repeat(self._keys), self._blocks))
        if self._measured:
            shape = measures_shape(self._job.choice.recipe.reading)
            shards.insert(0, (shape, list(self._measured), [as_vectors(list(self._measured.values()))]))
        for folder, (shaped_by, keys, held) in {self._job.store / store_name(each[0]): each for each in shards}.items():
            try:
                write_shard(files_of(folder), name, fingerprint_of(shaped_by), keys, held)
            except OSError as error:
                raise StoreError(f"features.store: {str(folder)!r}: {error.strerror or error}") from None
        return name
