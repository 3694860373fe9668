"""Local folders: list the images below them, or look up single files."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from imgcluster.config import RunFiles
from imgcluster.errors import ConfigError, ImageError, quoted
from imgcluster.images.expansion import file_of_part, open_parts
from imgcluster.images.file_kinds import head_of
from imgcluster.images.sources.archive import ARCHIVES
from imgcluster.images.sources.debris import HIDDEN, why_set_aside
from imgcluster.images.sources.endings import ARCHIVE, OF_A_RUN, VIDEO, LeftOut, left_out_as
from imgcluster.images.sources.filter import ImageFilter, unread_text
from imgcluster.types import ImagePath

# By these files the folder of a run is known, in which these folders, with a file that tells them from others of the
# same name, hold pictures of images, and no images.
RUN_MARKS = frozenset((RunFiles.RECORD, RunFiles.CLUSTERS))
PICTURES_OF_A_RUN = {RunFiles.REPORT: RunFiles.PAGE, RunFiles.SHEETS: RunFiles.SHEETS_LIST}
NAMED = 3
MOST_FOLDERS = 1_000  # looked into for images beside those that are named


class LocalFolder:
    """The images below a folder of this machine, under their relative paths with slashes.

    Hidden files and folders are passed over, debris (see `debris`), and the pictures of a run that was written among
    the images. Links to folders are followed, each real folder once.
    """

    def __init__(self, folder: str, wanted: ImageFilter | None = None, prefix: str = "") -> None:
        self.wanted = wanted or ImageFilter()
        self.folder = Path(folder)
        self._prefix = prefix
        self._known: list[str] | None = None
        self._root = os.path.join(os.path.abspath(folder), "")

    def images(self) -> dict[str, Path]:
        """Return all images by their names."""
        return {name: self.folder / name for name in self.names()}

    def names(self) -> list[str]:
        """Return the names of all images. A folder or a broken link called x.jpg will be a failure with its reason."""
        self.wanted.listed = True
        self._known = list(self._walk())
        return self._known

    def find(self, names: Sequence[str]) -> dict[str, ImagePath]:
        """Return those of the files, frames and pages that are there, by the names; a folder of such a name too.

        A frame or page that a file lacks is Lost, and has the reason.
        """
        found: dict[str, ImagePath] = {name: path for name in names if os.path.lexists(path := self.folder / name)}
        parts = {str(self.folder / name): name for name in names if name not in found}
        opened = open_parts(parts)
        return found | {parts[text]: path for text, path in opened.items() if os.path.isfile(file_of_part(text))}

    def inside(self, name: str) -> str | None:
        """Return the name that a file has in a listing of the folder; None where it leads outside.

        By the text alone: links inside the folder may lead wherever their maker wanted.
        """
        if "\0" in name:
            return None
        path = os.path.normpath(os.path.join(self._root, name))
        if not path.startswith(self._root):
            return None
        return path[len(self._root) :]

    def near(self, names: Sequence[str]) -> list[str]:
        """Return the names of all images where they are known, else of those beside files in not too many folders."""
        if self._known is not None:
            return self._known
        folders = {name.rpartition("/")[0] for name in names}
        if len(folders) > MOST_FOLDERS:
            return []
        return [name for folder in sorted(folders) for name in self._images_in(folder)]

    def _images_in(self, folder: str) -> Iterator[str]:
        path = self.folder / folder
        for entry in _entries(path):
            name = f"{folder}/{entry.name}" if folder else entry.name
            if why_set_aside(path.name, entry.name) or self._why_no_image(entry, is_folder=_is_folder(entry)):
                continue
            if self.wanted.allows(name, self._prefix + name):
                yield name

    def _why_no_image(self, entry: os.DirEntry[str], *, is_folder: bool) -> LeftOut | None:
        """Tell as `left_out_as`; a folder is an image by its ending alone, which will be a failure with its reason."""
        return left_out_as(entry.name, None if is_folder else partial(_head_of, entry), self.wanted.endings)

    def tried(self, name: str) -> str:
        """Return where a name was looked for."""
        return str(self.folder / name)

    def _walk(self) -> Iterator[str]:
        seen: set[tuple[int, int]] = set()
        waiting = [""]  # and no recursion: folders may lie deeper below each other than Python's calls
        while waiting:
            below = waiting.pop()
            folders = []
            for entry, is_folder in self._listed(below, seen):
                name = below + entry.name
                if is_folder:
                    folders.append(f"{name}/")
                if why := self._why_no_image(entry, is_folder=is_folder):
                    if not is_folder:
                        self.wanted.leave_out(why)
                elif self.wanted.keeps(name, self._prefix + name):
                    yield name
            waiting += reversed(folders)

    def _listed(self, below: str, seen: set[tuple[int, int]]) -> Iterator[tuple[os.DirEntry[str], bool]]:
        """Yield what is in a folder, by name, with whether it is one; nothing where it was seen by another name."""
        folder = self.folder / below
        try:
            status = folder.stat()
            entries = list(os.scandir(folder))
        except OSError as error:
            self.wanted.unlisted[str(folder)] = error.strerror or str(error)
            return
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        passed = _of_a_run(folder) if RUN_MARKS.issubset(entry.name for entry in entries) else ()
        for entry in sorted(entries, key=lambda entry: entry.name):
            if kind := why_set_aside(folder.name, entry.name):
                self.wanted.pass_over(kind, self._prefix + below + entry.name)
            elif entry.name in passed:
                self.wanted.leave_out(LeftOut(OF_A_RUN, entry.name))
            else:
                yield entry, _is_folder(entry)


def check_folder(text: str) -> None:
    """Raise ConfigError where a text is not a folder, with the nearest one that there is."""
    if os.path.isdir(text):
        return
    if os.path.isfile(text):
        raise ConfigError(f"images.folder: {quoted(text, 300)} is a file; name the folder that it is in")
    parent = next((parent for parent in Path(text).parents if parent.is_dir()), None)
    near = f"{str(parent)!r} exists" if parent is not None and str(parent) != "." else f"looked in {str(Path.cwd())!r}"
    raise ConfigError(f"images.folder: {quoted(text, 300)} is not a folder ({near})")


def none_below(folder: str, seen: ImageFilter) -> ImageError:
    """Return what is said of a folder without images, by what was seen in it instead."""
    return ImageError(f"images.folder: no image below {folder!r}{_instead(folder, seen)}")


def _instead(folder: str, seen: ImageFilter) -> str:
    looked = " (looked for .jpg, .png, .tif, .webp and other endings of pictures)"
    if archives := [ending for ending in ARCHIVES if ending in seen.others[ARCHIVE]]:
        counts = ", ".join(f"{seen.others[ARCHIVE][ending]:,} {ending}" for ending in archives)
        inside = [f"{folder.rstrip('/')}/**/*{ending}" for ending in archives]
        value = json.dumps(inside[0] if len(inside) == 1 else inside, ensure_ascii=False)
        return f", but archives ({counts}); set images.folder: {value} for the images in them"
    if seen.others[VIDEO] or seen.unread:
        counts = seen.videos_text() if seen.others[VIDEO] else unread_text(seen)
        return f" that can be read, but {counts}{looked}"
    if seen.excluded:
        return f" is left by images.exclude: all {seen.excluded:,} match it"
    if seen.debris:
        return f"{looked}; {seen.notes()[0]}"
    others = sum(seen.others.values(), Counter({f"{HIDDEN} names": len(seen.hidden)} if seen.hidden else {}))
    endings = ", ".join(ending for ending, _ in others.most_common(NAMED))
    if others:
        return f"{looked}; it has {others.total():,} other files, with the endings: {endings}"
    return looked if folder.lower().endswith(ARCHIVES) else ": there are no files in it"


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _head_of(entry: os.DirEntry[str]) -> bytes:
    return head_of(Path(entry.path))


def _of_a_run(folder: Path) -> list[str]:
    return [name for name, mark in PICTURES_OF_A_RUN.items() if os.path.isfile(folder / name / mark)]
