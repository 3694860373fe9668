"""Read known labels from a CSV, a run, or a folder with a subfolder per label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from imgcluster.config import RunFiles
from imgcluster.errors import ConfigError
from imgcluster.images.ids.columns import names_by
from imgcluster.images.ids.matching import Matching, match_names
from imgcluster.images.ids.table import LabelTable, read_label_table
from imgcluster.images.sources.local import LocalFolder
from imgcluster.images.sources.names import as_id, natural_key
from imgcluster.utils import plain_labels


@dataclass(frozen=True)
class KnownLabels:
    """labels: {name: label}, texts; in_folders: the names are paths, and their first folder is the label.

    others: by column, what else may name the images, in the order of the labels; id_column: whose names the labels
    have.
    """

    labels: dict[str, str]
    in_folders: bool = False
    id_column: str = ""
    others: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of_table(cls, table: LabelTable) -> KnownLabels:
        """Return the labels of a table; where all are whole numbers, 9.0 is 9."""
        return cls(plain_labels(table.labels), id_column=table.id_column, others=table.others)

    def match(self, ids: Sequence[str]) -> Matching:
        """Return which of the names each id has; of several columns of names, that which names the ids best decides."""
        name_of, note = self._names(ids)
        found = match_names(name_of, ids, label_folders=self.in_folders)
        return replace(found, names={id: name_of[name] for id, name in found.names.items()}, note=note)

    def by_names(self, ids: Sequence[str]) -> KnownLabels:
        """Return the labels by the column that names the ids best."""
        name_of, _ = self._names(ids)
        return KnownLabels({name: self.labels[own] for name, own in name_of.items()}, self.in_folders)

    def _names(self, ids: Sequence[str]) -> tuple[Mapping[str, str], str]:
        return names_by({self.id_column: list(self.labels), **self.others}, ids)


def read_known(
    path: Path, key: str, *, id_column: str | None = None, label_column: str | None = None, some: bool = True
) -> KnownLabels:
    """Read the labels of images, as `read_labels` does, or from folders: each image's label is that of its top folder.

    A run folder stands for its clusters.csv. A blank label in a CSV is not known yet, with `some`, and else an error.
    Where all labels of a CSV are whole numbers, 9.0 is read as 9. `key` is what named the path, for messages. Raises
    ConfigError as `read_labels`, and where no label is known; of a folder: no image in a subfolder of it.
    """
    table = table_at(path)
    if table is None:
        return KnownLabels(folder_labels(path, key), in_folders=True)
    table_of = read_label_table(table, key, id_column=id_column, label_column=label_column, some=some)
    return KnownLabels.of_table(table_of)


def table_at(path: Path) -> Path | None:
    """Return the table of labels that a path means: itself, or that of a run; None where folders give the labels."""
    if not path.is_dir():
        return path
    return path / RunFiles.CLUSTERS if (path / RunFiles.CLUSTERS).is_file() else None


def folder_labels(folder: Path, key: str) -> dict[str, str]:
    """Return {path below the folder: name of the top folder} of the images there; those in no subfolder are left out.

    Raises ConfigError where there is none.
    """
    names = sorted(LocalFolder(str(folder)).names(), key=natural_key)
    labels = {as_id(name): as_id(name.partition("/")[0]) for name in names if "/" in name}
    if not labels:
        found = f"{len(names):,} images, all outside of subfolders" if names else "no image below it"
        raise ConfigError(
            f"{key}: {str(folder)!r} has {found}; in a folder of labels, each image lies in a subfolder named by its "
            "label"
        )
    return labels
