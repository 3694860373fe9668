"""Files that are either whole or not there: written beside their place, flushed to the disk, then renamed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import IO


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of `path` when the block ends well, and vanishes when it does not.

    What processes of this machine were about to write there when they were killed goes.
    """
    remove_left(path)
    with one_of_many(path) as file:
        yield file


@contextmanager
def one_of_many(path: Path) -> Iterator[IO[bytes]]:
    """Do the same in a folder of so many files that its owner looks through it once, by `remove_temporary`."""
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
    """Write a file in one piece, replacing what is there, as `replacing` does."""
    with replacing(path) as file:
        file.write(data)


def remove_temporary(folder: Path, names: Iterable[str]) -> None:
    """Remove what killed processes were about to write as one of these names (glob patterns).

    Only for one that holds the folder's lock: another's file may be in the making.
    """
    for name in names:
        for path in folder.glob(f"{name}.[0-9]*.tmp"):
            path.unlink(missing_ok=True)


def remove_left(path: Path) -> None:
    """Remove what processes of this machine were about to write as `path` when they were killed; not on Windows."""
    for left in path.parent.glob(f"{escape(path.name)}.[0-9]*.tmp"):
        process = left.name.removeprefix(f"{path.name}.").removesuffix(".tmp")
        if process.isdecimal() and not _is_there(int(process)):
            with suppress(OSError):  # another's, in a folder in which each removes their own
                left.unlink()


def _is_there(process: int) -> bool:
    if sys.platform == "win32":  # there, to ask so would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another's, or no number of a process
        return True
    return True


def cache_folder() -> Path:
    """Return the user's folder for what can be made again. RuntimeError where nobody has a home."""
    if folder := os.environ.get("IMGCLUSTER_CACHE"):
        return Path(folder).expanduser()
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "imgcluster"
    return Path.home() / ".cache" / "imgcluster"
