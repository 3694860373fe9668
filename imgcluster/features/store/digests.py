"""Row numbers by digest: a hash table of numpy arrays, of about 8 bytes for each row."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import numpy as np

DIGEST_BYTES = 16
HEX_LENGTH = 2 * DIGEST_BYTES
HEX_DIGEST = re.compile(f"[0-9a-f]{{{HEX_LENGTH}}}")
MIN_BITS = 6  # of the number of slots
MAX_LOAD = 0.85  # of the slots, before there are twice as many
MIXERS = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F  # odd numbers: they spread what is alike
UINT64 = 2**64 - 1
SPARE = 32  # a column has room for a 32nd more than it holds


def as_digest(text: str) -> bytes:
    """Return 16 bytes for a text: those that it spells in hex, or else its hash."""
    if HEX_DIGEST.fullmatch(text):
        return bytes.fromhex(text)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()


def as_numbers(digests: Iterable[bytes]) -> np.ndarray:
    """Return digests as (n, 2) uint64."""
    return np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2)


class Column:
    """An array that grows at its end, (size, ...)."""

    def __init__(self, dtype: type, *shape: int) -> None:
        self._array: np.ndarray = np.empty((0, *shape), dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def values(self) -> np.ndarray:
        """All values; not to be used any more after the next `extend`."""
        return self._array[: self._size]

    def extend(self, values: np.ndarray) -> None:
        """Append values."""
        size = self._size + len(values)
        if size > len(self._array):
            # In place: two copies of a large column would need twice its memory.
            self._array.resize((size + size // SPARE, *self._array.shape[1:]), refcheck=False)
        self._array[self._size : size] = values
        self._size = size


class DigestTable:
    """Rows of a column of digests, (n, 2) uint64, by digest. Of rows with equal digests, the one put last is found.

    Open addressing with linear probing (Knuth, The Art of Computer Programming 3, 6.4). Not for several threads.
    """

    def __init__(self, digests: Column) -> None:
        self._digests = digests
        self.clear()

    def clear(self) -> None:
        """Remove all rows."""
        self._bits, self._used = MIN_BITS, 0
        self._slots = np.full(2**self._bits, -1, np.int32)

    def find(self, digests: np.ndarray) -> np.ndarray:
        """Return the row of each digest, (n,) int64; -1 where there is none."""
        known, found = self._digests.values, np.full(len(digests), -1, np.int64)
        asked, slots = np.arange(len(digests)), self._home(digests)
        while len(asked):
            rows = self._slots[slots]
            taken = rows >= 0
            asked, slots, rows = asked[taken], slots[taken], rows[taken]
            same = (known[rows] == digests[asked]).all(axis=1)
            found[asked[same]] = rows[same]
            asked, slots = asked[~same], self._next(slots[~same])
        return found

    def find_one(self, digest: bytes) -> int:
        """Return the row of a digest, -1 where there is none: quicker than `find` for a single one."""
        first, second = int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")
        known, slots = self._digests.values, self._slots
        slot = ((first * MIXERS[0] + second * MIXERS[1]) * MIXERS[0] & UINT64) >> (64 - self._bits)
        while (row := slots.item(slot)) >= 0 and (known.item(row, 0) != first or known.item(row, 1) != second):
            slot = (slot + 1) & (len(slots) - 1)
        return int(row)

    def put(self, rows: np.ndarray) -> None:
        """Let the digests of these rows, (n,) int64, lead to them."""
        while self._used + len(rows) > MAX_LOAD * len(self._slots):
            known = self._slots[self._slots >= 0]
            self._bits, self._used = self._bits + 1, 0
            self._slots = np.full(2**self._bits, -1, np.int32)
            self._place(known)
        self._place(rows)

    def _place(self, rows: np.ndarray) -> None:
        """Put rows into slots. Those of equal digests go the same way, and arrive together."""
        digests = self._digests.values
        slots = self._home(digests[rows])
        while len(rows):
            free = self._slots[slots] < 0
            self._slots[slots[free]] = rows[free]  # of several, the last one
            self._used += len(np.unique(slots[free]))
            same = (digests[self._slots[slots]] == digests[rows]).all(axis=1)
            self._slots[slots[same]] = rows[same]
            rows, slots = rows[~same], self._next(slots[~same])

    def _home(self, digests: np.ndarray) -> np.ndarray:
        mixed = (digests @ np.array(MIXERS, np.uint64)) * np.uint64(MIXERS[0])
        return np.asarray(mixed >> np.uint64(64 - self._bits), np.int64)

    def _next(self, slots: np.ndarray) -> np.ndarray:
        return np.asarray((slots + 1) & (2**self._bits - 1))
