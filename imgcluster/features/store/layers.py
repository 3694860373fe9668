"""Several feature stores, one for each layer, filled in one pass. Another list of layers finds those it shares."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Protocol, TypeVar

import numpy as np
from typing_extensions import override

from imgcluster.config import Reading
from imgcluster.errors import DamagedShard, StoreError
from imgcluster.features.store.index import Keys, Stamps
from imgcluster.features.store.measures import append_measures, measures_shape
from imgcluster.features.store.reader import StoredVectors
from imgcluster.features.store.store import FeatureStore, ImageKey, Shard
from imgcluster.utils import Place

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class VectorStore(Protocol):
    """Where vectors are kept as they are computed, in a block of (n, dim) float32 for each layer. Raises StoreError."""

    @property
    def seconds_between_writes(self) -> float:
        """The work that a kill may cost."""

    def marks(self, key: ImageKey) -> int | None:
        """Return the marks of an image when its vectors were computed, 0: unknown; None: a layer lacks its vector."""

    def is_measured(self, key: ImageKey) -> bool:
        """Tell whether the measures of an image are stored, or are not wanted."""

    def append(self, keys: list[ImageKey], blocks: list[np.ndarray], measured: list[np.ndarray | None]) -> None:
        """Add the rows of images, (len(keys), dim) for each layer, where it lacks them, and their measures."""

    def vectors(self, keys: Keys) -> list[np.ndarray]:
        """Gather the rows of images whose `marks` are known, (len(keys), dim) for each layer.

        Raises DamagedShard, after the shards at fault were set aside: some of these images are new ones by then.
        """


def least_marks(stores: Iterable[FeatureStore], key: ImageKey) -> int | None:
    """Return the smallest of the marks that stores have of an image; None where one of them lacks it."""
    found = [store.marks(key) for store in stores]
    known = [marks for marks in found if marks is not None]
    return min(known) if len(known) == len(found) else None


class LayerStores(VectorStore):
    """The stores of the layers of one run, behind the interface of one `VectorStore`."""

    def __init__(self, root: Place, shaped_by: Sequence[dict[str, Any]]) -> None:
        self.root = root
        self._stores = [FeatureStore(root, each) for each in shaped_by]
        # A layer that is asked for twice, by two names or one, has one store.
        self._opened = {store.folder: store for store in self._stores}
        self._exits = ExitStack()
        self._measures: FeatureStore | None = None

    def __enter__(self) -> LayerStores:
        """Lock and open all, or none. Raises StoreError."""
        with ExitStack() as opening:
            for store in self._opened.values():
                opening.enter_context(store)
            self._exits = opening.pop_all()
        return self

    def measure(self, reading: Reading) -> None:
        """Store the measures of images from now on too, as they are read for their features.

        Not while another process does so for other features: then `quality_of_run` reads these images once more.
        """
        if self._measures is None:
            store = FeatureStore(self.root, measures_shape(reading))
            try:
                self._measures = self._exits.enter_context(store)
            except StoreError as error:
                logger.info("images are not measured: %s", error)

    @property
    def is_measuring(self) -> bool:
        """Whether measures are stored."""
        return self._measures is not None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.__exit__(kind, error, trace)

    @property
    def folders(self) -> list[Place]:
        """The folder of each layer's store."""
        return [store.folder for store in self._stores]

    @property
    def fingerprints(self) -> list[str]:
        """The fingerprint of each layer."""
        return [store.fingerprint for store in self._stores]

    @property
    def dim(self) -> int:
        """The length of all layers' vectors together; 0 in empty stores."""
        return sum(store.dim for store in self._stores)

    @property
    @override
    def seconds_between_writes(self) -> float:
        return max(store.files.seconds_between_writes for store in self._stores)

    def __len__(self) -> int:
        return min(len(store) for store in self._stores)

    @override
    def marks(self, key: ImageKey) -> int | None:
        return least_marks(self._opened.values(), key)

    @override
    def is_measured(self, key: ImageKey) -> bool:
        return self._measures is None or self._measures.find(key) is not None

    @override
    def append(self, keys: list[ImageKey], blocks: list[np.ndarray], measured: list[np.ndarray | None]) -> None:
        if self._measures is not None:  # first: an image with features is not read again
            append_measures(self._measures, keys, measured)
        for folder, store in self._opened.items():
            block = blocks[self.folders.index(folder)]
            lacking = [row for row, key in enumerate(keys) if store.lacks(key)]
            if lacking:
                store.append([keys[row] for row in lacking], block[lacking])

    def marks_of(self, stamps: Stamps) -> np.ndarray:
        """Return the `marks` of images whose vectors are in all layers, (n,) uint8."""
        return np.asarray(np.min([store.shards.index.marks_of(stamps) for store in self._opened.values()], axis=0))

    def read_shards(self, name: str) -> list[Shard]:
        """Read the shards that another process has written under a name, one in each layer's store. Any thread may.

        Raises StoreError where one is not there, or damaged.
        """
        return [store.read_shard(name) for store in self._opened.values()]

    def admit(self, name: str, shards: list[Shard]) -> list[ImageKey]:
        """Add shards that were read to the indexes; returns the keys of their rows."""
        for store, shard in zip(self._opened.values(), shards, strict=True):
            store.admit(name, shard)
        return shards[0][0]

    @property
    def next_number(self) -> int:
        """The number that no shard of any layer has yet, nor any after it."""
        return max(store.next_number for store in self._opened.values())

    def adopt_parts(self) -> None:
        """Take over what the other processes of a run have computed. Raises StoreError."""
        for store in self._opened.values():
            store.adopt_parts()
        if self._measures is not None:
            self._measures.adopt_parts()

    @override
    def vectors(self, keys: Keys) -> list[np.ndarray]:
        return self._of_each(lambda store: store.vectors(keys))

    def content(self, keys: Keys) -> str:
        """Return a digest of the bytes of images that `find` knows, in their order: the same for each layer."""
        return self._opened[self._stores[0].folder].content(keys)

    def stored(self, keys: Keys) -> list[StoredVectors]:
        """Return where the rows of images lie, for each layer, and read none of them. Raises as `vectors`."""
        return self._of_each(lambda store: store.stored(keys))

    def _of_each(self, ask: Callable[[FeatureStore], Result]) -> list[Result]:
        """Ask the store of each layer; where one has damaged shards, the others are asked before that is raised."""
        found: dict[Place, Result] = {}
        damaged: DamagedShard | None = None
        for folder, store in self._opened.items():
            try:
                found[folder] = ask(store)
            except DamagedShard as error:
                damaged = error
        if damaged is not None:
            raise damaged
        return [found[folder] for folder in self.folders]
