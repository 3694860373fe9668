"""The vectors of a run as they lie in the shards of a store: read in parts, and never gathered on one machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Any

import numpy as np

from imgcluster.errors import StoreError
from imgcluster.utils import in_words, is_url, read_range

GAP_BYTES = 256 * 2**10  # between rows of a file behind a URL that are fetched in one request
HEADER_BYTES = 4096  # of a .npy, and more than its header has

Rows = Sequence[int] | np.ndarray  # a range of rows, or their numbers


@dataclass(frozen=True)
class Chunk:
    """Rows of one shard of a store.

    path: its file of vectors, .npy of (rows, dim) float32, on this machine or behind a URL. rows: (m,) int64, rows
    of the file. places: (m,) int64, which of the run's readable images each of them is of.
    """

    path: str
    rows: np.ndarray
    places: np.ndarray


@dataclass(frozen=True)
class Part:
    """Rows of one shard and where they stand in a block of rows; ranges where they follow one another."""

    path: str
    rows: Rows
    at: Rows


@dataclass(frozen=True)
class StoredVectors:
    """The vectors of `count` images, `dim` float32 values each, wherever their shards are.

    content: what tells them from others, wherever they lie; empty where that is not known.
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
        """What all vectors take."""
        return 4 * self.count * self.dim

    def load(self, chunk: Chunk) -> np.ndarray:
        """Return the rows of a chunk, (m, dim) float32. Raises StoreError: gone, damaged, not to be reached."""
        return read_rows(chunk.path, chunk.rows, self.dim)

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
        shards, rows = self._where
        of_each = shards[places]
        return [
            Part(self.chunks[shard].path, _compact(rows[places[at]]), _compact(at))
            for shard in np.unique(of_each)
            for at in [np.flatnonzero(of_each == shard)]
        ]

    @cached_property
    def _where(self) -> tuple[np.ndarray, np.ndarray]:
        """The chunk of each place, (count,) int32, and the row in its file, (count,) int64."""
        shards, rows = np.empty(self.count, np.int32), np.empty(self.count, np.int64)
        for number, chunk in enumerate(self.chunks):
            shards[chunk.places], rows[chunk.places] = number, chunk.rows
        return shards, rows


def read_block(parts: Sequence[Part], count: int, dim: int) -> np.ndarray:
    """Return a block of rows, (count, dim) float32, put together from its parts. Raises StoreError."""
    block = np.empty((count, dim), np.float32)
    for part in parts:
        block[_numbers(part.at)] = read_rows(part.path, _numbers(part.rows), dim)
    return block


def read_rows(path: str, rows: np.ndarray, dim: int) -> np.ndarray:
    """Return some rows of a shard's vectors, (len(rows), dim) float32, and read no others.

    Raises StoreError: the file is gone, damaged, of another shape, or not to be reached.
    """
    try:
        return _fetched(path, rows, dim) if is_url(path) else _mapped(path, rows, dim)
    except StoreError:
        raise
    except FileNotFoundError:
        raise StoreError(f"{path!r} is gone from the store; run the config again") from None
    except (ValueError, IndexError, EOFError):  # what numpy makes of damaged bytes
        raise StoreError(f"{path!r} is damaged; remove it, and its images are done again") from None
    except Exception as error:  # each file system has errors of its own
        raise StoreError(f"{path!r} cannot be read: {in_words(error)}") from None


def _mapped(path: str, rows: np.ndarray, dim: int) -> np.ndarray:
    vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    _check(vectors.shape, vectors.dtype, dim)
    return np.asarray(vectors[rows])


def far_header(url: str) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return shape and dtype of a file of numpy's behind a URL, and at which byte the rows begin.

    Raises ValueError: not such a file, or not row by row; and whatever its file system raises.
    """
    file = BytesIO(read_range(url, 0, HEADER_BYTES))
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, in_columns, dtype = read(file)
    if in_columns:
        raise ValueError("not the rows of a store")
    return shape, dtype, file.tell()


def _fetched(path: str, rows: np.ndarray, dim: int) -> np.ndarray:
    """Fetch runs of rows as ranges of bytes; rows that are nearly neighbours come together."""
    shape, dtype, first = far_header(path)
    _check(shape, dtype, dim)
    if len(rows) and rows.max() >= shape[0]:
        raise ValueError("not the rows of a store")
    width, wanted = 4 * dim, np.unique(rows)
    breaks = np.flatnonzero(np.diff(wanted) > 1 + GAP_BYTES // width) + 1
    out = np.empty((len(rows), dim), np.float32)
    for run in np.split(wanted, breaks) if len(wanted) else []:
        data = read_range(path, first + width * int(run[0]), first + width * (int(run[-1]) + 1))
        inside = np.flatnonzero((rows >= run[0]) & (rows <= run[-1]))
        out[inside] = np.frombuffer(data, "<f4").reshape(-1, dim)[rows[inside] - run[0]]
    return out


def _check(shape: tuple[int, ...], dtype: Any, dim: int) -> None:
    if len(shape) != 2 or shape[1] != dim or dtype != np.float32:
        raise ValueError("not the vectors of this store")


def _compact(numbers: np.ndarray) -> Rows:
    """Return numbers as a range where they are one: a plan of many blocks is sent to workers again and again."""
    if len(numbers) and np.array_equal(numbers, np.arange(numbers[0], numbers[0] + len(numbers))):
        return range(int(numbers[0]), int(numbers[0]) + len(numbers))
    return numbers


def _numbers(rows: Rows) -> np.ndarray:
    return np.arange(rows.start, rows.stop) if isinstance(rows, range) else np.asarray(rows)
