"""A shard of the feature store: two files, the vectors and an index of the images they were computed from."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from imgcluster.errors import StoreError
from imgcluster.features.store.backend import StoreFiles
from imgcluster.features.store.damage import DIGITS, Damage, as_text, from_text, row_checksums
from imgcluster.features.store.reader import ShardRows
from imgcluster.utils import Place, digest_bytes, parse_json

FORMAT = 1
MARKS_OF_ONE_DIGIT = 8  # earlier versions read one digit for an image; `Marks.BY_HEADER` and later stand beside it
NAME = r"\d+(-[0-9a-f]+)?"  # what stands between `vectors-` and `.npy`
ENTRY_TYPES = [{str}, {int}, {int}, {int}, {str}]  # of each image in an index: path, size, mtime_ns, ctime_ns, digest


@dataclass(frozen=True, slots=True)
class ImageKey:
    """Identity of an image file in the store. `digest` is of its bytes; "" when not yet read.

    marks: what was noted of the image as it was read, `images.Marks`; 0: by an earlier version, which noted nothing.
    They do not tell one image from another.
    """

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    digest: str = ""
    marks: int = field(default=0, compare=False)

    @property
    def stamp(self) -> tuple[str, int, int, int]:
        """All that is known without reading the file."""
        return self.path, self.size, self.mtime_ns, self.ctime_ns


Shard = tuple[list[ImageKey], ShardRows]  # the keys of its rows, and the rows


def image_key(path: Path, status: os.stat_result, data: bytes | None = None) -> ImageKey:
    """Return the key of a file of this status; without its bytes, one that is found by the status alone."""
    digest = "" if data is None else digest_bytes(data)
    return ImageKey(os.path.realpath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, digest)


def write_shard(
    files: StoreFiles, name: str, fingerprint: str, keys: list[ImageKey], parts: Iterable[np.ndarray]
) -> np.ndarray:
    """Write a shard; returns the checksums of its rows, (len(keys),) uint32. Raises OSError.

    The rows, (len(keys), dim) float32, come in parts, so that they need not be in memory all at once.
    """
    checksums: list[np.ndarray] = []
    files.write(vectors_file(name), _npy_of(len(keys), parts, checksums))
    together = np.concatenate(checksums)
    index = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "images": [(*key.stamp, key.digest) for key in keys],
        "marks": "".join(str(key.marks % MARKS_OF_ONE_DIGIT) for key in keys),
        "more_marks": "".join(str(key.marks // MARKS_OF_ONE_DIGIT) for key in keys),
        "crc32": as_text(together),
    }
    files.write(index_file(name), [json.dumps(index).encode()])
    return together


def unique_name(number: int) -> str:
    """Return a name for a shard that no other process gives."""
    return f"{number:05d}-{uuid4().hex[:8]}"


def _npy_of(count: int, parts: Iterable[np.ndarray], checksums: list[np.ndarray]) -> Iterator[Any]:
    for place, part in enumerate(parts):
        rows = np.ascontiguousarray(part, dtype="<f4")
        if place == 0:
            header = BytesIO()
            shape = (count, rows.shape[1])
            np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
            yield header.getvalue()
        checksums.append(row_checksums(rows))
        yield rows.data


def read_shard(files: StoreFiles, name: str, fingerprint: str) -> Shard:
    """Return the keys of a shard, and its rows, of which only the header is read.

    Raises Damage: not what was written, or of another store; FileNotFoundError, OSError; StoreError: a newer format.
    """
    keys, of, checksums = _read_index(files, name)
    rows = ShardRows(files.place / vectors_file(name), checksums)
    if of != fingerprint or len(rows) != len(keys):
        raise Damage(index_file(name), f"does not belong to {vectors_file(name)}")
    return keys, rows


def _read_index(files: StoreFiles, name: str) -> tuple[list[ImageKey], str, np.ndarray | None]:
    """Return the keys of a shard's rows, its fingerprint, and the rows' checksums where it has some."""
    data = files.read(index_file(name))
    try:
        index = parse_json(data)
    except ValueError:
        raise Damage(index_file(name), "is no JSON") from None
    if not isinstance(index, dict):
        raise Damage(index_file(name), "is not an index")
    check_format(index, files.place)
    try:
        return _keys_in(index), index["fingerprint"], _checksums_in(index)
    except (ValueError, KeyError):
        raise Damage(index_file(name), "is not an index, or incomplete") from None


def _keys_in(index: dict[str, Any]) -> list[ImageKey]:
    """Return the keys in an index. Raises ValueError, KeyError: something in it is of another type or missing."""
    images = index["images"]
    if not isinstance(images, list) or not all(isinstance(each, list) for each in images):
        raise ValueError("images")
    columns = list(zip(*images, strict=True))
    if images and [set(map(type, column)) for column in columns] != ENTRY_TYPES:
        raise ValueError("images")
    marks, more = (index.get(key, "0" * len(images)) for key in ("marks", "more_marks"))
    if not isinstance(marks, str) or not isinstance(more, str):
        raise ValueError("marks")
    return [
        ImageKey(path, size, mtime_ns, ctime_ns, digest, int(mark) + MARKS_OF_ONE_DIGIT * int(rest))
        for (path, size, mtime_ns, ctime_ns, digest), mark, rest in zip(images, marks, more, strict=True)
    ]


def _checksums_in(index: dict[str, Any]) -> np.ndarray | None:
    """Return the checksums in an index, (n,) uint32; None: an earlier version wrote it. Raises ValueError, KeyError."""
    text = index.get("crc32")
    if text is None:
        return None
    if not isinstance(text, str) or len(text) != DIGITS * len(index["images"]):
        raise ValueError("crc32")
    return from_text(text)


def check_format(found: dict[str, Any], place: Place) -> None:
    """Raise StoreError where a file of a store says that a newer version wrote it."""
    written_as = found.get("format")
    if isinstance(written_as, int) and written_as > FORMAT:
        raise StoreError(
            f"{str(place)!r} comes from a newer imgcluster (format {written_as}); "
            "update imgcluster, or set features.store elsewhere"
        )


def shard_names(files: StoreFiles) -> list[str]:
    """Return the names of all shards that have an index, in the order of their numbers."""
    names = map(shard_of, files.names("index-*.json"))
    return sorted((name for name in names if re.fullmatch(NAME, name)), key=lambda name: (number_of(name), name))


def number_of(name: str) -> int:
    """Return the number that a shard's name begins with."""
    return int(name.partition("-")[0])


def shard_of(file: str) -> str:
    """Return the name of the shard to which a file belongs."""
    return file.partition("-")[2].rpartition(".")[0]


def vectors_file(name: str) -> str:
    """Return the name of the file that holds a shard's rows."""
    return f"vectors-{name}.npy"


def index_file(name: str) -> str:
    """Return the name of a shard's index."""
    return f"index-{name}.json"
