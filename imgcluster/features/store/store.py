"""Features on disk, kept between runs: shards of rows, found by the image they were computed from.

One folder for each fingerprint, so that vectors of different settings never mix:

    <store>/<backbone>-<layer>-<fingerprint>/
        meta.json            format, fingerprint, what shaped it
        vectors-00000.npy    (rows, dim) float32
        index-00000.json     for each row: path, size, mtime_ns, ctime_ns, digest of the file's bytes; marks; CRC-32
        lock                 held by the process that writes

A shard counts once its index has its final name; that is the last step of writing it, so a kill at any moment leaves
whole shards and perhaps files that nobody looks at. Each batch becomes a small shard of its own at once; small ones are
joined when enough have come together, and the joined one is in place before they are removed. Shards that others write
side by side (the workers of a cluster, several runs on a store behind a URL) have unique names: `00000-6f0c2a51`.

Rows are checked each time they are read. Damaged shards are set aside as `*.damaged`, and never deleted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from imgcluster.errors import DamagedShard, StoreError
from imgcluster.features.store.backend import files_of
from imgcluster.features.store.damage import Damage
from imgcluster.features.store.index import Keys, Location
from imgcluster.features.store.reader import Chunk, StoredVectors
from imgcluster.features.store.shard_files import DRIVEN, PART, StoreShards, adopt_parts
from imgcluster.features.store.shards import FORMAT, ImageKey, Shard, check_format, image_key, vectors_file
from imgcluster.utils import Place, fingerprint_of, new_rows, parse_json

__all__ = ["DRIVEN", "PART", "FeatureStore", "ImageKey", "Location", "Shard", "image_key", "store_name"]

META = "meta.json"


def store_name(shaped_by: dict[str, Any]) -> str:
    """Return the name of the folder of features that are shaped so."""
    name = re.sub(r"[^\w.-]+", "_", f"{shaped_by.get('backbone', 'features')}-{shaped_by.get('layer', 'vectors')}")
    return f"{name}-{fingerprint_of(shaped_by)}"


class FeatureStore:
    """The vectors of one fingerprint. Opened for writing by one process at a time; behind a URL by any number.

    >>> with FeatureStore(Path("outputs/features"), shaped_by) as store:
    ...     known = store.find(image_key(path))
    """

    def __init__(self, root: Place, shaped_by: dict[str, Any]) -> None:
        self._shaped_by = shaped_by
        self.fingerprint = fingerprint_of(shaped_by)
        self.folder = root / store_name(shaped_by)
        self.files = files_of(self.folder)
        self.shards = StoreShards(self.files, self.fingerprint)

    @classmethod
    def reading(cls, folder: Place) -> FeatureStore:
        """Open the store in this folder for `find` and `vectors` alone, even while another process writes it.

        Takes no lock and changes nothing; not for `with`. Raises StoreError: no store there, damaged, or of a newer
        format.
        """
        store = cls(Path(), {})
        store.folder = folder
        store.files = files_of(store.folder)
        store.fingerprint = str(store._read_meta().get("fingerprint"))
        store.shards = StoreShards(store.files, store.fingerprint, read_only=True)
        with store._store_errors():
            store.shards.load()
        return store

    def __enter__(self) -> FeatureStore:
        """Take the lock and read the index. Raises StoreError: locked, not writable, damaged, of a newer format."""
        try:
            self.files.take(0)
        except OSError as error:
            raise StoreError(
                f"features.store: {str(self.folder)!r} cannot be used: {error.strerror or error}"
            ) from None
        try:
            with self._store_errors():
                self._check_meta()
                self.shards.remove_leftovers()
                self.shards.load()
                self.adopt_parts()
        except BaseException:  # raised again, with the store unlocked
            self.files.let_go()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Join the small shards, unless something went wrong, and release the lock."""
        try:
            if kind is None:
                with self._store_errors():
                    self.shards.join_small()
        finally:
            self.shards.index.rows.clear()
            self.files.let_go()

    def __len__(self) -> int:
        return len(self.shards.index)

    @property
    def dim(self) -> int:
        """The length of its vectors; 0 as long as there are none."""
        return self.shards.index.dim

    @property
    def next_number(self) -> int:
        """The number that no shard has yet, nor any after it."""
        return self.shards.index.next_number

    def find(self, key: ImageKey) -> Location | None:
        """Return where the vector of an image lies: by its path and times, or by its bytes if its digest is known."""
        return self.shards.index.find(key)

    def marks(self, key: ImageKey) -> int | None:
        """Return the marks of an image when its vector was computed, 0 for none; None where it has no vector."""
        return self.shards.index.marks(key)

    def lacks(self, key: ImageKey) -> bool:
        """Tell whether a vector of this key is one more, or takes the place of one of which nothing was noted."""
        return self.shards.index.lacks(key)

    def append(self, keys: list[ImageKey], vectors: np.ndarray) -> None:
        """Add rows for good: (len(keys), dim) float32. When this returns, a kill does not lose them.

        Raises StoreError; DamagedShard as `vectors`, after the rows were added.
        """
        with self._store_errors():
            self.shards.write(keys, [vectors])
            if self.shards.has_many_small():
                self._raise_if(self.shards.join_small())

    def read_shard(self, name: str) -> Shard:
        """Read a shard that another process has written here. Any thread may. Raises StoreError: not there, damaged."""
        try:
            with self._store_errors():
                return self.shards.read(name)
        except Damage as damage:
            raise StoreError(f"{str(self.folder)!r}: shard {name} is gone or damaged ({damage})") from None

    def admit(self, name: str, shard: Shard) -> None:
        """Add a shard that was read to the index."""
        self.shards.admit(name, shard)

    def vectors(self, keys: Keys) -> np.ndarray:
        """Gather the rows of images that `find` knows, in the order asked for: (len(keys), dim) float32.

        More than 2 GiB of them are a memory map of a file without a name, in the folder of the store. Raises
        DamagedShard where some are damaged: by then the store has set their shards aside, and lacks their images.
        """
        with self._store_errors():
            out = new_rows(len(keys), self.dim, self.files.scratch)
            try:
                damaged = self.shards.gather(keys, out)
            except FileNotFoundError:
                self.shards.reload()
                damaged = self.shards.gather(keys, out)
            for name, damage in damaged.items():
                self.shards.set_aside(name, damage)
            self._raise_if(damaged)
        return out

    def stored(self, keys: Keys) -> StoredVectors:
        """Return where the rows of images that `find` knows lie. Reads none of them. Raises DamagedShard as `vectors`.

        Their checksums come along, and are compared when rows are read.
        """
        with self._store_errors():
            self._raise_if(self.shards.join_small())  # or they would be elsewhere when the store is closed
        where = self.folder.absolute()
        chunks = []
        for name, rows, places in self.shards.index.located(keys):
            checksums = self.shards.index.rows[name].checksums
            of_rows = None if checksums is None else checksums[rows]
            chunks.append(Chunk(where / vectors_file(name), rows, places, of_rows))
        return StoredVectors(chunks, self.dim, len(keys), f"{self.fingerprint} {self.content(keys)}")

    def content(self, keys: Keys) -> str:
        """Return a digest of the bytes of images that `find` knows, in their order."""
        return self.shards.index.digest_of(keys)

    def digests(self, keys: Keys) -> list[str]:
        """Return the digest of the bytes of each image that `find` knows, in their order."""
        return self.shards.index.digests_of(keys)

    def adopt_parts(self) -> None:
        """Take over the stores of a run's other processes, also those of a run that was killed.

        Raises StoreError where one of them is still at work.
        """
        with self._store_errors():
            if isinstance(self.folder, Path):
                adopt_parts(self.shards, self.folder, self.fingerprint)
            else:  # they have written into this one
                self.shards.load()

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        """Turn a failure of the disk into a StoreError that names the store; what was stored before stays."""
        try:
            yield
        except OSError as error:
            raise StoreError(f"features.store: {str(self.folder)!r}: {error.strerror or error}") from None

    def _raise_if(self, damaged: dict[str, Damage]) -> None:
        if damaged:
            first = next(iter(damaged.values()))
            raise DamagedShard(
                f"features.store: {str(self.folder)!r}: {len(damaged)} of its shards are damaged, the first {first}; "
                "run the config again: their images are computed again"
            )

    def _check_meta(self) -> None:
        meta = {"format": FORMAT, "fingerprint": self.fingerprint, "shaped_by": self._shaped_by}
        if not self.files.names(META):
            self.files.write(META, [json.dumps(meta, indent=2).encode()])
        elif self._read_meta().get("fingerprint") != self.fingerprint:
            path = str(self.folder / META)
            raise StoreError(f"{path!r} belongs to other features; remove the folder, or set features.store")

    def _read_meta(self) -> dict[str, Any]:
        path = str(self.folder / META)
        try:
            data = self.files.read(META)
        except OSError as error:
            raise StoreError(f"{path!r} cannot be read: {error.strerror or error}") from None
        try:
            found = parse_json(data)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise StoreError(f"{path!r} is damaged; remove {str(self.folder)!r}, its features are made again")
        check_format(found, self.folder)
        return found
