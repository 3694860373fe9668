"""Backends of a feature store's files: a local folder, or one behind a URL. Every file is either whole or absent.

A lock gives a local folder one writer at a time. File systems behind URLs share no kind of lock: there each file has a
name that no other process gives, and rows that two processes write side by side are stored twice, never mixed.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from itertools import chain, count
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Protocol

from filelock import FileLock, Timeout
from typing_extensions import override

from imgcluster.errors import StoreError
from imgcluster.utils import Place, RemotePath, cache_folder, one_of_many, remove_temporary


class StoreFiles(Protocol):
    """The files of one store. Failures are OSErrors, FileNotFoundError only where a file is missing.

    place: the folder. one_writer: whether a lock keeps others from writing.
    seconds_between_writes: the work that a kill may cost; each write is a shard.
    """

    place: Place
    one_writer: bool
    seconds_between_writes: float

    @property
    def scratch(self) -> Path:
        """A folder of this machine for temporary files, the same each time for the same store."""

    def take(self, patience: float) -> None:
        """Make the folder, and keep others from writing, as far as possible. Raises StoreError, OSError.

        patience: seconds to wait for another process.
        """

    def let_go(self) -> None:
        """Let others write."""

    def names(self, pattern: str) -> list[str]:
        """Return the names of the files that match a glob pattern."""

    def read(self, name: str) -> bytes:
        """Return the file's bytes."""

    def write(self, name: str, parts: Iterable[Any]) -> None:
        """Write a file of bytes that come in parts, replacing the one that is there."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def set_aside(self, name: str) -> str | None:
        """Give a file a name ending in `.damaged`, or `.damaged-1` and so on where that is taken; return it.

        None: there is no such file.
        """
        new = _free_name(name, self.names(f"{name}.damaged*"))
        with suppress(FileNotFoundError):
            self.rename(name, new)
            return new
        return None

    def rename(self, name: str, new: str) -> None:
        """Give a file another name."""


def files_of(place: Place) -> StoreFiles:
    """Return the files of the store in a folder."""
    return RemoteFiles(place) if isinstance(place, RemotePath) else LocalFiles(place)


class LocalFiles(StoreFiles):
    """The files of a store in a folder of this machine, or of a disk that several machines share."""

    one_writer = True
    seconds_between_writes = 0.5

    def __init__(self, place: Path) -> None:
        self.place: Path = place
        self._lock = FileLock(place / "lock")

    @property
    @override
    def scratch(self) -> Path:
        return self.place

    @override
    def take(self, patience: float) -> None:
        try:
            self.place.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=patience)
        except Timeout:
            raise StoreError(
                f"{str(self.place)!r} is in use by another run; wait for it to end, or set features.store elsewhere"
            ) from None
        remove_temporary(self.place, ("vectors-*.npy", "index-*.json", "meta.json"))

    @override
    def let_go(self) -> None:
        self._lock.release()

    @override
    def names(self, pattern: str) -> list[str]:
        with suppress(FileNotFoundError):
            return [path.name for path in self.place.iterdir() if fnmatch.fnmatch(path.name, pattern)]
        return []

    @override
    def read(self, name: str) -> bytes:
        return (self.place / name).read_bytes()

    @override
    def write(self, name: str, parts: Iterable[Any]) -> None:
        with one_of_many(self.place / name) as file:
            for part in parts:
                file.write(part)

    @override
    def remove(self, name: str) -> None:
        (self.place / name).unlink(missing_ok=True)

    @override
    def rename(self, name: str, new: str) -> None:
        (self.place / name).rename(self.place / new)


class RemoteFiles(StoreFiles):
    """The files of a store behind a URL. An object appears once all of it has been sent."""

    one_writer = False
    seconds_between_writes = 10.0  # small shards are never joined here

    def __init__(self, place: RemotePath) -> None:
        self.place: RemotePath = place

    @cached_property
    @override
    def scratch(self) -> Path:
        try:
            folder = cache_folder() / "stores" / hashlib.sha256(self.place.url.encode()).hexdigest()[:16]
            folder.mkdir(parents=True, exist_ok=True)
        except (RuntimeError, OSError):  # there is no home directory, or it is read-only
            return Path(gettempdir())
        return folder

    @override
    def take(self, patience: float) -> None:
        self.place.storage.make_folder(self.place.url)
        self.write("writable", [b""])
        self.remove("writable")

    @override
    def let_go(self) -> None:
        pass

    @override
    def names(self, pattern: str) -> list[str]:
        def listed(system: Any, folder: str) -> list[str]:
            system.invalidate_cache(folder)  # another process may have written there
            return list(system.ls(folder, detail=False))

        with suppress(FileNotFoundError):
            found = self.place.request(listed)
            return fnmatch.filter((path.rstrip("/").rpartition("/")[2] for path in found), pattern)
        return []

    @override
    def read(self, name: str) -> bytes:
        return (self.place / name).read_bytes()

    @override
    def write(self, name: str, parts: Iterable[Any]) -> None:
        data = b"".join(parts)  # a shard is small enough to be sent anew where the network fails
        (self.place / name).request(lambda system, path: system.pipe_file(path, data))

    @override
    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            (self.place / name).request(lambda system, path: system.rm_file(path))

    @override
    def rename(self, name: str, new: str) -> None:
        # By the server: what this machine reads of the file may be the fault of the way to it.
        (self.place / name).request(lambda system, path: system.mv(path, f"{path.removesuffix(name)}{new}"))


def _free_name(name: str, taken: list[str]) -> str:
    names = (f"{name}.damaged{suffix}" for suffix in chain([""], (f"-{number}" for number in count(1))))
    return next(each for each in names if each not in taken)
