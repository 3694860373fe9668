"""A shard of the feature store: two files, an index that says of which images the rows are, and the vectors."""

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

from imgcluster.features.store.backend import StoreFiles
from imgcluster.utils import digest_bytes

FORMAT = 1
NAME = r"\d+(-[0-9a-f]+)?"  # what stands between `vectors-` and `.npy`


@dataclass(frozen=True, slots=True)
class ImageKey:
    """What tells that a file is the one its vector was made from. `digest` is of its bytes; "" when not yet read.

    marks: what was noted of the image as it was read, a digit; 0: by an earlier version, which noted nothing. It does
    not tell one image from another.
    """

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    digest: str = ""
    marks: int = field(default=0, compare=False)

    @property
    def stamp(self) -> tuple[str, int, int, int]:
        """All that can be known without reading the file."""
        return self.path, self.size, self.mtime_ns, self.ctime_ns


def image_key(path: Path, status: os.stat_result, data: bytes | None = None) -> ImageKey:
    """Return the key of a file of this status; without its bytes, one that is found by the status alone."""
    digest = "" if data is None else digest_bytes(data)
    return ImageKey(os.path.realpath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, digest)


def write_shard(
    files: StoreFiles, name: str, fingerprint: str, keys: list[ImageKey], parts: Iterable[np.ndarray]
) -> None:
    """Write the rows of a shard, which come in parts so that they need not be in memory all at once. Raises OSError."""
    files.write(vectors_file(name), _npy_of(len(keys), parts))
    images = [(*key.stamp, key.digest) for key in keys]
    marks = "".join(str(int(key.marks)) for key in keys)
    index = {"format": FORMAT, "fingerprint": fingerprint, "images": images, "marks": marks}
    files.write(index_file(name), [json.dumps(index).encode()])


def unique_name(number: int) -> str:
    """Return a name for a shard that no other process gives."""
    return f"{number:05d}-{uuid4().hex[:8]}"


def _npy_of(count: int, parts: Iterable[np.ndarray]) -> Iterator[Any]:
    for place, part in enumerate(parts):
        rows = np.ascontiguousarray(part, dtype="<f4")
        if place == 0:
            header = BytesIO()
            shape = (count, rows.shape[1])
            np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
            yield header.getvalue()
        yield rows.data


def read_index(files: StoreFiles, name: str) -> tuple[list[ImageKey], str]:
    """Return the keys of a shard's rows, and the fingerprint. Raises OSError, and whatever damaged bytes lead to."""
    index = json.loads(files.read(index_file(name)))
    images = index["images"]
    marks = index.get("marks", "0" * len(images))
    keys = [
        ImageKey(path, size, mtime_ns, ctime_ns, digest, int(mark))
        for (path, size, mtime_ns, ctime_ns, digest), mark in zip(images, marks, strict=True)
    ]
    hash(tuple(keys))  # a list in the place of a number or a text
    return keys, index["fingerprint"]


def shard_names(files: StoreFiles) -> list[str]:
    """Return the names of all shards that have an index, in the order of their numbers."""
    names = [file.removeprefix("index-").removesuffix(".json") for file in files.names("index-*.json")]
    return sorted((name for name in names if re.fullmatch(NAME, name)), key=lambda name: (number_of(name), name))


def number_of(name: str) -> int:
    """Return the number that a shard's name begins with."""
    return int(name.partition("-")[0])


def vectors_file(name: str) -> str:
    """Return the name of the file that holds a shard's rows."""
    return f"vectors-{name}.npy"


def index_file(name: str) -> str:
    """Return the name of the file that says of which images they are."""
    return f"index-{name}.json"
