"""Rules that undo changes of ids by spreadsheets, editors or other machines, in a fixed order."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

from imgcluster.config import Fold, NameIndex
from imgcluster.images.sources.endings import taken_endings

AROUND_IDS = " \t\r\n\ufeff='\"“”"  # what comes to stand around one by accident
MOST_DIGITS = 12
MOST_FOLDERS = 8
ITSELF = "{id}"


@dataclass(frozen=True)
class Spelling:
    """One way in which all ids differ from the names of their files.

    words: how the ids are read, for messages. of_id: returns the id as it is in the name, or None where the rule says
    nothing of it. fold: what makes names alike, ids and files. itself: the id that comes out is a whole name.
    """

    words: str
    of_id: Callable[[str], str | None]
    fold: Fold | None = None
    itself: bool = False

    def reads(self, id: str) -> str | None:
        """Return an id as the rule reads it; None where it says nothing of it, or it leads up."""
        new = self.of_id(id)
        return None if ".." in _clean(id).split("/") or (new == id and self.fold is None) else new

    def matches(self, id: str, patterns: Sequence[str], index: NameIndex) -> set[str]:
        """Return the names of the files that an id means so. An ending that it has already is not added again."""
        if (new := self.reads(id)) is None:
            return set()
        wanted = [ITSELF] if self.itself else [*patterns, *_without_endings(patterns, new)]
        return {name for pattern in wanted for name in index.matches(pattern, new)}


def spellings(inside: Callable[[str], str | None]) -> Iterator[Spelling]:
    """Yield the rules in the order in which they are tried. inside: returns the name of a path below the folder."""
    rules = [
        Spelling("without the blanks, quotes and marks around them", _bare),
        Spelling("with / in the place of \\", lambda id: _bare(id).replace("\\", "/")),
        Spelling("by their places below images.folder", partial(_below, inside), itself=True),
        Spelling("in another form of Unicode", str, _composed),
        Spelling("in another case", str, _caseless),
        Spelling("as whole numbers", _whole),
        *(
            Spelling(f"with zeros up to {digits} digits", partial(_padded, digits))
            for digits in range(2, MOST_DIGITS + 1)
        ),
        Spelling("without the zeros before them", _stripped),
        *(
            Spelling(f"without their first {_folders(count)}", partial(_without, count))
            for count in range(1, MOST_FOLDERS)
        ),
        Spelling("without their folders", _name_alone),
    ]
    yield from rules
    for rule in rules[5:]:
        yield replace(rule, words=f"{rule.words}, in another case", fold=_caseless)


def spelled(
    files: Mapping[str, str | None], names: Sequence[str], patterns: Sequence[str], rules: Iterator[Spelling]
) -> tuple[Spelling, dict[str, str]] | None:
    """Return the first rule that gives each id without a file one of its own, and these; None where no rule does.

    None too where the ids are as they should be, and the patterns add an ending that they have already.

    files: the file of each id, None where it has none yet. What a rule says of the others has to be so, too.
    """
    missing = [id for id, name in files.items() if name is None]
    index_of = cache(partial(NameIndex, names))
    if any(index_of(None).matches(pattern, missing[0]) for pattern in _without_endings(patterns, missing[0])):
        return None  # it is the pattern that is wrong, which a config can say
    taken = {name for name in files.values() if name is not None}
    for rule in rules:
        index = index_of(rule.fold)
        found: dict[str, str] = {}
        for id in missing:
            matches = rule.matches(id, patterns, index)
            if len(matches) != 1:
                break
            found[id] = matches.pop()
        own = set(found.values())
        if len(own) == len(missing) and not own & taken and _holds(rule, files, patterns, index):
            return rule, found
    return None


def near_names(id: str, names: Sequence[str], patterns: Sequence[str], rules: Iterator[Spelling]) -> list[str]:
    """Return the names that an id means by the first rule that gives it any; none where no rule does."""
    index_of = cache(partial(NameIndex, names))
    for rule in rules:
        if found := rule.matches(id, patterns, index_of(rule.fold)):
            return sorted(found)
    return []


def _holds(rule: Spelling, files: Mapping[str, str | None], patterns: Sequence[str], index: NameIndex) -> bool:
    """Tell whether a rule gives the ids that have files these files, as far as it says anything of them."""
    known = ((id, name) for id, name in files.items() if name is not None and rule.reads(id) is not None)
    return all(name in rule.matches(id, patterns, index) for id, name in known)


def _without_endings(patterns: Sequence[str], id: str) -> list[str]:
    if posixpath.splitext(id)[1].lower() not in taken_endings():
        return []
    split = map(posixpath.splitext, patterns)
    return [stem for stem, ending in split if ending == ".*" or ending.lower() in taken_endings()]


def _bare(id: str) -> str:
    return id.strip(AROUND_IDS)


def _clean(id: str) -> str:
    return _bare(id).replace("\\", "/")


def _below(inside: Callable[[str], str | None], id: str) -> str | None:
    path = _clean(id)
    if not path.startswith("/") and "://" not in path:
        return None
    found = inside(path)
    return None if found == posixpath.normpath(path) else found


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _caseless(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _whole(id: str) -> str | None:
    number = _clean(id)
    return number.removesuffix(".0") if number.removesuffix(".0").isdecimal() else None


def _padded(digits: int, id: str) -> str | None:
    number = _whole(id)
    return None if number is None else number.zfill(digits)


def _stripped(id: str) -> str | None:
    number = _whole(id)
    return None if number is None else number.lstrip("0") or "0"


def _without(count: int, id: str) -> str | None:
    parts = [part for part in _clean(id).split("/") if part]
    return "/".join(parts[count:]) if len(parts) > count else None


def _name_alone(id: str) -> str:
    path = _clean(id)
    return posixpath.basename(path) if "/" in path else id


def _folders(count: int) -> str:
    return "folder" if count == 1 else f"{count} folders"
