"""Pairs of images that somebody has called distinct: kept beside a run by digests, and never proposed again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from imgcluster.errors import OutputError
from imgcluster.runs import csv_text
from imgcluster.types import TextTable
from imgcluster.utils import read_cells, write_whole

DISTINCT_FILE = "distinct.csv"  # in the run folder, where a run of the same config leaves it
COLUMNS = ("digest", "other_digest")

DigestPair = tuple[str, str]  # in order


def digest_pair(first: str, second: str) -> DigestPair:
    """Return a pair of digests in order."""
    return (first, second) if first <= second else (second, first)


def read_distinct(run_folder: Path) -> set[DigestPair]:
    """Return the pairs that are noted beside a run. Raises OutputError where the file is damaged."""
    path = run_folder / DISTINCT_FILE
    try:
        header, *rows = read_cells(path) or [[]]
        if not header:
            raise ValueError("is empty")
        if tuple(header[:2]) != COLUMNS:
            raise ValueError(f"lacks the columns {', '.join(COLUMNS)}")
    except FileNotFoundError:
        return set()
    except (ValueError, OSError) as error:
        problem = "is a folder" if path.is_dir() else getattr(error, "strerror", None) or error
        raise OutputError(f"{str(path)!r} {problem}; correct it, or remove it to forget these decisions") from None
    return {digest_pair(row[0], row[1]) for row in rows}


def note_distinct(run_folder: Path, pairs: Iterable[DigestPair]) -> int:
    """Add pairs to those noted beside a run; returns how many are new. Raises OutputError."""
    known = read_distinct(run_folder)
    new = set(pairs) - known
    if new:
        cells = zip(*sorted(known | new), strict=True)
        try:
            write_whole(run_folder / DISTINCT_FILE, csv_text(TextTable(COLUMNS, cells)).encode())
        except OSError as error:
            raise OutputError(f"{str(run_folder / DISTINCT_FILE)!r}: {error.strerror or error}") from None
    return len(new)
