"""Find file patterns that map ids to existing files, for `init` and for hints."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product

from imgcluster.config import ID, NameIndex, is_wild, slices_of

LOOKED_AT = 200  # ids, of which patterns are made; all of them are then tried
FEW = 5  # ids that are looked for inside of all names, where none is the name of a file or folder
MOST_TRIED = 10
MOST_LISTED = 4  # patterns in a list
MOST_SLICES = 27
LONG_ENOUGH = 3  # letters of an id that stands in a name twice by no accident

Pair = tuple[str, str]  # an id, and the name of a file that may be its own


@dataclass(frozen=True)
class FoundPatterns:
    """Patterns, and how many ids have one file by them, each its own; others: single patterns that fit all ids, too."""

    patterns: tuple[str, ...]
    found: int
    others: tuple[str, ...] = ()

    @property
    def are_names(self) -> bool:
        """Whether the ids are the whole names of the files, with or without the endings."""
        lasts = (pattern.rpartition("/")[2] for pattern in self.patterns)
        return all(posixpath.splitext(last)[0] == "{id}" or last == "{id}" for last in lasts)

    @property
    def value(self) -> str | list[str]:
        """What stands in a config."""
        return self.patterns[0] if len(self.patterns) == 1 else list(self.patterns)


def find_patterns(ids: Sequence[str], names: Sequence[str]) -> FoundPatterns | None:
    """Find the patterns by which all ids have one file each, else those by which most have; None: by none."""
    literal = [name for name in names if "*" not in name and not ID.search(name)]
    pairs = _pairs(ids[:: max(1, len(ids) // LOOKED_AT)], literal)
    index = NameIndex(names)
    best: FoundPatterns | None = None
    for patterns in _proposals(pairs) if pairs else _proposals_of_parts(ids[:FEW], literal):
        files = [name for id in ids if (name := _one_file(id, patterns, index)) is not None]
        found = len(set(files))
        if found < len(files):  # slices that several ids share do not say which file is whose
            continue
        if best is None or found > best.found:
            best = FoundPatterns(patterns, found)
        if found == len(ids):
            return FoundPatterns(patterns, found, tuple(_others(ids, patterns, pairs, index)))
    return best if best is not None and best.found else None


def _one_file(id: str, patterns: tuple[str, ...], index: NameIndex) -> str | None:
    names = {name for pattern in patterns for name in index.matches(pattern, id)}
    return names.pop() if len(names) == 1 else None


def _others(ids: Sequence[str], taken: tuple[str, ...], pairs: list[Pair], index: NameIndex) -> Iterator[str]:
    """Yield other patterns by which each id has another file."""
    if len(taken) > 1 or is_wild(taken[0]):
        return
    own = {name for id in ids for name in index.matches(taken[0], id)}
    for pattern in _commonest(_exact(pairs)):
        found = {name for id in ids for name in index.matches(pattern, id)}
        if len(found) == len(ids) and not found & own:
            yield pattern


def _pairs(ids: Sequence[str], names: Sequence[str]) -> list[Pair]:
    wanted: dict[str, list[str]] = {}
    for id in ids:
        base = posixpath.basename(id)
        for key in {base, posixpath.splitext(base)[0]}:
            wanted.setdefault(key, []).append(id)
    pairs = [(id, name) for name in names for part in _keys(name) for id in wanted.get(part, ()) if id in name]
    if pairs:
        return pairs
    few = sorted(set(ids), key=lambda id: (len(id), id))[-FEW:]
    return [(id, name) for name in names for id in few if _stands_in(id, posixpath.basename(name))]


def _stands_in(id: str, base: str) -> bool:
    """Tell whether an id is a part of a name, and no part of a longer number in it: `7` is not in `0007.jpg`."""
    at = base.rfind(id)
    around = (base[at - 1 : at] + id[0], id[-1] + base[at + len(id) :][:1])
    return at >= 0 and not any(len(pair) == 2 and pair.isdecimal() for pair in around)


def _keys(name: str) -> set[str]:
    *folders, base = name.split("/")
    return {*folders, base, posixpath.splitext(base)[0]}


def _proposals(pairs: list[Pair]) -> Iterator[tuple[str, ...]]:
    """Yield patterns to try, the plainest first: one; one with slices; several; one in any folder; several of these."""
    exact = _exact(pairs)
    for pattern in _commonest(exact):
        yield (pattern,)
    sliced = _counted((pair, pattern) for pair in pairs for pattern in _sliced(*pair))
    for pattern in _commonest(sliced):
        yield (pattern,)
    for several in (_together(exact), _together(sliced)):
        if len(several) > 1:
            yield several
    anywhere = _counted((pair, _anywhere(*pair)) for pair in pairs)
    for pattern in _commonest(anywhere):
        yield (pattern,)
    yield _together(anywhere)


def _proposals_of_parts(ids: Sequence[str], names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield patterns by which the end of an id is a name: `test_0007` of `0007.jpg`."""
    by_stem = {posixpath.splitext(posixpath.basename(name))[0]: name for name in names}
    tried: dict[str, None] = {}
    for id in ids:
        for cut in range(1, len(id)):
            if not id[cut - 1 : cut + 1].isdecimal() and (name := by_stem.get(id[cut:])) is not None:
                tried[_between(id[cut:], name).replace("{id}", f"{{id[{cut}:]}}")] = None
    for pattern in tried:
        yield (pattern,)


Counted = dict[str, set[str]]  # the ids of each pattern


def _exact(pairs: list[Pair]) -> Counted:
    both = [(pair, pattern) for pair in pairs for pattern in {_between(*pair), _throughout(*pair)}]
    return _counted([*((pair, "{id}") for pair in pairs if pair[0] == pair[1]), *both])


def _counted(found: Iterator[tuple[Pair, str]] | list[tuple[Pair, str]]) -> Counted:
    counted: Counted = {}
    for (id, _), pattern in found:
        counted.setdefault(pattern, set()).add(id)
    return counted


def _commonest(counted: Counted) -> list[str]:
    order = sorted(counted, key=lambda pattern: (-len(counted[pattern]), pattern.count("/"), pattern))
    return order[:MOST_TRIED]


def _together(counted: Counted) -> tuple[str, ...]:
    """Return few patterns that have all ids between them, as far as there are such; the commonest first."""
    lacking = set().union(*counted.values())
    chosen: list[str] = []
    while lacking and len(chosen) < MOST_LISTED:
        best = max(sorted(counted), key=lambda pattern: len(counted[pattern] & lacking))
        chosen.append(best)
        lacking -= counted[best]
    return tuple(chosen)


def _between(id: str, name: str) -> str:
    start = name.rindex(id)
    return name[:start] + "{id}" + name[start + len(id) :]


def _throughout(id: str, name: str) -> str:
    return name.replace(id, "{id}") if len(id) >= LONG_ENOUGH else _between(id, name)


def _sliced(id: str, name: str) -> Iterator[str]:
    """Yield the pattern in which each folder is a slice of the id, if there is one."""
    folders, _, base = name.rpartition("/")
    if not folders or id not in base:
        return
    choices = [list(slices_of(part, id)) for part in folders.split("/")]
    for chosen in islice(product(*choices), MOST_SLICES):
        yield f"{'/'.join(chosen)}/{_between(id, base)}"


def _anywhere(id: str, name: str) -> str:
    pattern = _between(id, name)
    found = ID.search(pattern)
    start = 0 if found is None else pattern.rfind("/", 0, found.start()) + 1
    return f"**/{pattern[start:]}"
