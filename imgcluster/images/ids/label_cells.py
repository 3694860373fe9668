"""Analyse a template: which columns take labels, and what their cells contain."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from imgcluster.types import Template

LOOKED_AT = 1000  # rows of a wide template that tell what its cells are
WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
PADDED = re.compile(r"0[0-9]+")  # 007 is a name that a number would not write
LIST = re.compile(rf"[\[({{].*[\])}}]|(\S+[ ,;|]+)?{NUMBER.pattern}([ ,;|]+{NUMBER.pattern})+", re.DOTALL)
UNSAID = frozenset(("", "-", "?", "na", "nan", "n/a", "none", "null"))  # in small letters

LABEL_NAMES = ("label", "labels", "class", "cluster", "category", "target", "prediction", "predicted")
LIKE_LABEL_NAMES = re.compile(rf"(.*[_ -])?({'|'.join(LABEL_NAMES)})([_ -]?id)?", re.IGNORECASE)
# Columns that stand beside the labels and are none, by their names.
BESIDE = re.compile(
    r"|unnamed: ?[0-9]+|index|usage|split|fold|(file_?|image_?)?(path|name|url|width|height|size)", re.IGNORECASE
)
# Columns that take masks, boxes or points, by their names.
SHAPES = re.compile(r".*(encoded_?pixels|rle|mask|bbox|boxes|polygon|keypoints|segmentation|predictionstring).*", re.I)

MOST_OFF = Decimal("0.05")  # of a sum of shares, however few decimals they have
HALF = Decimal("0.5")  # of the last digit, which rounding may have moved
BINARY_OFF = Decimal("0.000001")  # of a sum of float32 shares, however many decimals they are written with


class Cells(str, Enum):
    """What the cells in a template's columns of labels are."""

    BLANK = "blank"
    WHOLE = "whole"
    DECIMAL = "decimal"  # a whole number such as 3.0
    SHARE = "share"
    MEASURED = "measured"
    LISTS = "lists"
    WORDS = "words"
    MIXED = "mixed"
    # Of several columns, one for each class; the last two cannot be told from one another.
    ONE_HOT = "one_hot"
    SOFT = "soft"
    SEVERAL = "several"
    ZERO_OR_ONE = "zero_or_one"
    SHARES = "shares"
    # No column, or no one column, is the labels'.
    NONE = "none"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Asked:
    """Which columns of a template take labels, and of what kind their cells are.

    columns: their names; with UNCLEAR those that it could be. values: of one column, its different cells as they first
    appear, blank ones left out. beside: other columns that hold numbers or nothing, as answers would.
    """

    kind: Cells
    columns: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    @property
    def is_wide(self) -> bool:
        """Whether there is a column for each class."""
        return self.kind in (Cells.ONE_HOT, Cells.SOFT, Cells.SEVERAL, Cells.ZERO_OR_ONE, Cells.SHARES)


def read_asked(template: Template, label_column: str | None = None) -> Asked:
    """Say what a template asks for; `label_column` is the one of the labels, where that is known.

    Of several columns without such a name, those with numbers from 0 to 1 are one for each class; else the labels are
    in the only column that holds whole numbers, or in the only one that is blank.
    """
    columns = dict(enumerate(template.columns))
    others = {place: name for place, name in columns.items() if name != template.id_column}
    named = [place for place, name in others.items() if name == label_column] or _named(others)
    usable = {place: name for place, name in others.items() if place in named or not BESIDE.fullmatch(name)}
    if not others:
        return Asked(Cells.NONE)
    if named or len(usable) == 1:
        return _in_one(template, named[0] if named else next(iter(usable)), usable)
    wide = {place: rows for place in usable if all(map(_is_share, rows := _looked_at(template, place)))}
    if len(wide) > 1 and len({usable[place] for place in wide}) == len(wide):
        return Asked(_kind_of_rows([*zip(*wide.values(), strict=True)]), tuple(usable[place] for place in wide))
    for kind in (Cells.WHOLE, Cells.BLANK):
        found = [place for place in usable if kind_of_cells(cells_of(template, place)) == kind]
        if len(found) == 1:
            return _in_one(template, found[0], usable)
    return Asked(Cells.UNCLEAR, tuple(usable.values()))


def kind_of_cells(cells: Iterable[str], name: str = "") -> Cells:
    """Say of what kind the cells of one column are, blank ones left out; `name`: what the column is called."""
    said = [cell.strip() for cell in dict.fromkeys(cells) if is_said(cell)]
    if not said:
        return Cells.LISTS if SHAPES.fullmatch(name) else Cells.BLANK
    return next((kind for kind, fits in KINDS.items() if all(map(fits, said))), Cells.MIXED)


def is_said(cell: str) -> bool:
    """Say whether a cell holds anything, or what stands for nothing."""
    return cell.strip().lower() not in UNSAID


def cells_of(table: Template, place: int, step: int = 1) -> list[str]:
    """Return the cells of a column, by its place, as texts; one that a short row lacks is an empty one.

    step: 1 for those of all rows, 2 for those of every other one, and so on.
    """
    return table.frame.column(place, step)


def adds_up(cells: Sequence[str], most: Decimal | None = None) -> bool:
    """Say whether numbers add up to 1, but for what rounding to their number of decimals, or to float32, can change.

    most: what the sum may be off, however few decimals there are. Zeros alone never add up to 1.
    """
    values = [Decimal(cell) for cell in cells]
    decimals = max(-int(value.as_tuple().exponent) for value in values)
    slack = max(len(values) * HALF.scaleb(-decimals), BINARY_OFF) if decimals > 0 else Decimal(0)
    total = sum(values, Decimal(0))
    return bool(total) and abs(total - 1) <= (slack if most is None else min(slack, most))


def number_at_end(names: Sequence[str]) -> dict[int, str]:
    """Return names by the whole numbers that they end in: {0: "c0", 1: "c1"}; nothing unless each has its own."""
    ends = [re.search(r"(?<![0-9.])(0|[1-9][0-9]{0,8})$", name) for name in names]
    found = {int(end[0]): name for end, name in zip(ends, names, strict=True) if end}
    return found if len(found) == len(names) else {}


def _in_one(template: Template, place: int, usable: dict[int, str]) -> Asked:
    cells = cells_of(template, place)
    kind = kind_of_cells(cells, usable[place])
    numbers = (Cells.BLANK, Cells.WHOLE, Cells.DECIMAL, Cells.SHARE, Cells.MEASURED)
    beside = tuple(
        name
        for other, name in usable.items()
        if other != place and kind_of_cells(_looked_at(template, other)) in numbers
    )
    return Asked(kind, (usable[place],), tuple(dict.fromkeys(filter(is_said, cells))), beside)


def _named(columns: dict[int, str]) -> list[int]:
    """Return the places of the columns that are called as labels are; of names that are only like it, none of two."""
    like = [place for place, name in columns.items() if LIKE_LABEL_NAMES.fullmatch(name)]
    return [place for place in like if columns[place].lower() in LABEL_NAMES] or (like if len(like) == 1 else [])


def _looked_at(template: Template, place: int) -> list[str]:
    return [cell.strip() for cell in cells_of(template, place, max(1, len(template.frame) // LOOKED_AT))]


def _kind_of_rows(rows: Sequence[Sequence[str]]) -> Cells:
    whole = all(cell in ("0", "1") for row in rows for cell in row)
    if all(adds_up(row, MOST_OFF) for row in set(rows)):
        return Cells.ONE_HOT if whole else Cells.SOFT
    if whole and len(set(rows)) > 1:
        return Cells.SEVERAL
    return Cells.ZERO_OR_ONE if whole else Cells.SHARES


def _is_number(cell: str) -> bool:
    return NUMBER.fullmatch(cell) is not None


def _is_share(cell: str) -> bool:
    return _is_number(cell) and 0 <= Decimal(cell) <= 1


def _is_whole(cell: str) -> bool:
    return WHOLE_NUMBER.fullmatch(cell) is not None and not PADDED.fullmatch(cell)


def _is_decimal(cell: str) -> bool:
    return _is_number(cell) and not PADDED.fullmatch(cell) and Decimal(cell) == Decimal(cell).to_integral_value()


KINDS: dict[Cells, Callable[[str], bool]] = {  # the first that fits all cells
    Cells.WHOLE: _is_whole,
    Cells.DECIMAL: _is_decimal,
    Cells.SHARE: _is_share,
    Cells.MEASURED: lambda cell: _is_number(cell) and not PADDED.fullmatch(cell),
    Cells.LISTS: lambda cell: LIST.fullmatch(cell) is not None,
    Cells.WORDS: lambda cell: not _is_number(cell) or PADDED.fullmatch(cell) is not None,
}
