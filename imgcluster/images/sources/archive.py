"""Archives, local or behind a URL: found by name, pattern or range, and read in parts."""

from __future__ import annotations

import glob
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING

from imgcluster.errors import ConfigError, ImageError
from imgcluster.images.sources.base import UNREADABLE, ask, local_stamp, reason_of
from imgcluster.images.sources.names import natural_key
from imgcluster.types import Source, Stamp
from imgcluster.utils import DEFAULT_STORAGE, RemotePath, Storage, at_once, in_words, is_url, shown

if TYPE_CHECKING:
    from typing_extensions import Self

ARCHIVES = (".tar", ".zip", ".parquet")  # endings of files that hold many images
READ_AT_ONCE = 4 * 2**20  # bytes, of one that lies far away
MOST_BYTES = 2**30  # of an image in it, as of one in a file


@dataclass(frozen=True, slots=True)
class Container:
    """An archive: a local path or a URL, and its stamp."""

    place: str
    stamp: Stamp | None
    storage: Storage = field(default=DEFAULT_STORAGE, repr=False)

    @property
    def is_far(self) -> bool:
        """Whether it is behind a network."""
        return is_url(self.place)

    def absolute(self) -> Container:
        """Return it with an absolute path, for a process in another folder."""
        return self if self.is_far else replace(self, place=str(Path(self.place).absolute()))

    def stamp_of(self, scheme: str, name: str, size: int, at: int) -> Stamp | None:
        """Return the stamp of a part, derived from its own."""
        if (own := self.stamp) is None:
            return None
        return Stamp(f"{scheme}{name}::{own.path}", size, own.mtime_ns, own.version ^ at)

    def check_size(self, *sizes: int) -> None:
        """Raise ImageError for a part with a declared size larger than any image."""
        if max(sizes) > MOST_BYTES:
            raise ImageError(f"is {max(sizes):,} bytes large, by {self.place}; {MOST_BYTES:,} are read at the most")

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` up to `end`. Raises ImageError, also if some are missing."""
        try:
            data = self._read(start, end)
        except UNREADABLE as error:
            raise ImageError(f"{self.place}: {reason_of(error)}") from None
        if len(data) != end - start:
            raise ImageError(f"{self.place} is cut off, or has changed")
        return data

    def _read(self, start: int, end: int) -> bytes:
        if self.is_far:
            return self.storage.read_range(self.place, start, end)
        with Path(self.place).open("rb", buffering=0) as file:
            file.seek(start)
            return file.read(end - start)

    def open(self) -> IO[bytes]:
        """Open it for sequential or random access. Raises OSError, ConfigError."""
        if not self.is_far:
            return Path(self.place).open("rb")
        return io.BufferedReader(_Far(RemotePath(self.place, self.storage)), READ_AT_ONCE)


@dataclass(frozen=True, slots=True)
class Member(Source):
    """An image in an archive."""

    container: Container

    @property
    def is_far(self) -> bool:
        """Whether the archive is behind a network."""
        return self.container.is_far

    def absolute(self) -> Self:
        """Return it with an absolute path, for a process in another folder."""
        return replace(self, container=self.container.absolute())


class _Far(io.RawIOBase):
    """A file behind a URL, read in ranges, with retries."""

    def __init__(self, file: RemotePath) -> None:
        self._file, self._at = file, 0
        self._size = int(file.request(lambda system, path: system.size(path)) or 0)

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Return the current position."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position relative to the start, the current one or the end."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer with the available bytes."""
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        data = self._file.read_range(self._at, end)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def is_archive(text: str, endings: tuple[str, ...]) -> bool:
    """Tell whether a text of a config names an archive by its ending, and not a folder of that name."""
    return text.lower().endswith(endings) and (is_url(text) or not os.path.isdir(text))


def find_containers(text: str, storage: Storage) -> list[Container]:
    """Return the files that a text names: one, by `*`, or by a range as `{000..009}`; in natural order.

    Raises ConfigError: not there, or not to be reached.
    """
    places = sorted({place for each in _braces(text) for place in _named(each, storage)}, key=natural_key)
    return list((at_once if is_url(text) else map)(partial(container, storage=storage), places))


def container(place: str, storage: Storage) -> Container:
    """Return an archive with its stamp. Raises ConfigError: missing or unreachable."""
    try:
        if is_url(place):
            return Container(place, ask(place, storage), storage)
        return Container(place, local_stamp(place))
    except (OSError, ValueError) as error:
        raise ConfigError(f"images.folder: {shown(place)!r}: {in_words(error)}") from None


def names_of(containers: list[Container]) -> list[str]:
    """Return what tells several files apart in ids: their names, with the folders in which they differ.

    Without their endings, unless one of them would begin as another's members do.
    """
    if len(containers) == 1:
        return [""]
    places = [each.place for each in containers]
    names = _differing([place.rpartition(".")[0] for place in places])
    if any(longer.startswith(shorter) for shorter, longer in pairwise(sorted(names))):
        return _differing(places)  # with endings, or `b/1.jpg` in `a` would be called as `1.jpg` in `a/b`
    return names


def names_apart(places: Sequence[str]) -> list[str]:
    """Return the shortest distinct ends of some paths and URLs, each followed by a slash."""
    parts = [place.rstrip("/").split("/") for place in places]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) + "/" for part in parts]
        if not any(longer.startswith(shorter) for shorter, longer in pairwise(sorted(names))):
            break
    return names


def _differing(places: list[str]) -> list[str]:
    parts = [place.split("/") for place in places]
    levels = enumerate(zip(*parts, strict=False))
    common = next((at for at, level in levels if len(set(level)) > 1), min(map(len, parts)) - 1)
    return ["/".join(part[common:]) + "/" for part in parts]


def _named(text: str, storage: Storage) -> list[str]:
    try:
        found = _far_places(text, storage) if is_url(text) else _places(text)
    except OSError as error:
        raise ConfigError(f"images.folder: {shown(text)!r}: {in_words(error)}") from None
    if not found:
        raise ConfigError(f"images.folder: there is no file {shown(text)!r}")
    return found


def _places(text: str) -> list[str]:
    if os.path.lexists(text) or not glob.has_magic(text):
        return [text] if os.path.exists(text) else []
    return glob.glob(text, recursive=True)


def _far_places(text: str, storage: Storage) -> list[str]:
    if "*" not in text:
        return [text]
    protocol, _, rest = text.partition("://")
    behind = "".join(rest.partition("::")[1:])
    found = storage.request(text, lambda system, path: system.glob(path))
    return [(name if "://" in name else f"{protocol}://{name.lstrip('/')}") + behind for name in found]


def _braces(text: str) -> Iterator[str]:
    """Expand `{000..009}` and `{a,b}` as a shell does."""
    found = re.search(r"\{(?:(\d+)\.\.(\d+)|([^{},]*(?:,[^{},]*)+))\}", text)
    if found is None:
        yield text
        return
    first, last, words = found.groups()
    width = len(first) if first and first.startswith("0") else 0
    parts = words.split(",") if words else [f"{number:0{width}}" for number in range(int(first), int(last) + 1)]
    for part in parts:
        yield from _braces(text[: found.start()] + part + text[found.end() :])
