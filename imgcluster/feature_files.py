"""Vectors that were made elsewhere: read from a file, and matched with the images by name."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from imgcluster.digests import file_sha256
from imgcluster.errors import ConfigError
from imgcluster.tables import Failure, Features, ImageFile, Origin

NAMED = 3  # ids in a message
FINGERPRINT_LENGTH = 16
ID_COLUMN, PATH_COLUMN = "id", "path"

Raw = tuple[Sequence[Any], np.ndarray]


class _Unfit(Exception):
    """A file that can be read and holds no features; the words go behind its name."""


def read_features(path: Path) -> tuple[list[str], np.ndarray]:
    """Read a file of features: its ids, and their vectors, (len(ids), dim) float32.

    Nothing in the file is executed. Raises ConfigError: no such file, not of the kind its ending says, vectors of
    different lengths, ids that are no text or stand twice, cells that are no numbers, NaN or infinity.
    """
    reader = READERS.get(path.suffix)
    if reader is None:
        raise _stop(path, f"its ending is none of {', '.join(READERS)} (no pickle: it can run code; save it as npz)")
    try:
        return _checked(*reader(path))
    except (_Unfit, ConfigError) as error:
        raise _stop(path, str(error)) from None
    except OSError as error:
        raise _stop(path, f"cannot be read: {error.strerror or error}") from None
    except Exception as error:  # each library has its own for damaged bytes, and passes on others'
        raise _stop(path, f"damaged, or no {path.suffix} of numbers and text ({_first_line(error)})") from None


def features_from_file(images: list[ImageFile], path: Path, missing: Literal["stop", "skip"]) -> Features:
    """Return the features that a file has for these images, in their order; no image is read.

    An image that it lacks is a failure with `missing="skip"`, and else raises ConfigError, as `read_features` does.
    """
    ids, vectors = read_features(path)
    row_of = {id: row for row, id in enumerate(ids)}
    found = [image for image in images if image.id in row_of]
    lacking = [image for image in images if image.id not in row_of]
    if lacking and missing == "stop":
        raise _stop(
            path,
            f"lacks {len(lacking):,} of {len(images):,} images: {_some([image.id for image in lacking])} "
            f"(its own ids: {_some(ids)}); add them, or set images.missing: skip",
        )
    rows = vectors[[row_of[image.id] for image in found]]
    failures = [Failure(image, f"no features in {path.name}") for image in lacking]
    extra = len(ids) - len(found)
    notes = [f"{extra:,} of the {len(ids):,} vectors in {path.name} belong to no image of this run"] if extra else []
    return Features(found, rows, failures, [_origin(path, rows)], notes)


def import_parquet() -> Any:
    """Return pyarrow.parquet. Raises ConfigError where it is not installed."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise ConfigError("parquet needs pyarrow: pip install 'imgcluster[parquet]'") from None
    return parquet


# The formats: each reader gives the ids and the vectors as they stand in the file.


def _read_npz(path: Path) -> Raw:
    with np.load(path, allow_pickle=False) as arrays:
        if not {"ids", "vectors"} <= set(arrays):
            raise _Unfit(f"has the arrays {', '.join(arrays) or 'of nothing'}; `ids` and `vectors` are needed")
        return arrays["ids"].tolist(), arrays["vectors"]


def _read_npy(path: Path) -> Raw:
    beside = path.with_suffix(".csv")
    if not beside.is_file():
        raise _Unfit(f"an .npy has no ids: put them beside it, in {str(beside)!r}, in a column `{ID_COLUMN}`")
    header, rows = _csv_rows(beside)
    column = _id_column(header)
    vectors = np.load(path, allow_pickle=False)
    if not isinstance(vectors, np.ndarray):
        raise _Unfit("an .npz under the name of an .npy")
    return [cells[column] for _, cells in rows], vectors


def _read_csv(path: Path) -> Raw:
    header, rows = _csv_rows(path)
    id_column = _id_column(header)
    columns = _value_columns(header, id_column)
    vectors = [_numbers([cells[column] for column in columns], f"line {line}") for line, cells in rows]
    return [cells[id_column] for _, cells in rows], np.array(vectors, np.float32)


def _csv_rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header of a CSV, and its rows with the lines they end in: all of the header's length."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        rows = [(reader.line_num, cells) for cells in reader if cells]
    for line, cells in rows:
        if len(cells) != len(header):
            raise _Unfit(f"{path.name} line {line} has {len(cells)} cells, and the header {len(header)}")
    return header, rows


def _id_column(names: list[str]) -> int:
    """Return where the ids stand: in the column `id`, or the first."""
    if not names:
        raise _Unfit("no columns in it")
    return names.index(ID_COLUMN) if ID_COLUMN in names else 0


def _value_columns(names: list[str], id_column: int) -> list[int]:
    return [column for column, name in enumerate(names) if column != id_column and name != PATH_COLUMN]


def _numbers(cells: list[str], place: str) -> np.ndarray:
    try:
        return np.array(cells, np.float32)
    except ValueError as error:
        raise _Unfit(f"{place}: {error}") from None


def _read_parquet(path: Path) -> Raw:
    # No partitioning: it would make a column of a folder that is called `key=value`.
    table = import_parquet().read_table(path, partitioning=None)
    names = table.column_names
    id_column = _id_column(names)
    columns = _value_columns(names, id_column)
    ids = table.column(id_column).to_pylist()
    blocks = [_arrow_block(table.column(column), names[column]) for column in columns]
    return ids, np.concatenate(blocks, axis=1) if blocks else np.empty((len(ids), 0), np.float32)


def _arrow_block(column: Any, name: str) -> np.ndarray:
    """Return a column of numbers as (n, 1), one of lists of the same length as (n, length)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    length = 1
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type):
        lengths = pc.unique(pc.list_value_length(column)).to_pylist()
        if len(lengths) != 1 or lengths[0] is None:
            raise _Unfit(f"the vectors in column {name!r} have different lengths")
        length, column = lengths[0], pc.list_flatten(column)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise _Unfit(f"column {name!r} holds {column.type}, not numbers")
    return np.asarray(column.to_numpy()).reshape(-1, length)


def _read_safetensors(path: Path) -> Raw:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        ids = (file.metadata() or {}).get("ids")
        if ids is None or "vectors" not in file.keys():  # noqa: SIM118 (it cannot be iterated)
            raise _Unfit("needs a tensor `vectors`, and `ids` in its metadata as a JSON list")
        return json.loads(ids), file.get_tensor("vectors")


READERS: dict[str, Callable[[Path], Raw]] = {
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".parquet": _read_parquet,
    ".csv": _read_csv,
    ".safetensors": _read_safetensors,
}


# What every format must hold.


def _checked(ids: Sequence[Any], vectors: np.ndarray) -> tuple[list[str], np.ndarray]:
    if not all(isinstance(id, str) for id in ids):
        raise _Unfit(f"its ids are not text: {_some([id for id in ids if not isinstance(id, str)])}")
    if vectors.dtype.kind not in "fiu":
        raise _Unfit(f"its vectors are {vectors.dtype}, not numbers")
    if not len(ids) or not vectors.size:
        raise _Unfit("no vectors in it")
    if vectors.ndim != 2 or len(vectors) != len(ids):
        raise _Unfit(f"{len(ids)} ids, and vectors of the shape {vectors.shape}; ({len(ids)}, length) is needed")
    if repeated := [id for id, count in Counter(ids).items() if count > 1]:
        raise _Unfit(f"{len(repeated):,} ids stand in it more than once: {_some(repeated)}")
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinity, and is told below
        vectors = np.ascontiguousarray(vectors, np.float32)
    if bad := [ids[row] for row in np.flatnonzero(~np.isfinite(vectors).all(axis=1)).tolist()]:
        raise _Unfit(f"{len(bad):,} vectors are not finite (NaN or infinity): {_some(bad)}")
    return list(ids), vectors


def _origin(path: Path, rows: np.ndarray) -> Origin:
    digest = file_sha256(path)
    return Origin(
        backbone="file",
        layer=path.name,
        dim=rows.shape[1],
        pooling="none",
        weights="none",
        weights_file=str(path),
        weights_sha256=digest,
        licence="unknown",
        fallback=None,
        device="none",
        precision="fp32",
        runtime="file",
        fingerprint=digest[:FINGERPRINT_LENGTH],
        stores=[],
        computed=0,
        reused=len(rows),
    )


def _stop(path: Path, words: str) -> ConfigError:
    return ConfigError(f"features.file: {str(path)!r}: {words}")


def _some(names: Sequence[Any]) -> str:
    return ", ".join(map(repr, names[:NAMED])) + (", …" if len(names) > NAMED else "")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
