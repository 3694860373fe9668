"""Assign new images to the clusters of a finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imgcluster.clustering import Clusterer, Placed
from imgcluster.features import Features
from imgcluster.runs import (
    NAME,
    PROBABILITY,
    cluster_cells,
    features_of_new,
    path_text,
    probability_cell,
    read_clusterer,
    read_record,
    recorded_names,
)
from imgcluster.types import ImageFile, TextTable
from imgcluster.utils import digest_arrays, installed, kept_file, kept_path, pack_arrays, unpack_arrays

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("id", "path", "cluster", "distance", "runner_up", "runner_up_distance", "new", "status", "error")
PACKAGES = ("imgcluster", "numpy", "scipy", "scikit-learn")  # that place images


@dataclass(frozen=True)
class Assignment:
    """The images placed, and the failures; `placed` has a row for each of `features.images`.

    names: those of the run's clusters, by number, where it has any.
    """

    images: Sequence[ImageFile]
    features: Features
    placed: Placed
    names: Mapping[int, str] = field(default_factory=dict)

    def table(self) -> pd.DataFrame:
        """Return a row for each image: id, path, cluster, distance, runner-up, whether it is new, status and error.

        Then its cluster's name, where the run's clusters have names, and its probability, where the method has one.
        """
        import pandas as pd

        found = self.text_table()
        return pd.DataFrame(found.rows(), columns=found.columns)

    def text_table(self) -> TextTable:
        """Return the table as texts."""
        row_of = {image: row for row, image in enumerate(self.features.images)}
        reason_of = {failure.image: failure.reason for failure in self.features.failures}
        rows = [self._row(image, row_of.get(image), reason_of.get(image, "")) for image in self.images]
        more = [*([NAME] if self.names else []), *([] if self.placed.probability is None else [PROBABILITY])]
        return TextTable([*COLUMNS, *more], zip(*rows, strict=True))

    def _row(self, image: ImageFile, row: int | None, reason: str) -> list[str]:
        found, name, own = self.placed, "", np.nan
        if row is None:
            cells = ["", "", "", "", "", "failed", reason]
        else:
            nearest = found.distance[row], found.runner_up[row], found.runner_up_distance[row]
            cells = [*cluster_cells(found.labels[row], *nearest), "yes" if found.new[row] else "no", "ok", ""]
            name = self.names.get(int(found.labels[row]), "")
            own = np.nan if found.probability is None else found.probability[row]
        more = [] if found.probability is None else [probability_cell(own)]
        return [image.id, path_text(image), *cells, *([name] if self.names else []), *more]


def assign(run: str | Path, images: str | Path | Sequence[str | Path], *, show: bool = True) -> Assignment:
    """Place images, a folder, a file or a list of files, into the clusters of a run folder.

    They are seen, transformed and placed as the run's own were; features go into the run's store, and are never
    computed again. Raises ClusteringError where the run's method cannot place new images, OutputError where the folder
    holds no finished run, ConfigError where its features cannot be made again, and as `extract_features`.
    """
    folder = Path(run)
    clusterer = Clusterer(read_clusterer(folder))
    clusterer.check()
    record = read_record(folder)
    given, features = features_of_new(folder, record, images, show=show)
    return Assignment(given, features, _placed(clusterer, features.vectors), recorded_names(record))


def _placed(clusterer: Clusterer, vectors: np.ndarray) -> Placed:
    """Place vectors, or read where an earlier process has placed the same ones."""
    versions = {package: installed(package) for package in PACKAGES}
    digest = digest_arrays(versions, {**clusterer.state, "new vectors": vectors})

    def read(data: bytes) -> Placed:
        found: Placed = unpack_arrays(data, (Placed,))
        if len(found.labels) != len(vectors):
            raise ValueError("not of these vectors")
        return found

    placed: Placed = kept_file(
        kept_path("placed", f"{digest}.npz"), lambda: clusterer.place(vectors), read, pack_arrays
    )
    return placed
