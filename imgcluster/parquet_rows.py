"""Images in Parquet files, as Hugging Face writes them: a column of bytes, or of `bytes` and `path`.

A row group is decoded as a whole. The last ones are kept, so that neighbours do not decode them again.
"""

from __future__ import annotations

import bisect
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from imgcluster.containers import Container
from imgcluster.errors import ConfigError, ImageError
from imgcluster.sources import Source, Stamp, reason_of

ROW = "#row="
PARQUET = "parquet://"
USUAL = ("image", "img", "jpg", "jpeg", "png", "bytes")  # what columns of images are called
IDS = ("id", "image_id", "__key__", "key", "file_name", "path", "name")
KEPT_BYTES = 256 * 2**20  # of decoded row groups; one at least is kept, however large
INDEXED = 256


@dataclass(frozen=True, slots=True)
class ParquetRow(Source):
    """A row of a Parquet file, and the column in it that has the image's bytes."""

    container: Container
    column: str
    row: int

    def __str__(self) -> str:
        return f"{self.container.place}{ROW}{self.row}"

    @property
    def stamp(self) -> Stamp | None:
        """That of the file, for this row of it."""
        return self.container.stamp_of(PARQUET, f"{self.column}/{self.row}", 0, self.row)

    @property
    def is_far(self) -> bool:
        """Whether the file is."""
        return self.container.is_far

    @property
    def order(self) -> str:
        """Rows of a group together."""
        return f"{self.container.place} {self.row:012d}"

    def absolute(self) -> ParquetRow:
        """Return it as another process finds it, which works in another folder."""
        return replace(self, container=self.container.absolute())

    def read(self) -> bytes:
        """Return the bytes of the row's image."""
        try:
            group, first = _group_of(self.container, self.row)
            data = _groups.get(self.container, self.column, group)[self.row - first].as_py()
        except ImageError:
            raise
        except Exception as error:  # pyarrow has an error for each thing that may be damaged
            raise ImageError(f"{self.container.place}: {reason_of(error)}") from None
        if data is None:
            raise ImageError("its row has no bytes")
        return bytes(data)


def parquet_rows(container: Container, id_column: str | None = None) -> dict[str, ParquetRow]:
    """Return the images of a Parquet file by their ids, in its order: that of the column, of the first one that can be.

    Raises ConfigError: no column of images, or several, no such column of ids, or ids that stand there twice.
    """
    schema = _opened(container).schema_arrow
    column = image_column(container)
    candidates = [id_column] if id_column else _id_columns(schema, column)
    for name in candidates:
        ids = _texts(container, name)
        if ids is not None and len(set(ids)) == len(ids):
            return {id: ParquetRow(container, column, row) for row, id in enumerate(ids)}
    if id_column:
        raise ConfigError(
            f"images.id_column: {container.place!r} has no column {id_column!r} with an id of its own in each row "
            f"(its columns: {', '.join(schema.names)})"
        )
    rows = _opened(container).metadata.num_rows
    return {str(row): ParquetRow(container, column, row) for row in range(rows)}


@lru_cache(INDEXED)
def image_column(container: Container) -> str:
    """Return the column of a Parquet file that has the bytes of images. Raises ConfigError: none, several, no file."""
    schema = _opened(container).schema_arrow
    found = {field.name: inner for field in schema if (inner := _bytes_in(field)) is not None}
    names = [name for name in USUAL if name in found] or list(found)
    if not names or (len(names) > 1 and names[0] not in USUAL):
        which = "no column" if not names else "more than one column"
        raise ConfigError(
            f"images.folder: {container.place!r} has {which} of image bytes (its columns: "
            f"{', '.join(f'{field.name}: {field.type}' for field in schema)[:300]})"
        )
    return found[names[0]]


def _bytes_in(field: Any) -> str | None:
    """Return the path of the bytes in a column, as pyarrow names it; None where it has none."""
    import pyarrow.types as kinds

    if kinds.is_struct(field.type):
        inner = {child.name: child.type for child in field.type}
        return f"{field.name}.bytes" if "bytes" in inner and _is_binary(inner["bytes"]) else None
    return field.name if _is_binary(field.type) else None


def _is_binary(kind: Any) -> bool:
    import pyarrow.types as kinds

    return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind))


def _id_columns(schema: Any, column: str) -> list[str]:
    struct = column.removesuffix(".bytes")
    inside = [child.name for child in schema.field(struct).type] if struct != column else []
    return [f"{struct}.path"] * ("path" in inside) + [name for name in IDS if name in schema.names and name != column]


def _texts(container: Container, name: str) -> list[str] | None:
    """Return a column as texts; None where there is none of that name, or a row of it has no text or number."""
    file = _opened(container)
    if name.partition(".")[0] not in file.schema_arrow.names:
        return None
    values = _flat(file.read(columns=[name]).column(0), name)
    found = [str(value) for value in values.to_pylist() if isinstance(value, str | int)]
    return found if len(found) == file.metadata.num_rows and all(found) else None


def _flat(column: Any, name: str) -> Any:
    """Return the values of a column, or those of the one field that was read of its structs."""
    import pyarrow as pa
    from pyarrow import compute

    values = column.combine_chunks()
    inner = name.rpartition(".")[2]
    return compute.struct_field(values, inner) if pa.types.is_struct(values.type) else values


@lru_cache(INDEXED)
def _opened(container: Container) -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        raise ConfigError(f"{container.place!r}: Parquet needs pyarrow; pip install 'imgcluster[parquet]'") from None
    try:
        return parquet.ParquetFile(container.open(), pre_buffer=False)
    except Exception as error:  # pyarrow has an error for each thing that may be damaged
        raise ConfigError(f"images.folder: {container.place!r} is no Parquet file: {reason_of(error)}") from None


@lru_cache(INDEXED)
def _starts(container: Container) -> list[int]:
    metadata = _opened(container).metadata
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
            values = _flat(_opened(container).read_row_group(group, columns=[column]).column(0), column)
            with self._lock:
                self._kept[key] = values
                while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > KEPT_BYTES:
                    self._kept.popitem(last=False)
        return values


_groups = _Groups()
