"""Partly known labels: a CSV with blanks for unknown ones, or a folder with a subfolder per label."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imgcluster.errors import ConfigError
from imgcluster.images import read_known

KEY = "labels"


@dataclass(frozen=True)
class PartialLabels:
    """Labels of some of the images of a run.

    rows: (m,) int64, ascending, which of the ids have a label; labels: theirs, the texts that they are, in that order.
    unknown: the labelled ids of the file that are not among the ids, in the order of the file. notes: how names were
    matched that are not equal.
    """

    rows: np.ndarray
    labels: list[str]
    unknown: list[str]
    notes: list[str] = field(default_factory=list)

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
    """Read the labels of some of these ids from a CSV, a run or a folder, matched as `score` matches them.

    The ids are in the column that names them, the labels in `label` or else in the only other one, unless asked for.
    Raises ConfigError: a file that cannot be read, no such column, an id that is empty or there twice, no label at all,
    no labelled id among `ids`.
    """
    known = read_known(Path(path), KEY, id_column=id_column, label_column=label_column)
    matching = known.match(ids)
    found = matching.values(known.labels)
    if not found:
        raise ConfigError(
            f"{KEY}: none of the {len(known.labels):,} labelled ids of {str(path)!r} is an image of the run "
            f"({next(iter(known.labels))!r} there, {next(iter(ids), 'nothing')!r} here){matching.none_because}"
            f"{_way_to_learn(Path(path)) if known.in_folders else ''}"
        )
    rows = [row for row, id in enumerate(ids) if id in found]
    labels = [found[ids[row]] for row in rows]
    return PartialLabels(np.array(rows, np.int64), labels, matching.unknown, matching.notes("labels"))


def _way_to_learn(folder: Path) -> str:
    own, config = shlex.quote(str(folder)), shlex.quote(f"{folder.resolve().name}.yaml")
    return f"; to learn from its images: imgcluster init {own}, then imgcluster learn {config} {own} --out MODEL"
