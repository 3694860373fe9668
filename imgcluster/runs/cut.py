"""Other clusters of a finished run: another level of its hierarchy, clusters of it merged or split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from imgcluster.errors import ConfigError
from imgcluster.images import read_rows
from imgcluster.runs.finished import FinishedRun, read_run
from imgcluster.runs.label_columns import IN_COLUMNS
from imgcluster.runs.run import RunResult
from imgcluster.runs.submission import SEGMENTS
from imgcluster.runs.writer import NAME
from imgcluster.types import ARE_LABELS, NOISE, Hierarchy, TextTable
from imgcluster.utils import first_few

COLUMNS = ("id", "path", "cluster", "run_cluster", "status", "error")


@dataclass(frozen=True)
class CutRun:
    """The images of a finished run in other clusters.

    Attributes:
        run: The run.
        hierarchy: Its hierarchy.
        labels: (n,) int64, the new cluster of each image that did not fail, in the run's order; -1 for noise.
        level: The level of the hierarchy that these are; None where clusters were merged or split.
    """

    run: FinishedRun
    hierarchy: Hierarchy
    labels: np.ndarray
    level: int | None

    @property
    def run_labels(self) -> np.ndarray:
        """The run's own clusters, (n,) int64, of the same images."""
        return self.hierarchy.cut(self.hierarchy.n_clusters)

    @property
    def sizes(self) -> np.ndarray:
        """How many images each cluster has, (m,) int64, by number; 0 for unused numbers."""
        return np.bincount(self.labels[self.labels != NOISE])

    @cached_property
    def members(self) -> dict[int, list[int]]:
        """The run's clusters of which each cluster has images, by number, without noise."""
        pairs = np.unique(np.stack([self.labels, self.run_labels]), axis=1).T.tolist()
        found: dict[int, list[int]] = {}
        for number, own in pairs:
            if number != NOISE:
                found.setdefault(number, []).append(own)
        return found

    @property
    def changes(self) -> list[tuple[list[int], list[int]]]:
        """The run's clusters that were merged or split, and the clusters that their images are in now."""
        now: dict[int, list[int]] = {}
        for number, members in self.members.items():
            for own in members:
                now.setdefault(own, []).append(number)
        split = [([own], numbers) for own, numbers in sorted(now.items()) if len(numbers) > 1]
        return [*split, *((members, [number]) for number, members in self.members.items() if len(members) > 1)]

    @cached_property
    def names(self) -> dict[int, str]:
        """The names of clusters, by number: those of the run's, of several joined by plus signs."""
        names = self.run.names
        return {
            number: " + ".join(dict.fromkeys(names.get(each, str(each)) for each in members))
            for number, members in self.members.items()
            if any(each in names for each in members)
        }

    def table(self) -> TextTable:
        """Return a row for each image of the run: id, path, cluster, run_cluster, name, status and error.

        Without the column of names, where no cluster has one.
        """
        pairs = iter(zip(self.labels.tolist(), self.run_labels.tolist(), strict=True))
        rows = []
        for row in self.run.rows:
            now, own = (None, None) if row["status"] == "failed" else next(pairs)
            name = [self.names.get(now, "") if now is not None else ""] if self.names else []
            cells = ["" if number is None else str(number) for number in (now, own)]
            rows.append([row["id"], row["path"], *cells, *name, row["status"], row["error"]])
        return TextTable([*COLUMNS[:4], *([NAME] if self.names else []), *COLUMNS[4:]], zip(*rows, strict=True))

    def submission(self) -> TextTable:
        """Return the run's submission with the labels of these clusters; all other cells stay.

        Raises ConfigError: the run wrote none, or one without a column of labels; it has been changed or removed.
        """
        outputs, folder = self.run.config.outputs, self.run.folder
        if not outputs.submission or outputs.layout in IN_COLUMNS or outputs.rows == SEGMENTS:
            keys = f"submission: {outputs.submission or 'null'}, layout: {outputs.layout}, rows: {outputs.rows}"
            raise ConfigError(
                f"submission: {str(folder)!r} has none with one label per image ({keys}); run its config with "
                f"clusters.n_clusters: {len(self.members)} instead"
            )
        table = read_rows(folder / outputs.submission, None).frame.copy()
        if len(table) != len(self.run.rows) or outputs.label_column not in table.columns:
            raise ConfigError(f"submission: {str(folder / outputs.submission)!r} is not the one that the run wrote")
        table[outputs.label_column] = [self._label(number) for number in self._shown_numbers()]
        return table

    def _label(self, number: int) -> str:
        outputs = self.run.config.outputs
        if outputs.layout == "labels":
            return str(number if self.run.record.get(ARE_LABELS) else number + outputs.label_offset)
        if number not in self.names:
            raise ConfigError(f"submission: cluster {number} has no name, and outputs.layout is names")
        return self.names[number]

    def _shown_numbers(self) -> list[int]:
        """Return the cluster of each image as a submission has it: as of `make_submission`."""
        now = {own: number for number, members in self.members.items() for own in reversed(members)}
        now |= {number: number for number, members in self.members.items() if number in members}  # the larger part
        largest, labels = int(self.sizes.argmax()), iter(self.labels.tolist())
        numbers = []
        for row in self.run.rows:
            number = largest if row["status"] == "failed" else next(labels)
            nearest = int(row.get("runner_up") or NOISE)
            numbers.append(now.get(nearest, largest) if number == NOISE else number)
        return numbers


def cut_run(
    run: str | Path | RunResult, k: int | None = None, *, split: Sequence[int] = (), merge: Sequence[Sequence[int]] = ()
) -> CutRun:
    """Put the images of a finished run into other clusters, by its hierarchy, without features.

    The result is the same for the same run, and clusters keep their numbers: of two that merge the larger one, of one
    that is split the larger part; the other part has the number that it has in the hierarchy.

    Args:
        run: A run folder, or what `imgcluster.run` returned.
        k: The level, as the number of clusters from 1 to `hierarchy.levels`; None: the run's own.
        split: The clusters of this level to split in two, as the hierarchy splits them, in this order.
        merge: The clusters to merge then: each entry names two or more; or one, which merges with those that the
            hierarchy merges it with first.

    Raises:
        ConfigError: The run has no hierarchy; no such level or cluster; a cluster without parts.
        OutputError: No finished run there, or a damaged one.
    """
    finished = read_run(run)
    hierarchy = finished.hierarchy
    if hierarchy is None:
        raise ConfigError(f"{str(finished.folder)!r} has no hierarchy; run its config with clusters.hierarchy: true")
    if k is not None and not 1 <= k <= hierarchy.levels:
        raise ConfigError(f"k: {k}; the hierarchy of {str(finished.folder)!r} has 1 to {hierarchy.levels} clusters")
    level = hierarchy.n_clusters if k is None else k
    labels = hierarchy.cut(level)
    for cluster in split:
        _split(hierarchy, labels, cluster)
    for clusters in merge:
        _merge(hierarchy, labels, clusters)
    return CutRun(finished, hierarchy, labels, None if split or merge else level)


def _split(hierarchy: Hierarchy, labels: np.ndarray, cluster: int) -> None:
    parts = hierarchy.parts_of(_rows_of(labels, cluster, "split"))
    if parts is None:
        raise ConfigError(f"split: the hierarchy does not split cluster {cluster} further")
    labels[parts[1]] = parts[2]


def _merge(hierarchy: Hierarchy, labels: np.ndarray, clusters: Sequence[int]) -> None:
    rows = np.concatenate([_rows_of(labels, cluster, "merge") for cluster in clusters])
    if len({*clusters}) == 1:
        around = hierarchy.around(rows)
        if around is None:
            raise ConfigError(f"merge: cluster {clusters[0]} is the only one")
        rows = around
    numbers, sizes = np.unique(labels[rows], return_counts=True)
    labels[np.isin(labels, numbers)] = numbers[sizes.argmax()]


def _rows_of(labels: np.ndarray, cluster: int, what: str) -> np.ndarray:
    rows = np.flatnonzero(labels == cluster)
    if cluster == NOISE or not len(rows):
        known = first_few(sorted({*labels.tolist()} - {NOISE}))
        raise ConfigError(f"{what}: there is no cluster {cluster} (clusters: {known})")
    return rows
