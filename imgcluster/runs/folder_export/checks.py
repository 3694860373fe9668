"""Checks before an export of folders, and its lock."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from imgcluster.errors import OutputError
from imgcluster.runs.folder_export.apply import PART, check_folder
from imgcluster.runs.folder_export.journal import JOURNAL, Entry, Journal
from imgcluster.runs.folder_export.parts import kind_of_part
from imgcluster.runs.folder_export.plan import crosses
from imgcluster.runs.listed import listed_path
from imgcluster.runs.places import Places

LOCK = ".imgcluster-lock"


def real_path(folder: str | Path) -> Path:
    """Return where a folder lies, links on the way to it followed."""
    return Path(os.path.realpath(folder))


def check_files(rows: list[dict[str, str]], action: str) -> None:
    """Refuse images that are not on this machine, and parts of files unless they are copied. Raises OutputError."""
    for row in rows:
        text = row["path"]
        if (kind := kind_of_part(text)) is not None:
            if action != "copy":
                raise OutputError(f"{text!r} is a {kind}, and no file that can be linked or moved; use --copy")
        elif not isinstance(listed_path(text), Path):
            raise OutputError(
                f"the run's images are not files on this machine, the first of these: {text!r}; bring them here, and "
                "run the config with images.folder set to them"
            )


def check_place(root: Path, folder: str, where: Places, names: list[str]) -> None:
    """Refuse a DIR whose folders would be listed as images of the run, or lead elsewhere. Raises OutputError."""
    image_folders = [real_path(each) for each in where.image_folders]
    for images in image_folders:
        if root == images or images in root.parents:
            raise OutputError(
                f"{folder!r} is inside of images.folder, {str(images)!r}: the next run would treat the copies as "
                "new images; choose a folder outside it"
            )
    if os.path.lexists(root) and not root.is_dir():
        raise OutputError(f"{folder!r} is not a folder; choose another one")
    for name in names:
        check_folder(root / name)
        if any(root / name in (images, *images.parents) for images in image_folders):
            raise OutputError(f"{str(root / name)!r} holds images.folder; choose another one")


def check_same(theirs: Journal, ours: Journal, folder: str | Path) -> None:
    """Refuse to mix two exports in one DIR. Raises OutputError."""
    differences = {
        f"of {theirs.run!r}": theirs.run == ours.run,
        f"made by action {theirs.action!r}": theirs.action == ours.action,
        "of clusters that the run does not have any more, or of something else": theirs.clusters == ours.clusters,
    }
    for what, same in differences.items():
        if not same:
            raise OutputError(
                f"{str(folder)!r} holds an export {what}; take it back with imgcluster.undo_export, or choose another "
                "folder"
            )


def check_possible(action: str, todo: list[Entry], root: Path, folder: str) -> None:
    """Refuse what the disk of DIR has no room or no links for. Raises OutputError."""
    if action == "link":
        _check_links(root, folder)
        return
    device = root.stat().st_dev
    needed = sum(entry.size for entry in todo if action == "copy" or crosses(entry, device))
    free = shutil.disk_usage(root).free
    if needed > free:
        raise OutputError(
            f"{folder!r} has {_megabytes(free)} free, and the images need {_megabytes(needed)}; nothing was done"
        )


def _check_links(root: Path, folder: str) -> None:
    probe = root / PART
    probe.unlink(missing_ok=True)
    try:
        probe.symlink_to(root)
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"{folder!r}: symbolic links are refused here ({error.strerror}); copy the images, or choose a folder on "
            "another disk"
        ) from None


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MB"


@contextmanager
def locked(root: Path, folder: str, *, make: bool) -> Iterator[None]:
    """Hold DIR; what is ours goes again where no journal is left. Raises OutputError: another process holds it."""
    made = make and not root.exists()
    path = root / LOCK
    if make:
        root.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        raise OutputError(f"{str(path)!r} is a link that imgcluster did not make; take it away")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise OutputError(f"{folder!r} is being written by another export; wait for it to end") from None
    try:
        yield
    finally:
        empty = not (root / JOURNAL).exists()
        if empty:
            path.unlink(missing_ok=True)
        lock.release()
        if empty and made:
            with contextlib.suppress(OSError):
                root.rmdir()
