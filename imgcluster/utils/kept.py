"""Results kept as files in the cache folder: what is there is read, what is not there or damaged is made and kept."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from imgcluster.utils.files import cache_folder, write_whole
from imgcluster.utils.parallel import row_slices

MAX_BYTES = 2**30  # of all that is kept in a folder
MAX_FILES = 1000  # in a folder
MAX_BYTES_OF_ONE = 2**28
A_DAY = 24 * 3600
TREE = "tree"  # the name of the array that holds all that is no array, as JSON
ARRAY, CLASS = "array", "class"

Kept = TypeVar("Kept")


def kept_path(folder: str, name: str) -> Path | None:
    """Return the file of this name in a folder below the cache folder; None where nobody has a home."""
    with suppress(RuntimeError):
        return cache_folder() / folder / name
    return None


def kept_file(
    path: Path | None, make: Callable[[], Kept], read: Callable[[bytes], Kept], pack: Callable[[Kept], bytes | None]
) -> Kept:
    """Return what is kept in a file; what is not there, or damaged, is made, and kept if it can be."""
    if path is None:
        return make()
    with suppress(Exception):  # numpy and zipfile raise whatever damaged bytes happen to make them do
        found = read(path.read_bytes())
        with suppress(OSError):
            os.utime(path)  # what is used stays longest
        return found
    made = make()
    data = pack(made)
    if data is not None and len(data) <= MAX_BYTES_OF_ONE:
        keep(path, data)
    return made


def keep(path: Path, data: bytes) -> None:
    """Write a file of the cache in one step, if it can be written, and remove what its folder has too much."""
    with suppress(OSError):  # a cache that cannot be written costs time, and no more
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
        _prune(path.parent)


def _prune(folder: Path) -> None:
    """Keep what was used last, as much as fits, and nothing of a process that was killed while it wrote."""
    files = {path: path.stat() for path in folder.iterdir()}
    left = [path for path, status in files.items() if path.suffix == ".tmp" and time.time() - status.st_mtime > A_DAY]
    kept = sorted(set(files) - set(left), key=lambda path: files[path].st_mtime_ns, reverse=True)
    sizes = itertools.accumulate(files[path].st_size for path in kept)
    many = [path for path, size in zip(kept, sizes, strict=True) if size > MAX_BYTES]
    for path in {*left, *many, *kept[MAX_FILES:]}:
        path.unlink(missing_ok=True)


def digest_arrays(about: Any, arrays: Mapping[str, np.ndarray]) -> str:
    """Return a digest of plain data for JSON and of named arrays of numbers or texts: names, shapes, types, values."""
    digest = hashlib.blake2b(json.dumps(about, sort_keys=True).encode(), digest_size=16)
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.shape} {array.dtype.str}".encode())
        rows = np.atleast_1d(array)
        for part in row_slices(len(rows), max(1, math.prod(rows.shape[1:]))):
            digest.update(rows[part].tobytes())
    return digest.hexdigest()


def pack_arrays(value: Any) -> bytes:
    """Return a dataclass of arrays, numbers, texts, lists, None and other dataclasses as a file of numpy's."""
    arrays: list[np.ndarray] = []

    def tree_of(each: Any) -> Any:
        if isinstance(each, np.ndarray):
            arrays.append(each)
            return {ARRAY: len(arrays) - 1}
        if is_dataclass(each):
            values = {field.name: tree_of(getattr(each, field.name)) for field in fields(each)}
            return {CLASS: type(each).__name__, **values}
        return list(map(tree_of, each)) if isinstance(each, list) else each

    file, tree = BytesIO(), json.dumps(tree_of(value), default=float)  # of numpy's numbers
    named = {TREE: np.array(tree), **{str(number): array for number, array in enumerate(arrays)}}
    np.savez(file, **named)  # type: ignore[arg-type]  # no array is a flag
    return file.getvalue()


def unpack_arrays(data: bytes, classes: Sequence[type[Any]]) -> Any:
    """Return what `pack_arrays` made bytes of, of these classes. Raises whatever damaged bytes make it raise."""
    by_name = {each.__name__: each for each in classes}
    with np.load(BytesIO(data), allow_pickle=False) as file:

        def value_of(tree: Any) -> Any:
            if isinstance(tree, list):
                return list(map(value_of, tree))
            if not isinstance(tree, dict):
                return tree
            if ARRAY in tree:
                return file[str(tree[ARRAY])]
            kind = by_name[tree.pop(CLASS)]
            return kind(**{name: value_of(each) for name, each in tree.items()})

        return value_of(json.loads(str(file[TREE])))
