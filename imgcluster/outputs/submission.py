"""The submission: the template's rows with a label each, everything else in it untouched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgcluster.errors import ConfigError
from imgcluster.tables import Run, Template

if TYPE_CHECKING:
    import pandas as pd


NEW_ID_COLUMN = "id"  # where there is no template


def check_label_column(template: Template | None, label_column: str) -> None:
    """Refuse, before any work, a label column that would spoil the template's shape. Raises ConfigError."""
    id_column = NEW_ID_COLUMN if template is None else template.id_column
    if label_column == id_column:
        raise ConfigError(f"outputs.label_column: {label_column!r} is the column of the ids")
    if template is None:
        return
    names = [str(name) for name in template.frame.columns]
    if names.count(label_column) > 1:
        raise ConfigError(f"outputs.label_column: {str(template.path)!r} has {label_column!r} more than once")
    if label_column not in names and len(names) > 1:
        raise ConfigError(
            f"outputs.label_column: {str(template.path)!r} has no column {label_column!r} "
            f"(its columns: {', '.join(map(repr, names))})"
        )


def make_submission(run: Run) -> pd.DataFrame:
    """Fill the template, or a new table of ids where there is none, with the clusters' numbers.

    An image without features gets the number of the largest cluster: the file stays valid, and the guess is the best.
    """
    import pandas as pd

    largest = int(run.clusters.sizes.argmax())
    label_of = dict(zip(run.features.images, run.clusters.labels.tolist(), strict=True))
    ids = [image.id for image in run.images]
    frame = pd.DataFrame({NEW_ID_COLUMN: ids}) if run.template is None else run.template.frame.copy()
    frame[run.config.outputs.label_column] = [label_of.get(image, largest) for image in run.images]
    return frame
