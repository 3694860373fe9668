"""Export one image into its folder, complete an interrupted step, or undo it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from imgcluster.errors import OutputError
from imgcluster.runs.folder_export.journal import Entry
from imgcluster.runs.folder_export.parts import holder_of, kind_of_part, rendered
from imgcluster.utils import copy_file, is_placeholder, move_file, same_bytes, write_new

PART = ".imgcluster-part"  # a copy in the making: in DIR, and beside the original while a move is taken back
BACK, NOTHING, LEFT, STUCK = "back", "nothing", "left", "stuck"


def check_folder(path: Path) -> None:
    """Refuse a folder for images that is a file, or a link: it may lead anywhere. Raises OutputError."""
    if path.is_symlink():
        raise OutputError(f"{str(path)!r} is a link, and would lead out of its folder; take it away, or another DIR")
    if os.path.lexists(path) and not path.is_dir():
        raise OutputError(f"{str(path)!r} is in the way: a folder of images would be called so; choose another one")


def place(action: str, entry: Entry, root: Path) -> None:
    """Bring an image to its place below `root`. FileExistsError: something is there; OSError, OutputError: as named."""
    folder = root / entry.folder
    check_folder(folder)
    folder.mkdir(exist_ok=True)
    _PLACE[action](entry, root)


def is_placed(action: str, entry: Entry, root: Path) -> bool:
    """Whether an image is at its place after a process was killed; what was half done is done, or taken away."""
    target = entry.target(root)
    check_folder(target.parent)
    if not os.path.lexists(target):
        return action == "move" and not os.path.lexists(entry.source)
    if is_placeholder(target, entry.size):
        target.unlink()
        return False
    if action == "move" and os.path.lexists(entry.source):
        if not _is_same(entry, target):
            return False
        Path(entry.source).unlink()
    return True


def take_back(action: str, entry: Entry, root: Path) -> tuple[str, str]:
    """Undo one image; may be repeated after a kill at any moment. Raises OSError, OutputError.

    Returns BACK, or NOTHING where nothing had been done; LEFT: a copy or link that is the user's own now, and why;
    STUCK: an original that cannot be brought back as things stand, and why.
    """
    target, source = entry.target(root), Path(entry.source)
    check_folder(target.parent)
    if os.path.lexists(target) and is_placeholder(target, entry.size) and os.path.lexists(source):
        target.unlink()
    if os.path.lexists(target):
        return _TAKE_BACK[action](entry, source, target)
    if action == "move" and not os.path.lexists(source):
        return STUCK, f"it is neither there nor at {entry.source!r}"
    return NOTHING, ""


def find_sorted_by_hand(lost: Sequence[Entry], root: Path) -> Iterator[tuple[Entry, Entry]]:
    """Yield entries that were moved and are at neither place, each with one of where in DIR it lies by now.

    Known by its inode, which a rename keeps, and by size and time, for a number may have gone to another file since.
    """
    entry_of = {(entry.inode, entry.size, entry.mtime_ns): entry for entry in lost}
    for path in [*root.rglob("*")] if lost else []:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            continue
        entry = entry_of.pop((status.st_ino, status.st_size, status.st_mtime_ns), None)
        if entry is not None:
            yield entry, replace(entry, folder=str(path.parent.relative_to(root)), name=path.name)


def is_lost(entry: Entry, root: Path) -> bool:
    """Whether an image is neither where it was nor where it was brought."""
    return not os.path.lexists(entry.source) and not os.path.lexists(entry.target(root))


def _place_copy(entry: Entry, root: Path) -> None:
    if kind_of_part(entry.source) is not None:
        write_new(rendered(entry.source), entry.target(root), root / PART, entry.mtime_ns)
        return
    copy_file(Path(entry.source), entry.target(root), root / PART)


def _place_link(entry: Entry, root: Path) -> None:
    entry.target(root).symlink_to(entry.source)


def _place_moved(entry: Entry, root: Path) -> None:
    target = entry.target(root)
    if entry.points is None:
        move_file(Path(entry.source), target, root / PART)
        return
    target.symlink_to(entry.points)
    Path(entry.source).unlink()


def _take_back_copy(entry: Entry, source: Path, target: Path) -> tuple[str, str]:
    if target.is_symlink() or not target.is_file():
        return LEFT, "it is no copy any more"
    if not Path(holder_of(entry.source)).is_file():
        return LEFT, f"its original {entry.source!r} is gone"
    status = target.stat()
    if kind_of_part(entry.source) is not None:
        if status.st_mtime_ns != entry.mtime_ns and target.read_bytes() != rendered(entry.source):
            return LEFT, "it has changed since"
    elif (status.st_size, status.st_mtime_ns) != (entry.size, entry.mtime_ns) and not same_bytes(source, target):
        return LEFT, "it has changed since"
    target.unlink()
    return BACK, ""


def _take_back_link(entry: Entry, _source: Path, target: Path) -> tuple[str, str]:
    if not target.is_symlink() or os.readlink(target) != entry.source:
        return LEFT, "it is not the link that was made"
    target.unlink()
    return BACK, ""


def _take_back_moved(entry: Entry, source: Path, target: Path) -> tuple[str, str]:
    if os.path.lexists(source) and is_placeholder(source, entry.size):
        source.unlink()  # an earlier undo was killed on a disk without hard links; nobody misses an empty file
    if os.path.lexists(source):
        if not _is_same(entry, target):
            return STUCK, f"there is another file at {entry.source!r} by now"
        target.unlink()
        return BACK, ""
    if target.is_dir() and not target.is_symlink():
        return STUCK, "it is a folder"
    source.parent.mkdir(parents=True, exist_ok=True)
    if entry.link is not None and _says(target, entry.points):
        source.symlink_to(entry.link)
        target.unlink()
    else:
        move_file(target, source, source.parent / PART)
    return BACK, ""


def _is_same(entry: Entry, target: Path) -> bool:
    """Whether what is at the source and at the target is one image, which a killed process left at both."""
    source = Path(entry.source)
    if entry.link is not None:
        return _says(source, entry.link) and _says(target, entry.points)
    if source.is_symlink() or target.is_symlink() or not (source.is_file() and target.is_file()):
        return False
    return source.samefile(target) or same_bytes(source, target)


def _says(path: Path, text: str | None) -> bool:
    return path.is_symlink() and os.readlink(path) == text


_PLACE: dict[str, Callable[[Entry, Path], None]] = {"copy": _place_copy, "link": _place_link, "move": _place_moved}
_TAKE_BACK: dict[str, Callable[[Entry, Path, Path], tuple[str, str]]] = {
    "copy": _take_back_copy,
    "link": _take_back_link,
    "move": _take_back_moved,
}
