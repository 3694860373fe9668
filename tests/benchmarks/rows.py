"""What a benchmark tells: rows of a table."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

WIDTHS = (10, 50, 16, 16, 7, 14)


@dataclass(frozen=True)
class Row:
    """One figure of ours, what it is compared with, ours over theirs, and what we aim at; all as text."""

    name: str
    figure: str
    ours: str = ""
    against: str = ""
    ratio: str = ""
    aim: str = ""


def header() -> str:
    """The names of the columns, and a rule under them."""
    return f"{_line(tuple(field.name for field in fields(Row)))}\n{'-|-'.join('-' * width for width in WIDTHS)}"


def line(row: Row) -> str:
    """One row as text, in the columns of the header."""
    return _line(astuple(row))


def _line(cells: tuple[str, ...]) -> str:
    return " | ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()
