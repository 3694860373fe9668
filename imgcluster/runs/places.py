"""Resolve the paths of a finished run: relative to where it was started, and for images that have moved."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path, PurePath
from typing import Any

from imgcluster.errors import ConfigError
from imgcluster.images import names_apart
from imgcluster.utils import DEFAULT_STORAGE, Storage, is_url, shown

STARTED_IN = "started_in"  # in run.json
PATHS = (  # keys of a config with paths that are read or written when a finished run is used
    ("images", "folder"),
    ("features", "store"),
    ("features", "file"),
    ("features", "weights"),
    ("clusters", "parameters", "model"),
)
ARCHIVE = re.compile(r"\.(tar|zip|parquet)$", re.IGNORECASE)
FLAGS = re.IGNORECASE | re.DOTALL
MEMBER = re.compile(
    r"(?P<head>(?:tar|zip)://.*?::)?(?P<place>.*?)(?P<tail>(?<=\.parquet)#row=[0-9]+(?:&column=.+)?)?", FLAGS
)
PATTERN = re.compile(r"[*?\[{]")

_moved: dict[str, str] = {}  # by the real path of a run folder


def images_are_in(run: str | Path, folder: str | Path) -> None:
    """Make this process look for a run's images in `folder` instead of its `images.folder`.

    Raises ConfigError: there is no such folder.
    """
    text = str(folder)
    if not is_url(text) and not os.path.exists(text):
        raise ConfigError(f"images_folder: {text!r}: no such folder")
    _moved[os.path.realpath(run)] = text if is_url(text) else os.path.abspath(text)  # noqa: PTH100 (links stay)


def way_to_start(run_folder: Path) -> str | None:
    """Return the relative path from a run folder to the current folder, for run.json; None where there is none.

    Relative, so that a project can be moved as a whole, or be used by somebody else.
    """
    try:
        here = Path.cwd()
    except OSError:  # it has been removed
        return None
    try:
        return PurePath(os.path.relpath(here, os.path.realpath(run_folder))).as_posix()
    except ValueError:  # on another drive
        return here.as_posix()


@dataclass(frozen=True)
class Places:
    """Resolves the paths of a run.

    start: the folder that relative paths begin in; None: the current one. folders: the run's `images.folder`. moved:
    the folder to use instead. storage: the access to its URLs.
    """

    run: Path
    start: Path | None
    folders: tuple[str, ...]
    moved: str | None = None
    storage: Storage = DEFAULT_STORAGE

    def path(self, text: str) -> str:
        """Resolve a path of the run's config or record: from its start, or else from the current folder."""
        if self.start is None or is_url(text) or not _is_there(self.start / text):
            return text
        return str(self.start / text)

    def config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return a config from run.json with the paths in PATHS resolved."""
        found = copy.deepcopy(dict(config))
        for *sections, key in PATHS if self.start is not None else ():
            section: Any = found
            for name in sections:
                section = section.get(name) or {}
            value = section.get(key)
            if isinstance(value, str):
                section[key] = self.path(value)
            elif isinstance(value, list | tuple):
                section[key] = [self.path(each) for each in value]
        return found

    def image(self, text: str) -> str:
        """Resolve the path of an image in clusters.csv."""
        if (self.moved is None and self.base is None) or (parts := MEMBER.fullmatch(text)) is None:
            return text
        head, place, tail = (parts[name] or "" for name in ("head", "place", "tail"))
        if self.moved is not None:
            return f"{head}{self._elsewhere(place)}{tail}"
        return text if is_url(place) else f"{head}{Path(self.base or '', place)}{tail}"

    def rows(self, rows: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
        """Return rows of clusters.csv with resolved paths."""
        return [{**row, "path": self.image(row["path"])} for row in rows]

    @cached_property
    def base(self) -> Path | None:
        """The folder that the paths of images begin in; None: the current one, also where the start has no images."""
        there = self.start is not None and any(
            not is_url(each) and _is_there(self.start / each) for each in self.folders
        )
        return self.start if there else None

    @property
    def image_folders(self) -> list[str]:
        """The folders of the images now, one for each in `images.folder`."""
        if self.moved is None:
            return [self.image(each) for each in self.folders]
        return [_below(self.moved, name) for name in self._names.values()]

    def lost(self, count: int) -> str:
        """Return the message that none of the run's images was found, with the folders tried and the remedy."""
        if self.moved is not None:
            tried = self.image_folders
        else:
            begins = [Path.cwd()] if self.start is None else [self.start, Path.cwd()]
            tried = [each if is_url(each) else str(begin / each) for each in self.folders for begin in begins]
        looked = " and in ".join(repr(shown(each)) for each in dict.fromkeys(tried))
        images = f"none of the {count:,} images of {str(self.run)!r} is" if count > 1 else "the image is not"
        return f"{images} there; looked in {looked}; say where: imgcluster.images_are_in(RUN, FOLDER)"

    @cached_property
    def _names(self) -> dict[str, str]:
        """The name of each folder of the run below `moved`: empty where there is only one.

        For several folders it is the path below their common parent, or else the shortest distinct path end.
        """
        folders = sorted(
            dict.fromkeys(self.folders), key=lambda folder: folder == "."
        )  # "." begins every relative path
        if len(folders) == 1:
            return {folders[0]: ""}
        parts = [each.split("/") for each in folders]
        shared = len(list(takewhile(lambda level: len(set(level)) == 1, zip(*parts, strict=False))))
        below = ["/".join(each[shared:]) for each in parts]
        ends = [each.rstrip("/") for each in names_apart(folders)]
        lead_away = any(PurePath(each).is_absolute() or ".." in each.split("/") or is_url(each) for each in below)
        choices = [ends] if lead_away else [below, ends]
        found = (names for names in choices if any(_is_there(Path(str(self.moved), name)) for name in names))
        return dict(zip(folders, next(found, choices[0]), strict=True))

    def _elsewhere(self, place: str) -> str:
        """Replace the folder that a path begins with by its place below `moved`."""
        moved = str(self.moved)
        for folder, name in self._names.items():
            if folder == "." and not PurePath(place).is_absolute():
                return f"{_below(moved, name).rstrip('/')}/{place}"
            if place == folder and not name and ARCHIVE.search(folder) and not ARCHIVE.search(moved):
                return _below(moved, PurePath(folder).name)  # `moved` is the folder that the archive lies in
            if place == folder or place.startswith(f"{folder.rstrip('/')}/"):
                return _below(moved, name).rstrip("/") + place[len(folder.rstrip("/")) :]
        return place


def places_of(run_folder: Path, record: Mapping[str, Any]) -> Places:
    """Return the `Places` of a finished run, from its run.json."""
    config = record["config"]
    folder = config.get("images", {}).get("folder", ".")
    folders: Sequence[str] = [folder] if isinstance(folder, str) else folder
    moved = _moved.get(os.path.realpath(run_folder))
    storage = Storage(config.get("storage", {}))
    return Places(run_folder, _start(run_folder, record), tuple(map(_root, folders)), moved, storage)


def _start(run_folder: Path, record: Mapping[str, Any]) -> Path | None:
    """Return where a run was started, if it exists and is elsewhere; in old records, from `outputs.folder`."""
    real, way = Path(os.path.realpath(run_folder)), record.get(STARTED_IN)
    if not isinstance(way, str):
        below = Path(str(record["config"].get("outputs", {}).get("folder", "")))
        if below.is_absolute() or ".." in below.parts or real.parts[-len(below.parts) :] != below.parts:
            return None
        way = "/".join([".."] * len(below.parts))
    start = Path(os.path.normpath(real / way))
    return None if not start.is_dir() or start.samefile(".") else start


def _root(folder: str) -> str:
    """Return the beginning of images' paths: the folder, the archive, or the part of a pattern before its wildcards."""
    place = folder.partition("::")[2] if folder.startswith(("tar://", "zip://")) and "::" in folder else folder
    if ARCHIVE.search(place) and (found := PATTERN.search(place)):
        place = place[: found.start()].rpartition("/")[0]
    return place if is_url(place) else PurePath(place).as_posix()


def _below(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if name else folder


def _is_there(path: Path) -> bool:
    return os.path.exists(path)
