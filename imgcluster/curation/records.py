"""Findings as tables: a row for each record, a column for each of its attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgcluster.types import TextTable

if TYPE_CHECKING:
    import pandas as pd


def record_frame(records: Sequence[object], columns: Sequence[str]) -> pd.DataFrame:
    """Return a row for each record, with the attributes that `columns` names as they are."""
    import pandas as pd

    return pd.DataFrame([[getattr(record, name) for name in columns] for record in records], columns=list(columns))


def record_texts(records: Sequence[object], columns: Sequence[str]) -> TextTable:
    """Return the same as texts, floats with four decimals."""
    return TextTable(columns, ([_cell(getattr(record, name)) for record in records] for name in columns))


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
