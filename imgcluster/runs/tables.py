"""Tables as CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from imgcluster.types import TextTable

if TYPE_CHECKING:
    import pandas as pd


def rows_of(frame: pd.DataFrame | TextTable) -> Iterator[Iterable[Any]]:
    """Yield the names of the columns, and the rows."""
    yield frame.columns
    yield from frame.rows() if isinstance(frame, TextTable) else frame.itertuples(index=False, name=None)


def csv_text(frame: pd.DataFrame | TextTable) -> str:
    """Return a table as CSV with lines that end in a newline alone, quoted wherever a reader needs it.

    With that line end, csv and pandas would leave a carriage return inside a cell unquoted, which breaks the row.
    """
    lines: list[str] = []
    write_rows(lines.append, rows_of(frame))
    return "".join(lines)


def write_rows(write: Callable[[str], object], rows: Iterable[Iterable[Any]]) -> None:
    """Pass rows to `write` as lines of CSV, as `csv_text` formats them."""
    csv.writer(SimpleNamespace(write=lambda line: write(line.removesuffix("\r\n") + "\n"))).writerows(rows)
