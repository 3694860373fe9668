"""What is known of the shards of a store: which row of which of them is of which image."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from imgcluster.features.store.shards import ImageKey, number_of

Shard = tuple[list[ImageKey], np.ndarray]  # the keys of its rows, and the rows


@dataclass(frozen=True, slots=True)
class Location:
    """Where a vector lies: the name of its shard, and its row there."""

    shard: str
    row: int


class StoreIndex:
    """The shards that are known by name. Of several rows of one image, that of the shard added last counts.

    rows: the vectors of each shard, (rows, dim) float32 on the disk or in memory.
    """

    def __init__(self) -> None:
        self.rows: dict[str, np.ndarray] = {}
        self._keys: dict[str, list[ImageKey]] = {}
        self._by_stamp: dict[tuple[str, int, int, int], Location] = {}
        self._by_digest: dict[str, Location] = {}

    def __len__(self) -> int:
        """How many rows there are."""
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
        return int(next(iter(self.rows.values())).shape[1]) if self.rows else 0

    @property
    def next_number(self) -> int:
        """The number that no shard has yet, nor any after it."""
        return max(map(number_of, self._keys), default=-1) + 1

    def find(self, key: ImageKey) -> Location | None:
        """Return where the vector of an image lies: by its path and times, or by its bytes if its digest is known."""
        found = self._by_stamp.get(key.stamp)
        return found if found is not None or not key.digest else self._by_digest.get(key.digest)

    def marks(self, key: ImageKey) -> int | None:
        """Return what was noted of an image when its vector was made; None where it has none."""
        found = self.find(key)
        return None if found is None else self._keys[found.shard][found.row].marks

    def located(self, keys: list[ImageKey]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Yield where the rows of images lie: a shard, (m,) int64 rows in it, (m,) int64 places among the keys.

        Raises KeyError, with how many, where images have no row.
        """
        found = [place for key in keys if (place := self.find(key)) is not None]
        if len(found) < len(keys):
            raise KeyError(len(keys) - len(found))
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

    def of_its_own(self, name: str) -> Shard:
        """Return a shard without the rows that stand in another too, as after a kill in the middle of joining."""
        keys = self._keys[name]
        rows = [row for row, key in enumerate(keys) if self._by_stamp[key.stamp] == Location(name, row)]
        return [keys[row] for row in rows], np.asarray(self.rows[name][np.array(rows, np.int64)])

    def add(self, name: str, keys: list[ImageKey], rows: np.ndarray) -> None:
        """Take notice of a shard."""
        self._keys[name] = keys
        self.rows[name] = rows
        for row, key in enumerate(keys):
            self._by_stamp[key.stamp] = self._by_digest[key.digest] = Location(name, row)

    def remove(self, name: str) -> None:
        """Forget a shard whose rows have come to stand in another."""
        del self._keys[name], self.rows[name]

    def clear(self) -> None:
        """Forget all shards."""
        for each in (self._keys, self.rows, self._by_stamp, self._by_digest):
            each.clear()
