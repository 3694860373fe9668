"""Images in tar files, such as WebDataset's: indexed in one pass over the headers, read in place.

Nothing is ever unpacked onto the disk, so that no name in a tar leads anywhere. Of several members of a name the last
one counts, as for tar itself. Links, devices and sparse files are passed over. What was found in a tar behind a URL is
kept in the user's folder of what can be made again: to pass through it means to fetch most of it.
"""

from __future__ import annotations

import json
import logging
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from imgcluster.errors import ImageError
from imgcluster.images.sources.archive import Container, Member
from imgcluster.images.sources.base import UNREADABLE, number_of, reason_of
from imgcluster.images.sources.names import is_image_name
from imgcluster.types import Stamp
from imgcluster.utils import cache_folder, parse_json, write_whole

logger = logging.getLogger(__name__)

TAR = "tar://"
FORMAT = 1  # of what is kept
INDEXED = 64  # files whose members are remembered: they are asked for again when a table's images are opened

Row = tuple[str, int, int]  # name, offset and size


@dataclass(frozen=True, slots=True)
class TarMember(Member):
    """A file in a tar: so many bytes of it from `offset`."""

    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{TAR}{self.name.replace('::', '%3A%3A')}::{self.container.place}"

    @property
    def stamp(self) -> Stamp | None:
        """That of the tar, at this place of it."""
        return self.container.stamp_of(TAR, self.name, self.size, self.offset)

    def read(self) -> bytes:
        """Return the member's bytes alone."""
        self.container.check_size(self.size)
        return self.container.read(self.offset, self.offset + self.size)


@lru_cache(INDEXED)
def tar_members(container: Container) -> dict[str, TarMember]:
    """Return the images in a tar by their names, in its order. Raises ImageError: no tar, or not to be read.

    Of one that breaks off, or is damaged further on, those before that place, with a warning.
    """
    kept = _index_path(container)
    rows = None if kept is None else _kept(kept)
    if rows is None:
        rows, damaged = _passed_through(container)
        if damaged:
            logger.warning(
                "%s is cut off or damaged: the images before that place are taken, the others are not there",
                container.place,
            )
        elif kept is not None:
            _keep(rows, kept)
    found: dict[str, TarMember] = {}
    for name, offset, size in rows:
        found.pop(name, None)
        found[name] = TarMember(container, name, offset, size)
    return found


def _index_path(container: Container) -> Path | None:
    """Return where the members of a tar are kept; None for one here, or one that nothing tells from another."""
    if not container.is_far or container.stamp is None:
        return None
    return cache_folder() / "tar" / f"{number_of(repr((FORMAT, *container.stamp))):015x}.json"


def _kept(path: Path) -> list[Row] | None:
    try:
        return [(str(name), int(offset), int(size)) for name, offset, size in parse_json(path.read_bytes())]
    except (OSError, ValueError, TypeError):
        return None


def _keep(rows: list[Row], path: Path) -> None:
    with suppress(OSError):  # without it, the tar is passed through again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(rows).encode())


def _passed_through(container: Container) -> tuple[list[Row], bool]:
    """Return name, offset and size of each image in a tar, and whether it is damaged further on."""
    rows: list[Row] = []
    try:
        with container.open() as file:
            for row in _members(file):
                if row is None:
                    return rows, True
                rows.append(row)
    except (tarfile.TarError, EOFError):
        raise ImageError(f"{container.place!r} is no tar file, or damaged from its beginning") from None
    except (*UNREADABLE, ValueError) as error:
        raise ImageError(f"{container.place!r}: {reason_of(error)}") from None
    return rows, False


def _members(file: IO[bytes]) -> Iterator[Row | None]:
    """Yield the images of a tar; at last None where it is damaged."""
    end = file.seek(0, 2)
    file.seek(0)
    if not end:
        raise tarfile.ReadError
    with tarfile.open(fileobj=file, mode="r:") as tar:
        while (member := _next(tar, end)) is not None:
            tar.members = []  # type: ignore[attr-defined]  # it keeps all members; `stream=True` does this from 3.13 on
            name = member.name.removeprefix("./").lstrip("/")
            if member.isreg() and not member.issparse() and is_image_name(name):
                yield name, member.offset_data, member.size
        # Where it ends well there is a block of zeros, or nothing.
        file.seek(tar.offset)
        if tar.offset > end or file.read(tarfile.BLOCKSIZE).strip(b"\0"):
            yield None


def _next(tar: tarfile.TarFile, end: int) -> tarfile.TarInfo | None:
    """Return the next member, if all of it is there; else None, with the place of the damage in `tar.offset`."""
    at = tar.offset
    try:
        member = tar.next()
    except tarfile.TarError:
        if not at:
            raise
        tar.offset = end + 1
        return None
    if member is not None and member.isreg() and member.offset_data + member.size > end:
        tar.offset = end + 1
        return None
    return member
