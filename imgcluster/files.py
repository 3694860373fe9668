"""Files that are either whole or not there: written beside their place, flushed to the disk, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of `path` when the block ends well, and vanishes when it does not."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes) -> None:
    """Write a file in one piece, replacing what is there."""
    with replacing(path) as file:
        file.write(data)


def remove_temporary(folder: Path, names: Iterable[str]) -> None:
    """Remove what killed processes were about to write as one of these names (glob patterns).

    Only for one that holds the folder's lock: another's file may be in the making.
    """
    for name in names:
        for path in folder.glob(f"{name}.[0-9]*.tmp"):
            path.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Return the user's folder for what can be made again. RuntimeError where nobody has a home."""
    if folder := os.environ.get("IMGCLUSTER_CACHE"):
        return Path(folder).expanduser()
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "imgcluster"
    return Path.home() / ".cache" / "imgcluster"
