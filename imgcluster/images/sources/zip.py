"""Images in zip files: indexed by the central directory, read in place, decompressed in memory."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache, partial

from imgcluster.errors import ImageError
from imgcluster.images.file_kinds import HEAD_BYTES
from imgcluster.images.sources.archive import Container, Member
from imgcluster.images.sources.base import UNREADABLE, reason_of
from imgcluster.images.sources.endings import left_out_as
from imgcluster.images.sources.members import Members
from imgcluster.types import Stamp

ZIP = "zip://"
HEADER = 30  # bytes, and after them the name and what is extra (APPNOTE.TXT, 4.3.7)
SLACK = 256  # bytes by which the extra of a header may be longer than that of the directory
ENCRYPTED = 1
INDEXED = 64


@dataclass(frozen=True, slots=True)
class ZipMember(Member):
    """A file in a zip. `ahead`: upper bound of the bytes from `offset` to its data, of which there are `packed`."""

    name: str
    offset: int
    ahead: int
    packed: int
    size: int
    method: int
    checksum: int

    def __str__(self) -> str:
        return f"{ZIP}{self.name.replace('::', '%3A%3A')}::{self.container.place}"

    @property
    def stamp(self) -> Stamp | None:
        """The stamp of the zip with the member's checksum."""
        return self.container.stamp_of(ZIP, self.name, self.size, self.offset ^ self.checksum)

    def read(self) -> bytes:
        """Return the member's bytes, in one request if the header is no longer than estimated."""
        if self.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ImageError("is encrypted, or packed in a way that is read by no reader of single members")
        self.container.check_size(self.size, self.packed)
        most = (self.container.stamp.size if self.container.stamp else 0) or self.offset + self.ahead + self.packed
        end = min(self.offset + self.ahead + self.packed, most)
        data = self.container.read(self.offset, end)
        start = HEADER + int.from_bytes(data[26:28], "little") + int.from_bytes(data[28:30], "little")
        if self.offset + start + self.packed > end:
            data += self.container.read(end, self.offset + start + self.packed)
        return self._unpacked(data[start : start + self.packed])

    def _unpacked(self, data: bytes) -> bytes:
        try:
            found = data if self.method == zipfile.ZIP_STORED else self._inflated(data)
        except zlib.error:
            raise ImageError(f"is damaged in {self.container.place}") from None
        if len(found) != self.size or zlib.crc32(found) != self.checksum:
            raise ImageError(f"is damaged in {self.container.place}")
        return found

    def _inflated(self, data: bytes) -> bytes:
        """Decompress at most one byte more than declared: compressed data can have any size."""
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1)


@lru_cache(INDEXED)
def zip_members(container: Container) -> Members[ZipMember]:
    """Return the images in a zip by name, in its order. Raises ImageError: not a zip, damaged, unreadable."""
    members: Members[ZipMember] = Members()
    try:
        with container.open() as file, zipfile.ZipFile(file) as found:
            for member in found.infolist():
                if not member.is_dir():
                    # Behind a network each look would be a request.
                    head = None if container.is_far else partial(_head_of, found, member)
                    why = left_out_as(member.filename, head)
                    members.add(member.filename, _member(container, member), why)
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise ImageError(f"{container.place!r} is not a zip file, or a damaged one") from None
    except UNREADABLE as error:
        raise ImageError(f"{container.place!r}: {reason_of(error)}") from None
    return members


def _head_of(file: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        with file.open(member) as opened:
            return opened.read(HEAD_BYTES)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:  # also: encrypted
        raise OSError(str(error)) from None


def _member(container: Container, member: zipfile.ZipInfo) -> ZipMember:
    ahead = HEADER + len(member.filename.encode()) + len(member.extra) + SLACK
    method = -1 if member.flag_bits & ENCRYPTED else member.compress_type
    sizes = member.compress_size, member.file_size
    return ZipMember(container, member.filename, member.header_offset, ahead, *sizes, method, member.CRC)
