"""Read CSVs strictly: every cell as text, or an error that names the problem and what to do."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from io import BytesIO
from itertools import chain
from pathlib import Path

MARK = "\ufeff"  # of the byte order
HEAD = 64  # bytes that tell what a file is
LARGEST_CELL = 2**30  # characters; Python's csv would stop at 131,072
SEPARATORS = ((";", "semicolons"), ("\t", "tabs"))
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What two letters of ASCII look like where the mark is missing.
WITHOUT_MARK = ((rb"[^\0]\0[^\0]\0", "utf-16-le"), (rb"\0[^\0]\0[^\0]", "utf-16-be"))
# What people take for a CSV by its name, by how it begins.
NO_CSV = (
    (rb"PK\x03\x04", "a ZIP archive or a workbook such as .xlsx; save it as CSV"),
    (rb"\xd0\xcf\x11\xe0", "a workbook of Excel; save it as CSV"),
    (rb"\x1f\x8b", "compressed by gzip; unpack it"),
    (rb"PAR1", "a Parquet file; save it as CSV"),
    (rb"%PDF", "a PDF; save it as CSV"),
    (rb"\s*(?i:<!doctype|<html|<\?xml)", "a web page or XML; was its download refused?"),
    (rb"version https://git-lfs", "a pointer of Git LFS, not the file itself; git lfs pull brings that"),
)
# What csv says, in words that tell what to do.
COMPLAINTS = {
    "unexpected end of data": "a quote is opened here and never closed",
    "',' expected after '\"'": "text follows a closing quote; is a quote missing, or one inside of quotes not doubled?",
}

NO_TEXT = "is not text"
Rows = list[list[str]]


def read_cells(file: Path | BytesIO, encoding: str | None = None, *, separators: str = ",") -> Rows:
    """Return the rows of a CSV, its header first. Blank lines are left out, and what a row lacks are empty cells.

    encoding: None takes it from the byte order mark, else UTF-8. separators: the header's most frequent one counts.
    Raises UnicodeError where that does not fit, ValueError for anything else that is no CSV; each says what the file
    "is". OSError.
    """
    with _opened(file) as raw:
        head = raw.read(HEAD)
        raw.seek(0)
        if what := next((what for sign, what in NO_CSV if re.match(sign, head)), None):
            raise ValueError(f"is {what}")
        named = encoding or _encoding_of(head)
        try:
            with io.TextIOWrapper(raw, named, newline="") as lines:
                if lines.read(1) != MARK:  # there in spite of an encoding that was named
                    lines.seek(0)
                return _rows(lines, separators)
        except UnicodeError:
            if named == "utf-8" and b"\0" in head:
                raise ValueError(NO_TEXT) from None
            raise UnicodeError(f"is not {named.upper()}") from None


def _opened(file: Path | BytesIO) -> BytesIO | io.BufferedReader:
    if isinstance(file, BytesIO):
        return BytesIO(file.getvalue())
    if file.exists() and not file.is_file() and not file.is_dir():  # a pipe that nobody writes to is never opened
        raise ValueError("is not a regular file")
    return file.open("rb")


def _encoding_of(head: bytes) -> str:
    marked = (name for mark, name in BYTE_ORDER_MARKS if head.startswith(mark))
    unmarked = (name for letters, name in WITHOUT_MARK if re.match(letters, head, re.DOTALL))
    return next(marked, None) or next(unmarked, "utf-8")


def _rows(lines: Iterator[str], separators: str) -> Rows:
    csv.field_size_limit(LARGEST_CELL)
    # Strict: otherwise a quote too few or too many quietly makes one row of two.
    header = next(lines, "")
    reader = csv.reader(chain([header], lines), delimiter=max(separators, key=header.count), strict=True)
    rows: Rows = []
    begins = 1
    try:
        for row in reader:
            if row and not (len(row) == 1 and row[0].isspace()):
                rows.append(_fitted(row, rows[0], begins) if rows else _header(row))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise _invalid(begins, COMPLAINTS.get(str(error), str(error))) from None
    return rows


def _header(row: list[str]) -> list[str]:
    if len(row) == 1 and (found := next((name for mark, name in SEPARATORS if mark in row[0]), None)):
        raise ValueError(f"separates its columns by {found}; commas are needed")
    if row[0] == "sep=":
        raise ValueError("begins with a line for Excel, sep=; take it out")
    return row


def _fitted(row: list[str], header: list[str], line: int) -> list[str]:
    if len(row) > len(header):
        raise _invalid(line, f"more cells than the header has: {len(row):,}, not {len(header):,}")
    return row + [""] * (len(header) - len(row))


def _invalid(line: int, what: str) -> ValueError:
    return ValueError(f"is not valid CSV: line {line:,}: {what}")
