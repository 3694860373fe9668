"""The rows of docs/formats.md as a table."""

from __future__ import annotations

from tests.support.formats.rows import VARIANTS
from tests.support.formats.rows_extras import EXTRAS
from tests.support.formats.rows_tiff import TIFF

ALL = (*VARIANTS, *TIFF, *EXTRAS)


def table() -> str:
    """Return the table of all variants, in Markdown."""
    rows = [f"| {each.format} | {each.name} | {each.result} |" for each in ALL]
    return "\n".join(["| format | variant | what becomes of it |", "|---|---|---|", *rows])
