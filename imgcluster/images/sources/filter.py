"""Filter image names: debris, `include` and `exclude`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from imgcluster.config import glob_regex
from imgcluster.errors import ConfigError
from imgcluster.images.sources.debris import debris_in
from imgcluster.images.sources.names import OTHER_PICTURES, SUFFIXES
from imgcluster.images.video.names import ALSO_TYPESCRIPT, VIDEO_SUFFIXES


@dataclass
class ImageFilter:
    """What is left out of a folder, and how much of it has been.

    include, exclude: globs without regard to case. One with a slash in it is relative to the folder; one without means
    files and folders of that name, wherever they are; what matches a folder, matches all below it.
    others: files that are no images, by their endings. used: the globs that matched something. listed: whether all
    names have been looked at. endings: those of the files that are taken. video_hint: what to do about videos.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    debris: dict[str, set[str]] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    not_included: int = 0
    excluded: int = 0
    used: set[str] = field(default_factory=set)
    listed: bool = False
    endings: frozenset[str] = SUFFIXES
    video_hint: str = ""

    @property
    def is_set(self) -> bool:
        """Whether there are globs at all."""
        return bool(self.include or self.exclude)

    def is_debris(self, name: str) -> bool:
        """Tell whether a name, with slashes, is that of debris or below it; it is counted by its topmost part."""
        if (found := debris_in(name)) is None:
            return False
        self.pass_over(*found)
        return True

    def pass_over(self, kind: str, name: str) -> None:
        """Count a folder or file, as debris of a kind."""
        self.debris.setdefault(kind, set()).add(name)

    def keeps(self, *names: str) -> bool:
        """Tell whether `include` and `exclude` leave an image, by any of the names that it has; else it is counted."""
        if self.include and not self._any(self.include, names):
            self.not_included += 1
            return False
        if self.exclude and self._any(self.exclude, names):
            self.excluded += 1
            return False
        return True

    def allows(self, *names: str) -> bool:
        """Tell as `keeps` does, and count nothing."""
        return (not self.include or self._any(self.include, names)) and not self._any(self.exclude, names)

    def _any(self, patterns: tuple[str, ...], names: Iterable[str]) -> bool:
        matched = [pattern for pattern in patterns for name in names if matches(pattern, name)]
        self.used.update(matched)
        return bool(matched)

    def check_include(self, folder: str) -> None:
        """Raise ConfigError where images were there, and `include` has left none of them."""
        if self.include and self.not_included and not self.used.intersection(self.include):
            raise ConfigError(
                f"images.include: none of the {self.not_included:,} images below {folder!r} matches "
                f"{', '.join(map(repr, self.include))}; a pattern with a / is relative to the folder, one without is "
                "that of a file or folder anywhere below it"
            )

    @property
    def formats(self) -> Counter[str]:
        """The pictures of formats that are not read, by their endings."""
        return Counter({ending: count for ending, count in self.others.items() if ending in OTHER_PICTURES})

    @property
    def videos(self) -> Counter[str]:
        """The videos that are not read, by their endings."""
        endings = VIDEO_SUFFIXES - ALSO_TYPESCRIPT
        return Counter({ending: count for ending, count in self.others.items() if ending in endings})

    @property
    def left_out(self) -> dict[str, int | dict[str, int]]:
        """Return how many were left out, by what left them out; debris by folders and files, not by what is in them."""
        counts: dict[str, int | dict[str, int]] = {
            "debris": {kind: len(found) for kind, found in sorted(self.debris.items())},
            "formats": dict(sorted(self.formats.items())),
            "videos": dict(sorted(self.videos.items())),
            "include": self.not_included,
            "exclude": self.excluded,
        }
        return {reason: count for reason, count in counts.items() if count}

    def notes(self) -> list[str]:
        """Say what was left out, one line for each reason."""
        notes = []
        if self.debris:
            counts = ", ".join(f"{len(found):,} {kind}" for kind, found in sorted(self.debris.items()))
            notes.append(f"passed over {counts}: files and folders of storage systems and photo programs")
        if self.formats:
            notes.append(f"skipped {formats_text(self.formats)} to include them")
        if self.videos:
            notes.append(f"skipped {videos_text(self.videos)}; {self.video_hint}")
        if self.not_included:
            notes.append(f"images.include left out {self.not_included:,} images")
        if self.excluded:
            notes.append(f"images.exclude left out {self.excluded:,} images")
        keys = {"include": self.include, "exclude": self.exclude} if self.listed else {}
        return notes + [
            f"images.{key}: {pattern!r} matches no image"
            for key, patterns in keys.items()
            for pattern in patterns
            if pattern not in self.used
        ]


def formats_text(formats: Counter[str]) -> str:
    """Name the formats that are not read, with what to do about them."""
    count = formats.total()
    files = "1 file in an unsupported format" if count == 1 else f"{count:,} files in unsupported formats"
    return f"{files} ({', '.join(sorted(formats))}); convert to .png or .jpg"


def videos_text(videos: Counter[str]) -> str:
    """Count videos, with their endings."""
    count = videos.total()
    return f"{count:,} video{'' if count == 1 else 's'} ({', '.join(sorted(videos))})"


def matches(pattern: str, name: str) -> bool:
    """Tell whether a glob of `include` or `exclude` means a name below the folder, or a folder that it is in."""
    return _regex_of(pattern).fullmatch(name.casefold()) is not None


@lru_cache(256)
def _regex_of(pattern: str) -> re.Pattern[str]:
    glob = pattern.casefold().removeprefix("./").rstrip("/")
    glob = glob.lstrip("/") if "/" in glob else f"**/{glob}"
    return re.compile(f"{glob_regex(glob).pattern}(?:/.*)?", re.DOTALL)
