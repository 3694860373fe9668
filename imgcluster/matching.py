"""The one matcher of names: which name in a table, a folder or a file of features stands for which image."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from imgcluster.image_names import OTHER_PICTURES, SUFFIXES

Value = TypeVar("Value")

ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,4}$")  # not the .05 of a date or the .1 of a version
PICTURES = SUFFIXES | OTHER_PICTURES
NAMED = 3


class Rule(NamedTuple):
    """How two names are compared; `folders`: one may have folders before it that the other lacks.

    label_folder: the first folder of a known name is its label, and may be another than the image's.
    """

    words: str
    endings: bool
    folders: bool
    label_folder: bool = False


RULES = (
    Rule("without endings", endings=True, folders=False),
    Rule("without folders", endings=False, folders=True),
    Rule("without folders and endings", endings=True, folders=True),
)
# Of images that lie in a folder for each label.
LABEL_RULES = (
    Rule("without the folders of the labels", endings=False, folders=True, label_folder=True),
    Rule("without the folders of the labels and endings", endings=True, folders=True, label_folder=True),
)


@dataclass(frozen=True)
class Matching:
    """Which known name each id has.

    names: {id: known name}, in the order of the ids. counts: how many each rule found, equal names as "equal".
    unknown: the known names that no id has; unnamed: the ids without a known name; ambiguous: the unknown ones that
    fit several ids, or share the only id that they fit. example: an id and its name, which are not equal.
    """

    names: dict[str, str]
    counts: dict[str, int]
    unknown: list[str]
    unnamed: list[str]
    ambiguous: list[str]
    example: tuple[str, str] | None = None

    def values(self, known: Mapping[str, Value]) -> dict[str, Value]:
        """Return what is known of the ids, {id: value}, from what is known by name."""
        return {id: known[name] for id, name in self.names.items()}

    def notes(self, what: str, *, left: bool = False) -> list[str]:
        """Return one line where names were matched that are not equal, none where all are equal; `what`: the known.

        left: also where all are equal and some of the known names are left over, which nothing else says.
        """
        if self.example is not None:
            id, name = self.example
            found = ", ".join(f"{count:,} {rule}" for rule, count in self.counts.items() if count)
            over = f"{len(self.unknown):,} {what} and {len(self.unnamed):,} images"
            left_over = f"{over if self.unknown or self.unnamed else 'none'} left over{self.none_because}"
            return [f"matched {len(self.names):,} {what} by name: {found} ({name!r} is image {id!r}); {left_over}"]
        if self.unknown and left:
            return [f"{len(self.unknown):,} {what} match no image: {_some(self.unknown)}{self.none_because}"]
        return [self.ambiguity] if self.ambiguous else []

    @property
    def none_because(self) -> str:
        """End the message that nothing was found: with the names that are ambiguous, where any are."""
        return f"; {self.ambiguity}" if self.ambiguous else ""

    @property
    def ambiguity(self) -> str:
        """Say which names fit more than one image; empty where none does."""
        if not self.ambiguous:
            return ""
        many = len(self.ambiguous)
        return f"{many:,} {'name fits' if many == 1 else 'names fit'} more than one image: {_some(self.ambiguous)}"


def match_names(known: Iterable[str], ids: Sequence[str], *, label_folders: bool = False) -> Matching:
    """Match known names with ids: equal ones first, then without endings, without folders, without both.

    A later rule takes only what the ones before have left, and only where one name and one id fit each other and no
    third, whoever has them by now. Without folders, `b/1.jpg` is `a/b/1.jpg` or `1.jpg`, and never `c/1.jpg`.
    label_folders: the first folder of each known name is its label: at last, names are matched without it.
    """
    names = list(dict.fromkeys(known))
    theirs = set(names)
    found = {id: id for id in ids if id in theirs}
    free, open_ids = theirs - found.keys(), [id for id in ids if id not in found]
    counts, ambiguous, example = {"equal": len(found)}, set[str](), None
    for rule in (*RULES, *(LABEL_RULES if label_folders else ())):
        if not free or not open_ids:
            break
        pairs, doubtful = _sorted_out(_pairs(names, ids, rule), free, set(open_ids))
        found.update(pairs)
        free.difference_update(pairs.values())
        ambiguous |= doubtful
        open_ids = [id for id in open_ids if id not in pairs]
        counts[rule.words] = len(pairs)
        example = example or next(iter(pairs.items()), None)
    return Matching(
        {id: found[id] for id in ids if id in found},
        counts,
        [name for name in names if name in free],
        open_ids,
        [name for name in names if name in free and name in ambiguous],
        example,
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:NAMED])) + (", …" if len(names) > NAMED else "")


def bare(name: str) -> str:
    """Return a name without the ending of its file; a name's last part is never all ending."""
    stem, dot, ending = name.rpartition(".")
    known = dot + ending.lower() in PICTURES or ENDING.search(name)
    return stem if known and stem and not stem.endswith("/") else name


def _sorted_out(pairs: list[tuple[str, str]], free: set[str], open_ids: set[str]) -> tuple[dict[str, str], set[str]]:
    """Return the pairs of an id and a name that are still free and fit nothing else, and the names in doubt."""
    of_id, of_name = Counter(id for id, _ in pairs), Counter(name for _, name in pairs)
    left = [(id, name) for id, name in pairs if id in open_ids and name in free]
    clear = {id: name for id, name in left if of_id[id] == of_name[name] == 1}
    return clear, {name for id, name in left if id not in clear}


def _pairs(names: Sequence[str], ids: Sequence[str], rule: Rule) -> list[tuple[str, str]]:
    """Return all pairs of an id and a name that a rule takes for the same."""
    keys_of_ids = [(id, _key(id, rule.endings)) for id in ids]
    keys_of_names = [(name, _key(name, rule.endings, skipped=int(rule.label_folder))) for name in names]
    by_name, by_id = defaultdict(list), defaultdict(list)
    for name, key in keys_of_names:
        by_name[key].append(name)
    for id, key in keys_of_ids:
        by_id[key].append(id)
    same = [(id, name) for id, key in keys_of_ids for name in by_name.get(key, ())]
    if not rule.folders:
        return same
    shorter = [(id, name) for id, key in keys_of_ids for end in _ends(key) for name in by_name.get(end, ())]
    longer = [(id, name) for name, key in keys_of_names for end in _ends(key) for id in by_id.get(end, ())]
    return same + shorter + longer


def _key(name: str, without_ending: bool, *, skipped: int = 0) -> str:
    """Return a name in the form in which it is compared: slashes alone between its parts, and no `./` before it."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    key = "/".join(parts[skipped:] or parts)
    return bare(key) if without_ending else key


def _ends(key: str) -> Iterator[str]:
    """Yield a name without its first folder, without its first two, ..."""
    while "/" in key:
        key = key.partition("/")[2]
        yield key
