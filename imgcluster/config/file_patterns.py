"""Patterns that turn an id into a file name (`{id[:2]}/{id}.png`, `**/{id}.*`), and globs."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

ID = re.compile(r"\{id(?:\[(-?[0-9]+|-?[0-9]*:-?[0-9]*)\])?\}")
ANY_ENDING = ".*"

Fold = Callable[[str], str]


def problem_of(pattern: str) -> str | None:
    """Say why a text cannot be a pattern for ids; None where it can."""
    if not ID.search(pattern):
        return f"{pattern!r} has no {{id}} in it"
    if "\0" in pattern:
        return "a file name has no NUL in it"
    known = pattern.removesuffix(ANY_ENDING)
    if "*" in known.rpartition("/")[2]:
        return f"{pattern!r} has a * in the file's name; * stands for folders, or at the end as .* for any ending"
    if ID.search(known.rpartition("*")[0]):
        return f"{pattern!r} has the id before a *; it belongs behind it"
    return None


def fill(pattern: str, id: str) -> str:
    """Return a pattern with an id, or the slices of it that are asked for, in its places; a slice too far is empty."""
    return ID.sub(lambda found: _part(id, found[1]), pattern)


def _part(id: str, place: str | None) -> str:
    if place is None:
        return id
    first, colon, last = place.partition(":")
    if colon:
        return id[int(first) if first else None : int(last) if last else None]
    at = int(first)
    return id[at] if -len(id) <= at < len(id) else ""


def is_wild(pattern: str) -> bool:
    """Tell whether a listing is needed to know the file of an id."""
    return "*" in pattern


@lru_cache(1024)
def _split(pattern: str) -> tuple[str, str, bool]:
    """Split a pattern into the folders up to its last wildcard, what follows, and whether its ending is open."""
    any_ending = pattern.endswith(ANY_ENDING)
    pattern = pattern.removesuffix(ANY_ENDING) if any_ending else pattern
    head, star, _ = pattern.rpartition("*")
    cut = pattern.index("/", len(head)) + 1 if star else 0
    return pattern[:cut], pattern[cut:], any_ending


@lru_cache(1024)
def glob_regex(pattern: str) -> re.Pattern[str]:
    """Return what matches the names that a glob with slashes means: `*` and `?` stay in a folder, `**` does not."""
    out, at = [], 0
    for found in re.finditer(r"\*\*/|/\*\*$|\*\*|\*|\?|\[!?[^]/]+\]", pattern):
        out.append(re.escape(pattern[at : found.start()]))
        out.append(_GLOBS.get(found[0]) or "[" + found[0][1:-1].replace("\\", r"\\").replace("!", "^", 1) + "]")
        at = found.end()
    return re.compile("".join([*out, re.escape(pattern[at:])]), re.DOTALL)


_GLOBS = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class NameIndex:
    """The names of files below a folder, found by patterns and ids in one step each.

    fold: what makes alike the names that count as one; ids are folded by it too.
    """

    def __init__(self, names: Iterable[str], fold: Fold | None = None) -> None:
        self._names = list(names)
        self._fold = fold
        self._tails: dict[tuple[int, bool], dict[str, str | tuple[str, ...]]] = {}

    def matches(self, pattern: str, id: str) -> tuple[str, ...]:
        """Return the names that a pattern means for an id."""
        head, tail, any_ending = _split(pattern)
        tail = posixpath.normpath(fill(tail, id))
        if self._fold is not None:
            head, tail = self._fold(head), self._fold(tail)
        found = self._by_tail(tail.count("/") + 1, any_ending).get(tail, ())
        names = (found,) if isinstance(found, str) else found
        return tuple(name for name in names if self._fits(head, name, tail, any_ending))

    def _by_tail(self, depth: int, any_ending: bool) -> dict[str, str | tuple[str, ...]]:
        """Return the names by their last parts, as many as are asked for; made when first asked."""
        if (depth, any_ending) not in self._tails:
            tails: dict[str, str | tuple[str, ...]] = {}
            for name in self._names:
                tail = _stem(name) if any_ending else name
                parts = (tail if self._fold is None else self._fold(tail)).rsplit("/", depth)
                if len(parts) >= depth:
                    key = "/".join(parts[-depth:])
                    had = tails.get(key)
                    tails[key] = name if had is None else (*((had,) if isinstance(had, str) else had), name)
            self._tails[depth, any_ending] = tails
        return self._tails[depth, any_ending]

    def _fits(self, head: str, name: str, tail: str, any_ending: bool) -> bool:
        known = _stem(name) if any_ending else name
        known = known if self._fold is None else self._fold(known)
        return bool(glob_regex(head).fullmatch(known[: len(known) - len(tail)]))


def _stem(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return stem if dot and "/" not in ending else name


def within(name: str) -> str | None:
    """Return the name below a folder that a text is, normalised; None where it leads outside of it."""
    found = posixpath.normpath(name)
    return None if "\0" in name or found.startswith(("/", "../")) or found in (".", "..") else found


def slices_of(part: str, id: str) -> Iterator[str]:
    """Yield the slices of an id that give a part of it, those at its ends first."""
    size = len(part)
    if not part or size >= len(id):
        return
    if id.startswith(part):
        yield "{id[0]}" if size == 1 else f"{{id[:{size}]}}"
    if id.endswith(part):
        yield "{id[-1]}" if size == 1 else f"{{id[-{size}:]}}"
    for at in range(1, len(id) - size):
        if id.startswith(part, at):
            yield f"{{id[{at}]}}" if size == 1 else f"{{id[{at}:{at + size}]}}"
