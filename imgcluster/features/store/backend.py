"""Where the files of a feature store lie: a folder of this machine, or one behind a URL. A file is there whole, or not.

A folder has one process that writes at a time, by a lock. Behind a URL there are no locks that all file systems know:
there each file has a name that nobody else gives, and what two write side by side is kept twice and never mixed.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Protocol

import numpy as np
from filelock import FileLock, Timeout

from imgcluster.errors import ConfigError, StoreError
from imgcluster.features.store.reader import far_header, read_rows
from imgcluster.utils import (
    cache_folder,
    file_system,
    in_words,
    is_url,
    make_folder,
    one_of_many,
    remove_temporary,
    retried,
)


class StoreFiles(Protocol):
    """The files of one store. What goes wrong is an OSError.

    one_writer: whether a lock keeps others from writing. seconds_between_writes: so much of the work a kill may cost;
    each write is a shard.
    """

    @property
    def place(self) -> Path | str:
        """The path or the URL of the folder."""

    @property
    def scratch(self) -> Path:
        """A folder of this machine for what is made of the files on the way."""

    one_writer: bool
    seconds_between_writes: float

    def take(self, patience: float) -> None:
        """Make the folder, and keep others from writing, as far as can be. Raises StoreError, OSError."""

    def let_go(self) -> None:
        """Let others write."""

    def names(self, pattern: str) -> list[str]:
        """Return the names of the files that match a glob pattern."""

    def read(self, name: str) -> bytes:
        """Return what a file holds."""

    def write(self, name: str, parts: Iterable[Any]) -> None:
        """Write a file of bytes that come in parts, replacing what is there."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def rows(self, name: str) -> np.ndarray:
        """Return the array in a file of numpy's, (n, dim), read when rows of it are taken. ValueError: not one."""


def files_of(place: Path | str) -> StoreFiles:
    """Return the files of a store by its path or URL."""
    return RemoteFiles(place) if isinstance(place, str) and is_url(place) else LocalFiles(Path(place))


def below(root: Path | str, name: str) -> Path | str:
    """Return the path, or the URL, of a name in a folder."""
    return f"{root.rstrip('/')}/{name}" if isinstance(root, str) and is_url(root) else Path(root) / name


class LocalFiles:
    """The files of a store in a folder of this machine, or of a disk that several share."""

    one_writer = True
    seconds_between_writes = 0.5

    def __init__(self, place: Path) -> None:
        self.place = self.scratch = place
        self._lock = FileLock(place / "lock")

    def take(self, patience: float) -> None:
        """Make the folder and take its lock; see `StoreFiles`."""
        try:
            self.place.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=patience)
        except Timeout:
            raise StoreError(
                f"{str(self.place)!r} is in use by another run; wait for it to end, or set features.store elsewhere"
            ) from None
        remove_temporary(self.place, ("vectors-*.npy", "index-*.json", "meta.json"))

    def let_go(self) -> None:
        """Let go of the lock."""
        self._lock.release()

    def names(self, pattern: str) -> list[str]:
        """Return the names of the files that match a glob pattern."""
        with suppress(FileNotFoundError):
            return [path.name for path in self.place.iterdir() if fnmatch.fnmatch(path.name, pattern)]
        return []

    def read(self, name: str) -> bytes:
        """Return what a file holds."""
        return (self.place / name).read_bytes()

    def write(self, name: str, parts: Iterable[Any]) -> None:
        """Write a file beside its place, flush it to the disk, and rename it."""
        with one_of_many(self.place / name) as file:
            for part in parts:
                file.write(part)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self.place / name).unlink(missing_ok=True)

    def rows(self, name: str) -> np.ndarray:
        """Return the array in a file, of which only the header is read by now, and which is open only for that."""
        return LocalRows(self.place / name)  # type: ignore[return-value]  # as far as a store asks


class RemoteFiles:
    """The files of a store behind a URL. An object appears when all of it has been sent."""

    one_writer = False
    seconds_between_writes = 10.0  # small shards are never joined here

    def __init__(self, place: str) -> None:
        self.place = place

    @cached_property
    def scratch(self) -> Path:
        """A folder of this machine that is the same one for this store each time."""
        try:
            folder = cache_folder() / "stores" / hashlib.sha256(self.place.encode()).hexdigest()[:16]
            folder.mkdir(parents=True, exist_ok=True)
        except (RuntimeError, OSError):  # nobody has a home, or may not write there
            return Path(gettempdir())
        return folder

    @cached_property
    def _at(self) -> tuple[Any, str]:
        return file_system(self.place)

    def take(self, patience: float) -> None:
        """Find out whether files can be written there. Raises StoreError."""
        try:
            with suppress(NotImplementedError):
                make_folder(self.place)
            self.write("writable", [b""])
            self.remove("writable")
        except (ConfigError, StoreError):
            raise
        except Exception as error:  # each file system has errors of its own
            raise StoreError(f"features.store: {self.place!r} cannot be used: {in_words(error)}") from None

    def let_go(self) -> None:
        """Nothing was taken."""

    def names(self, pattern: str) -> list[str]:
        """Return the names of the files that match a glob pattern."""
        system, folder = self._at
        with suppress(FileNotFoundError):
            system.invalidate_cache(folder)
            found = self._told(lambda: system.ls(folder, detail=False))
            return fnmatch.filter((path.rstrip("/").rpartition("/")[2] for path in found), pattern)
        return []

    def read(self, name: str) -> bytes:
        """Return what a file holds."""
        return bytes(self._told(lambda: self._at[0].cat_file(self._path(name))))

    def write(self, name: str, parts: Iterable[Any]) -> None:
        """Send a file; a shard is small enough to be sent anew where the network fails."""
        data = b"".join(parts)
        self._told(lambda: self._at[0].pipe_file(self._path(name), data))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            self._told(lambda: self._at[0].rm_file(self._path(name)))

    def rows(self, name: str) -> np.ndarray:
        """Return the array in a file, of which only the header is read by now."""
        return RemoteRows(str(below(self.place, name)))  # type: ignore[return-value]  # as far as a store asks

    def _path(self, name: str) -> str:
        return f"{self._at[1].rstrip('/')}/{name}"

    def _told(self, call: Any) -> Any:
        try:
            return retried(call)
        except FileNotFoundError:
            raise
        except Exception as error:  # each file system has errors of its own
            raise OSError(None, in_words(error)) from None


class LocalRows:
    """An array of numpy's in a file, (n, dim), mapped when rows are taken.

    A file held open for each shard of a large store would be more than a process may have. Raises OSError, and whatever
    numpy makes of damaged bytes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        rows = self._mapped()
        self.shape, self.dtype, self.nbytes = rows.shape, rows.dtype, rows.nbytes

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: Any) -> np.ndarray:
        return np.array(self._mapped()[rows])

    def _mapped(self) -> np.ndarray:
        return np.asanyarray(np.load(self._path, mmap_mode="r", allow_pickle=False))


class RemoteRows:
    """An array of numpy's in a far-away file, (n, dim), of which rows are fetched when they are taken.

    Raises ValueError: not such a file; OSError: it cannot be reached; StoreError, when rows are taken.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            shape, self.dtype, _ = far_header(url)
        except (ValueError, FileNotFoundError):
            raise
        except Exception as error:  # each file system has errors of its own
            raise OSError(None, in_words(error)) from None
        if len(shape) != 2:
            raise ValueError("not the rows of a store")
        self.shape: tuple[int, int] = (shape[0], shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """The bytes of all rows."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    def __getitem__(self, rows: Any) -> np.ndarray:
        return read_rows(self._url, np.arange(len(self))[rows], self.shape[1])
