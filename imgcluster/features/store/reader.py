"""Rows of vectors in the shards of a store: read in parts, checked, and never gathered on one machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from imgcluster.errors import DamagedShard, StoreError
from imgcluster.features.store.damage import Damage, joint_checksum, row_checksums
from imgcluster.utils import Place, RemotePath

MAX_GAP_BYTES = 256 * 2**10  # between rows of a file behind a URL that are fetched in one request
MAX_HEADER_BYTES = 4096
FLOAT32_BYTES = 4
# What numpy writes for float32 rows. Its own parser takes more, and raises errors of many types for damaged bytes.
HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)\{'descr': '<f4', 'fortran_order': False, 'shape': \((\d{1,15}), (\d{1,15})\), \} *\n",
    re.DOTALL,
)

Rows = Sequence[int] | np.ndarray  # a range of rows, or their numbers


@dataclass(frozen=True)
class Chunk:
    """Rows of one shard of a store.

    path: its file of vectors, .npy of (rows, dim) float32, on this machine or behind a URL. rows: (m,) int64, rows
    of the file. places: (m,) int64, which of the run's readable images each of them is of. checksums: (m,) uint32,
    those of the rows; None for a shard of an earlier version, which has none.
    """

    path: Place
    rows: np.ndarray
    places: np.ndarray
    checksums: np.ndarray | None = None


@dataclass(frozen=True)
class Part:
    """Rows of one shard and where they stand in a block of rows; ranges where they follow one another.

    checksum: the joint one of these rows, which is small enough to be sent to workers with each block; None: unknown.
    """

    path: Place
    rows: Rows
    at: Rows
    checksum: int | None = None


@dataclass(frozen=True)
class StoredVectors:
    """The vectors of `count` images, `dim` float32 values each, wherever their shards are.

    content: a digest of the images' bytes, the same wherever the vectors lie; empty where it is unknown.
    The chunks have every place from 0 to count - 1 exactly once, in any order; else ValueError.
    """

    chunks: list[Chunk]
    dim: int
    count: int
    content: str = ""

    def __post_init__(self) -> None:
        places = np.concatenate([chunk.places for chunk in self.chunks]) if self.chunks else np.empty(0, np.int64)
        if not np.array_equal(np.sort(places), np.arange(self.count)):
            raise ValueError(f"the chunks do not have each of {self.count:,} places once")

    @property
    def nbytes(self) -> int:
        """The bytes of all vectors."""
        return FLOAT32_BYTES * self.count * self.dim

    def sample(self, n: int, random_state: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw n vectors at the most: (n, dim) float32, and their places, (n,) int64, in order. Reads these rows alone.

        Raises StoreError.
        """
        generator = np.random.default_rng(random_state)
        places = np.sort(generator.choice(self.count, min(n, self.count), replace=False))
        return self.take(places), places

    def take(self, places: np.ndarray) -> np.ndarray:
        """Return the vectors of these places, (len(places), dim) float32. Raises StoreError."""
        return read_block(self.parts(places), len(places), self.dim)

    def parts(self, places: np.ndarray) -> list[Part]:
        """Return where the vectors of these places lie, by shard."""
        shards, rows, checksums = self._where
        of_each = shards[places]
        found = []
        for shard in np.unique(of_each):
            at, chunk = np.flatnonzero(of_each == shard), self.chunks[shard]
            checksum = None if chunk.checksums is None else joint_checksum(checksums[places[at]])
            found.append(Part(chunk.path, _compact(rows[places[at]]), _compact(at), checksum))
        return found

    @cached_property
    def _where(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each place: its chunk, (count,) int32; its row in the file, (count,) int64; that row's checksum or 0."""
        shards, rows = np.empty(self.count, np.int32), np.empty(self.count, np.int64)
        checksums = np.zeros(self.count, np.uint32)
        for number, chunk in enumerate(self.chunks):
            shards[chunk.places], rows[chunk.places] = number, chunk.rows
            if chunk.checksums is not None:
                checksums[chunk.places] = chunk.checksums
        return shards, rows, checksums


class ShardRows:
    """The vectors of a shard, on this machine or behind a URL. `rows[numbers]` reads these rows and checks them.

    Opening reads the header alone, and keeps no file open: large stores have more shards than a process may have files.
    Raises Damage: the header is none, the file is cut off, rows do not match their checksums; and OSError.

    checksums: (n,) uint32, or None where an earlier version wrote the shard.
    """

    def __init__(self, path: Place, checksums: np.ndarray | None = None) -> None:
        self.path, self.checksums = path, checksums
        n, dim, _ = _header(path)
        self.shape = (n, dim)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """The bytes of all rows."""
        return FLOAT32_BYTES * self.shape[0] * self.shape[1]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        found = _read(self.path, rows, self.shape[1])
        if self.checksums is not None:
            wrong = np.count_nonzero(row_checksums(found) != self.checksums[rows])
            if wrong:
                raise Damage(self.path.name, f"{wrong:,} of {len(rows):,} rows do not match their checksums")
        return found


def read_block(parts: Sequence[Part], count: int, dim: int) -> np.ndarray:
    """Return a block of rows, (count, dim) float32, put together from its parts. Raises StoreError."""
    block = np.empty((count, dim), np.float32)
    for part in parts:
        rows = read_rows(part.path, _numbers(part.rows), dim)
        if part.checksum is not None and joint_checksum(row_checksums(rows)) != part.checksum:
            raise _damaged(part.path, "rows do not match their checksums")
        block[_numbers(part.at)] = rows
    return block


def read_rows(path: Place, rows: np.ndarray, dim: int) -> np.ndarray:
    """Return some rows of a shard's vectors, (len(rows), dim) float32, and read no others.

    Raises StoreError: the file is gone or cannot be reached; DamagedShard: it is cut off, or of another shape.
    """
    try:
        return _read(path, rows, dim)
    except Damage as damage:
        raise _damaged(path, damage.why) from None
    except FileNotFoundError:
        raise StoreError(f"{str(path)!r} is gone from the store; run the config again") from None
    except OSError as error:
        raise StoreError(f"{str(path)!r} cannot be read: {error.strerror or error}") from None


def _damaged(path: Place, why: str) -> DamagedShard:
    return DamagedShard(
        f"{str(path)!r} is damaged ({why}); remove it and run the config again: its images are computed again"
    )


def _read(path: Place, rows: np.ndarray, dim: int) -> np.ndarray:
    """Return rows of a file of vectors. Raises Damage, and OSError: FileNotFoundError where there is no such file."""
    n, width, start = _header(path)
    if width != dim or (len(rows) and rows.max() >= n):
        raise Damage(path.name, f"has {n:,} rows of {width:,} values, and not those of this store")
    if isinstance(path, RemotePath):
        return _fetched(path, rows, dim, start)
    return np.array(np.memmap(path, "<f4", "r", start, (n, dim))[rows]) if n else np.empty((0, dim), np.float32)


def _header(path: Place) -> tuple[int, int, int]:
    """Return how many rows of how many values a file has, and at which byte they begin. Raises as `_read`."""
    if isinstance(path, RemotePath):
        data, size = path.read_range(0, MAX_HEADER_BYTES), None
    else:
        with path.open("rb") as file:
            data, size = file.read(MAX_HEADER_BYTES), file.seek(0, 2)
    found = HEADER.match(data)
    if found is None or found.end() != 10 + int.from_bytes(found[1], "little"):
        raise Damage(path.name, "does not begin as an array of float32 rows")
    n, dim, start = int(found[2]), int(found[3]), found.end()
    if size is not None and size != (whole := start + FLOAT32_BYTES * n * dim):
        raise Damage(path.name, f"has {size:,} bytes, not {whole:,}")
    return n, dim, start


def _fetched(path: RemotePath, rows: np.ndarray, dim: int, start: int) -> np.ndarray:
    """Fetch runs of rows as ranges of bytes; rows that are nearly neighbours come together."""
    width, wanted = FLOAT32_BYTES * dim, np.unique(rows)
    breaks = np.flatnonzero(np.diff(wanted) > 1 + MAX_GAP_BYTES // width) + 1
    out = np.empty((len(rows), dim), np.float32)
    for run in np.split(wanted, breaks) if len(wanted) else []:
        first, end = int(run[0]), int(run[-1]) + 1
        data = path.read_range(start + width * first, start + width * end)
        if len(data) != width * (end - first):
            raise Damage(path.name, "is cut off")
        inside = np.flatnonzero((rows >= first) & (rows < end))
        out[inside] = np.frombuffer(data, "<f4").reshape(-1, dim)[rows[inside] - first]
    return out


def _compact(numbers: np.ndarray) -> Rows:
    """Return numbers as a range where they are one: a plan of many blocks is sent to workers again and again."""
    if len(numbers) and np.array_equal(numbers, np.arange(numbers[0], numbers[0] + len(numbers))):
        return range(int(numbers[0]), int(numbers[0]) + len(numbers))
    return numbers


def _numbers(rows: Rows) -> np.ndarray:
    return np.arange(rows.start, rows.stop) if isinstance(rows, range) else np.asarray(rows)
