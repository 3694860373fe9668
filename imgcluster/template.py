"""The CSV that names the images: a sample submission, or any table with a column of ids. All cells are text."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TYPE_CHECKING

from imgcluster.errors import ConfigError
from imgcluster.tables import Template

if TYPE_CHECKING:
    import pandas as pd

OTHER_SEPARATORS = ((";", "semicolons"), ("\t", "tabs"))
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_template(path: Path, id_column: str | None, encoding: str | None) -> Template:
    """Read a CSV of ids. Every cell stays the text it is: `0007` keeps its zeros, `NA` is not a missing value.

    Raises ConfigError naming the file, and the row where one is at fault: unreadable, no such column, an empty or a
    doubled id, no rows.
    """
    frame = _read_csv(path, encoding or _encoding_of(path))
    names = [str(name) for name in frame.columns]
    column = names[0] if id_column is None else id_column
    if names.count(column) != 1:
        found = "no column" if column not in names else f"{names.count(column)} columns called"
        raise ConfigError(
            f"images.id_column: {str(path)!r} has {found} {column!r} (its columns: {', '.join(map(repr, names))})"
        )
    template = Template(path=path, frame=frame, id_column=column)
    _check_ids(template)
    return template


def read_labels(
    path: Path, key: str, *, id_column: str | None = None, label_column: str | None = None
) -> dict[str, str]:
    """Read the labels of images from a CSV: {id: label}, both as text. `key` is what named the file, for messages.

    The ids are in the first column if no other is named, the labels in the only other one, or in `label` or `cluster`.
    Raises ConfigError: unreadable, no such column, an empty or a doubled id.
    """
    try:
        template = read_template(path, id_column, None)
    except ConfigError as error:
        raise ConfigError(
            f"{key}: {str(error).removeprefix('images.ids: ').removeprefix('images.id_column: ')}"
        ) from None
    names = [str(name) for name in template.frame.columns]
    others = [name for name in names if name != template.id_column]
    guesses = [label_column] if label_column else [*(["label", "cluster"] if len(others) > 1 else []), *others]
    found = next((name for name in guesses if name in names), None)
    if found is None or (label_column is None and len(others) > 1 and found not in ("label", "cluster")):
        raise ConfigError(
            f"{key}: {str(path)!r}: which column has the labels? (its columns: {', '.join(map(repr, names))})"
        )
    return dict(zip(template.ids, template.frame[found], strict=True))


def _read_csv(path: Path, encoding: str) -> pd.DataFrame:
    import pandas as pd

    try:
        # The header is read as a row: pandas would rename a column that has no name, or another's.
        cells = pd.read_csv(path, header=None, dtype=str, keep_default_na=False, encoding=encoding)
    except UnicodeError:
        raise ConfigError(
            f"images.ids: {str(path)!r} is not {encoding.upper()}; set images.encoding (for example cp1252)"
        ) from None
    except pd.errors.EmptyDataError:
        raise ConfigError(f"images.ids: {str(path)!r} is empty") from None
    except pd.errors.ParserError as error:
        raise ConfigError(f"images.ids: {str(path)!r} is no valid CSV: {str(error).strip()}") from None
    except OSError as error:
        raise ConfigError(f"images.ids: {str(path)!r} cannot be read: {error.strerror}") from None
    return _with_header(cells, path)


def _with_header(cells: pd.DataFrame, path: Path) -> pd.DataFrame:
    header = [str(cell) for cell in cells.iloc[0]]
    if len(header) == 1 and (found := next((name for mark, name in OTHER_SEPARATORS if mark in header[0]), None)):
        raise ConfigError(f"images.ids: {str(path)!r} separates its columns by {found}; commas are needed")
    if len(cells) == 1:
        raise ConfigError(f"images.ids: {str(path)!r} has a header and no rows")
    frame = cells.iloc[1:].reset_index(drop=True)
    frame.columns = header
    return frame


def _encoding_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise ConfigError(f"images.ids: {str(path)!r} cannot be read: {error.strerror}") from None
    return next((name for mark, name in BYTE_ORDER_MARKS if head.startswith(mark)), "utf-8")


def _check_ids(template: Template) -> None:
    first_row: dict[str, int] = {}
    for row, id in enumerate(template.ids):
        if not isinstance(id, str) or not id.strip():
            raise ConfigError(f"{template.place(row)}: the id in column {template.id_column!r} is empty")
        if id in first_row:
            raise ConfigError(f"{template.place(row)}: id {id!r} stands already in row {first_row[id] + 1}")
        first_row[id] = row
