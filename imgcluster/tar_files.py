"""Images in tar files, as WebDataset writes them: found by one pass over the headers, read where they stand.

Nothing is ever unpacked onto the disk, so that no name in a tar leads anywhere. Of several members of a name the last
one counts, as for tar itself. Links, devices and sparse files are passed over.
"""

from __future__ import annotations

import logging
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import IO

from imgcluster.containers import Container
from imgcluster.errors import ImageError
from imgcluster.image_names import is_image_name
from imgcluster.sources import Source, Stamp, reason_of

logger = logging.getLogger(__name__)

TAR = "tar://"
INDEXED = 64  # files whose members are remembered: they are asked for again when a table's images are opened


@dataclass(frozen=True, slots=True)
class TarMember(Source):
    """A file in a tar: so many bytes of it from `offset`."""

    container: Container
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{TAR}{self.name.replace('::', '%3A%3A')}::{self.container.place}"

    @property
    def stamp(self) -> Stamp | None:
        """That of the tar, at this place of it."""
        return self.container.stamp_of(TAR, self.name, self.size, self.offset)

    @property
    def is_far(self) -> bool:
        """Whether the tar is."""
        return self.container.is_far

    def read(self) -> bytes:
        """Return the member's bytes alone."""
        return self.container.read(self.offset, self.offset + self.size)


@lru_cache(INDEXED)
def tar_members(container: Container) -> dict[str, TarMember]:
    """Return the images in a tar by their names, in its order. Raises ImageError: no tar, or not to be read.

    Of one that breaks off, or is damaged further on, those before that place, with a warning.
    """
    found: dict[str, TarMember] = {}
    try:
        with container.open() as file:
            for name, offset, size in _members(file, container.place):
                found.pop(name, None)
                found[name] = TarMember(container, name, offset, size)
    except (tarfile.TarError, EOFError):
        raise ImageError(f"{container.place!r} is no tar file, or damaged from its beginning") from None
    except Exception as error:  # each file system has errors of its own
        raise ImageError(f"{container.place!r}: {reason_of(error)}") from None
    return found


def _members(file: IO[bytes], place: str) -> Iterator[tuple[str, int, int]]:
    end = file.seek(0, 2)
    file.seek(0)
    if not end:
        raise tarfile.ReadError
    with tarfile.open(fileobj=file, mode="r:") as tar:
        while (member := _next(tar, end, place)) is not None:
            tar.members = []  # type: ignore[attr-defined]  # or all of them would be kept
            name = member.name.removeprefix("./").lstrip("/")
            if member.isreg() and not member.issparse() and is_image_name(name):
                yield name, member.offset_data, member.size
        _check_end(file, tar.offset, end, place)


def _next(tar: tarfile.TarFile, end: int, place: str) -> tarfile.TarInfo | None:
    try:
        member = tar.next()
    except tarfile.TarError:
        if not tar.offset:
            raise
        _warn(place)
        tar.offset = end  # told already
        return None
    if member is not None and member.isreg() and member.offset_data + member.size > end:
        _warn(place)
        tar.offset = end
        return None
    return member


def _check_end(file: IO[bytes], at: int, end: int, place: str) -> None:
    """Warn where the headers end without the block of zeros that ends a tar: what comes there is damaged."""
    if at < end:
        file.seek(at)
        if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
            _warn(place)


def _warn(place: str) -> None:
    logger.warning("%s is cut off or damaged: the images before that place are taken, the others are not there", place)
