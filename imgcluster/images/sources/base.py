"""Images that are no files of this machine: what can be known of them without reading them, and their bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
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
    """What has a place where its image lies."""

    @property
    def path(self) -> ImagePath:
        """The place."""


Placed = TypeVar("Placed", bound=HasPath)


@dataclass(frozen=True, slots=True)
class RemoteFile(Source):
    """A file behind a URL; `known` is its stamp as a listing had it."""

    url: str
    known: Stamp | None = field(default=None, compare=False, repr=False)
    storage: Storage = field(default=DEFAULT_STORAGE, repr=False)

    def __str__(self) -> str:
        return self.url

    @property
    def stamp(self) -> Stamp | None:
        """What a listing said of it."""
        return self.known

    @property
    def is_far(self) -> bool:
        """It is, whatever the protocol: of those that are not, none is slower with more readers."""
        return True

    def read(self) -> bytes:
        """Return the whole file's bytes."""
        try:
            return self.storage.read_whole(self.url)
        except UNREADABLE as error:
            raise ImageError(reason_of(error)) from None


def reason_of(error: Exception) -> str:
    """Say why a file cannot be read."""
    words = in_words(error)
    if isinstance(error, PermissionError):
        return words
    return "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {words}"


def stamp_of(path: str, info: Mapping[str, Any]) -> Stamp | None:
    """Return the stamp of what a file system tells of a file; None where nothing of that tells a change."""
    version = next((str(info[name]) for name in VERSIONS if info.get(name)), "")
    time_ns = next((found for name in TIMES if (found := _nanoseconds(info.get(name))) is not None), 0)
    if version:  # a listing may have it to the millisecond, and the answer to a single question to the second
        time_ns -= time_ns % 1_000_000_000
    size = info.get("size")
    if not version and not time_ns:
        return None
    return Stamp(path, size if isinstance(size, int) else 0, time_ns, number_of(version) if version else 0)


def number_of(text: str) -> int:
    """Return a text as a number of 60 bits, which JSON and every index can hold."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=8).digest(), "big") >> 4


def ask(url: str, storage: Storage) -> Stamp | None:
    """Return the stamp of a file behind a URL; None where its file system knows none. Raises as `Storage.request`."""
    return stamp_of(url, storage.request(url, lambda system, path: system.info(path)))


def asked_again(source: ImagePath) -> ImagePath:
    """Return a remote file with its stamp, one request's worth, where only its URL is known; others as they are."""
    if not isinstance(source, RemoteFile) or source.known is not None:
        return source
    try:
        return replace(source, known=ask(source.url, source.storage))
    except UNREADABLE:  # reading it will tell why
        return source


def _nanoseconds(value: Any) -> int | None:
    """Return a time in whatever form a file system has it."""
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
    """Return how many threads read these best; None where they wait for no network, and cores are what counts."""
    return AT_ONCE if any(isinstance(path, Source) and path.is_far for path in paths) else None


def in_reading_order(images: list[Placed]) -> list[Placed]:
    """Return images in the order in which they are quickest read: of most the one they have."""
    if not any(isinstance(image.path, Source) and image.path.order for image in images):
        return images
    return sorted(images, key=lambda image: image.path.order if isinstance(image.path, Source) else "")
