"""Choose the columns of a table of features that hold the vectors and the ids."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from imgcluster.images import ID_COLUMN, ID_NAMES
from imgcluster.utils import first_few

Kind = Literal["list", "bytes", "number", "other"]

PATH_COLUMN = "path"
ROW_INDEX = re.compile(r"|index|level_\d+|__index_level_\d+__|Unnamed: \d+(\.\d+)?")  # what pandas calls row numbers
NUMBERED = re.compile(r"(.*?)(\d+)", re.DOTALL)
MAX_COLUMNS_IN_MESSAGE = 5


class Unfit(Exception):
    """A file that can be read and holds no features; the words go behind its name."""


@dataclass(frozen=True)
class Columns:
    """taken: places of the columns whose numbers, side by side, are the vectors, in the order of the file.

    note: what to say of it; empty where every column is of the vectors.
    """

    taken: list[int]
    note: str = ""


@dataclass(frozen=True)
class _Vectors:
    """Columns that can be vectors of their own: one of lists, or several that are numbered. `name`: what chooses it."""

    name: str
    words: str
    places: list[int]
    gaps: bool = False


def find_id_column(names: Sequence[str], kinds: Sequence[Kind], texts: Collection[int], *, typed: bool) -> int:
    """Return where the ids stand: in the column `id`, or the first that is not a row number of pandas'.

    texts: places of the columns of texts that all differ. typed: kinds are known for certain, and ids are of the kind
    "other"; in a CSV 0001 looks like a number.
    Raises Unfit: no columns.
    """
    if not names:
        raise Unfit("no columns in it")
    if ID_COLUMN in names:
        return names.index(ID_COLUMN)
    if not (kinds[0] != "other" if typed else ROW_INDEX.fullmatch(names[0])):
        return 0
    may_be = [place for place, kind in enumerate(kinds) if kind == "other" or not typed]
    usual = [place for place in may_be if names[place].casefold() in (*ID_NAMES, PATH_COLUMN)]
    return next(iter([*usual, *sorted(texts), *(may_be if typed else [])]), 0)


def choose_columns(names: Sequence[str], kinds: Sequence[Kind], id_column: int, asked: Sequence[str] | None) -> Columns:
    """Choose the columns that hold the vectors: one of lists, or several with a common beginning and numbers behind it.

    Numbered columns are not chosen where more columns of numbers are beside them; where none are numbered, all columns
    of numbers are taken. asked: names of columns, or what numbered ones begin with.
    Raises Unfit: several could be meant, or none, or what is asked for is not there.
    """
    others = [place for place, name in enumerate(names) if place != id_column and name != PATH_COLUMN]
    if asked is not None:
        taken = sorted({place for text in asked for place in _asked(text, names, others)})
        return Columns(taken, _note(names, others, taken, f"took {_some([names[place] for place in taken])}"))
    plain = [place for place in others if not ROW_INDEX.fullmatch(names[place])]
    found = _candidates(names, kinds, plain)
    if len(found) > 1:
        first = next((each for each in found if kinds[each.places[0]] != "bytes"), found[0])
        raise Unfit(
            f"its vectors may be {' or '.join(each.words for each in found)}: choose by features.file_columns: "
            f"{first.name or repr('')} (or a list, to join several)"
        )
    if found:
        taken = sorted(found[0].places)
        gaps = f"took {found[0].words}, whose numbers have gaps" if found[0].gaps else ""
        note = _note(names, others, taken, gaps or f"took {found[0].words}")
        return Columns(taken, note or gaps)
    return _all_numbers(names, kinds, plain, others)


def _candidates(names: Sequence[str], kinds: Sequence[Kind], plain: Sequence[int]) -> list[_Vectors]:
    """Return all that may be the vectors: columns of lists or bytes, numbered ones, and the rest where it is larger."""
    words = {"list": "lists", "bytes": "bytes"}
    found = [_Vectors(names[at], f"{names[at]!r} ({words[kinds[at]]})", [at]) for at in plain if kinds[at] in words]
    numbers = [place for place in plain if kinds[place] == "number"]
    numbered = _numbered(names, numbers)
    grouped = {place for each in numbered for place in each.places}
    rest = [place for place in numbers if place not in grouped]
    if numbered and not found and len(rest) > max(len(each.places) for each in numbered):
        words_of_rest = f"{_some([names[place] for place in rest])} ({len(rest)} columns)"
        return [*numbered, _Vectors(names[rest[0]], words_of_rest, rest)]
    return [*found, *numbered]


def _note(names: Sequence[str], others: Sequence[int], taken: Sequence[int], took: str) -> str:
    """Say what was taken where anything was left out."""
    left = _left_out(names, others, taken)
    return _joined(took, left) if left else ""


def _asked(text: str, names: Sequence[str], places: Sequence[int]) -> list[int]:
    """Return the columns of a name, or else the numbered ones that begin so."""
    found = [place for place in places if names[place] == text]
    found = found or [place for place in places if (match := NUMBERED.fullmatch(names[place])) and match[1] == text]
    if not found:
        raise Unfit(
            f"has no column {text!r}, and none called {text}0, {text}1, ... (features.file_columns; its columns: "
            f"{_some([names[place] for place in places])})"
        )
    return found


def _numbered(names: Sequence[str], places: Sequence[int]) -> list[_Vectors]:
    """Return the columns that have a beginning in common and numbers behind it, two at least."""
    groups: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place in places:
        if match := NUMBERED.fullmatch(names[place]):
            groups[match[1]].append((int(match[2]), place))
    found = []
    for beginning, numbered in groups.items():
        ordered = sorted(numbered)
        if len(ordered) > 1:
            gaps = any(after - before != 1 for (before, _), (after, _) in pairwise(ordered))
            places_of = [place for _, place in ordered]
            words = f"{names[places_of[0]]!r} to {names[places_of[-1]]!r} ({len(ordered)} columns)"
            found.append(_Vectors(beginning, words, places_of, gaps))
    return found


def _all_numbers(names: Sequence[str], kinds: Sequence[Kind], plain: list[int], others: list[int]) -> Columns:
    taken = [place for place in plain if kinds[place] == "number"]
    if not taken and others:
        raise Unfit(
            f"has no column of numbers, or of lists of them, but {_some([names[place] for place in others])}; "
            "features.file_columns names the column of the vectors"
        )
    note = f"took as vectors the columns {_some([names[place] for place in taken])}" if taken else ""
    return Columns(taken, _joined(note, _left_out(names, others, taken)))


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _left_out(names: Sequence[str], others: Sequence[int], taken: Sequence[int]) -> str:
    known = set(taken)
    left = [names[place] for place in others if place not in known]
    if not left:
        return ""
    columns = "1 column" if len(left) == 1 else f"{len(left):,} columns"
    return f"left out {columns} that {'is' if len(left) == 1 else 'are'} not part of the vectors: {_some(left)}"


def _some(names: Sequence[str]) -> str:
    return first_few(names, MAX_COLUMNS_IN_MESSAGE)
