"""Which column of a table has the ids: the one whose cells are the names of files."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from imgcluster.pattern_search import FoundPatterns, find_patterns
from imgcluster.tables import Template

INDEX_NAMES = frozenset(("", "index", "unnamed: 0"))  # as pandas writes an index, and reads it again


def is_index(rows: Template) -> bool:
    """Tell whether the ids of a table may be a count of its rows: by the column's name, or because they count up."""
    if rows.id_column.strip().lower() in INDEX_NAMES:
        return True
    first = next(iter(rows.ids), "")
    return first in ("0", "1") and all(id == str(row) for row, id in enumerate(rows.ids, int(first)))


def other_columns(rows: Template) -> list[Template]:
    """Return a table by its other columns, of those whose cells can be ids."""
    found = []
    for column in dict.fromkeys(map(str, rows.frame.columns)):
        if column == rows.id_column or list(rows.frame.columns).count(column) > 1:
            continue
        cells = list(rows.frame[column])
        if all(isinstance(cell, str) and cell.strip() and "\0" not in cell for cell in cells) and _differ(cells):
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


def _differ(cells: Collection[str]) -> bool:
    return len(set(cells)) == len(cells)
