"""The rows of docs/formats.md as a table."""

from __future__ import annotations

from tests.support.formats.rows import VARIANTS
from tests.support.formats.rows_colour import COLOURS
from tests.support.formats.rows_extras import EXTRAS
from tests.support.formats.rows_tiff import TIFF

_ROWS = (*VARIANTS, *TIFF, *EXTRAS, *COLOURS)
_FORMATS = [*dict.fromkeys(each.format for each in _ROWS)]
ALL = tuple(sorted(_ROWS, key=lambda each: _FORMATS.index(each.format)))  # each format in one place


def table() -> str:
    """Return the table of all variants, in Markdown."""
    rows = [f"| {each.format} | {each.name} | {each.result} |" for each in ALL]
    return "\n".join(["| format | variant | what becomes of it |", "|---|---|---|", *rows])
