"""A finished run as reports and explanations take it, read from its folder or still in memory."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from imgcluster.config import Config, RunFiles, config_as_used, config_from_dict
from imgcluster.features import State
from imgcluster.runs.cluster_names import recorded_names
from imgcluster.runs.clusterer import read_clusterer
from imgcluster.runs.hierarchy import read_hierarchy
from imgcluster.runs.listed import config_of
from imgcluster.runs.places import Places, places_of
from imgcluster.runs.reader import read_bytes, read_record, rows_in
from imgcluster.runs.run import RunResult
from imgcluster.runs.tables import write_rows
from imgcluster.runs.writer import clusters_rows
from imgcluster.types import Hierarchy

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FinishedRun:
    """A finished run as its folder holds it.

    record: run.json. rows: clusters.csv as text, in its order. clusters_sha256: of clusters.csv. result: the run in
    memory; without it, config and clusterer are read from the folder when they are first asked for.
    """

    folder: Path
    record: dict[str, Any]
    rows: list[dict[str, str]]
    clusters_sha256: str
    result: RunResult | None = None

    @cached_property
    def config(self) -> Config:
        """The config that gives the run again, as `config_of` returns it."""
        if self.result is None:
            return config_of(self.record, self.folder)
        return config_as_used(self.result.config, self.record["features"])

    @cached_property
    def config_as_recorded(self) -> Config:
        """The same config with its paths as they are in run.json: they begin where the run was started."""
        recorded = self.record["config"]
        if self.result is not None or self.places.config(recorded) == recorded:
            return self.config
        return config_as_used(config_from_dict(recorded), self.record["features"])

    @cached_property
    def places(self) -> Places:
        """Where the run's files and images are now."""
        return places_of(self.folder, self.record)

    @cached_property
    def clusterer(self) -> State:
        """The arrays of clusterer.npz. Raises OutputError as `read_clusterer`."""
        return read_clusterer(self.folder) if self.result is None else self.result.clusters.state

    @cached_property
    def hierarchy(self) -> Hierarchy | None:
        """Coarser and finer clusters around these, where the run has them. Raises OutputError as `read_hierarchy`.

        A version that knows of no hierarchy may have written other clusters beside an older hierarchy.json.
        """
        if self.result is not None:
            return self.result.hierarchy
        found = read_hierarchy(self.folder)
        clusters = [int(row["cluster"]) for row in self.rows if row["status"] != "failed"]
        if found is None or np.array_equal(found.cut(found.n_clusters), clusters):
            return found
        logger.warning("%s is of other clusters than %s: it is left out", RunFiles.HIERARCHY, RunFiles.CLUSTERS)
        return None

    @property
    def names(self) -> dict[int, str]:
        """The names of clusters by number."""
        return recorded_names(self.record)

    @property
    def vectors(self) -> np.ndarray | None:
        """The features in memory, (n, dim) float32, of the rows that did not fail; None: they are in the store."""
        if self.result is None or self.result.features.stored:
            return None
        return self.result.features.vectors


def read_run(run: str | Path | RunResult) -> FinishedRun:
    """Return a finished run: of a folder, read from there; of a result that has been written, without reading a file.

    Raises OutputError: no finished run there, or a damaged one.
    """
    if isinstance(run, RunResult) and run.record:
        return _in_memory(run)
    folder = run.folder if isinstance(run, RunResult) else Path(run)
    record, data = read_record(folder), read_bytes(folder / RunFiles.CLUSTERS)
    rows = rows_in(data, folder / RunFiles.CLUSTERS, record)
    return FinishedRun(folder, record, rows, hashlib.sha256(data).hexdigest())


def _in_memory(run: RunResult) -> FinishedRun:
    digest = hashlib.sha256()
    header, *rows = clusters_rows(run)
    write_rows(lambda line: digest.update(line.encode()), [header, *rows])
    as_text = [dict(zip(header, cells, strict=True)) for cells in rows]
    return FinishedRun(run.folder, run.record, as_text, digest.hexdigest(), run)
