"""Rules that choose which copy of an image is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import Any, Protocol

from imgcluster.errors import ConfigError
from imgcluster.features import known_keys
from imgcluster.types import ImagePath, Source

DEFAULT_RULES = ("largest", "oldest")
PATTERN = "path:"
PROTECTED, FIRST = "protected", "first in the run"


class Measured(Protocol):
    """What the rules ask of pictures by row."""

    def size(self, row: int, /) -> tuple[int, int]:
        """Return width and height in pixels."""

    def sharpness(self, row: int, /) -> float:
        """Return a measure that grows with sharpness."""


@dataclass(frozen=True)
class Files:
    """The files of the images of a run: paths as text, bytes, time of the last change in ns, place of the folder."""

    paths: list[str]
    bytes: list[int]
    changed: list[int]
    folder_place: list[int]


Key = Callable[[int], Any]  # of a row: the smallest is kept


def files_of(paths: Sequence[ImagePath]) -> Files:
    """Return what is known of images without reading them; zeros where nothing is."""
    folders: dict[str, int] = {}
    places = [folders.setdefault(str(PurePath(str(path)).parent), len(folders)) for path in paths]
    stamps = [
        (key.size, key.mtime_ns) if key is not None else _stamp(path)
        for path, key in zip(paths, known_keys(paths), strict=True)
    ]
    return Files([str(path) for path in paths], [size for size, _ in stamps], [time for _, time in stamps], places)


def _stamp(path: ImagePath) -> tuple[int, int]:
    stamp = path.stamp if isinstance(path, Source) else None
    return (0, 0) if stamp is None else (stamp.size, stamp.mtime_ns)


def check_rules(rules: Sequence[str]) -> None:
    """Refuse rules that are not known. Raises ConfigError."""
    for rule in rules:
        if rule not in RULES and not (rule.startswith(PATTERN) and len(rule) > len(PATTERN)):
            raise ConfigError(f"keep: there is no rule {rule!r}; allowed: {', '.join(RULES)}, {PATTERN}GLOB")


class Preference:
    """An order of the images, those to be kept first.

    Args:
        rules: names of RULES, or `path:GLOB`; of two that are equal by one rule, the next decides.
        files: of all images.
        pictures: their sizes and sharpness.
        protected: the rows that are kept whatever the rules say.
    """

    def __init__(self, rules: Sequence[str], files: Files, pictures: Measured, protected: frozenset[int]) -> None:
        check_rules(rules)
        named = {rule: _key_of(rule, files, pictures) for rule in rules}
        self._keys: Mapping[str, Key] = {PROTECTED: lambda row: row not in protected, **named, FIRST: lambda row: row}
        self._known: dict[int, tuple[Any, ...]] = {}

    def key(self, row: int) -> tuple[Any, ...]:
        """Return the sort key of a row."""
        if row not in self._known:
            self._known[row] = tuple(key(row) for key in self._keys.values())
        return self._known[row]

    def reason(self, best: int, other: int) -> str:
        """Return the rule by which one image is preferred to another."""
        pairs = zip(self._keys, self.key(best), self.key(other), strict=True)
        return next(name for name, one, another in pairs if one != another)


def _key_of(rule: str, files: Files, pictures: Measured) -> Key:
    if rule.startswith(PATTERN):
        return lambda row: not fnmatchcase(files.paths[row], rule.removeprefix(PATTERN))
    return RULES[rule](files, pictures)


def _largest(files: Files, pictures: Measured) -> Key:
    def key(row: int) -> tuple[int, int]:
        width, height = pictures.size(row)
        return -width * height, -files.bytes[row]

    return key


RULES: dict[str, Callable[[Files, Measured], Key]] = {
    "largest": _largest,
    "sharpest": lambda _, pictures: lambda row: -pictures.sharpness(row),
    "oldest": lambda files, _: lambda row: files.changed[row],
    "folder-first": lambda files, _: lambda row: files.folder_place[row],
}
