"""Match names in a table, a folder or a file of features with images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from imgcluster.images.sources.endings import OTHER_PICTURES
from imgcluster.images.sources.names import SUFFIXES
from imgcluster.utils import first_few

Value = TypeVar("Value")

# Of files about an image, named after it: vectors, captions, annotations.
BESIDE_IMAGES = frozenset((".npy", ".npz", ".pt", ".pth", ".safetensors", ".txt", ".json", ".xml", ".csv", ".mat"))
ENDINGS = SUFFIXES | OTHER_PICTURES | BESIDE_IMAGES  # any other, as `.R` and `.L`, is a part of the name
NOBODY = (0, "")


@dataclass(frozen=True)
class Rule:
    """How two names are compared; `folders`: one may have folders before it that the other lacks.

    name_ending, id_ending: the known name, or the id, is compared without its ending. label_folder: the first folder of
    a known name is its label, which the id lacks.
    """

    words: str
    name_ending: bool = False
    id_ending: bool = False
    folders: bool = False
    label_folder: bool = False


def _endings(rule: Rule) -> tuple[Rule, ...]:
    """Return a rule without the ending of one side, and then of both: `a.png` is `a.png.jpg` before it is `a.jpg`."""
    sides = ((False, True), (True, False), (True, True))
    return tuple(replace(rule, name_ending=name, id_ending=id) for name, id in sides)


RULES = (
    *_endings(Rule("without endings")),
    Rule("without folders", folders=True),
    *_endings(Rule("without folders and endings", folders=True)),
)
# Of images that lie in a folder for each label.
LABEL_RULES = (
    Rule("without the folders of the labels", folders=True, label_folder=True),
    *_endings(Rule("without the folders of the labels and endings", folders=True, label_folder=True)),
)


@dataclass(frozen=True)
class Matching:
    """Which known name each id has.

    names: {id: known name}, in the order of the ids. counts: how many each rule found, equal names as "equal".
    unknown: the known names that no id has; unnamed: the ids without a known name; ambiguous: the unknown ones that
    fit several ids, or share with others the one that they fit. example: an id and its name, which are not equal.
    note: what to say of where the names came from; empty where there is nothing.
    """

    names: dict[str, str]
    counts: dict[str, int]
    unknown: list[str]
    unnamed: list[str]
    ambiguous: list[str]
    example: tuple[str, str] | None = None
    note: str = ""

    def values(self, known: Mapping[str, Value]) -> dict[str, Value]:
        """Return what is known of the ids, {id: value}, from what is known by name."""
        return {id: known[name] for id, name in self.names.items()}

    def notes(self, what: str, *, left: bool = False) -> list[str]:
        """Return one line where names were matched that are not equal, none where all are equal; `what`: the known.

        left: also where all are equal and some of the known names are left over, which nothing else says.
        """
        return [*([self.note] if self.note else []), *self._of_names(what, left=left)]

    def _of_names(self, what: str, *, left: bool) -> list[str]:
        if self.example is not None:
            id, name = self.example
            found = ", ".join(f"{count:,} {rule}" for rule, count in self.counts.items() if count)
            over = f"{len(self.unknown):,} {what} and {len(self.unnamed):,} images"
            left_over = f"{over if self.unknown or self.unnamed else 'none'} left over{self.none_because}"
            return [f"matched {len(self.names):,} {what} by name: {found} ({name!r} is image {id!r}); {left_over}"]
        if self.unknown and left:
            return [f"{len(self.unknown):,} {what} match no image: {first_few(self.unknown)}{self.none_because}"]
        return [self.ambiguity] if self.ambiguous else []

    @property
    def none_because(self) -> str:
        """End the message that nothing was found: with the names that are ambiguous, where any are."""
        return f"; {self.ambiguity}" if self.ambiguous else ""

    @property
    def ambiguity(self) -> str:
        """Say which names are ambiguous; empty where none is."""
        if not self.ambiguous:
            return ""
        many = len(self.ambiguous)
        return f"{many:,} {'name is' if many == 1 else 'names are'} ambiguous: {first_few(self.ambiguous)}"


def match_names(known: Iterable[str], ids: Sequence[str], *, label_folders: bool = False) -> Matching:
    """Match known names with ids: equal ones first, then without endings, without folders, without both.

    A later rule takes only what the ones before have left, and only where one name and one id fit each other and no
    third, whoever has them by now. Without folders, `b/1.jpg` is `a/b/1.jpg` or `1.jpg`, and never `c/1.jpg`.
    label_folders: the first folder of each known name is its label: at last, names are matched without it, but never
    with an id that lies in the folder of another label.
    """
    names = list(dict.fromkeys(known))
    theirs = set(names)
    found = {id: id for id in ids if id in theirs}
    free, open_ids = theirs - found.keys(), {id for id in ids if id not in found}
    counts, ambiguous, example = {"equal": len(found)}, set[str](), None
    keys_of_names, keys_of_ids = _Keys(names), _Keys(ids)
    for rule in (*RULES, *(LABEL_RULES if label_folders else ())):
        if not free or not open_ids:
            break
        of_names = keys_of_names.of(ending=rule.name_ending, label_folder=rule.label_folder)
        pairs, doubtful = _fitting(of_names, keys_of_ids.of(ending=rule.id_ending), rule, open_ids)
        pairs = {id: name for id, name in pairs.items() if name in free}
        if rule.label_folder:
            pairs = _of_one_label(pairs, {_top(name) for name in names})
        found.update(pairs)
        free.difference_update(pairs.values())
        open_ids.difference_update(pairs)
        ambiguous |= doubtful
        counts[rule.words] = counts.get(rule.words, 0) + len(pairs)
        example = example or next(iter(pairs.items()), None)
    return Matching(
        {id: found[id] for id in ids if id in found},
        counts,
        [name for name in names if name in free],
        [id for id in ids if id in open_ids],
        [name for name in names if name in free and name in ambiguous],
        example,
    )


def bare(name: str) -> str:
    """Return a name without the ending of its file; a name's last part is never all ending."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot + ending.lower() in ENDINGS and stem and not stem.endswith("/") else name


class _Keys:
    """Names in the forms in which they are compared: slashes alone between their parts, no `./` before them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def of(self, *, ending: bool, label_folder: bool = False) -> dict[str, str]:
        """Return {name: key}: without the ending, and without the first folder, where these are left out."""
        keys = self._bare if ending else self._whole
        if not label_folder:
            return keys
        return {name: key.partition("/")[2] or key for name, key in keys.items()}

    @cached_property
    def _whole(self) -> dict[str, str]:
        return {name: _slashed(name) for name in self._names}

    @cached_property
    def _bare(self) -> dict[str, str]:
        return {name: bare(key) for name, key in self._whole.items()}


class _Index:
    """How many names have a key, or end in it behind a slash, and one of these."""

    def __init__(self, keys: dict[str, str], *, folders: bool) -> None:
        self._whole: dict[str, tuple[int, str]] = {}
        self._ends: dict[str, tuple[int, str]] = {}
        for name, key in keys.items():
            self._whole[key] = (self._whole.get(key, NOBODY)[0] + 1, name)
            for end in _ends(key) if folders else ():
                self._ends[end] = (self._ends.get(end, NOBODY)[0] + 1, name)
        self._folders = folders

    def fitting(self, key: str) -> tuple[int, str]:
        """Return how many names fit a key, and one of them."""
        found = [self._whole.get(key, NOBODY)]
        if self._folders:
            found += [self._whole.get(end, NOBODY) for end in _ends(key)]
            found.append(self._ends.get(key, NOBODY))
        return sum(count for count, _ in found), next((name for count, name in found if count), "")


def _fitting(
    names: dict[str, str], ids: dict[str, str], rule: Rule, open_ids: set[str]
) -> tuple[dict[str, str], set[str]]:
    """Return the open ids and names, by their keys, that fit each other and nothing else; and the names in doubt."""
    by_name, by_id = _Index(names, folders=rule.folders), _Index(ids, folders=rule.folders)
    pairs, doubtful = {}, set()
    for name, key in names.items():
        count, id = by_id.fitting(key)
        if count > 1:
            doubtful.add(name)
        elif id in open_ids and by_name.fitting(ids[id])[0] == 1:
            pairs[id] = name
        elif id in open_ids:
            doubtful.add(name)
    return pairs, doubtful


def _of_one_label(pairs: dict[str, str], labels: set[str]) -> dict[str, str]:
    """Leave out pairs whose id lies in the folder of another label: there, numbers may begin again."""
    return {
        id: name
        for id, name in pairs.items()
        if _top(name) in (folders := set(_slashed(id).split("/")[:-1])) or not folders & labels
    }


def _top(name: str) -> str:
    return _slashed(name).partition("/")[0]


def _slashed(name: str) -> str:
    if "\\" not in name and "//" not in name and not name.startswith(("/", ".")) and "/." not in name:
        return name
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def _ends(key: str) -> Iterator[str]:
    """Yield a name without its first folder, without its first two, ..."""
    while "/" in key:
        key = key.partition("/")[2]
        yield key
