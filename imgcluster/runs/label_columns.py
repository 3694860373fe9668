"""Labels of images in a submission with one column per class."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from pathlib import Path

from imgcluster.images import number_at_end, read_asked, read_template

IN_COLUMNS = ("one_hot", "soft")  # layouts with a column for each cluster


def wide_labels(path: Path, id_column: str | None, true: Collection[str]) -> dict[str, str]:
    """Return {id: label} of a submission whose columns are classes: that of the column with the largest share.

    A column's label is its name where these true labels hold any of the names, else the whole number that it ends in.
    Returns nothing where no column is a true label. Raises ConfigError where the file cannot be read.
    """
    template = read_template(path, id_column)
    asked = read_asked(template)
    columns = asked.columns if asked.is_wide else ()
    label_of = {name: name for name in columns}
    if not set(true) & set(columns):
        label_of = {name: str(number) for number, name in number_at_end(columns).items()}
    if not set(true) & set(label_of.values()):
        return {}
    rows = zip(*(map(Decimal, template.frame[name]) for name in columns), strict=True)
    largest = (max(zip(row, columns, strict=True), key=lambda cell: cell[0])[1] for row in rows)
    return {id: label_of[name] for id, name in zip(template.ids, largest, strict=True)}
