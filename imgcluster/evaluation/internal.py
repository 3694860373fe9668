"""Internal scores of a run: compactness and separation of clusters, and a margin for each image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imgcluster.clustering import SAMPLED_ABOVE, InternalScores, internal_scores
from imgcluster.features import apply_transform
from imgcluster.runs import (
    DISTANCE_FORMAT,
    csv_text,
    features_of_run,
    labels_of_run,
    read_clusterer,
    read_record,
    recorded_names,
)
from imgcluster.utils import write_whole

if TYPE_CHECKING:
    import pandas as pd

IMAGES = "images.csv"


@dataclass(frozen=True)
class InnerScores:
    """The scores of a run's clusters in the space that they were made in; ids, labels: of its images, in its order.

    note: where these are a sample, of how many. names: those of the clusters, by number, where there are any.
    """

    ids: list[str]
    labels: np.ndarray
    scores: InternalScores
    note: str = ""
    names: Mapping[int, str] = field(default_factory=dict)

    def table(self) -> pd.DataFrame:
        """Return a row for each image, the least sure first: id, cluster, silhouette, sureness; blank for noise."""
        import pandas as pd

        order = np.argsort(self.scores.margins, kind="stable")
        return pd.DataFrame(
            {
                "id": [self.ids[row] for row in order],
                "cluster": self.labels[order],
                "silhouette": [_cell(value) for value in self.scores.silhouettes[order]],
                "sureness": [_cell(value) for value in self.scores.margins[order]],
            }
        )


def score_run(run: str | Path, *, out: str | Path | None = None) -> InnerScores:
    """Score a finished run without known labels, from the features in its store; of a sample where memory is short.

    With `out`, a folder, images.csv is written there. Raises OutputError: no finished run; StoreError: its features are
    not kept any more; ClusteringError: its transform cannot be done again (umap).
    """
    folder = Path(run)
    state = read_clusterer(folder)
    features = features_of_run(folder, sampled=SAMPLED_ABOVE)
    labels = labels_of_run(folder, features.ids)
    scores = internal_scores(apply_transform(features.vectors, state), labels)
    found = InnerScores(features.ids, labels, scores, features.note, recorded_names(read_record(folder)))
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)
        write_whole(Path(out) / IMAGES, csv_text(found.table()).encode())
    return found


def _cell(value: float) -> str:
    return "" if np.isnan(value) else DISTANCE_FORMAT.format(value)
