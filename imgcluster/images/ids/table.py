"""Read CSVs with an id column, such as sample submissions and labels. All cells are text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from imgcluster.errors import ConfigError, quoted
from imgcluster.images.file_kinds import head_of, kind_of
from imgcluster.images.ids.columns import CLUSTER, INDEX_NAMES, LABEL_COLUMNS, choose_ids, other_names
from imgcluster.images.ids.label_cells import read_asked
from imgcluster.images.sources.base import UNREADABLE, reason_of
from imgcluster.types import Template, TextTable
from imgcluster.utils import NO_TEXT, Place, RemotePath, read_cells, shown

NAMED_BY_PARAMETER = ("labels", "truth")  # tables whose column of labels a parameter may name


@dataclass(frozen=True)
class Source:
    """What messages call a table, its column of ids, and the way to read another encoding; what a row's begin with."""

    table: str = "images.ids"
    id_column: str = "images.id_column"
    encoding: str = "set images.encoding (for example cp1252)"
    row: str = ""


TEMPLATE = Source()


def named_source(name: str) -> Source:
    """Return how messages speak of a table that no config describes further."""
    return Source(name, name, "save it as UTF-8", f"{name}: ")


def read_template(
    path: Place, id_column: str | None, encoding: str | None = None, source: Source = TEMPLATE
) -> Template:
    """Read a CSV of ids. Every cell stays the text it is: `0007` keeps its zeros, `NA` is not a missing value.

    id_column: None finds it by `choose_ids`.
    Raises ConfigError naming the file, and the row where one is at fault: unreadable, no such column, an empty or a
    doubled id, no rows.
    """
    template = read_rows(path, id_column, encoding, source)
    template = choose_ids(template) if id_column is None else template
    check_ids(template, source)
    return template


def read_rows(path: Place, id_column: str | None, encoding: str | None = None, source: Source = TEMPLATE) -> Template:
    """Read a CSV as `read_template` does, whatever its ids are: empty and doubled ones stay. Raises ConfigError."""
    table = _fetched(path, source) if isinstance(path, RemotePath) else path
    frame = _read_csv(table, encoding, source, str(path))
    names = frame.columns
    column = names[0] if id_column is None else id_column
    if names.count(column) != 1:
        found = "no column" if column not in names else f"{names.count(column)} columns called"
        raise ConfigError(f"{source.id_column}: {str(path)!r} has {found} {column!r} ({_named(names)})")
    return Template(path=str(path) if isinstance(path, RemotePath) else path, frame=frame, id_column=column)


@dataclass(frozen=True)
class LabelTable:
    """labels: {id: label}, texts; others: by column, the other cells that may name the images, in the labels' order."""

    labels: dict[str, str]
    id_column: str
    others: dict[str, list[str]]


def read_labels(
    path: Path, key: str, *, id_column: str | None = None, label_column: str | None = None
) -> dict[str, str]:
    """Read the labels of images as `read_label_table` does, by their ids alone."""
    return read_label_table(path, key, id_column=id_column, label_column=label_column).labels


def read_label_table(
    path: Path, key: str, *, id_column: str | None = None, label_column: str | None = None, some: bool = False
) -> LabelTable:
    """Read the labels of images from a CSV: {id: label}, both as text. `key` is what named the file, for messages.

    The ids are where `choose_ids` finds them if no column is named, and other columns may name the images then; the
    labels where `find_label_column` finds them. In a clusters.csv, images that failed have none, and are left out.
    Blanks around a label are not part of it.
    some: a blank label is not known, and left out too.
    Raises ConfigError: unreadable, no such column, an empty or a doubled id, an image without a label; with `some`, no
    label at all.
    """
    template = read_template(path, id_column, source=named_source(key))
    column = find_label_column(template, key, label_column)
    failed = _failed(template, column)
    labels: dict[str, str] = {}
    for row, (id, label) in enumerate(zip(template.ids, template.frame[column], strict=True)):
        if failed[row]:
            continue
        if isinstance(label, str) and label.strip():
            labels[id] = label.strip()  # "cat " is no class of its own
        elif not some:
            raise ConfigError(f"{key}: {template.place(row)}: the label of {id!r}, in column {column!r}, is empty")
    if some and not labels:
        raise ConfigError(f"{key}: {str(path)!r} has {len(template.ids):,} ids and no label; fill in some")
    return label_table(template, column, labels, asked=id_column)


def label_table(template: Template, column: str, labels: dict[str, str], *, asked: str | None) -> LabelTable:
    """Return labels with the cells of other columns that may name their images; none if a column is asked for."""
    kept = [row for row, id in enumerate(template.ids) if id in labels]
    others = {} if asked is not None else other_names(template, column)
    return LabelTable(
        labels, template.id_column, {name: [cells[row] for row in kept] for name, cells in others.items()}
    )


def has_column(path: Path, column: str, key: str) -> bool:
    """Tell whether a CSV has a column of this name. Raises ConfigError where it cannot be read."""
    source = named_source(key)
    return column in _read_csv(path, None, source, str(path)).columns


def find_label_column(template: Template, key: str, label_column: str | None = None) -> str:
    """Return the column of labels: the one that is named, else the only one beside the ids, else `label` or `cluster`.

    An index of pandas' counts as none of these where there are others.

    Raises ConfigError where that is not exactly one.
    """
    names = template.columns
    others = [name for name in names if name != template.id_column]
    usual = [name for name in LABEL_COLUMNS if name in others][:1]
    plain = [name for name in others if name.strip().casefold() not in INDEX_NAMES] or others
    found = [label_column] if label_column is not None else plain if len(plain) == 1 else usual
    if len(found) != 1 or others.count(found[0]) != 1:
        wanted = "which column has the labels?" if label_column is None else f"has no one column {label_column!r}"
        way = "; name it with label_column=NAME" if key in NAMED_BY_PARAMETER and others else ""
        if way and label_column is None and read_asked(template).is_wide:
            way = "; a column for each class is no column of labels: to score a run, `score` its folder"
        raise ConfigError(f"{key}: {str(template.path)!r}: {wanted} ({_named(names)}){way}")
    return found[0]


def _failed(template: Template, label_column: str) -> list[bool]:
    """Tell which rows of a clusters.csv are of images that have no cluster."""
    if label_column != CLUSTER:
        return [False] * len(template.frame)
    frame = template.frame
    states = frame["status"] if "status" in frame.columns else [""] * len(frame)
    return [cluster == "" or state == "failed" for cluster, state in zip(frame[CLUSTER], states, strict=True)]


def _named(names: Sequence[str]) -> str:
    return f"its columns: {', '.join(map(repr, names))}"


def _fetched(file: RemotePath, source: Source) -> BytesIO:
    """Return a table from behind a URL."""
    try:
        return BytesIO(file.read_bytes())
    except UNREADABLE as error:
        raise ConfigError(f"{source.table}: {shown(file.url)!r}: {reason_of(error)}") from None


def _read_csv(file: Path | BytesIO, encoding: str | None, source: Source, name: str) -> TextTable:
    table = f"{source.table}: {shown(name)!r}"
    try:
        header, *rows = read_cells(file, encoding) or [[]]
    except UnicodeError as error:
        raise ConfigError(f"{table} {_binary_kind(file) or f'{error}; {source.encoding}'}") from None
    except ValueError as error:
        kind = _binary_kind(file) if str(error) == NO_TEXT else ""
        raise ConfigError(f"{table} {kind or error}") from None
    except IsADirectoryError:
        raise ConfigError(f"{table} is a folder; name a CSV") from None
    except OSError as error:
        raise ConfigError(f"{table} cannot be read: {error.strerror}") from None
    if not rows:
        raise ConfigError(f"{table} has a header and no rows" if header else f"{table} is empty")
    return TextTable(header, zip(*rows, strict=True))


def _binary_kind(file: Path | BytesIO) -> str:
    """Say what a file is that is known and no text; empty of others."""
    try:
        head = head_of(file)
    except OSError:
        return ""
    kind = kind_of(head) if b"\0" in head else None
    return f"is {kind}, not a CSV" if kind else ""


def check_ids(template: Template, source: Source = TEMPLATE) -> None:
    """Raise ConfigError, naming the row, where an id is empty, stands there twice or has a NUL in it."""
    first_row: dict[str, int] = {}
    for row, id in enumerate(template.ids):
        if not isinstance(id, str) or not id.strip():
            raise ConfigError(f"{source.row}{template.place(row)}: the id in column {template.id_column!r} is empty")
        if "\0" in id:
            place = f"{source.row}{template.place(row)}"
            raise ConfigError(f"{place}: the id in column {template.id_column!r} has a NUL in it; is the file damaged?")
        if id in first_row:
            raise ConfigError(
                f"{source.row}{template.place(row)}: id {quoted(id)} stands already in row {first_row[id] + 1}"
            )
        first_row[id] = row
