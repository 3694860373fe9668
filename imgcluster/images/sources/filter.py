"""Filter image names: debris, `include` and `exclude`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from imgcluster.config import glob_regex
from imgcluster.errors import ConfigError
from imgcluster.images.extras import FORMATS
from imgcluster.images.sources.debris import HIDDEN, debris_in, set_aside
from imgcluster.images.sources.endings import (
    ARCHIVE,
    LINK,
    NEEDS_EXTRA,
    NO_PICTURE,
    OF_A_RUN,
    REASONS,
    SIDECAR,
    UNREAD,
    VIDEO,
    LeftOut,
)
from imgcluster.utils import counted, install_command

MOST_NAMED = 8  # endings in a line
# What files are called that are left out for a reason: one, several.
CALLED = {
    SIDECAR: "sidecar|sidecars",
    ARCHIVE: "archive|archives",
    OF_A_RUN: "folder of a run|folders of a run",
    LINK: "link|links",
    NO_PICTURE: "file that is not a picture|files that are not pictures",
}


@dataclass
class ImageFilter:
    """What is left out of a folder, and how much of it has been.

    include, exclude: globs without regard to case. One with a slash in it is relative to the folder; one without means
    files and folders of that name, wherever they are; what matches a folder, matches all below it.
    debris, hidden: files, and folders that are not entered, by their names. others: how many other files are no images
    that can be read, by reason and then by ending or kind. unlisted: folders that cannot be listed, with the reasons.
    used: the globs that matched something. listed: whether all names have been looked at. endings: those of files that
    are taken beside pictures. video_hint: what to do about videos.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    debris: dict[str, set[str]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    others: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    unlisted: dict[str, str] = field(default_factory=dict)
    not_included: int = 0
    excluded: int = 0
    used: set[str] = field(default_factory=set)
    listed: bool = False
    endings: frozenset[str] = frozenset()
    video_hint: str = ""

    @property
    def is_set(self) -> bool:
        """Whether there are globs at all."""
        return bool(self.include or self.exclude)

    def is_debris(self, name: str, prefix: str = "") -> bool:
        """Tell whether a name, with slashes, is that of debris or below it; it is counted by its topmost part.

        prefix: what tells folders apart, before the name.
        """
        return self._passes_over(debris_in(name), prefix)

    def leaves_out(self, name: str, prefix: str, why: LeftOut | None) -> bool:
        """Tell whether a file of a listing is debris, hidden, or left out for another reason; count it where it is."""
        if self._passes_over(set_aside(name), prefix):
            return True
        if why is not None:
            self.leave_out(why)
        return why is not None

    def _passes_over(self, found: tuple[str, str] | None, prefix: str) -> bool:
        if found is not None:
            self.pass_over(found[0], prefix + found[1])
        return found is not None

    def pass_over(self, kind: str, name: str) -> None:
        """Count a folder or file as hidden, or as debris of a kind."""
        (self.hidden if kind == HIDDEN else self.debris.setdefault(kind, set())).add(name)

    def leave_out(self, why: LeftOut) -> None:
        """Count a file that is no image, or one that cannot be read."""
        self.others[why.reason][why.detail] += 1

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
                f"images.include: none of the {counted(self.not_included, 'image')} below {folder!r} matches "
                f"{', '.join(map(repr, self.include))}; a pattern with a / is relative to the folder, one without is "
                "that of a file or folder anywhere below it"
            )

    @property
    def unread(self) -> Counter[str]:
        """The pictures in formats that are not read, by ending or kind, with those that an extra would read."""
        return self.others[UNREAD] + self.others[NEEDS_EXTRA]

    @property
    def left_out(self) -> dict[str, int | dict[str, int]]:
        """Return how many files were left out, by what left them out; a folder that is not entered counts as one."""
        counts: dict[str, int | dict[str, int]] = {
            "debris": {kind: len(found) for kind, found in sorted(self.debris.items())},
            "hidden": len(self.hidden),
            **{reason: dict(sorted(self.others[reason].items())) for reason in REASONS},
            "not_listed": len(self.unlisted),
            "include": self.not_included,
            "exclude": self.excluded,
        }
        return {reason: count for reason, count in counts.items() if count}

    def notes(self, *, by_ids: bool = False) -> list[str]:
        """Say what was left out, one line for each reason.

        by_ids: a table names the images, so that files that are not pictures are nothing to be said.
        """
        notes = [
            f"{folder!r} cannot be listed ({why}): the images below it are left out"
            for folder, why in self.unlisted.items()
        ]
        if self.debris:
            counts = ", ".join(f"{len(found):,} {kind}" for kind, found in sorted(self.debris.items()))
            notes.append(f"passed over {counts}: files and folders of storage systems and photo programs")
        if self.unread:
            notes.append(f"skipped {unread_text(self)} to include {'it' if self.unread.total() == 1 else 'them'}")
        if self.others[VIDEO]:
            notes.append(f"skipped {self.videos_text()}")
        if (others := self._others_text()) and not by_ids:
            notes.append(f"skipped {others}")
        if self.not_included:
            notes.append(f"images.include left out {counted(self.not_included, 'image')}")
        if self.excluded:
            notes.append(f"images.exclude left out {counted(self.excluded, 'image')}")
        keys = {"include": self.include, "exclude": self.exclude} if self.listed else {}
        return notes + [
            f"images.{key}: {pattern!r} matches no image"
            for key, patterns in keys.items()
            for pattern in patterns
            if pattern not in self.used
        ]

    def videos_text(self) -> str:
        """Count the videos that are left out, with what to do about them."""
        return f"{_counted('video|videos', self.others[VIDEO])}; {self.video_hint}"

    def _others_text(self) -> str:
        """Count the hidden files, sidecars and other files that are not pictures: `1 hidden, 2 sidecars (.xmp)`."""
        hidden = [f"{len(self.hidden):,} hidden"] if self.hidden else []
        others = [_counted(called, self.others[reason]) for reason, called in CALLED.items() if self.others[reason]]
        return ", ".join([*hidden, *others])


def _counted(called: str, counts: Counter[str]) -> str:
    one, _, many = called.partition("|")
    return f"{counted(counts.total(), one, many)} ({_some(counts)})"


def _some(counts: Counter[str]) -> str:
    """Name the commonest endings or kinds, in alphabetical order, and say how many more there are."""
    named = sorted(name for name, _ in counts.most_common(MOST_NAMED))
    more = len(counts) - len(named)
    return ", ".join(named) + (f" and {more:,} more" if more else "")


def unread_text(seen: ImageFilter) -> str:
    """Name the formats that are not read, with what to do about them."""
    extra, unread = seen.others[NEEDS_EXTRA], seen.others[UNREAD]
    counts = extra + unread
    count = counts.total()
    files = "1 file in an unsupported format" if count == 1 else f"{count:,} files in unsupported formats"
    remedies = [(extra, install_command(FORMATS)), (unread, "convert to .png or .jpg")]
    how = [remedy if len(part) == len(counts) else f"{remedy} ({_some(part)})" for part, remedy in remedies if part]
    return f"{files} ({_some(counts)}); {' and '.join(how)}"


def matches(pattern: str, name: str) -> bool:
    """Tell whether a glob of `include` or `exclude` means a name below the folder, or a folder that it is in."""
    return _regex_of(pattern).fullmatch(name.casefold()) is not None


@lru_cache(256)
def _regex_of(pattern: str) -> re.Pattern[str]:
    glob = pattern.casefold().removeprefix("./").rstrip("/")
    glob = glob.lstrip("/") if "/" in glob else f"**/{glob}"
    return re.compile(f"{glob_regex(glob).pattern}(?:/.*)?", re.DOTALL)
