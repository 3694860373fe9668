"""The pages of a TIFF: where their directories lie, and each page as a TIFF of its own.

TIFF 6.0, pages 13-16 and 36 (NewSubfileType); BigTIFF has the same fields with 8 bytes in the place of 4.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Container
from dataclasses import dataclass
from io import BytesIO
from typing import IO, NamedTuple

from imgcluster.errors import ImageError
from imgcluster.images.containers.tiff_header import LONG
from imgcluster.images.headers import BIG_TIFF, TIFF_MAGICS, TIFF_PARTS
from imgcluster.images.limits import MAX_BYTES

MAX_PAGES = 100_000
MAX_TAGS = 4096  # of a page; libtiff warns from there on
NEW_SUBFILE = 254  # the tag that tells pages from what is made of them
REDUCED, MASK = 1, 4  # bits of its value: a thumbnail or a level of a pyramid, and a transparency mask
LONG8 = 16  # the type of eight bytes
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
WHOLE_NUMBERS = {3: "H", LONG: "I", 13: "I", LONG8: "Q", 18: "Q"}
POINTERS = frozenset((330, 34_665, 34_853, 40_965))  # to other directories: SubIFDs, EXIF, GPS, Interoperability
OLD_JPEG = frozenset((513, 519, 520, 521))  # tags whose values are further places in the file
CIRCLE, CUT, MANY = (
    "damaged TIFF: after page {} the pages begin anew",
    "damaged TIFF: the pages break off after {}",
    f"has more than {MAX_PAGES:,} pages",
)


class PageList(NamedTuple):
    """Where the directories of the pages begin, in order; of the first directory; why there is no next page."""

    offsets: list[int]
    first: int
    trouble: str = ""


class Entry(NamedTuple):
    """A tag of a directory. length: how many values it has; value: the field that holds them or their place."""

    tag: int
    kind: int
    length: int
    value: bytes

    @property
    def size(self) -> int:
        """The bytes of the values; 0 where the type is not known."""
        return TYPE_BYTES.get(self.kind, 0) * self.length


@dataclass(frozen=True)
class Layout:
    """How numbers are stored. order: of bytes, for `struct`; size: the bytes of the file."""

    order: str
    is_big: bool
    size: int

    @property
    def word(self) -> str:
        """The format of an offset."""
        return f"{self.order}{'Q' if self.is_big else 'I'}"

    @property
    def room(self) -> int:
        """The bytes of a field of values, and of an offset."""
        return 8 if self.is_big else 4

    @property
    def counter(self) -> str:
        """The format of the number of entries."""
        return f"{self.order}{'Q' if self.is_big else 'H'}"

    @property
    def entry(self) -> str:
        """The format of a tag, its type, the number of its values, and its field."""
        return f"{self.order}HH{'Q8s' if self.is_big else 'I4s'}"

    def number(self, field: bytes) -> int:
        """Return the offset in a field."""
        return int(struct.unpack(self.word, field)[0])


def find_pages(file: IO[bytes]) -> PageList:
    """List the pages of a TIFF by its directories alone; no page of a file that is none.

    Thumbnails, levels of pyramids and masks are no pages, nor are the directories that a page has of its own.
    """
    layout = _layout(file)
    if layout is None:
        return PageList([], 0)
    offsets: list[int] = []
    first = at = _first(file, layout)
    seen: set[int] = set()
    taken = 0
    while at:
        if at in seen:
            return PageList(offsets, first, CIRCLE.format(len(offsets)))
        seen.add(at)
        try:
            entries, following = _directory(file, layout, at)
        except (struct.error, ValueError):
            return PageList(offsets, first, CUT.format(len(offsets)))
        taken += len(entries) * struct.calcsize(layout.entry)
        if taken > layout.size:  # directories lie in each other
            return PageList(offsets, first, CUT.format(len(offsets)))
        if not _subfile(entries, layout) & (REDUCED | MASK):
            if len(offsets) == MAX_PAGES:
                return PageList(offsets, first, MANY)
            offsets.append(at)
        at = following
    return PageList(offsets, first)


def first_numbers(file: IO[bytes], wanted: Container[int]) -> dict[int, tuple[int, ...]]:
    """Return the whole numbers in tags of the first directory, without reading the rest of the file.

    Raises ValueError where it is no TIFF, or the directory or the numbers are not whole.
    """
    layout = _layout(file)
    if layout is None:
        raise ValueError("no TIFF")
    found = {}
    for entry in _directory(file, layout, _first(file, layout))[0]:
        if entry.tag in wanted and entry.kind in WHOLE_NUMBERS:
            is_here = entry.size <= layout.room
            values = entry.value if is_here else _read(file, layout, layout.number(entry.value), entry.size)
            found[entry.tag] = struct.unpack_from(f"{layout.order}{entry.length}{WHOLE_NUMBERS[entry.kind]}", values)
    return found


def page_file(file: IO[bytes], at: int) -> bytes:
    """Return the page whose directory begins at an offset as a TIFF that holds it alone.

    Where parts of it are not to be found by the usual tags, or lie behind the end, it is the whole file, beginning
    with this page: then decoders tell what is wrong. Raises ImageError: too large, or no TIFF any more.
    """
    layout = _layout(file)
    try:
        if layout is None:
            raise ValueError("no TIFF")
        entries, _ = _directory(file, layout, at)
    except (struct.error, ValueError):
        raise ImageError("damaged TIFF") from None
    try:
        return _alone(file, layout, entries)
    except (struct.error, ValueError):
        return _beginning_with(file, layout, at)


def _layout(file: IO[bytes]) -> Layout | None:
    magic = file.read(4)
    if magic not in TIFF_MAGICS:
        return None
    return Layout("<" if magic.startswith(b"II") else ">", BIG_TIFF in magic, file.seek(0, os.SEEK_END))


def _first(file: IO[bytes], layout: Layout) -> int:
    try:
        return layout.number(_read(file, layout, layout.room, layout.room))
    except ValueError:
        return 0


def _directory(file: IO[bytes], layout: Layout, at: int) -> tuple[list[Entry], int]:
    """Return the entries of a directory and where the next one begins. Raises ValueError where it is not whole."""
    start = at + struct.calcsize(layout.counter)
    (count,) = struct.unpack(layout.counter, _read(file, layout, at, start - at))
    if not 0 < count <= MAX_TAGS:
        raise ValueError(f"{count} tags")
    content = _read(file, layout, start, count * struct.calcsize(layout.entry))
    following = file.read(layout.room)  # some writers leave it out at the end of a file
    return list(map(Entry._make, struct.iter_unpack(layout.entry, content))), (
        layout.number(following) if len(following) == layout.room else 0
    )


def _subfile(entries: list[Entry], layout: Layout) -> int:
    found = next((entry for entry in entries if entry.tag == NEW_SUBFILE and entry.kind in WHOLE_NUMBERS), None)
    return 0 if found is None else int(struct.unpack_from(layout.order + WHOLE_NUMBERS[found.kind], found.value)[0])


def _alone(file: IO[bytes], layout: Layout, entries: list[Entry]) -> bytes:
    """Return a file of the directory, its values and its strips or tiles. Raises ValueError where some are missing."""
    kept = [entry for entry in entries if entry.tag not in POINTERS]
    tags = {entry.tag: entry for entry in kept}
    offsets_tag, lengths_tag = next((pair for pair in TIFF_PARTS if pair[0] in tags), TIFF_PARTS[0])
    if len(tags) < len(kept) or OLD_JPEG & tags.keys() or not {offsets_tag, lengths_tag} <= tags.keys():
        raise ValueError("parts by other tags")
    new = _NewFile(file, layout, len(kept))
    offsets, lengths = (new.numbers(tags[tag]) for tag in (offsets_tag, lengths_tag))
    if len(offsets) != len(lengths):
        raise ValueError("as many lengths as offsets are needed")
    _check_bytes(sum(length for _, length in {*zip(offsets, lengths, strict=True)}))
    places = [new.copied(offset, length) for offset, length in zip(offsets, lengths, strict=True)]
    parts = Entry(offsets_tag, LONG8 if layout.is_big else LONG, len(places), b"")
    for entry in kept:
        if entry.tag == offsets_tag:
            new.add(parts, struct.pack(f"{layout.order}{len(places)}{layout.word[1]}", *places))
        else:
            new.add(entry, new.values(entry))
    return new.whole()


class _NewFile:
    """A TIFF that takes parts of another one: header, directory, then all else in the order of asking."""

    def __init__(self, file: IO[bytes], layout: Layout, count: int) -> None:
        self._file, self._layout = file, layout
        self._copies: dict[tuple[int, int], int] = {}
        self._entries: list[bytes] = []
        self._content = BytesIO()
        self._start = 2 * layout.room  # of the directory
        self._end = self._start + struct.calcsize(layout.counter) + count * struct.calcsize(layout.entry) + layout.room

    def values(self, entry: Entry) -> bytes:
        """Return the values of an entry in the old file."""
        if entry.size <= self._layout.room:
            return entry.value
        return self._old(self._layout.number(entry.value), entry.size)

    def numbers(self, entry: Entry) -> tuple[int, ...]:
        """Return the values of an entry that are whole numbers."""
        if entry.kind not in WHOLE_NUMBERS:
            raise ValueError("no whole numbers")
        return struct.unpack_from(f"{self._layout.order}{entry.length}{WHOLE_NUMBERS[entry.kind]}", self.values(entry))

    def copied(self, offset: int, length: int) -> int:
        """Copy a strip or tile, and return where it lies; 0 stays 0, which stands for one that is not stored."""
        if not length:
            return 0
        if (offset, length) not in self._copies:
            self._copies[offset, length] = self._append(self._old(offset, length))
        return self._copies[offset, length]

    def add(self, entry: Entry, values: bytes) -> None:
        """Add an entry, and its values where they do not fit into it."""
        layout = self._layout
        field = values if len(values) <= layout.room else struct.pack(layout.word, self._append(values))
        self._entries.append(struct.pack(layout.entry, entry.tag, entry.kind, entry.length, field))

    def whole(self) -> bytes:
        """Return the file."""
        layout = self._layout
        header = _header(layout, self._start)
        count = struct.pack(layout.counter, len(self._entries))
        return b"".join((header, count, *self._entries, bytes(layout.room), self._content.getbuffer()))

    def _old(self, at: int, size: int) -> bytes:
        _check_bytes(self._content.tell() + size)
        return _read(self._file, self._layout, at, size)

    def _append(self, data: bytes) -> int:
        at = self._end + self._content.tell()
        self._content.write(data)
        self._content.write(bytes(len(data) % 2))  # values begin at even places
        return at


def _beginning_with(file: IO[bytes], layout: Layout, at: int) -> bytes:
    """Return a file with another directory as its first one."""
    _check_bytes(layout.size)
    file.seek(0)
    header = _header(layout, at)
    return header + file.read()[len(header) :]


def _check_bytes(count: int) -> None:
    if count > MAX_BYTES:
        raise ImageError(f"has more than {MAX_BYTES:,} bytes")


def _header(layout: Layout, first: int) -> bytes:
    mark = b"II" if layout.order == "<" else b"MM"
    numbers = (43, 8, 0) if layout.is_big else (42,)
    return mark + struct.pack(f"{layout.order}{len(numbers)}H", *numbers) + struct.pack(layout.word, first)


def _read(file: IO[bytes], layout: Layout, at: int, size: int) -> bytes:
    """Return bytes of a file. Raises ValueError where some lie behind its end."""
    if at + size > layout.size:
        raise ValueError("behind the end of the file")
    file.seek(at)
    data = file.read(size)
    if len(data) < size:
        raise ValueError("the file has become shorter")
    return data
