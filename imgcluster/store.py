"""Features on disk, kept between runs: shards of rows, found by the image they were made from.

One folder for each fingerprint, so that vectors made in another way can never be taken for these:

    <store>/<backbone>-<layer>-<fingerprint>/
        meta.json            format, fingerprint, what shaped it
        vectors-00000.npy    (rows, dim) float32
        index-00000.json     one entry a row: path, size, mtime_ns, ctime_ns, digest of the file's bytes
        lock                 held by the process that writes

A shard counts once its index has its final name; that rename is the last step of writing it, so a kill at any moment
leaves whole shards and perhaps files that nobody looks at. Each batch becomes a small shard of its own at once; small
ones are joined when enough have come together, and the joined one is in place before they are removed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from imgcluster.blocks import new_rows
from imgcluster.errors import StoreError
from imgcluster.files import remove_temporary, replacing, write_whole

logger = logging.getLogger(__name__)

FORMAT = 1
PART = ".part-"  # and a number: the stores of a process that computes a part of a run, in the folder of the store
SECONDS_FOR_PARTS = 10
SHARD_BYTES = 64 * 2**20
FINGERPRINT_LENGTH = 16


@dataclass(frozen=True)
class ImageKey:
    """What tells that a file is the one its vector was made from. `digest` is of its bytes; "" when not yet read."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    digest: str = ""

    @property
    def stamp(self) -> tuple[str, int, int, int]:
        """All that can be known without reading the file."""
        return self.path, self.size, self.mtime_ns, self.ctime_ns


def image_key(path: Path, status: os.stat_result, data: bytes | None = None) -> ImageKey:
    """Return the key of a file of this status; without its bytes, one that is found by the status alone."""
    digest = "" if data is None else digest_bytes(data)
    return ImageKey(os.path.realpath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, digest)


def digest_bytes(data: bytes) -> str:
    """Return the digest by which equal files are known wherever they lie: 128 bits of BLAKE2b, as hex."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def fingerprint_of(shaped_by: dict[str, Any]) -> str:
    """Hash everything that shapes a feature. `shaped_by` must be JSON-serialisable; the order of keys is no matter."""
    canonical = json.dumps(shaped_by, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:FINGERPRINT_LENGTH]


@dataclass(frozen=True)
class Location:
    """Where a vector lies: the number of its shard, and its row there."""

    shard: int
    row: int


class FeatureStore:
    """The vectors of one fingerprint. Opened for writing by one process at a time.

    >>> with FeatureStore(Path("outputs/features"), shaped_by) as store:
    ...     known = store.find(image_key(path))
    """

    def __init__(self, root: Path, shaped_by: dict[str, Any]) -> None:
        self.fingerprint = fingerprint_of(shaped_by)
        name = re.sub(r"[^\w.-]+", "_", f"{shaped_by.get('backbone', 'features')}-{shaped_by.get('layer', 'vectors')}")
        self.folder = root / f"{name}-{self.fingerprint}"
        self._shaped_by = shaped_by
        self._by_stamp: dict[tuple[str, int, int, int], Location] = {}
        self._by_digest: dict[str, Location] = {}
        self._keys: dict[int, list[ImageKey]] = {}
        self._maps: dict[int, np.ndarray] = {}
        self._small: list[int] = []
        self._lock = FileLock(self.folder / "lock")
        self._read_only = False
        self._patience = 0

    @classmethod
    def reading(cls, folder: Path) -> FeatureStore:
        """Open the store in this folder for `find` and `vectors` alone, whoever else writes it; not for `with`.

        Takes no lock and changes nothing. Raises StoreError: no store there, damaged, of a newer format.
        """
        store = cls(folder.parent, {})
        store.folder, store._read_only = folder, True
        meta = store._read_meta()
        store.fingerprint = str(meta.get("fingerprint"))
        store._shaped_by = meta.get("shaped_by", {})
        store._load()
        return store

    def __enter__(self) -> FeatureStore:
        """Take the lock and read the index. Raises StoreError: locked, not writable, damaged, of a newer format."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=self._patience)
        except Timeout:
            raise StoreError(
                f"{str(self.folder)!r} is in use by another run; wait for it to end, or set features.store elsewhere"
            ) from None
        except OSError as error:
            raise StoreError(f"features.store: {str(self.folder)!r} cannot be used: {error.strerror}") from None
        try:
            with self._told():
                self._check_meta()
                self._remove_leftovers()
                self._load()
                self.adopt_parts()
        except BaseException:
            self._lock.release()
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
            self._maps.clear()
            self._lock.release()

    def __len__(self) -> int:
        return sum(len(keys) for keys in self._keys.values())

    @property
    def dim(self) -> int:
        """The length of its vectors; 0 as long as there are none."""
        return int(next(iter(self._maps.values())).shape[1]) if self._maps else 0

    def find(self, key: ImageKey) -> Location | None:
        """Return where the vector of an image lies: by its path and times, or by its bytes if its digest is known."""
        found = self._by_stamp.get(key.stamp)
        return found if found is not None or not key.digest else self._by_digest.get(key.digest)

    def append(self, keys: list[ImageKey], vectors: np.ndarray) -> None:
        """Add rows for good: (len(keys), dim) float32. When this returns, a kill does not lose them."""
        with self._told():
            self._small.append(self._write_shard(keys, [vectors]))
            if sum(self._maps[small].nbytes for small in self._small) >= SHARD_BYTES:
                self._join_small()

    def vectors(self, keys: list[ImageKey]) -> np.ndarray:
        """Gather the rows of images that `find` knows, in the order asked for: (len(keys), dim) float32.

        More than 2 GiB of them are a memory map of a file without a name, in the folder of the store.
        """
        places = [place for key in keys if (place := self.find(key)) is not None]
        if len(places) < len(keys):
            raise KeyError(f"{len(keys) - len(places)} images have no features in {str(self.folder)!r}")
        with self._told():
            out = new_rows(len(places), self.dim, self.folder)
        shards = np.array([place.shard for place in places], dtype=np.int64)
        rows = np.array([place.row for place in places], dtype=np.int64)
        for shard in np.unique(shards):
            wanted = np.flatnonzero(shards == shard)
            out[wanted] = self._maps[int(shard)][rows[wanted]]
        return out

    def adopt_parts(self) -> None:
        """Take over what the processes of a run have put into stores of their own, also those of a run that was killed.

        Raises StoreError where one of them is still at work.
        """
        for folder in sorted(
            self.folder.parent.glob(f"{PART}*/{self.folder.name}"), key=lambda path: _number(path.parent)
        ):
            with self._told(), FeatureStore._part(folder, self._shaped_by) as part:
                for number in sorted(part._keys):
                    self._adopt(part, number)
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

    def _adopt(self, part: FeatureStore, number: int) -> None:
        keys, rows = part._found_here(number)
        if lacking := [row for row, key in enumerate(keys) if key.stamp not in self._by_stamp]:
            self._small.append(self._write_shard([keys[row] for row in lacking], [rows[lacking]]))
        del part._maps[number], part._keys[number]
        part._small = [small for small in part._small if small != number]  # or it would be joined with others
        part._remove_shard(number)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say where the disk failed; what was stored before stays."""
        try:
            yield
        except OSError as error:
            raise StoreError(f"features.store: {str(self.folder)!r}: {error.strerror or error}") from None

    def _check_meta(self) -> None:
        path = self.folder / "meta.json"
        meta = {"format": FORMAT, "fingerprint": self.fingerprint, "shaped_by": self._shaped_by}
        if not path.exists():
            write_whole(path, json.dumps(meta, indent=2).encode())
        elif self._read_meta().get("fingerprint") != self.fingerprint:
            raise StoreError(f"{str(path)!r} belongs to other features; remove the folder, or set features.store")

    def _read_meta(self) -> dict[str, Any]:
        found = self._read_json(self.folder / "meta.json")
        written_as = found.get("format")
        if isinstance(written_as, int) and written_as > FORMAT:
            raise StoreError(
                f"{str(self.folder)!r} comes from a newer imgcluster (format {written_as}); "
                "update imgcluster, or set features.store elsewhere"
            )
        return found

    def _read_json(self, path: Path) -> dict[str, Any]:
        try:
            found = json.loads(path.read_bytes())
        except OSError as error:
            raise StoreError(f"{str(path)!r} cannot be read: {error.strerror}") from None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise StoreError(f"{str(path)!r} is damaged; remove {str(self.folder)!r}, its features are made again")
        return found

    def _remove_leftovers(self) -> None:
        """Remove what a killed process was about to write, and vectors that have no index yet or no longer."""
        remove_temporary(self.folder, ("vectors-*.npy", "index-*.json", "meta.json"))
        indexed = {_number(path) for path in self.folder.glob("index-*.json")}
        for path in self.folder.glob("vectors-*.npy"):
            if _number(path) not in indexed:
                path.unlink(missing_ok=True)

    def _load(self) -> None:
        for path in sorted(self.folder.glob("index-*.json"), key=_number):
            number = _number(path)
            try:
                keys, rows = self._read_shard(path, number)
            except Exception:  # numpy raises whatever the damaged bytes happen to make it do
                if self._read_only and not path.exists():
                    self._load()  # the process that writes has just joined it with others
                    return
                self._drop_damaged(number)
                continue
            self._admit(number, keys, rows)
            if rows.nbytes < SHARD_BYTES:
                self._small.append(number)

    def _drop_damaged(self, number: int) -> None:
        if self._read_only:
            logger.warning("%s: shard %05d is damaged", self.folder, number)
            return
        logger.warning("%s: shard %05d is damaged and was removed; its images are done again", self.folder, number)
        self._remove_shard(number)

    def _read_shard(self, path: Path, number: int) -> tuple[list[ImageKey], np.ndarray]:
        index = self._read_json(path)
        keys = [ImageKey(*row) for row in index["images"]]
        rows = np.load(self._vectors_path(number), mmap_mode="r", allow_pickle=False)
        shape = (len(keys), next(iter(self._maps.values()), rows).shape[1])
        if index["fingerprint"] != self.fingerprint or rows.dtype != np.float32 or rows.shape != shape:
            raise ValueError("index and vectors do not belong together")
        hash(tuple(keys))  # a list in the place of a number or a text
        return keys, rows

    def _admit(self, number: int, keys: list[ImageKey], rows: np.ndarray) -> None:
        self._keys[number] = keys
        self._maps[number] = rows
        for row, key in enumerate(keys):
            self._by_stamp[key.stamp] = self._by_digest[key.digest] = Location(number, row)

    def _write_shard(self, keys: list[ImageKey], parts: Iterable[np.ndarray]) -> int:
        """Write the rows of a shard, which come in parts so that they need not be in memory all at once."""
        number = max(self._keys, default=-1) + 1
        index = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "images": [(*key.stamp, key.digest) for key in keys],
        }
        with replacing(self._vectors_path(number)) as file:
            for place, part in enumerate(parts):
                rows = np.ascontiguousarray(part, dtype="<f4")
                if place == 0:
                    shape = (len(keys), rows.shape[1])
                    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(rows.data)
        write_whole(self._index_path(number), json.dumps(index).encode())
        self._admit(number, keys, np.load(self._vectors_path(number), mmap_mode="r"))
        return number

    def _join_small(self) -> None:
        if len(self._small) < 2:
            return
        joined, self._small = self._small, []
        keys = [key for number in joined for key in self._found_here(number)[0]]
        number = self._write_shard(keys, (self._found_here(number)[1] for number in joined))
        if self._maps[number].nbytes < SHARD_BYTES:
            self._small.append(number)
        for old in joined:
            del self._keys[old], self._maps[old]
            self._remove_shard(old)

    def _found_here(self, number: int) -> tuple[list[ImageKey], np.ndarray]:
        """Return a shard without the rows that stand in another too, as after a kill in the middle of joining."""
        keys = self._keys[number]
        rows = [row for row, key in enumerate(keys) if self._by_stamp[key.stamp] == Location(number, row)]
        return [keys[row] for row in rows], np.load(self._vectors_path(number), allow_pickle=False)[rows]

    def _remove_shard(self, number: int) -> None:
        self._index_path(number).unlink(missing_ok=True)  # first, so that no index is ever without its vectors
        self._vectors_path(number).unlink(missing_ok=True)

    def _vectors_path(self, number: int) -> Path:
        return self.folder / f"vectors-{number:05d}.npy"

    def _index_path(self, number: int) -> Path:
        return self.folder / f"index-{number:05d}.json"


def _number(path: Path) -> int:
    digits = re.findall(r"\d+", path.stem)
    return int(digits[-1]) if digits else -1
