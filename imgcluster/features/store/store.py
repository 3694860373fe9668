"""Features on disk, kept between runs: shards of rows, found by the image they were made from.

One folder for each fingerprint, so that vectors made in another way can never be taken for these:

    <store>/<backbone>-<layer>-<fingerprint>/
        meta.json            format, fingerprint, what shaped it
        vectors-00000.npy    (rows, dim) float32
        index-00000.json     one entry a row: path, size, mtime_ns, ctime_ns, digest of the file's bytes; and its marks
        lock                 held by the process that writes

A shard counts once its index has its final name; that is the last step of writing it, so a kill at any moment leaves
whole shards and perhaps files that nobody looks at. Each batch becomes a small shard of its own at once; small ones are
joined when enough have come together, and the joined one is in place before they are removed. Shards that others write
side by side (the workers of a cluster, several runs on a store behind a URL) have names that nobody else gives:
`00000-6f0c2a51`.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from imgcluster.errors import StoreError
from imgcluster.features.store.backend import below, files_of
from imgcluster.features.store.index import Location, Shard, StoreIndex
from imgcluster.features.store.reader import Chunk, StoredVectors
from imgcluster.features.store.shards import (
    FORMAT,
    ImageKey,
    image_key,
    index_file,
    read_index,
    shard_names,
    unique_name,
    vectors_file,
    write_shard,
)
from imgcluster.utils import at_once, fingerprint_of, is_url, new_rows

__all__ = ["FeatureStore", "ImageKey", "Location", "Shard", "image_key", "store_name"]

logger = logging.getLogger(__name__)

META = "meta.json"
PART = ".part-"  # and a number: the stores of a process that computes a part of a run, in the folder of the store
DRIVEN = ".driven-"  # and what tells one run from another: a file by which workers know the store of the run's driver
SECONDS_FOR_PARTS = 10
SHARD_BYTES = 64 * 2**20
OTHERS_BYTES = 2**20  # what others wrote as one shard stays one from here on: a million images are 2,000 of them


def store_name(shaped_by: dict[str, Any]) -> str:
    """Return the name of the folder of features that are shaped so."""
    name = re.sub(r"[^\w.-]+", "_", f"{shaped_by.get('backbone', 'features')}-{shaped_by.get('layer', 'vectors')}")
    return f"{name}-{fingerprint_of(shaped_by)}"


class FeatureStore:
    """The vectors of one fingerprint. Opened for writing by one process at a time; behind a URL by any number.

    >>> with FeatureStore(Path("outputs/features"), shaped_by) as store:
    ...     known = store.find(image_key(path))
    """

    def __init__(self, root: Path | str, shaped_by: dict[str, Any]) -> None:
        self.fingerprint = fingerprint_of(shaped_by)
        self.folder = below(root, store_name(shaped_by))
        self.files = files_of(self.folder)
        self._shaped_by = shaped_by
        self._index = StoreIndex()
        self._small: list[str] = []
        self._read_only = False
        self._patience = 0

    @classmethod
    def reading(cls, folder: Path | str) -> FeatureStore:
        """Open the store in this folder for `find` and `vectors` alone, whoever else writes it; not for `with`.

        Takes no lock and changes nothing. Raises StoreError: no store there, damaged, of a newer format.
        """
        store = cls("", {})
        store.folder = folder if is_url(str(folder)) else Path(folder)
        store.files, store._read_only = files_of(store.folder), True
        meta = store._read_meta()
        store.fingerprint = str(meta.get("fingerprint"))
        store._shaped_by = meta.get("shaped_by", {})
        with store._told():
            store._load()
        return store

    def __enter__(self) -> FeatureStore:
        """Take the lock and read the index. Raises StoreError: locked, not writable, damaged, of a newer format."""
        try:
            self.files.take(self._patience)
        except OSError as error:
            raise StoreError(f"features.store: {str(self.folder)!r} cannot be used: {error.strerror}") from None
        try:
            with self._told():
                self._check_meta()
                self._remove_leftovers()
                self._load()
                self.adopt_parts()
        except BaseException:
            self.files.let_go()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Join the small shards, unless something went wrong, and let go of the lock."""
        try:
            if kind is None:
                with self._told():
                    self._join_small()
        finally:
            self._index.rows.clear()
            self.files.let_go()

    def __len__(self) -> int:
        return len(self._index)

    @property
    def dim(self) -> int:
        """The length of its vectors; 0 as long as there are none."""
        return self._index.dim

    @property
    def next_number(self) -> int:
        """The number that no shard has yet, nor any after it."""
        return self._index.next_number

    def find(self, key: ImageKey) -> Location | None:
        """Return where the vector of an image lies: by its path and times, or by its bytes if its digest is known."""
        return self._index.find(key)

    def marks(self, key: ImageKey) -> int | None:
        """Return what was noted of an image when its vector was made, 0 for nothing; None where it has no vector."""
        return self._index.marks(key)

    def lacks(self, key: ImageKey) -> bool:
        """Tell whether a vector of this key is one more, or takes the place of one of which nothing was noted."""
        found = self.marks(ImageKey(*key.stamp))
        return found is None or found == 0 < key.marks

    def append(self, keys: list[ImageKey], vectors: np.ndarray) -> None:
        """Add rows for good: (len(keys), dim) float32. When this returns, a kill does not lose them."""
        with self._told():
            self._small.append(self._write_shard(keys, [vectors]))
            if sum(self._index.rows[small].nbytes for small in self._small) >= SHARD_BYTES:
                self._join_small()

    def read_shard(self, name: str) -> Shard:
        """Read a shard that another process has written here. Any thread may. Raises StoreError: not there, damaged."""
        with self._told():
            if (shard := self._read_or_damaged(name)) is None:
                raise StoreError(f"{str(self.folder)!r}: shard {name} is gone or damaged")
        return shard

    def admit(self, name: str, shard: Shard) -> None:
        """Take notice of a shard that was read."""
        self._index.add(name, *shard)
        if self._is_small(name):
            self._small.append(name)

    def vectors(self, keys: list[ImageKey]) -> np.ndarray:
        """Gather the rows of images that `find` knows, in the order asked for: (len(keys), dim) float32.

        More than 2 GiB of them are a memory map of a file without a name, in the folder of the store.
        """
        with self._told():
            out = new_rows(len(keys), self.dim, self.files.scratch)
            try:
                self._gather(keys, out)
            except FileNotFoundError:  # the process that writes has just joined shards
                if not self._read_only:
                    raise
                self._index.clear()
                self._small.clear()
                self._load()
                self._gather(keys, out)
        return out

    def _gather(self, keys: list[ImageKey], out: np.ndarray) -> None:
        def take(found: tuple[str, np.ndarray, np.ndarray]) -> None:
            shard, rows, places = found
            out[places] = self._index.rows[shard][rows]

        deque((map if self.files.one_writer else at_once)(take, self.located(keys)), maxlen=0)

    def located(self, keys: list[ImageKey]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Yield where the rows of images lie: a shard, (m,) int64 rows in it, (m,) int64 places among the keys."""
        try:
            yield from self._index.located(keys)
        except KeyError as error:
            raise KeyError(f"{error} images have no features in {str(self.folder)!r}") from None

    def stored(self, keys: list[ImageKey]) -> StoredVectors:
        """Return where the rows of images that `find` knows lie. Reads none of them."""
        with self._told():
            self._join_small()  # or they would be elsewhere when the store is closed
        where = str(self.folder if is_url(str(self.folder)) else Path(self.folder).absolute())
        chunks = [
            Chunk(str(below(where, vectors_file(shard))), rows, places) for shard, rows, places in self.located(keys)
        ]
        content = f"{self.fingerprint} {self.content(keys)}"
        return StoredVectors(chunks, self.dim, len(keys), content)

    def content(self, keys: list[ImageKey]) -> str:
        """Return a digest of the bytes of images that `find` knows, in their order."""
        return self._index.digest_of(keys)

    def adopt_parts(self) -> None:
        """Take over what the processes of a run have put into stores of their own, also those of a run that was killed.

        Raises StoreError where one of them is still at work.
        """
        if not isinstance(self.folder, Path):  # they have put them here themselves
            with self._told():
                self._load()
            return
        for folder in sorted(
            self.folder.parent.glob(f"{PART}*/{self.folder.name}"), key=lambda path: _number_of(path.parent.name)
        ):
            with self._told(), FeatureStore._part(folder, self._shaped_by) as part:
                for name in part._index.names:
                    self._adopt(part, name)
            shutil.rmtree(folder, ignore_errors=True)
        for empty in self.folder.parent.glob(f"{PART}*"):  # also of a process that got no further than to make it
            with suppress(OSError):
                empty.rmdir()  # where no other layer's store is left in it

    # How the files are written and read.

    @classmethod
    def _part(cls, folder: Path, shaped_by: dict[str, Any]) -> FeatureStore:
        part = cls(folder.parent, shaped_by)
        part._patience = SECONDS_FOR_PARTS  # its process may be about to notice that nobody waits for it any more
        return part

    def _adopt(self, part: FeatureStore, name: str) -> None:
        keys, rows = part._index.of_its_own(name)
        if lacking := [row for row, key in enumerate(keys) if self.lacks(key)]:
            self._small.append(self._write_shard([keys[row] for row in lacking], [rows[lacking]]))
        part._index.remove(name)
        part._small = [small for small in part._small if small != name]  # or it would be joined with others
        part._remove_shard(name)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say where the disk failed; what was stored before stays."""
        try:
            yield
        except OSError as error:
            raise StoreError(f"features.store: {str(self.folder)!r}: {error.strerror or error}") from None

    def _check_meta(self) -> None:
        meta = {"format": FORMAT, "fingerprint": self.fingerprint, "shaped_by": self._shaped_by}
        if not self.files.names(META):
            self.files.write(META, [json.dumps(meta, indent=2).encode()])
        elif self._read_meta().get("fingerprint") != self.fingerprint:
            path = str(below(self.folder, META))
            raise StoreError(f"{path!r} belongs to other features; remove the folder, or set features.store")

    def _read_meta(self) -> dict[str, Any]:
        found = self._read_json(META)
        written_as = found.get("format")
        if isinstance(written_as, int) and written_as > FORMAT:
            raise StoreError(
                f"{str(self.folder)!r} comes from a newer imgcluster (format {written_as}); "
                "update imgcluster, or set features.store elsewhere"
            )
        return found

    def _read_json(self, name: str) -> dict[str, Any]:
        path = str(below(self.folder, name))
        try:
            found = json.loads(self.files.read(name))
        except OSError as error:
            raise StoreError(f"{path!r} cannot be read: {error.strerror or error}") from None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise StoreError(f"{path!r} is damaged; remove {str(self.folder)!r}, its features are made again")
        return found

    def _remove_leftovers(self) -> None:
        """Remove vectors that have no index: a killed process was about to write it, or to remove them.

        Behind a URL they may be those of another process, which is about to write it now.
        """
        if not self.files.one_writer:
            return
        for driven in self.files.names(f"{DRIVEN}*"):
            self.files.remove(driven)
        indexed = set(shard_names(self.files))
        for vectors in self.files.names("vectors-*.npy"):
            if vectors.removeprefix("vectors-").removesuffix(".npy") not in indexed:
                self.files.remove(vectors)

    def _load(self) -> None:
        """Read what is not known yet. OSError where the disk, or the way to it, fails: that is no damage."""
        names = [name for name in shard_names(self.files) if name not in self._index]
        shards = map(self._read_or_damaged, names) if self.files.one_writer else at_once(self._read_or_damaged, names)
        for name, shard in zip(names, shards, strict=True):
            if shard is not None:
                self.admit(name, shard)
            elif self._read_only and not self.files.names(index_file(name)):
                self._load()  # the process that writes has just joined it with others
                return
            else:
                self._drop_damaged(name)

    def _read_or_damaged(self, name: str) -> Shard | None:
        try:
            return self._read_shard(name)
        except FileNotFoundError:
            return None
        except (OSError, MemoryError):
            raise
        except Exception:  # numpy raises whatever the damaged bytes happen to make it do
            return None

    def _is_small(self, name: str) -> bool:
        return self._index.rows[name].nbytes < (OTHERS_BYTES if "-" in name else SHARD_BYTES)

    def _drop_damaged(self, name: str) -> None:
        if self._read_only:
            logger.warning("%s: shard %s is damaged", self.folder, name)
            return
        logger.warning("%s: shard %s is damaged and was removed; its images are done again", self.folder, name)
        self._remove_shard(name)

    def _read_shard(self, name: str) -> Shard:
        keys, fingerprint = read_index(self.files, name)
        rows = self.files.rows(vectors_file(name))
        shape = (len(keys), self._index.dim or rows.shape[1])
        if fingerprint != self.fingerprint or rows.dtype != np.float32 or rows.shape != shape:
            raise ValueError("index and vectors do not belong together")
        return keys, rows

    def _write_shard(self, keys: list[ImageKey], parts: Iterable[np.ndarray]) -> str:
        name = f"{self.next_number:05d}" if self.files.one_writer else unique_name(self.next_number)
        write_shard(self.files, name, self.fingerprint, keys, parts)
        self._index.add(name, keys, self.files.rows(vectors_file(name)))
        return name

    def _join_small(self) -> None:
        if len(self._small) < 2 or not self.files.one_writer:
            return  # behind a URL another process may be reading them
        joined, self._small = self._small, []
        keys = [key for name in joined for key in self._index.of_its_own(name)[0]]
        joint = self._write_shard(keys, (self._index.of_its_own(name)[1] for name in joined))
        if self._is_small(joint):
            self._small.append(joint)
        for old in joined:
            self._index.remove(old)
            self._remove_shard(old)

    def _remove_shard(self, name: str) -> None:
        self.files.remove(index_file(name))  # first, so that no index is ever without its vectors
        self.files.remove(vectors_file(name))


def _number_of(part: str) -> int:
    digits = re.findall(r"\d+", part)
    return int(digits[-1]) if digits else -1
