"""Cells of a table of features: numbers, and lists of numbers written as text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgcluster.features.file_columns import Kind, Unfit
from imgcluster.utils import parse_json


def kind_of_cell(cell: str) -> Kind:
    """Tell whether a text is a number, a list (anything that begins with a bracket) or neither."""
    if cell.lstrip().startswith("["):
        return "list"
    try:
        float(cell)
    except ValueError:
        return "other"
    return "number"


def parse_list(cell: str, column: str, place: str) -> list[float]:
    """Return the numbers of a JSON list. Raises Unfit naming the place where a cell is another text."""
    try:
        found = parse_json(cell)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(type(each) in (int, float) for each in found):
        raise Unfit(
            f"{place}: {column!r} is not a list of numbers such as '[0.5, 1]'; features.file_columns names another"
        )
    return found


def vector_of(cells: Sequence[str], columns: Sequence[tuple[str, Kind]], place: str) -> np.ndarray:
    """Return the numbers of a row's cells side by side, (dim,) float32; columns: names and kinds. Raises Unfit."""
    parts: list[str | float] = []
    for cell, (column, kind) in zip(cells, columns, strict=True):
        parts.extend(parse_list(cell, column, place) if kind == "list" else [cell])
    try:
        return np.array([float(part) for part in parts], np.float32)
    except (ValueError, OverflowError) as error:
        raise Unfit(f"{place}: {error}") from None


def stacked(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Return rows of one length as (n, length) float32. Raises Unfit where their lengths differ."""
    if len({len(row) for row in rows}) > 1:
        raise Unfit("its vectors have different lengths")
    return np.array(rows, np.float32)
