"""Images in Parquet files, as Hugging Face writes them: a column of bytes, or of `bytes` and `path`.

A row group is decoded as a whole. The last ones are kept, so that neighbours do not decode them again. Where a row has
no bytes and its path leads to a file beside the Parquet file, or in a folder there, the image is that file.
"""

from __future__ import annotations

import bisect
import os
import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from imgcluster.errors import ConfigError, ImageError
from imgcluster.images.sources.archive import Container, Member
from imgcluster.images.sources.base import UNREADABLE, local_stamp, reason_of
from imgcluster.images.sources.parquet_columns import (
    INDEXED,
    id_columns,
    image_column,
    opened,
    path_column,
    read_group,
    texts,
)
from imgcluster.types import Source, Stamp

ROW, COLUMN = "#row=", "&column="
PARQUET = "parquet://"
ABSOLUTE = re.compile(r"/|[A-Za-z]:[/\\]|\\")
SMALL_BYTES = 2**20
KEPT_BYTES = 256 * 2**20  # of decoded row groups; one at least is kept, however large


@dataclass(frozen=True, slots=True)
class ParquetRow(Member):
    """A row of a Parquet file, and the column in it that has the image's bytes; asked: as a config names that."""

    column: str
    row: int
    asked: str | None = None

    def __str__(self) -> str:
        return f"{self.container.place}{ROW}{self.row}{f'{COLUMN}{self.asked}' if self.asked else ''}"

    @property
    def stamp(self) -> Stamp | None:
        """That of the file, for this row of it."""
        return self.container.stamp_of(PARQUET, f"{self.column}/{self.row}", 0, self.row)

    @property
    def order(self) -> str:
        """Rows of a group together."""
        return _order(self.container, self.row)

    def read(self) -> bytes:
        """Return the bytes of the row's image."""
        data = self._value(self.column)
        if data is None:
            raise ImageError(self._why_none())
        return bytes(data)

    def _value(self, column: str) -> Any:
        from pyarrow import ArrowException

        try:
            group, first = _group_of(self.container, self.row)
            return _groups.get(self.container, column, group)[self.row - first].as_py()
        except (*UNREADABLE, ArrowException, ValueError) as error:
            raise ImageError(f"{self.container.place}: {reason_of(error)}") from None

    def _why_none(self) -> str:
        beside = path_column(self.container, self.column)
        path = self._value(beside) if beside else None
        if not path:
            return "its row has no bytes"
        where = "beside the Parquet file" if self.is_far else f"below {_home(self.container)!r}"
        return (
            f"its row has no bytes, only the path {path!r}, and no such file is {where}: put the images there, in "
            "their folders, or save the Parquet file with their bytes in it"
        )


@dataclass(frozen=True, slots=True)
class RowFile(Source):
    """The file that a row of a Parquet file names in place of bytes; the text is its path, as of any file."""

    file: str
    order: str

    def __str__(self) -> str:
        return self.file

    @property
    def stamp(self) -> Stamp | None:
        """That of the file, as of any file of this machine."""
        try:
            return local_stamp(self.file)
        except (OSError, ValueError):
            return None  # reading it will tell why

    @property
    def is_far(self) -> bool:
        """It is not."""
        return False

    def absolute(self) -> RowFile:
        """Return it as another process finds it, which works in another folder."""
        return replace(self, file=os.path.abspath(self.file))

    def read(self) -> bytes:
        """Return the file's bytes."""
        from imgcluster.images.decode import read_bytes  # and with it OpenCV

        return read_bytes(Path(self.file))[0]


def parquet_rows(
    container: Container, id_column: str | None = None, column: str | None = None
) -> dict[str, ParquetRow | RowFile]:
    """Return the images of a Parquet file by their ids, in its order: that of the column, of the first one that can be.

    column: which one has the images. Raises ConfigError: no column of images, or several, no such column, no such
    column of ids, or ids that stand there twice.
    """
    found = image_column(container, column)
    files = _files_instead(container, found)
    count = opened(container).metadata.num_rows
    rows = [files.get(row) or ParquetRow(container, found, row, column) for row in range(count)]
    for name in [id_column] if id_column else id_columns(container, found):
        ids = texts(container, name)
        if ids is not None and len(set(ids)) == len(ids):
            return dict(zip(ids, rows, strict=True))
    if id_column:
        raise ConfigError(
            f"images.id_column: {container.place!r} has no column {id_column!r} with an id of its own in each row "
            f"(its columns: {', '.join(opened(container).schema_arrow.names)})"
        )
    return {str(row): each for row, each in enumerate(rows)}


def place_of_row(text: str) -> tuple[str, int, str | None] | None:
    """Return the Parquet file, the row and the column asked for of a ParquetRow's text; None where it is none."""
    found = re.fullmatch(rf"(.*\.parquet){ROW}([0-9]+)(?:{COLUMN}(.+))?", text, re.IGNORECASE | re.DOTALL)
    return None if found is None else (found[1], int(found[2]), found[3])


def row_again(container: Container, row: int, column: str | None) -> ParquetRow:
    """Return the image in a row, as a table names it. Raises ConfigError as `parquet_rows`."""
    return ParquetRow(container, image_column(container, column), row, column)


def _files_instead(container: Container, column: str) -> dict[int, RowFile]:
    """Return, by row, the files that stand for rows without bytes: below the folder of the Parquet file, or nowhere.

    Absolute paths of another machine lose as many folders as the first of them needs to lead to a file here.
    """
    beside = path_column(container, column)
    if beside is None or container.is_far:
        return {}
    files: dict[int, str] = {}
    cut: int | None = None
    for row, path in _paths_without_bytes(container, column, beside):
        file = _file_below(container, path)
        if file is None and ABSOLUTE.match(path):
            file, cut = _moved_file(container, path, cut)
        if file is not None:
            files[row] = file
    rows_of = Counter(files.values())  # a file that two rows would share is neither's for certain
    return {row: RowFile(file, _order(container, row)) for row, file in files.items() if rows_of[file] == 1}


def _moved_file(container: Container, path: str, cut: int | None) -> tuple[str | None, int | None]:
    """Return the file here of an absolute path without so many of its first folders, and how many these are."""
    parts = [part for part in re.split(r"[/\\]", path) if part]
    for number in range(len(parts)) if cut is None else (cut,):
        if file := _file_below(container, "/".join(parts[number:])):
            return file, number
    return None, cut


def _file_below(container: Container, path: str) -> str | None:
    """Return the file of a path relative to the Parquet file's folder, or below it; None where there is none."""
    home = os.path.join(_home(container), "")
    file = os.path.normpath(os.path.join(os.path.dirname(container.place), path))
    is_below = "\0" not in path and os.path.abspath(file).startswith(home)
    return file if is_below and os.path.lexists(file) else None


def _paths_without_bytes(container: Container, column: str, beside: str) -> Iterator[tuple[int, str]]:
    starts = _starts(container)
    for group, first in enumerate(starts[:-1]):
        if nulls := _nulls(container, column, group):
            paths = read_group(container, group, beside).to_pylist()
            # Which rows they are tell only the bytes themselves, where some rows have them.
            lacking = [True] * len(paths)
            if nulls < len(paths):
                lacking = read_group(container, group, column).is_null().to_pylist()
            yield from ((first + at, path) for at, path in enumerate(paths) if lacking[at] and path)


def _nulls(container: Container, column: str, group: int) -> int:
    """Return how many rows of a group have no bytes; 0 where the file does not say it and it would take long to see."""
    rows = opened(container).metadata.row_group(group)
    chunks = (rows.column(place) for place in range(rows.num_columns))
    chunk = next((each for each in chunks if each.path_in_schema == column), None)
    if chunk is None:
        return 0
    if chunk.is_stats_set and chunk.statistics.has_null_count:
        return int(chunk.statistics.null_count)
    # Rows without bytes take next to no room: where none has any, this is quickly seen.
    is_small = chunk.total_uncompressed_size <= SMALL_BYTES
    return int(read_group(container, group, column).null_count) if is_small else 0


def _home(container: Container) -> str:
    return os.path.dirname(os.path.abspath(container.place))


def _order(container: Container, row: int) -> str:
    return f"{container.place} {row:012d}"


@lru_cache(INDEXED)
def _starts(container: Container) -> list[int]:
    metadata = opened(container).metadata
    starts = [0]
    for group in range(metadata.num_row_groups):
        starts.append(starts[-1] + metadata.row_group(group).num_rows)
    return starts


def _group_of(container: Container, row: int) -> tuple[int, int]:
    """Return the row group that a row is in, and the first row of that."""
    starts = _starts(container)
    group = bisect.bisect_right(starts, row) - 1
    if not 0 <= group < len(starts) - 1:
        raise ImageError(f"{container.place} has no row {row}")
    return group, starts[group]


class _Groups:
    """The row groups that were decoded last. A thread that wants one waits for the thread that decodes it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Container, str, int], Any] = OrderedDict()
        self._locks: dict[Container, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, container: Container, column: str, group: int) -> Any:
        """Return a column of a row group, decoded."""
        key = container, column, group
        with self._lock:
            lock = self._locks.setdefault(container, threading.Lock())
        with lock:  # one reader at a time for a file: its place in it is shared
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    return self._kept[key]
            values = read_group(container, group, column)
            with self._lock:
                self._kept[key] = values
                while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > KEPT_BYTES:
                    self._kept.popitem(last=False)
        return values


_groups = _Groups()
