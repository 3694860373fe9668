"""Index of a store in memory: the shard and the row of each image."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from imgcluster.features.store.reader import ShardRows
from imgcluster.features.store.shards import ImageKey, number_of


@dataclass(frozen=True, slots=True)
class Location:
    """Where a vector lies: the name of its shard, and its row there."""

    shard: str
    row: int


class StoreIndex:
    """The shards known by name. Of several rows of one image, that of the shard added last counts.

    rows: the vectors of each shard. next_number: greater than that of any shard so far, removed ones included, so that
    no name is used for other rows while somebody may still read the former ones.
    """

    def __init__(self) -> None:
        self.rows: dict[str, ShardRows] = {}
        self.next_number = 0
        self._keys: dict[str, list[ImageKey]] = {}
        self._by_stamp: dict[tuple[str, int, int, int], Location] = {}
        self._by_digest: dict[str, Location] = {}

    def __len__(self) -> int:
        """Return the number of rows."""
        return sum(len(keys) for keys in self._keys.values())

    def __contains__(self, name: str) -> bool:
        return name in self._keys

    @property
    def names(self) -> list[str]:
        """The shards, by name."""
        return sorted(self._keys)

    @property
    def dim(self) -> int:
        """The length of the vectors; 0 as long as there are none."""
        return next(iter(self.rows.values())).shape[1] if self.rows else 0

    def find(self, key: ImageKey) -> Location | None:
        """Return where the vector of an image lies: by its path and times, or by its bytes if its digest is known."""
        found = self._by_stamp.get(key.stamp)
        return found if found is not None or not key.digest else self._by_digest.get(key.digest)

    def marks(self, key: ImageKey) -> int | None:
        """Return what was noted of an image when its vector was made; None where it has none."""
        found = self.find(key)
        return None if found is None else self._keys[found.shard][found.row].marks

    def lacks(self, key: ImageKey) -> bool:
        """Tell whether a vector of this key is one more, or takes the place of one of which nothing was noted."""
        found = self.marks(ImageKey(*key.stamp))
        return found is None or found == 0 < key.marks

    def located(self, keys: list[ImageKey]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Yield where the rows of images lie: a shard, (m,) int64 rows in it, (m,) int64 places among the keys.

        Raises KeyError where images have no row.
        """
        found = [place for key in keys if (place := self.find(key)) is not None]
        if len(found) < len(keys):
            raise KeyError(f"{len(keys) - len(found)} images have no features")
        names = sorted({place.shard for place in found})
        number_of_name = {name: number for number, name in enumerate(names)}
        shards = np.array([number_of_name[place.shard] for place in found], dtype=np.int64)
        rows = np.array([place.row for place in found], dtype=np.int64)
        order = np.argsort(shards, kind="stable")
        edges = np.searchsorted(shards[order], np.arange(len(names) + 1))
        for number, name in enumerate(names):
            places = order[edges[number] : edges[number + 1]]
            yield name, rows[places], places

    def digest_of(self, keys: list[ImageKey]) -> str:
        """Return a digest of the bytes of images that `find` knows, in their order, wherever their rows lie."""
        digest = hashlib.blake2b(digest_size=16)
        for key in keys:
            if (found := self.find(key)) is not None:
                digest.update(f"{self._keys[found.shard][found.row].digest or key.stamp}\n".encode(errors="replace"))
        return digest.hexdigest()

    def own_rows(self, name: str) -> tuple[list[ImageKey], np.ndarray]:
        """Return the keys and the numbers, (m,) int64, of a shard's rows without those that another shard has too.

        A kill in the middle of joining leaves rows twice.
        """
        keys = self._keys[name]
        rows = [row for row, key in enumerate(keys) if self._by_stamp[key.stamp] == Location(name, row)]
        return [keys[row] for row in rows], np.array(rows, np.int64)

    def add(self, name: str, keys: list[ImageKey], rows: ShardRows) -> None:
        """Add a shard."""
        self._keys[name] = keys
        self.rows[name] = rows
        self.next_number = max(self.next_number, number_of(name) + 1)
        self._point_to(name)

    def remove(self, name: str) -> None:
        """Remove a shard whose rows stand in a later one."""
        del self._keys[name], self.rows[name]

    def drop(self, name: str) -> None:
        """Remove a shard with its rows; images that another shard has too are found there from now on."""
        self.remove(name)
        self._by_stamp.clear()
        self._by_digest.clear()
        for other in self._keys:
            self._point_to(other)

    def _point_to(self, name: str) -> None:
        for row, key in enumerate(self._keys[name]):
            self._by_stamp[key.stamp] = self._by_digest[key.digest] = Location(name, row)

    def clear(self) -> None:
        """Remove all shards."""
        for each in (self._keys, self.rows, self._by_stamp, self._by_digest):
            each.clear()
