"""Find the id column of a table: the one whose cells are file names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from imgcluster.images.ids.matching import match_names
from imgcluster.images.ids.pattern_search import FoundPatterns, find_patterns
from imgcluster.types import Template

ID_COLUMN = "id"
ID_NAMES = (
    "image_id",
    "imageid",
    "image",
    "image_name",
    "img",
    "filename",
    "file_name",
    "file",
    "__key__",
    "key",
    "name",
)
INDEX_NAMES = frozenset(("", "index", "unnamed: 0"))  # as pandas writes an index, and reads it again

CLUSTER = "cluster"
LABEL_COLUMNS = ("label", CLUSTER)  # `suggest` and `spread` write both


def can_be_ids(cells: Collection[object]) -> bool:
    """Tell whether cells may name images: texts that are not blank, without a NUL, no two of them equal."""
    texts = all(isinstance(cell, str) and cell.strip() and "\0" not in cell for cell in cells)
    return texts and len(set(cells)) == len(cells)


def is_index(rows: Template) -> bool:
    """Tell whether the ids of a table may be a count of its rows: by the column's name, or because they count up."""
    if rows.id_column.strip().lower() in INDEX_NAMES:
        return True
    first = next(iter(rows.ids), "")
    return first in ("0", "1") and all(id == str(row) for row, id in enumerate(rows.ids, int(first)))


def other_columns(rows: Template) -> list[Template]:
    """Return a table by its other columns, of those whose cells can be ids."""
    found = []
    for column in dict.fromkeys(rows.columns):
        if column == rows.id_column or rows.columns.count(column) > 1:
            continue
        if can_be_ids(list(rows.frame[column])):
            found.append(replace(rows, id_column=column))
    return found


def best_column(rows: Template, names: Sequence[str]) -> tuple[Template, FoundPatterns] | None:
    """Return the other column whose cells name files, all of them, better than the ids do; None where none does."""
    own = find_patterns(rows.ids, names)
    own_is_whole = own is not None and own.found == len(rows.ids) and not is_index(rows)
    if own_is_whole and own is not None and own.are_names:
        return None
    found = [(table, each) for table in other_columns(rows) if (each := find_patterns(table.ids, names)) is not None]
    whole = [(table, each) for table, each in found if each.found == len(table.ids)]
    best = sorted(whole, key=lambda pair: not pair[1].are_names)
    return best[0] if best and (not own_is_whole or best[0][1].are_names) else None


def choose_ids(rows: Template) -> Template:
    """Return a table by the column that must hold its ids, of which nothing else is known.

    That is the first, unless its name is that of labels or of pandas' index, or its cells cannot be ids and its name is
    not that of ids; then it is the only other column called as ids are, or the only one whose cells can be ids.
    """
    name = rows.id_column.strip().casefold()
    cells = list(rows.frame[rows.id_column])
    if name not in INDEX_NAMES.union(LABEL_COLUMNS) and (_called_ids(name) or can_be_ids(cells)):
        return rows
    others = other_columns(rows)
    called = [table for table in others if _called_ids(table.id_column)]
    able = [table for table in others if table.id_column.strip().casefold() not in LABEL_COLUMNS]
    wanted = called or able
    return wanted[0] if len(wanted) == 1 else rows


def other_names(rows: Template, label_column: str) -> dict[str, list[str]]:
    """Return the cells of the other columns that may name the images, {column: cells in the order of the rows}."""
    tables = other_columns(rows)
    return {table.id_column: table.ids for table in tables if table.id_column != label_column}


def naming_column(columns: Mapping[str, Sequence[str]], ids: Sequence[str]) -> str:
    """Return the column whose cells name the images best; the first one unless another clearly does.

    columns: {name: cells}, of equal lengths, no cell twice in one. A column of numbers, which may only count the rows,
    gives way to one of file names, and an index of pandas' to any that has the ids.
    """
    own = next(iter(columns))
    best = _rank(own, columns[own], ids)
    if len(columns) == 1 or best[0] or best[1]:
        return own
    return max(columns, key=lambda column: best if column == own else _rank(column, columns[column], ids))


def names_by(columns: Mapping[str, Sequence[str]], ids: Sequence[str]) -> tuple[Mapping[str, str], str]:
    """Return {cell of the best column: cell of the first} by `naming_column`, and a note where these are not one."""
    own, best = next(iter(columns)), naming_column(columns, ids)
    note = "" if best == own else f"took the ids from column {best!r}, whose cells name the images, not from {own!r}"
    return dict(zip(columns[best], columns[own], strict=True)), note


def _rank(column: str, cells: Sequence[str], ids: Sequence[str]) -> tuple[bool, int, int, int]:
    """Rank a column: all equal to the ids; names of images that are no numbers; equal ones; ones that match."""
    found = match_names(cells, ids)
    equal = found.counts["equal"]
    is_whole = equal == min(len(cells), len(ids)) and column.strip().casefold() not in INDEX_NAMES
    return is_whole, sum(not _is_number(name) for name in found.names.values()), equal, len(found.names)


def _called_ids(column: str) -> bool:
    return column.strip().casefold() in (ID_COLUMN, *ID_NAMES)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
