"""Labels that are known of some images: a CSV in which a blank label means that there is none yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from imgcluster.errors import ConfigError
from imgcluster.tables import Template
from imgcluster.template import find_label_column, labels_by_id, named_source, read_template

KEY, LABEL = "labels", "label"


@dataclass(frozen=True)
class PartialLabels:
    """Labels of some of the images of a run.

    rows: (m,) int64, ascending, which of the ids have a label; labels: theirs, the texts that they are, in that order.
    unknown: the labelled ids of the file that are not among the ids, in the order of the file.
    """

    rows: np.ndarray
    labels: list[str]
    unknown: list[str]

    @property
    def classes(self) -> list[str]:
        """The different labels, sorted."""
        return sorted(set(self.labels))

    @property
    def numbers(self) -> np.ndarray:
        """Which of the classes each labelled image has, (m,) int64."""
        place = {label: number for number, label in enumerate(self.classes)}
        return np.array([place[label] for label in self.labels], np.int64)


def read_partial_labels(
    path: str | Path, ids: Sequence[str], *, id_column: str | None = None, label_column: str | None = None
) -> PartialLabels:
    """Read the labels of some of these ids from a CSV, matched as `score` matches them.

    The ids are in the first column, the labels in `label` or else in the only other one, where no others are named.
    Raises ConfigError: a file that cannot be read, no such column, an id that is empty or there twice, no label at all,
    no labelled id among `ids`.
    """
    template = read_template(Path(path), id_column, source=named_source(KEY))
    known = _labelled(template, _label_column(template, label_column))
    if not known:
        raise ConfigError(f"{KEY}: {str(path)!r} has {len(template.ids):,} ids and no label; fill in some")
    found = labels_by_id(known, ids)
    if not found:
        raise ConfigError(
            f"{KEY}: none of the {len(known):,} labelled ids of {str(path)!r} is an image of the run "
            f"({next(iter(known))!r} there, {next(iter(ids), 'nothing')!r} here)"
        )
    used = {id if id in known else PurePath(id).stem for id in found}
    rows = [row for row, id in enumerate(ids) if id in found]
    unknown = [id for id in known if id not in used]
    return PartialLabels(np.array(rows, np.int64), [found[ids[row]] for row in rows], unknown)


def _label_column(template: Template, asked: str | None) -> str:
    """Prefer `label` to `cluster`, which stands beside it in the CSVs of `suggest` and `spread`."""
    names = [str(name) for name in template.frame.columns]
    if asked is None and template.id_column != LABEL and LABEL in names:
        asked = LABEL
    return find_label_column(template, KEY, asked)


def _labelled(template: Template, column: str) -> dict[str, str]:
    rows = zip(template.ids, template.frame[column], strict=True)
    return {id: label for id, label in rows if isinstance(label, str) and label.strip()}
