"""Non-local images: metadata without download (`stamp`), and `read()`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeVar

from imgcluster.errors import ConfigError, ImageError
from imgcluster.types import ImagePath, Source, Stamp
from imgcluster.utils import AT_ONCE, DEFAULT_STORAGE, Storage, in_words

# What tells one version of an object from another, and when it was made, by any of the names that file systems give it.
VERSIONS = ("ETag", "etag", "generation", "md5Hash", "content_md5", "Content-MD5", "Digest", "md5", "checksum", "CRC")
TIMES = ("LastModified", "mtime", "updated", "last_modified", "Last-Modified", "modified", "date_time", "created")
UNREADABLE = (OSError, ConfigError)  # what reading a file here or behind a URL raises


class HasPath(Protocol):
    """Anything with the location of an image."""

    @property
    def path(self) -> ImagePath:
        """The location."""


Placed = TypeVar("Placed", bound=HasPath)


@dataclass(frozen=True, slots=True)
class RemoteFile(Source):
    """A file behind a URL; `known` is its stamp from a listing."""

    url: str
    known: Stamp | None = field(default=None, compare=False, repr=False)
    storage: Storage = field(default=DEFAULT_STORAGE, repr=False)

    def __str__(self) -> str:
        return self.url

    @property
    def stamp(self) -> Stamp | None:
        """The stamp from a listing."""
        return self.known

    @property
    def is_far(self) -> bool:
        """True for every protocol: more readers slow none of them down."""
        return True

    def read(self) -> bytes:
        """Return the file's bytes."""
        try:
            return self.storage.read_whole(self.url)
        except UNREADABLE as error:
            raise ImageError(reason_of(error)) from None


class Lost(Source):
    """An image that can no longer be opened, and the reason."""

    __slots__ = ("_text", "reason")

    def __init__(self, text: str, reason: str) -> None:
        self._text, self.reason = text, reason

    def __str__(self) -> str:
        return self._text

    @property
    def stamp(self) -> Stamp | None:
        """None: nothing is known."""
        return None

    @property
    def is_far(self) -> bool:
        """False: there is nothing to read."""
        return False

    def read(self) -> bytes:
        """Raise ImageError with the reason."""
        raise ImageError(self.reason)


def reason_of(error: Exception) -> str:
    """Return the reason why a file cannot be read."""
    words = in_words(error)
    if isinstance(error, PermissionError):
        return words
    return "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {words}"


def stamp_of(path: str, info: Mapping[str, Any]) -> Stamp | None:
    """Make a stamp from a file system's metadata; None if nothing in it reveals a change."""
    version = next((str(info[name]) for name in VERSIONS if info.get(name)), "")
    time_ns = next((found for name in TIMES if (found := _nanoseconds(info.get(name))) is not None), 0)
    if version:  # a listing may have it to the millisecond, and the answer to a single question to the second
        time_ns -= time_ns % 1_000_000_000
    size = info.get("size")
    if not version and not time_ns:
        return None
    return Stamp(path, size if isinstance(size, int) else 0, time_ns, number_of(version) if version else 0)


def local_stamp(path: str) -> Stamp:
    """Return the stamp of a file of this machine. Raises OSError, ValueError."""
    status = os.stat(path)
    return Stamp(os.path.realpath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def number_of(text: str) -> int:
    """Return a 60-bit BLAKE2 hash of a text, which fits JSON and int64."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=8).digest(), "big") >> 4


def ask(url: str, storage: Storage) -> Stamp | None:
    """Request the stamp of a file behind a URL; None if its file system has none. Raises as `Storage.request`."""
    return stamp_of(url, storage.request(url, lambda system, path: system.info(path)))


def asked_again(source: ImagePath) -> ImagePath:
    """Return a remote file with its stamp, requesting it if unknown; return other images unchanged."""
    if not isinstance(source, RemoteFile) or source.known is not None:
        return source
    try:
        return replace(source, known=ask(source.url, source.storage))
    except UNREADABLE:  # reading it will tell why
        return source


def _nanoseconds(value: Any) -> int | None:
    """Convert any form of time that file systems use to nanoseconds."""
    if isinstance(value, tuple) and len(value) == 6:  # of a zip
        value = datetime(*value)
    if isinstance(value, str):
        value = _parsed(value)
    if isinstance(value, datetime):
        return round(value.timestamp() * 1_000_000) * 1000
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return round(value * 1_000_000) * 1000  # as a datetime has it, which may be how it is told the next time


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None


def readers_for(paths: Iterable[ImagePath]) -> int | None:
    """Return the best number of reader threads; None for local images, where the cores decide."""
    return AT_ONCE if any(isinstance(path, Source) and path.is_far for path in paths) else None


def in_reading_order(images: Sequence[Placed]) -> Sequence[Placed]:
    """Return images in the order that is fastest to read, usually unchanged."""
    if not any(isinstance(image.path, Source) and image.path.order for image in images):
        return images
    return sorted(images, key=lambda image: image.path.order if isinstance(image.path, Source) else "")
