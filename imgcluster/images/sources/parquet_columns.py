"""Choose the columns of a Parquet file that hold images and ids."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from imgcluster.errors import ConfigError
from imgcluster.images.file_kinds import head_of, kind_of
from imgcluster.images.sources.archive import Container
from imgcluster.images.sources.base import UNREADABLE, reason_of
from imgcluster.utils import install_command

USUAL = ("image", "img", "jpg", "jpeg", "png", "bytes")  # what columns of images are called
IDS = ("id", "image_id", "__key__", "key", "file_name", "path", "name")
INDEXED = 256
OF_A_LIST = re.compile(r"(.+)\[([0-9]+)\]", re.DOTALL)  # images[0]: the first of each row's list
BYTES, PATH = ".bytes", ".path"  # of Hugging Face's struct


@lru_cache(INDEXED)
def opened(container: Container) -> Any:
    """Return a Parquet file of pyarrow's. Raises ConfigError."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise ConfigError(f"{container.place!r}: Parquet needs pyarrow; {install_command('parquet')}") from None
    try:
        return parquet.ParquetFile(container.open(), pre_buffer=False)
    except (*UNREADABLE, ArrowException, ValueError) as error:
        why = f", but {kind}" if (kind := _kind_of(container)) else f": {reason_of(error)}"
        raise ConfigError(f"images.folder: {container.place!r} is no Parquet file{why}") from None


def _kind_of(container: Container) -> str | None:
    """Return what the first bytes of a file tell; None where nothing, or that it is a Parquet file."""
    try:
        with container.open() as file:
            kind = kind_of(head_of(file))
    except UNREADABLE:  # reported when it was opened
        return None
    return None if kind == "Parquet" else kind


@lru_cache(INDEXED)
def image_column(container: Container, asked: str | None = None) -> str:
    """Return the column that has the bytes of images, as `values_of` takes it: `jpg`, `image.bytes`, `images[0]`.

    asked: its name (`images.column`). Raises ConfigError: none, several, not the one that is asked for, no file.
    """
    fields = {field.name: field for field in opened(container).schema_arrow}
    if asked is not None:
        return _asked_column(container, fields, asked)
    found = {name: inner for name, field in fields.items() if (inner := _bytes_in(name, field.type)) is not None}
    names = [name for name in USUAL if name in found] or list(found)
    if len(names) == 1 or (names and names[0] in USUAL):
        return found[names[0]]
    place = f"images.folder: {container.place!r}"
    if names:
        raise ConfigError(
            f"{place} has {len(names)} columns of images: {', '.join(names)}; set images.column: {names[0]}"
        )
    if lists := [name for name, field in fields.items() if _is_list_of_images(field.type)]:
        raise ConfigError(
            f"{place} has a list of images in each row, in the column {lists[0]!r}; set images.column: '{lists[0]}[0]' "
            "for the first of each"
        )
    raise ConfigError(f"{place} has no column of image bytes ({_listed(fields)})")


def _asked_column(container: Container, fields: dict[str, Any], asked: str) -> str:
    place = f"images.column: {container.place!r}"
    in_list = None if asked in fields else OF_A_LIST.fullmatch(asked)
    name = in_list[1] if in_list else asked
    if name not in fields:
        raise ConfigError(f"{place} has no column {name!r} ({_listed(fields)})")
    kind = fields[name].type
    if in_list and _is_list_of_images(kind):
        return asked
    if not in_list and (column := _bytes_in(name, kind)) is not None:
        return column
    if _is_list_of_images(kind):
        raise ConfigError(f"{place}: column {name!r} has a list of images in each row; name one: '{name}[0]'")
    raise ConfigError(f"{place}: column {name!r} holds {str(kind)[:100]}, no {'lists of ' * bool(in_list)}image bytes")


def _listed(fields: dict[str, Any]) -> str:
    return f"its columns: {', '.join(f'{name}: {field.type}' for name, field in fields.items())[:300]}"


def _bytes_in(name: str, kind: Any) -> str | None:
    """Return the path of the bytes in a column of a type, as pyarrow names it; None where it has none."""
    import pyarrow.types as kinds

    if kinds.is_struct(kind):
        inner = {child.name: child.type for child in kind}
        own = inner.get("bytes")
        # Where no row has any, whoever wrote the file may not have known of what type bytes would be.
        is_bytes = own is not None and (_is_binary(own) or (kinds.is_null(own) and "path" in inner))
        return f"{name}{BYTES}" if is_bytes else None
    return name if _is_binary(kind) else None


def _is_list_of_images(kind: Any) -> bool:
    import pyarrow.types as kinds

    is_list = kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)
    return bool(is_list and _bytes_in("", kind.value_type) is not None)


def _is_binary(kind: Any) -> bool:
    import pyarrow.types as kinds

    return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind))


def path_column(container: Container, column: str) -> str | None:
    """Return the column of the paths that stand beside the bytes of images, as Hugging Face has them; None: no such."""
    struct = column.removesuffix(BYTES)
    schema = opened(container).schema_arrow
    if struct == column or struct not in schema.names:
        return None
    return f"{struct}{PATH}" if "path" in [child.name for child in schema.field(struct).type] else None


def id_columns(container: Container, column: str) -> list[str]:
    """Return the columns that may have the ids of the images in a column, the likeliest first."""
    names = opened(container).schema_arrow.names
    beside = path_column(container, column)
    return [*([beside] if beside else []), *(name for name in IDS if name in names and name != column)]


def texts(container: Container, name: str) -> list[str] | None:
    """Return a column as texts; None where there is none of that name, or a row of it has no text or number."""
    file = opened(container)
    if name.partition(".")[0] not in file.schema_arrow.names:
        return None
    values = values_of(file.read(columns=[name]), name)
    found = [str(value) for value in values.to_pylist() if isinstance(value, str | int)]
    return found if len(found) == file.metadata.num_rows and all(found) else None


def read_group(container: Container, group: int, column: str) -> Any:
    """Return a column of a row group, decoded: an array of its bytes or texts, null where a row has none."""
    in_list = None if column in opened(container).schema_arrow.names else OF_A_LIST.fullmatch(column)
    return values_of(opened(container).read_row_group(group, columns=[in_list[1] if in_list else column]), column)


def values_of(table: Any, name: str) -> Any:
    """Return the values of the one column of a table: of its structs the field that was read, of its lists one each."""
    import pyarrow as pa
    from pyarrow import compute

    values = table.column(0).combine_chunks()
    if (in_list := OF_A_LIST.fullmatch(name)) and not _is_binary(values.type):
        values = _element(values, int(in_list[2]))
        inner = "bytes"
    else:
        inner = name.rpartition(".")[2]
    return compute.struct_field(values, inner) if pa.types.is_struct(values.type) else values


def _element(lists: Any, at: int) -> Any:
    """Return one element of each list, null of those that are shorter."""
    from pyarrow import compute

    long = compute.if_else(compute.greater(compute.list_value_length(lists), at), lists, None)
    return compute.list_element(long, at)
