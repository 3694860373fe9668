"""Validate a submission against a template: all problems together, with their rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from imgcluster.errors import ConfigError, SubmissionError
from imgcluster.images import (
    NUMBER,
    WHOLE_NUMBER,
    Asked,
    Cells,
    adds_up,
    cells_of,
    is_said,
    kind_of_cells,
    named_source,
    read_asked,
    read_rows,
    read_template,
)
from imgcluster.runs.template_check import strange_labels
from imgcluster.types import Template
from imgcluster.utils import first_few

logger = logging.getLogger(__name__)

LAYOUTS = ("labels", "one_hot", "soft", "names")
TOLD = 100  # problems; a file with more of them has one cause


@dataclass(frozen=True)
class Expected:
    """What a submission has to be: its ids, and its columns, by name, in order.

    filled: the columns that say something of each image. layout: as `outputs.layout`; None: their cells are as
    `kinds` says of each. summed: the columns whose cells add up to 1 in each row; with the layouts that have one for
    each cluster all that are filled. allowed: the labels there can be. blank: (id, place of the column) of cells that
    may be empty.
    """

    ids: Sequence[str]
    columns: Sequence[str]
    filled: Sequence[int]
    layout: str | None = None
    kinds: dict[int, str] = field(default_factory=dict)
    allowed: frozenset[str] | None = None
    blank: frozenset[tuple[str, int]] = frozenset()
    summed: Sequence[int] = ()


@dataclass(frozen=True)
class Validated:
    """A submission that has the shape of its template: its number of rows, and what is odd about it all the same."""

    rows: int
    notes: list[str]


def validate_submission(
    file: str | Path, template: str | Path, *, id_column: str | None = None, layout: str | None = None
) -> int:
    """Check a submission against a template, log notes, and return the number of rows.

    Args:
        id_column: Column of ids; None: the one that names the images.
        layout: What the cells must be: labels, one_hot, soft or names; None: as in the template.

    Raises:
        SubmissionError: The submission does not fit; the message has every problem.
        ConfigError: A file is no CSV or has no such column.
    """
    found = validated(file, template, id_column=id_column, layout=layout)
    for note in found.notes:
        logger.warning("%s", note)
    return found.rows


def validated(
    file: str | Path, template: str | Path, *, id_column: str | None = None, layout: str | None = None
) -> Validated:
    """Check a submission against a template, both CSVs.

    It needs the template's columns and ids, in the template's order, and no empty cell but where the template has
    one in a column that is filled elsewhere. Where a column of the template holds whole numbers, or numbers, alone,
    the submission's has to as well. Where the template has a column for each class, and shares or a single 1 in each
    row, so does the submission; of such columns more than one has to be filled. With `layout` (labels, one_hot, soft
    or names) the cells are what that writes. Labels that the template has not, and other columns that have changed, may
    be right, and are notes. The ids are in `id_column`, else where `choose_ids` finds them.
    Raises SubmissionError with every problem; ConfigError where a file is no CSV or has no such column of ids.
    """
    if layout not in (None, *LAYOUTS):
        raise ConfigError(f"layout: found {layout!r}, allowed: {', '.join(LAYOUTS)}")
    wanted = read_template(Path(template), id_column, source=named_source("template"))
    found = read_rows(Path(file), None, source=named_source("submission"))
    if wanted.id_column in found.columns:
        found = read_rows(Path(file), wanted.id_column, source=named_source("submission"))
    asked = read_asked(wanted)
    one, notes = _left_alone(found, wanted, asked)
    check_submission(found, _expected(wanted, asked, layout), one)
    return Validated(len(found.frame), notes or [*_unlike(found, wanted, asked)])


def _expected(wanted: Template, asked: Asked, layout: str | None) -> Expected:
    names = wanted.columns
    filled = [place for place, name in enumerate(names) if name != wanted.id_column]
    kinds = {place: OF_CELLS.get(kind_of_cells(cells_of(wanted, place)), "text") for place in filled}
    wide = [place for place in filled if asked.is_wide and names[place] in asked.columns]
    if asked.kind == Cells.ZERO_OR_ONE:  # zeros alone do not say that shares would be wrong
        kinds |= dict.fromkeys(wide, "number")
    summed: list[int] = []
    rule = layout or asked.kind
    if wide and rule in (Cells.ONE_HOT, Cells.SOFT):
        kinds |= dict.fromkeys(wide, LAYOUT_KINDS[rule])
        layout, summed = None, wide
    return Expected(wanted.ids, names, filled, layout, kinds, blank=_blank(wanted, filled), summed=summed)


def _left_alone(found: Template, wanted: Template, asked: Asked) -> tuple[list[str], list[str]]:
    """Look for columns that are still the template's: return what is wrong about it, and what may be right."""
    names = wanted.columns
    if found.columns != names or set(found.ids) != set(wanted.ids):
        return [], []
    place_of = {name: place for place, name in enumerate(names)}
    left = [name for name in (*asked.columns, *asked.beside) if _is_left(found, wanted, place_of[name])]
    changed = [name for name in asked.columns if name not in left]
    if left and not changed and any(any(cells_of(wanted, place_of[name])) for name in asked.columns):
        return [], [f"every label is still the template's, in {_listed(asked.columns)}"]
    if asked.is_wide and len(changed) == 1 and not _add_up(found, [place_of[name] for name in asked.columns]):
        return [f"only column {changed[0]!r} is filled in; {_listed(left)} still as in the template"], []
    if left and not asked.is_wide:
        return [], [f"{_listed(left)} still as in the template: are they scored?"]
    return [], []


def _is_left(found: Template, wanted: Template, place: int) -> bool:
    ours, theirs = cells_of(found, place), cells_of(wanted, place)
    if found.ids == wanted.ids:
        return ours == theirs
    return dict(zip(found.ids, ours, strict=True)) == dict(zip(wanted.ids, theirs, strict=True))


def _unlike(found: Template, wanted: Template, asked: Asked) -> Iterator[str]:
    """Yield what a submission, in the shape of its template, has otherwise: labels, and columns beside them."""
    names = wanted.columns
    if not asked.is_wide and asked.kind not in (Cells.NONE, Cells.UNCLEAR):
        cells = cells_of(found, names.index(asked.columns[0]))
        if labels := {cell.strip() for cell in cells if is_said(cell)}:
            yield from (f"the submission {note}" for note in strange_labels(asked, labels))
    others = {*names} - {wanted.id_column, *asked.columns, *asked.beside}
    changed = [
        name
        for place, name in enumerate(names)
        if name in others and any(cells_of(wanted, place)) and not _is_left(found, wanted, place)
    ]
    if changed:
        yield f"{_listed(changed)} not as in the template: is that meant?"


def _add_up(found: Template, places: Sequence[int]) -> bool:
    rows = set(zip(*(map(str.strip, cells_of(found, place)) for place in places), strict=True))
    return all(all(map(NUMBER.fullmatch, row)) and adds_up(row) for row in rows)


def _listed(names: Sequence[str]) -> str:
    return f"{'columns' if len(names) > 1 else 'column'} {first_few(names)}"


def check_submission(found: Template, expected: Expected, known: Sequence[str] = ()) -> None:
    """Raise SubmissionError with every problem of a submission, each with its row; `known` are others found before."""
    problems = [*_column_problems(found, expected), *_id_problems(found, expected), *known]
    if found.columns == list(expected.columns):
        problems += _cell_problems(found, expected)
    if not problems:
        return
    count = f"{len(problems):,} problem{'s' if len(problems) > 1 else ''}"
    more = [f"and {len(problems) - TOLD:,} more"] if len(problems) > TOLD else []
    raise SubmissionError("\n  ".join([f"{str(found.path)!r}: {count}", *problems[:TOLD], *more]))


def _column_problems(found: Template, expected: Expected) -> Iterator[str]:
    names = found.columns
    if names != list(expected.columns):
        yield f"the columns are {', '.join(map(repr, names))}; needed: {', '.join(map(repr, expected.columns))}"


def _id_problems(found: Template, expected: Expected) -> Iterator[str]:
    ids = [id if isinstance(id, str) else "" for id in found.ids]
    if len(ids) != len(expected.ids):
        yield f"{len(ids):,} rows; needed: {len(expected.ids):,}"
    first_row: dict[str, int] = {}
    for row, id in enumerate(ids):
        first_row.setdefault(id, row)
    strange = [*_strange_ids(ids, first_row, set(expected.ids))]
    lacking = ((row, id) for row, id in enumerate(expected.ids) if id not in first_row)
    missing = [f"row {row + 1} of the template: id {id!r} is missing" for row, id in lacking]
    yield from strange + missing
    if not strange and not missing:
        for row, (id, needed) in enumerate(zip(ids, expected.ids, strict=True)):
            if id != needed:
                yield f"row {row + 1}: id {id!r}, where the template has {needed!r}"


def _strange_ids(ids: Sequence[str], first_row: Mapping[str, int], wanted: set[str]) -> Iterator[str]:
    for row, id in enumerate(ids):
        if not id.strip():
            yield f"row {row + 1}: the id is empty"
        elif first_row[id] != row:
            yield f"row {row + 1}: id {id!r} stands already in row {first_row[id] + 1}"
        elif id not in wanted:
            yield f"row {row + 1}: id {id!r} is not in the template"


def _cell_problems(found: Template, expected: Expected) -> Iterator[str]:
    columns = {place: cells_of(found, place) for place in expected.filled}
    summed = expected.filled if expected.layout in (Cells.ONE_HOT, Cells.SOFT) else expected.summed
    for row, id in enumerate(found.ids):
        cells = [columns[place][row] for place in expected.filled]
        problems = [
            f"row {row + 1}, column {expected.columns[place]!r}: {words}"
            for place, cell in zip(expected.filled, cells, strict=True)
            if (words := _problem_of_cell(expected, cell, place)) and not (cell == "" and (id, place) in expected.blank)
        ]
        yield from problems
        shares = [columns[place][row] for place in summed]
        if summed and not problems and not adds_up(shares):
            yield f"row {row + 1}: the cells add up to {sum(map(Decimal, shares))}, not to 1"


def _problem_of_cell(expected: Expected, cell: str, place: int) -> str | None:
    if not cell.strip():
        return "empty"
    if expected.allowed is not None:
        return None if cell in expected.allowed else f"{cell!r} is not a label of a cluster"
    fits, problem = KINDS[LAYOUT_KINDS.get(expected.layout or "", expected.kinds.get(place, "text"))]
    return None if fits(cell.strip()) else f"{cell.strip()!r} {problem}"


KINDS: dict[str, tuple[Callable[[str], object], str]] = {
    "whole": (WHOLE_NUMBER.fullmatch, "is not a whole number"),
    "number": (NUMBER.fullmatch, "is not a number"),
    "zero_or_one": (("0", "1").__contains__, "is neither 0 nor 1"),
    "share": (lambda cell: NUMBER.fullmatch(cell) and 0 <= Decimal(cell) <= 1, "is not a number from 0 to 1"),
    "text": (bool, ""),
}
OF_CELLS = {Cells.WHOLE: "whole", Cells.DECIMAL: "number", Cells.SHARE: "number", Cells.MEASURED: "number"}
LAYOUT_KINDS = {"labels": "whole", "one_hot": "zero_or_one", "soft": "share", "names": "text"}


def _blank(template: Template, places: Sequence[int]) -> frozenset[tuple[str, int]]:
    """Return the cells that are empty in a column that is not: the template's own gaps, not what is to be filled."""
    columns = {place: cells_of(template, place) for place in places}
    return frozenset(
        (id, place)
        for place, cells in columns.items()
        if any(cells)
        for id, cell in zip(template.ids, cells, strict=True)
        if cell == ""
    )
