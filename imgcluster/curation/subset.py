"""A subset of a run's images that covers all of them, such as one to label."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imgcluster.curation.coverage import METHODS, mean_cosine
from imgcluster.curation.space import unit_points
from imgcluster.errors import ConfigError
from imgcluster.runs import features_of_run, read_partial_labels, read_run
from imgcluster.types import TextTable

if TYPE_CHECKING:
    import pandas as pd

COUNT = 200
METHOD = "facility-location"
COLUMNS = ("id", "label", "path", "cluster")


@dataclass(frozen=True)
class Subset:
    """Images that cover a run, those that add most first.

    images: number of images of the run. labelled: of those that were covered before. coverage: mean cosine of all
    images to the nearest one chosen or covered. unknown: labelled ids that the run does not have. notes: how names were
    matched.
    """

    ids: list[str]
    paths: list[str]
    clusters: list[int]
    images: int
    labelled: int
    coverage: float
    unknown: list[str]
    notes: list[str] = field(default_factory=list)

    def table(self) -> pd.DataFrame:
        """Return a row for each image, in the order chosen: id, label (blank, to be filled in), path, cluster."""
        import pandas as pd

        found = self.text_table()
        return pd.DataFrame(found.rows(), columns=found.columns).astype({"cluster": int})

    def text_table(self) -> TextTable:
        """Return the table as texts."""
        return TextTable(COLUMNS, [self.ids, [""] * len(self.ids), self.paths, list(map(str, self.clusters))])


def choose_subset(
    run: str | Path,
    count: int = COUNT,
    *,
    labelled: str | Path | None = None,
    method: str = METHOD,
    id_column: str | None = None,
    label_column: str | None = None,
) -> Subset:
    """Choose images of a finished run that cover all of them; fewer than `count` where there are not so many.

    docs/curation.md has how well classifiers do that learn from the images chosen.

    Args:
        labelled: A CSV of ids and labels, or a folder with a subfolder per label: images that count as covered, and
            are not chosen.
        method: facility-location or k-center.

    Raises:
        ConfigError: Labels that cannot be read, a count below 1, no such method.
        OutputError: No finished run there.
        StoreError: Its features are no longer stored.
    """
    if count < 1:
        raise ConfigError(f"count: {count}; allowed: whole numbers >= 1")
    if method not in METHODS:
        raise ConfigError(f"method: there is no {method!r}; allowed: {', '.join(METHODS)}")
    finished = read_run(run)
    features = features_of_run(finished)
    covered, unknown, notes = np.empty(0, np.int64), [], []
    if labelled is not None:
        known = read_partial_labels(labelled, features.ids, id_column=id_column, label_column=label_column)
        covered, unknown, notes = known.rows, known.unknown, known.notes
    points = unit_points(features.vectors)
    rows = METHODS[method](points, min(count, len(points) - len(covered)), covered)
    clusters = [row["cluster"] for row in finished.rows if row["status"] == "ok"]
    return Subset(
        [features.ids[row] for row in rows],
        [finished.places.image(features.paths[row]) for row in rows],
        [int(clusters[row]) for row in rows],
        len(points),
        len(covered),
        mean_cosine(points, np.array([*covered.tolist(), *rows], np.int64)),
        unknown,
        notes,
    )
