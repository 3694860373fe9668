"""Images in tar files, such as WebDataset's: indexed in one pass over the headers, read in place.

Nothing is ever unpacked onto the disk, so that no name in a tar leads anywhere. Of several members of a name the last
one counts, as for tar itself. Links, devices and sparse files are passed over. What was found in a tar behind a URL is
kept in the user's folder of what can be made again: to pass through it means to fetch most of it.
"""

from __future__ import annotations

import json
import logging
import tarfile
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, NamedTuple

from imgcluster.errors import ImageError
from imgcluster.images.file_kinds import HEAD_BYTES
from imgcluster.images.sources.archive import Container, Member
from imgcluster.images.sources.base import UNREADABLE, number_of, reason_of
from imgcluster.images.sources.endings import LINK, NO_ENDING, LeftOut, ending_of, left_out_as
from imgcluster.images.sources.members import Members
from imgcluster.types import Stamp
from imgcluster.utils import cache_folder, parse_json, write_whole

logger = logging.getLogger(__name__)

TAR = "tar://"
FORMAT = 2  # of what is kept
INDEXED = 64  # files whose members are remembered: they are asked for again when a table's images are opened

LINK_SIZE = -1  # stands for the size of what is no file


class Row(NamedTuple):
    """A file of a tar: `head`, its first bytes in base64, where its name has no ending and they tell what it is."""

    name: str
    offset: int
    size: int
    head: str = ""

    def why_left_out(self) -> LeftOut | None:
        """Tell as `left_out_as`, with what is installed now."""
        if self.size == LINK_SIZE:
            return LeftOut(LINK, ending_of(self.name) or NO_ENDING)
        return left_out_as(self.name, lambda: b64decode(self.head))


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
def tar_members(container: Container) -> Members[TarMember]:
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
    found: Members[TarMember] = Members()
    for row in rows:
        found.add(row.name, TarMember(container, row.name, row.offset, row.size), row.why_left_out())
    return found


def _index_path(container: Container) -> Path | None:
    """Return where the members of a tar are kept; None for one here, or one that nothing tells from another."""
    if not container.is_far or container.stamp is None:
        return None
    return cache_folder() / "tar" / f"{number_of(repr((FORMAT, *container.stamp))):015x}.json"


def _kept(path: Path) -> list[Row] | None:
    try:
        rows = parse_json(path.read_bytes())
        return [Row(str(name), int(offset), int(size), str(head)) for name, offset, size, head in rows]
    except (OSError, ValueError, TypeError):
        return None


def _keep(rows: list[Row], path: Path) -> None:
    with suppress(OSError):  # without it, the tar is passed through again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(rows).encode())


def _passed_through(container: Container) -> tuple[list[Row], bool]:
    """Return the files in a tar, and whether it is damaged further on."""
    rows: list[Row] = []
    try:
        with container.open() as file:
            for row in _members(file):
                if row is None:
                    return rows, True
                rows.append(row)
    except (tarfile.TarError, EOFError):
        raise ImageError(f"{container.place!r} is not a tar file, or damaged from its beginning") from None
    except (*UNREADABLE, ValueError) as error:
        raise ImageError(f"{container.place!r}: {reason_of(error)}") from None
    return rows, False


def _members(file: IO[bytes]) -> Iterator[Row | None]:
    """Yield the files of a tar; at last None where it is damaged."""
    end = file.seek(0, 2)
    file.seek(0)
    if not end:
        raise tarfile.ReadError
    with tarfile.open(fileobj=file, mode="r:") as tar:
        while (member := _next(tar, end)) is not None:
            tar.members = []  # type: ignore[attr-defined]  # it keeps all members; `stream=True` does this from 3.13 on
            name = member.name.removeprefix("./").lstrip("/")
            if member.isreg() and not member.issparse():
                yield Row(name, member.offset_data, member.size, _head_of(file, member) if not ending_of(name) else "")
            elif not member.isdir():
                yield Row(name, 0, LINK_SIZE)
        # Where it ends well there is a block of zeros, or nothing.
        file.seek(tar.offset)
        if tar.offset > end or file.read(tarfile.BLOCKSIZE).strip(b"\0"):
            yield None


def _head_of(file: IO[bytes], member: tarfile.TarInfo) -> str:
    """Return the beginning of a file as `Row` has it; the next member is found by its own offset."""
    file.seek(member.offset_data)
    return b64encode(file.read(min(HEAD_BYTES, member.size))).decode()


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
