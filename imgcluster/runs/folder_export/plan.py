"""Plan an export: the folder and the safe file name of each image."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from imgcluster.runs.folder_export.journal import Entry
from imgcluster.runs.folder_export.parts import holder_of, kind_of_part, name_for
from imgcluster.runs.listed import listed_path
from imgcluster.types import NOISE, Source

NOISE_FOLDER, FAILED_FOLDER = "noise", "failed"
LONGEST_NAME = 255  # bytes, on nearly every file system
LONGEST_CLUSTER_NAME = 100
NOT_IN_NAMES = frozenset('/\\:*?"<>|')  # a folder may be carried to a system where these mean something


@dataclass(frozen=True)
class Plan:
    """The entries to be made, in the order of the run, and the ids of images that are not where the run found them."""

    entries: list[Entry] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def folder_names(numbers: Sequence[int], names: Mapping[int, str]) -> dict[int, str]:
    """Return the folder of each cluster: its number, of one width for all, and its own name made safe.

    >>> folder_names([-1, 0, 12], {12: "wide/open"})
    {-1: 'noise', 0: '00', 12: '12-wide_open'}
    """
    width = max(2, len(str(max(numbers, default=0))))
    safe = {number: safe_name(names.get(number, "")) for number in numbers}
    folders = {number: f"{number:0{width}}" + (f"-{safe[number]}" if safe[number] else "") for number in numbers}
    return folders | ({NOISE: NOISE_FOLDER} if NOISE in folders else {})


def safe_name(text: str) -> str:
    """Return a text as a part of a folder's name: on one line, in the reading direction, at most 100 bytes."""
    plain = "".join(letter if letter.isprintable() and letter not in NOT_IN_NAMES else "_" for letter in text)
    return _cut(plain, LONGEST_CLUSTER_NAME).strip(" .")


def make_plan(
    rows: Sequence[Mapping[str, str]], folders: Mapping[int, str], root: Path, known: Sequence[Entry]
) -> Plan:
    """Plan the images of a run into `root`; those in `known` keep their places. One file is planned once."""
    sources = _Sources({entry.source for entry in known})
    taken = _Names(root, known)
    planned: dict[str, Entry] = {}
    missing: list[str] = []
    for row in rows:
        if row["status"] == "failed" and kind_of_part(row["path"]) is not None:
            continue  # it has no pixels that could be written
        source = sources.find(row["path"])
        if source is None:
            missing.append(row["id"])
        elif source not in sources.known and source not in planned:
            folder = FAILED_FOLDER if row["status"] == "failed" else folders[int(row["cluster"])]
            planned[source] = _entry(source, folder, taken.free(folder, name_for(source)))
    return Plan([*planned.values()], missing)


def plan_moves(places: Mapping[str, str], root: Path, known: Sequence[Entry]) -> list[Entry]:
    """Plan files by path, each into its folder of `root`, without those in `known`. One file is planned once."""
    sources = _Sources({entry.source for entry in known})
    taken = _Names(root, known)
    planned: dict[str, Entry] = {}
    for path, folder in places.items():
        source = sources.find(path)
        if source is not None and source not in sources.known and source not in planned:
            planned[source] = _entry(source, folder, taken.free(folder, name_for(source)))
    return [*planned.values()]


def renamed(entry: Entry, root: Path, others: Sequence[Entry]) -> Entry:
    """Return an entry under another name, its own having been taken by somebody in the meantime."""
    return replace(entry, name=_Names(root, others).free(entry.folder, name_for(entry.source)))


def with_links_followed(entries: Sequence[Entry], root: Path) -> list[Entry]:
    """Return entries for a move: links among them lead, absolute, to where they led, also where that moves along."""
    places = {entry.source: str(entry.target(root)) for entry in entries}
    return [_with_link(entry, places) for entry in entries]


def _with_link(entry: Entry, places: Mapping[str, str]) -> Entry:
    source = Path(entry.source)
    if not source.is_symlink():
        return entry
    leads = os.path.realpath(source)
    return replace(entry, link=os.readlink(source), points=places.get(leads, leads))


def _entry(source: str, folder: str, name: str) -> Entry:
    """Return the entry of an image; of a part, whose PNG has a size that nobody knows yet, that size is 1."""
    status = Path(holder_of(source)).stat()
    size = status.st_size if kind_of_part(source) is None else 1
    return Entry(source, folder, name, size, status.st_mtime_ns, status.st_ino)


class _Sources:
    """Where the images of a run lie: absolute, links among the folders above them resolved."""

    def __init__(self, known: set[str]) -> None:
        self.known = known
        self._real: dict[str, str] = {}

    def find(self, text: str) -> str | None:
        """Return the path of an image that is there, or that the journal knows; None otherwise."""
        for path in (Path(text), listed_path(text)):
            if isinstance(path, Source) and kind_of_part(str(path)) is None:
                continue
            absolute = self._absolute(Path(str(path)))
            if absolute in self.known or os.path.isfile(holder_of(absolute)):
                return absolute
        return None

    def _absolute(self, path: Path) -> str:
        parent = str(path.parent)
        if parent not in self._real:
            self._real[parent] = os.path.realpath(parent)
        return str(Path(self._real[parent], path.name))


class _Names:
    """The names that are taken in each folder: no two that differ in case or accents' spelling alone."""

    def __init__(self, root: Path, entries: Sequence[Entry]) -> None:
        self._root = root
        self._taken: dict[str, set[str]] = {}
        for entry in entries:
            self._of(entry.folder).add(_key(entry.name))

    def free(self, folder: str, source: Path) -> str:
        """Take a name for a source: its own, or with its folder's before it, or with a number behind."""
        taken = self._of(folder)
        name = next(name for name in _candidates(source) if _key(name) not in taken)
        taken.add(_key(name))
        return name

    def _of(self, folder: str) -> set[str]:
        if folder not in self._taken:
            path = self._root / folder
            there = path.iterdir() if path.is_dir() and not path.is_symlink() else ()
            self._taken[folder] = {_key(each.name) for each in there}
        return self._taken[folder]


def _candidates(source: Path) -> Iterator[str]:
    yield source.name
    stem, suffix = f"{source.parent.name}-{source.stem}", source.suffix
    yield _joined(stem, suffix)
    for number in count(2):
        yield _joined(stem, f"-{number}{suffix}")


def _joined(stem: str, ending: str) -> str:
    return _cut(stem, LONGEST_NAME - len(os.fsencode(ending))) + ending


def _cut(text: str, limit: int) -> str:
    """Return the beginning of a text that takes no more bytes in a file name, and breaks no letter."""
    while text and len(os.fsencode(text)) > limit:
        text = text[:-1]
    return text


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def crosses(entry: Entry, device: int) -> bool:
    """Whether the image lies on another disk than `device`. Raises OSError: it is gone."""
    return os.lstat(entry.source).st_dev != device and not stat.S_ISLNK(os.lstat(entry.source).st_mode)
