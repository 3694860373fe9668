"""The formats of features files: readers that return the ids and the vectors as they stand in a file."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imgcluster.errors import ConfigError
from imgcluster.features.file_cells import kind_of_cell, parse_list, stacked, vector_of
from imgcluster.features.file_columns import Kind, Unfit, choose_columns, find_id_column
from imgcluster.images import ID_COLUMN, can_be_ids
from imgcluster.utils import first_few, install_command, parse_json

VECTORS = "vectors"  # the array of an npz, and the tensor of a safetensors
NUMPY_TYPES = ("F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")  # of safetensors

Asked = Sequence[str] | None


class Raw(NamedTuple):
    """ids and vectors as they stand in a file; note: what to say of its columns, empty where there is nothing.

    names: by column, the one of the ids first, what may name the images.
    """

    ids: Sequence[Any]
    vectors: np.ndarray
    note: str = ""
    names: Mapping[str, Sequence[str]] = {}


def import_parquet() -> Any:
    """Return pyarrow.parquet. Raises ConfigError where it is not installed."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise ConfigError(f"parquet needs pyarrow: {install_command('parquet')}") from None
    return parquet


def _read_npz(path: Path, asked: Asked) -> Raw:
    with np.load(path, allow_pickle=False) as arrays:
        wanted = asked or (VECTORS,)
        if not {"ids", *wanted} <= set(arrays):
            raise Unfit(f"has the arrays {', '.join(arrays) or 'of nothing'}; {_needed(('ids', *wanted), asked)}")
        return Raw(arrays["ids"].tolist(), _side_by_side([arrays[name] for name in wanted]))


def _needed(names: Sequence[str], asked: Asked) -> str:
    key = "" if asked else " (features.file_columns names another than `vectors`)"
    return f"{' and '.join(f'`{name}`' for name in names)} are needed{key}"


def _side_by_side(arrays: list[np.ndarray]) -> np.ndarray:
    if len(arrays) > 1 and any(array.ndim != 2 or len(array) != len(arrays[0]) for array in arrays):
        raise Unfit(f"arrays of the shapes {', '.join(str(array.shape) for array in arrays)} cannot be joined")
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=1)


def _read_npy(path: Path, asked: Asked) -> Raw:
    if asked:
        raise Unfit("an .npy is one array, and has no columns with names; take out features.file_columns")
    beside = path.with_suffix(".csv")
    if not beside.is_file():
        raise Unfit(f"an .npy has no ids: put them beside it, in {str(beside)!r}, in a column `{ID_COLUMN}`")
    header, rows = _csv_rows(beside)
    kinds = _csv_kinds(header, rows)
    texts = _csv_texts(kinds, rows)
    column = find_id_column(header, kinds, texts, typed=False)
    ids = [cells[column] for _, cells in rows]
    vectors = np.load(path, allow_pickle=False)
    if not isinstance(vectors, np.ndarray):
        raise Unfit("an .npz under the name of an .npy")
    return Raw(ids, vectors, names=_names(header, column, ids, texts))


def _read_csv(path: Path, asked: Asked) -> Raw:
    header, rows = _csv_rows(path)
    kinds = _csv_kinds(header, rows)
    texts = _csv_texts(kinds, rows)
    id_column = find_id_column(header, kinds, texts, typed=False)
    columns = choose_columns(header, kinds, id_column, asked)
    of_vectors = [(header[column], kinds[column]) for column in columns.taken]
    vectors = [
        vector_of([cells[column] for column in columns.taken], of_vectors, f"line {line}") for line, cells in rows
    ]
    ids = [cells[id_column] for _, cells in rows]
    return Raw(ids, stacked(vectors), columns.note, _names(header, id_column, ids, texts))


def _csv_texts(kinds: Sequence[Kind], rows: list[tuple[int, list[str]]]) -> dict[int, list[str]]:
    columns = {place: [cells[place] for _, cells in rows] for place, kind in enumerate(kinds) if kind == "other"}
    return {place: cells for place, cells in columns.items() if can_be_ids(cells)}


def _names(
    header: Sequence[str], id_column: int, ids: Sequence[str], texts: Mapping[int, Sequence[str]]
) -> dict[str, Sequence[str]]:
    """Return the columns that may name the images, that of the ids first."""
    others = {header[place]: cells for place, cells in texts.items() if header[place] != header[id_column]}
    return {header[id_column]: ids, **others}


def _csv_kinds(header: list[str], rows: list[tuple[int, list[str]]]) -> list[Kind]:
    """Tell by the first cell of each column that is not empty whether it holds numbers."""
    firsts = (next((cells[column] for _, cells in rows if cells[column].strip()), "0") for column in range(len(header)))
    return [kind_of_cell(cell) for cell in firsts]


def _csv_rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header of a CSV, and its rows with the lines they end in: all of the header's length."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        rows = [(reader.line_num, cells) for cells in reader if cells]
    for line, cells in rows:
        if len(cells) != len(header):
            raise Unfit(f"{path.name} line {line} has {len(cells)} cells, and the header {len(header)}")
    return header, rows


def _read_parquet(path: Path, asked: Asked) -> Raw:
    # No partitioning: it would make a column of a folder that is called `key=value`.
    table = import_parquet().read_table(path, partitioning=None)
    names = table.column_names
    kinds = [_arrow_kind(column) for column in table.columns]
    texts = _arrow_texts(table, kinds)
    id_column = find_id_column(names, kinds, texts, typed=True)
    columns = choose_columns(names, kinds, id_column, asked)
    ids = table.column(id_column).to_pylist()
    blocks = [_arrow_block(table.column(column), names[column]) for column in columns.taken]
    vectors = np.concatenate(blocks, axis=1) if blocks else np.empty((len(ids), 0), np.float32)
    return Raw(ids, vectors, columns.note, _names(names, id_column, ids, texts))


def _arrow_texts(table: Any, kinds: Sequence[Kind]) -> dict[int, list[str]]:
    places = [at for at, field in enumerate(table.schema) if kinds[at] == "other" and _is_string(field.type)]
    columns = {place: table.column(place).to_pylist() for place in places}
    return {place: cells for place, cells in columns.items() if can_be_ids(cells)}


def _is_string(type: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(type) or pa.types.is_large_string(type))


def _arrow_kind(column: Any) -> Kind:
    import pyarrow as pa

    type = column.type
    if _is_string(type):
        first = next((cell for cell in column.drop_null().slice(0, 1).to_pylist()), "")
        return "list" if kind_of_cell(first) == "list" else "other"
    if pa.types.is_binary(type) or pa.types.is_large_binary(type) or pa.types.is_fixed_size_binary(type):
        return "bytes"
    is_list = _is_list(type)
    value = type.value_type if is_list else type
    if not (pa.types.is_floating(value) or pa.types.is_integer(value)):
        return "other"
    return "list" if is_list else "number"


def _is_list(type: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_fixed_size_list(type))


def _arrow_block(column: Any, name: str) -> np.ndarray:
    """Return a column of numbers as (n, 1), one of lists of the same length as (n, length)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    length = 1
    if _is_string(column.type):
        cells = column.to_pylist()
        return stacked([np.array(parse_list(cell or "", name, f"row {row}")) for row, cell in enumerate(cells, 1)])
    if _is_list(column.type):
        lengths = pc.unique(pc.list_value_length(column)).to_pylist()
        if len(lengths) != 1 or lengths[0] is None:
            raise Unfit(f"the vectors in column {name!r} have different lengths")
        length, column = lengths[0], pc.list_flatten(column)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise Unfit(f"column {name!r} holds {column.type}, not numbers")
    return np.asarray(column.to_numpy()).reshape(-1, length)


def _read_safetensors(path: Path, asked: Asked) -> Raw:
    from safetensors import safe_open

    wanted = asked or (VECTORS,)
    with safe_open(path, framework="numpy") as file:
        ids = (file.metadata() or {}).get("ids")
        names = list(file.keys())
        if ids is None or not set(wanted) <= set(names):
            raise Unfit(
                f"needs {'a tensor' if len(wanted) == 1 else 'tensors'} {', '.join(f'`{name}`' for name in wanted)}, "
                f"and `ids` in its metadata as a JSON list (its tensors: {first_few(names)}; metadata: "
                f"{first_few(list(file.metadata() or {})) or 'none'})"
            )
        types = [file.get_slice(name).get_dtype() for name in wanted]
        tensors = [
            _by_torch(path, name) if type not in NUMPY_TYPES else file.get_tensor(name)
            for name, type in zip(wanted, types, strict=True)
        ]
    return Raw(parse_json(ids), _side_by_side(tensors))


def _by_torch(path: Path, name: str) -> np.ndarray:
    """Return a tensor as float32 by torch, which has types that NumPy lacks, such as bfloat16."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return np.asarray(file.get_tensor(name).float().numpy())


READERS: dict[str, Callable[[Path, Asked], Raw]] = {
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".parquet": _read_parquet,
    ".csv": _read_csv,
    ".safetensors": _read_safetensors,
}

# What `kind_of` says of each, the first of them as messages have it; a header may begin with ID3 or P1.
KINDS = {
    ".npz": ("an .npz", "a ZIP archive"),
    ".npy": ("an .npy", "a NumPy array"),
    ".parquet": ("a Parquet file", "Parquet"),
    ".csv": ("a CSV", "a text file", "a sound file", "PNM"),
    ".safetensors": ("a safetensors file", "safetensors"),
}
