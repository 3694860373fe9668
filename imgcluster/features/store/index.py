"""Index of a store in memory: the shard and the row of each image, in about 70 bytes each."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from imgcluster.features.store.digests import HEX_DIGEST, HEX_LENGTH, Column, DigestTable, as_digest, as_numbers
from imgcluster.features.store.reader import ShardRows
from imgcluster.features.store.shards import MARKS_OF_ONE_DIGIT, ImageKey, number_of

Stamps = np.ndarray  # (n, 2) uint64: the digest of each image's stamp
Keys = Sequence[ImageKey] | Stamps

GONE = -1  # the shard of an entry whose shards were all dropped


@dataclass(frozen=True, slots=True)
class Location:
    """Where a vector lies: the name of its shard, and its row there."""

    shard: str
    row: int


@dataclass(frozen=True, slots=True)
class _Shard:
    """A shard. entries: that of each row, (n,) int32. marks: of each row, (n,) uint8."""

    number: int
    entries: np.ndarray
    marks: np.ndarray


class StoreIndex:
    """The shards known by name. Of several rows of one image, that of the shard added last counts.

    An image has an entry by its stamp: two digests, and its present shard and row. What else is in its key is read from
    the shard where it is needed. Any thread may ask.

    rows: the vectors of each shard. next_number: greater than that of any shard so far, removed ones included, so that
    no name is used for other rows while somebody may still read the former ones.
    """

    def __init__(self) -> None:
        self.rows: dict[str, ShardRows] = {}
        self.next_number = 0
        self._lock = threading.Lock()
        self._empty()

    def _empty(self) -> None:
        self._names: list[str] = []  # by number
        self._shards: dict[str, _Shard] = {}
        self._stamps, self._digests = Column(np.uint64, 2), Column(np.uint64, 2)
        self._shard, self._row = Column(np.int32), Column(np.int32)
        self._by_stamp, self._by_digest = DigestTable(self._stamps), DigestTable(self._digests)
        self._unusual: dict[int, str] = {}  # by entry, digests that are no 128 bits in hex

    def __len__(self) -> int:
        """Return the number of rows."""
        return sum(len(shard.entries) for shard in self._shards.values())

    def __contains__(self, name: str) -> bool:
        return name in self._shards

    @property
    def names(self) -> list[str]:
        """The shards, by name."""
        return sorted(self._shards)

    @property
    def dim(self) -> int:
        """The length of the vectors; 0 as long as there are none."""
        return next(iter(self.rows.values())).shape[1] if self.rows else 0

    def entries(self, keys: Keys) -> np.ndarray:
        """Return the entry of each image, (n,) int64, -1 where there is none: by its stamp, or by its bytes' digest."""
        with self._lock:
            if isinstance(keys, np.ndarray):
                return self._alive(self._by_stamp.find(keys))
            found = self._alive(self._by_stamp.find(stamps_of(keys)))
            unknown = [place for place in np.flatnonzero(found < 0).tolist() if keys[place].digest]
            digests = as_numbers(as_digest(keys[place].digest) for place in unknown)
            found[unknown] = self._alive(self._by_digest.find(digests))
            return found

    def _alive(self, entries: np.ndarray) -> np.ndarray:
        known = np.flatnonzero(entries >= 0)
        entries[known[self._shard.values[entries[known]] == GONE]] = -1
        return entries

    def find(self, key: ImageKey) -> Location | None:
        """Return where the vector of an image lies: by its path and times, or by its bytes if its digest is known."""
        with self._lock:
            return self._find(key)

    def _find(self, key: ImageKey) -> Location | None:
        shards = self._shard.values
        entry = self._by_stamp.find_one(_stamp(key))
        if (entry < 0 or shards.item(entry) == GONE) and key.digest:
            entry = self._by_digest.find_one(as_digest(key.digest))
        if entry < 0 or shards.item(entry) == GONE:
            return None
        return Location(self._names[shards.item(entry)], self._row.values.item(entry))

    def marks(self, key: ImageKey) -> int | None:
        """Return what was noted of an image when its vector was made; None where it has none."""
        with self._lock:
            found = self._find(key)
            return None if found is None else self._shards[found.shard].marks.item(found.row)

    def marks_of(self, keys: Keys) -> np.ndarray:
        """Return what was noted of images that have vectors here, (n,) uint8. Raises KeyError as `located`."""
        marks = np.empty(len(keys), np.uint8)
        for name, rows, places in self.located(keys):
            marks[places] = self._shards[name].marks[rows]
        return marks

    def lacks(self, key: ImageKey) -> bool:
        """Tell whether a vector of this key is one more, or takes the place of one of an earlier version's reading."""
        found = self.marks(ImageKey(*key.stamp))
        return found is None or found == 0 < key.marks or found < MARKS_OF_ONE_DIGIT <= key.marks

    def located(self, keys: Keys) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Yield where the rows of images lie: a shard, (m,) int64 rows in it, (m,) int64 places among the keys.

        Raises KeyError where images have no row.
        """
        entries = self.entries(keys)
        if lacking := int((entries < 0).sum()):
            raise KeyError(f"{lacking} images have no features")
        shards, rows = self._shard.values[entries], self._row.values[entries].astype(np.int64)
        order = np.argsort(shards, kind="stable")
        numbers, starts = np.unique(shards[order], return_index=True)
        groups = zip(numbers.tolist(), np.split(order, starts[1:]), strict=True)
        for number, places in sorted(groups, key=lambda group: self._names[group[0]]) if len(numbers) else ():
            yield self._names[number], rows[places], places

    def digest_of(self, keys: Keys) -> str:
        """Return a digest of the bytes of images that `find` knows, in their order, wherever their rows lie."""
        digest = hashlib.blake2b(digest_size=16)
        for text in self.digests_of(keys):
            digest.update(f"{text}\n".encode(errors="replace"))
        return digest.hexdigest()

    def digests_of(self, keys: Keys) -> list[str]:
        """Return the digest of the bytes of each image that `find` knows, in their order."""
        entries = self.entries(keys)
        entries = entries[entries >= 0]
        whole = self._digests.values[entries].tobytes().hex()
        return [
            self._unusual.get(entry) or whole[place * HEX_LENGTH : (place + 1) * HEX_LENGTH]
            for place, entry in enumerate(entries.tolist())
        ]

    def own_rows(self, name: str) -> np.ndarray:
        """Return the numbers, (m,) int64, of a shard's rows without those that another shard has too.

        A kill in the middle of joining leaves rows twice.
        """
        shard = self._shards[name]
        here = self._shard.values[shard.entries] == shard.number
        return np.flatnonzero(here & (self._row.values[shard.entries] == np.arange(len(shard.entries))))

    def add(self, name: str, keys: Sequence[ImageKey], rows: ShardRows) -> None:
        """Add a shard."""
        with self._lock:
            entries = self._entered(keys)
            self._shards[name] = _Shard(len(self._names), entries, np.array([key.marks for key in keys], np.uint8))
            self._names.append(name)
            self.rows[name] = rows
            self.next_number = max(self.next_number, number_of(name) + 1)
            self._point_to(name)

    def _entered(self, keys: Sequence[ImageKey]) -> np.ndarray:
        """Return the entry of each key, (n,) int32; images without one get one."""
        stamps, digests = stamps_of(keys), as_numbers(as_digest(key.digest) for key in keys)
        new = self._by_stamp.find(stamps) < 0
        first = np.unique(stamps[new], axis=0)
        count = len(self._stamps)
        self._stamps.extend(first)
        self._by_stamp.put(np.arange(count, count + len(first)))
        for column, missing in ((self._digests, 0), (self._shard, GONE), (self._row, 0)):
            column.extend(np.full((len(first), *column.values.shape[1:]), missing, column.values.dtype))
        entries = self._by_stamp.find(stamps)
        self._digests.values[entries] = digests
        for key, entry in zip(keys, entries.tolist(), strict=True):
            self._unusual.pop(entry, None)
            if not HEX_DIGEST.fullmatch(key.digest):
                self._unusual[entry] = key.digest or str(key.stamp)
        return entries.astype(np.int32)

    def _point_to(self, name: str) -> None:
        shard = self._shards[name]
        self._shard.values[shard.entries] = shard.number
        self._row.values[shard.entries] = np.arange(len(shard.entries))
        self._by_digest.put(shard.entries)

    def remove(self, name: str) -> None:
        """Remove a shard whose rows stand in a later one."""
        del self._shards[name], self.rows[name]

    def drop(self, name: str) -> None:
        """Remove a shard with its rows; images that another shard has too are found there from now on."""
        with self._lock:
            self.remove(name)
            self._shard.values[:] = GONE
            self._by_digest.clear()
            for other in self._shards:
                self._point_to(other)

    def clear(self) -> None:
        """Remove all shards."""
        with self._lock:
            self.rows.clear()
            self._empty()


def stamps_of(keys: Iterable[ImageKey]) -> Stamps:
    """Return the digests of keys' stamps, (n, 2) uint64: all that it takes to find images that are in a store."""
    return as_numbers(map(_stamp, keys))


def _stamp(key: ImageKey) -> bytes:
    return as_digest(f"{key.path}\0{key.size}\0{key.mtime_ns}\0{key.ctime_ns}")
