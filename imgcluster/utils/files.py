"""Files that are whole or absent: atomic writes, and copies, links and moves that never overwrite."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import IO, Any


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
    except OSError as error:
        if error.filename == str(temporary):  # a message names what was to be written
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):  # it is `path` by now, or was never made
            temporary.unlink()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file in one piece, replacing what is there, as `replacing` does."""
    with replacing(path) as file:
        file.write(data)


def parse_json(data: str | bytes) -> Any:
    """Return the value that a JSON file holds. Raises ValueError: it is no JSON, no text, or nested too deep."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep") from None


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


# What file systems without hard links answer, and Linux where the file is another user's.
NO_HARD_LINKS = frozenset((errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK))
_CHUNK = 1 << 20


def move_file(source: Path, target: Path, temporary: Path) -> None:
    """Move a file, within a disk or onto another one. Raises OSError, and then `source` is as it was.

    FileExistsError: something is at `target`, and stays. temporary: a name beside `target`, for a copy in the making.
    """
    try:
        _rename_into_gap(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_file(source, target, temporary)
        sync_folder(target.parent)
        _unlink_source(source, target)


def copy_file(source: Path, target: Path, temporary: Path) -> None:
    """Copy a file with its times and permissions; it appears whole, on the disk, and compared. Raises OSError.

    FileExistsError: something is at `target`, and stays. temporary: a name on the disk of `target`, for the meantime.
    """
    temporary.unlink(missing_ok=True)
    try:
        with source.open("rb") as original, temporary.open("xb") as copy:
            shutil.copyfileobj(original, copy, _CHUNK)
            copy.flush()
            shutil.copystat(source, temporary)
            os.fsync(copy.fileno())
        if not same_bytes(source, temporary):
            raise OSError(errno.EIO, "its copy is not as the original", str(source))
        _rename_into_gap(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_new(data: bytes, target: Path, temporary: Path, mtime_ns: int) -> None:
    """Write a file that is not there yet, with a time; it appears whole and on the disk. Raises as `copy_file`."""
    temporary.unlink(missing_ok=True)
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.utime(temporary, ns=(mtime_ns, mtime_ns))
            os.fsync(file.fileno())
        _rename_into_gap(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _rename_into_gap(source: Path, target: Path) -> None:
    """Rename a file within a disk, where `rename` would overwrite. Raises FileExistsError, OSError."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        _rename_onto_placeholder(source, target)
    else:
        _unlink_source(source, target)


def _unlink_source(source: Path, target: Path) -> None:
    try:
        source.unlink()
    except OSError:  # a folder that may be read only: the file stays in it, and in it alone
        target.unlink()
        raise


def _rename_onto_placeholder(source: Path, target: Path) -> None:
    target.open("xb").close()  # from here on the name is ours: what is overwritten is this empty file
    try:
        source.replace(target)
    except OSError:
        target.unlink()
        raise


def is_placeholder(target: Path, size: int) -> bool:
    """Whether an empty file stands where one of `size` bytes was about to be renamed to."""
    return size > 0 and target.is_file() and not target.is_symlink() and target.stat().st_size == 0


def same_bytes(first: Path, second: Path) -> bool:
    """Whether two files hold the same."""
    with first.open("rb") as one, second.open("rb") as other:
        while True:
            chunk = one.read(_CHUNK)
            if chunk != other.read(_CHUNK):
                return False
            if not chunk:
                return True


def sync_folder(folder: Path) -> None:
    """Have the names in a folder written to the disk, where the system knows how."""
    with contextlib.suppress(OSError):  # Windows opens no folders; some network disks sync none
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
