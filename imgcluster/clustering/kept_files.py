"""Results kept as files under the cache folder: read there again, and the longest unused removed."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from imgcluster.utils import cache_folder, row_slices, write_whole

MAX_BYTES = 2**30  # of all files of a folder
MAX_BYTES_OF_ONE = 2**28
A_DAY = 24 * 3600

Kept = TypeVar("Kept")


def kept_path(folder: str, key: list[Any], ending: str) -> Path | None:
    """Return the file for a result that depends on a key, of what JSON holds; None where nobody has a home."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    with suppress(RuntimeError):
        return cache_folder() / folder / f"{digest}{ending}"
    return None


def digest_of(vectors: np.ndarray) -> str:
    """Return a digest of vectors, (n, dim), of their shape and of their dtype; they are read in blocks."""
    digest = hashlib.blake2b(f"{vectors.shape} {vectors.dtype}".encode(), digest_size=32)
    for part in row_slices(*vectors.shape):
        digest.update(np.ascontiguousarray(vectors[part]).data)
    return digest.hexdigest()


def kept(
    path: Path | None, make: Callable[[], Kept], read: Callable[[bytes], Kept], pack: Callable[[Kept], bytes | None]
) -> Kept:
    """Return what is kept in a file; what is not there, or damaged, is made, and kept if it can be."""
    if path is None:
        return make()
    # Damaged, it is made again; numpy and zipfile raise whatever the bytes happen to make them do.
    with suppress(Exception):
        found = read(path.read_bytes())
        with suppress(OSError):
            os.utime(path)  # what is used stays longest
        return found
    made = make()
    data = pack(made)
    if data is not None and len(data) <= MAX_BYTES_OF_ONE:
        with suppress(OSError):  # a cache that cannot be written costs time, and no more
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
            _prune(path.parent)
    return made


def _prune(folder: Path) -> None:
    """Keep what was used last, as much as fits, and nothing of a process that was killed while it wrote."""
    files = {path: path.stat() for path in folder.iterdir()}
    left = [path for path, status in files.items() if path.suffix == ".tmp" and time.time() - status.st_mtime > A_DAY]
    used = sorted(set(files) - set(left), key=lambda path: files[path].st_mtime_ns, reverse=True)
    sizes = itertools.accumulate(files[path].st_size for path in used)
    for path in [*left, *(path for path, size in zip(used, sizes, strict=True) if size > MAX_BYTES)]:
        path.unlink(missing_ok=True)
