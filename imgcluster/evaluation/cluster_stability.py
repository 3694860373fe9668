"""Stability of a run's clusters under other seeds and subsamples, and the images that change cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imgcluster.clustering import SAMPLED_ABOVE, capped_steps, fit_space, group, match_clusters
from imgcluster.config import Config
from imgcluster.errors import ConfigError
from imgcluster.features import Points
from imgcluster.runs import (
    DISTANCE_FORMAT,
    NAME,
    config_of,
    features_of_run,
    labels_of_run,
    read_record,
    recorded_names,
)
from imgcluster.utils import track

if TYPE_CHECKING:
    import pandas as pd

TRIALS = 20
SHARE = 0.8  # of the images, in each trial


@dataclass(frozen=True)
class Stability:
    """What became of each image of a run in the trials.

    labels: (n,) int64, the run's. stays: (n,) float64, in what share of the trials with it an image was in the cluster
    that matches its own. elsewhere: (n,) int64, the cluster it was in most often otherwise, -1: in none. scores: the
    adjusted Rand index of each trial to the run. note: where these images are a sample, of how many. names: those of
    the run's clusters, by number, where it has any.
    """

    ids: list[str]
    labels: np.ndarray
    stays: np.ndarray
    elsewhere: np.ndarray
    scores: list[float]
    note: str = ""
    names: Mapping[int, str] = field(default_factory=dict)

    def table(self) -> pd.DataFrame:
        """Return a row for each image, those that change sides most first; with names, where clusters have any."""
        import pandas as pd

        order = np.argsort(self.stays, kind="stable")
        return pd.DataFrame(
            {
                "id": [self.ids[row] for row in order],
                "cluster": self.labels[order],
                "stays": ["" if np.isnan(share) else DISTANCE_FORMAT.format(share) for share in self.stays[order]],
                "elsewhere": ["" if number < 0 else str(number) for number in self.elsewhere[order]],
                **({NAME: [self.names.get(int(self.labels[row]), "") for row in order]} if self.names else {}),
            }
        )


def stability(run: str | Path, *, trials: int = TRIALS, show: bool = True) -> Stability:
    """Cluster four fifths of a run's images again and again, each time others and from another seed.

    The features come from the store, those of a sample where memory is short. Clusters of a trial are matched with the
    run's so that they share most images.
    Raises ImgclusterError: no finished run there, features that cannot be made again.
    """
    if trials < 1:
        raise ConfigError(f"trials: {trials}; allowed: whole numbers >= 1")
    folder = Path(run)
    record = read_record(folder)
    config = config_of(record, folder)
    features = features_of_run(folder, sampled=SAMPLED_ABOVE)
    labels = labels_of_run(folder, features.ids)
    found = _tried(features.ids, features.vectors, labels, config, trials=trials, show=show)
    return replace(found, note=features.note, names=recorded_names(record))


def _tried(
    ids: list[str], vectors: np.ndarray, labels: np.ndarray, config: Config, *, trials: int, show: bool
) -> Stability:
    from sklearn.metrics import adjusted_rand_score

    random = np.random.default_rng(config.clusters.random_state)
    order = Points(vectors).canonical.order if config.clusters.ignores_order else np.arange(len(labels))
    k = int(labels.max(initial=-1)) + 1
    n_clusters = None if config.clusters.n_clusters is None else len(np.unique(labels[labels >= 0]))
    found = np.zeros((len(labels), k + 1), np.int64)  # how often an image was in each cluster; the last: in none
    scores = []
    with track("trials", trials, "done", show=show) as advance:
        for _ in range(trials):
            rows = np.sort(order[random.permutation(len(labels))[: max(2, round(SHARE * len(labels)))]])
            trial = _trial(vectors[rows], config, n_clusters, int(random.integers(2**31)))
            scores.append(float(adjusted_rand_score(labels[rows], trial)))
            found[rows, _as_in_the_run(trial, labels[rows], k)] += 1
            advance(1)
    times = found.sum(axis=1)
    rows = np.arange(len(labels))
    stays = np.where(times > 0, found[rows, labels] / np.maximum(times, 1), np.nan)  # some are drawn in no trial
    found[rows, labels] = 0
    elsewhere = np.where(found[:, :k].any(axis=1), found.argmax(axis=1), -1)
    return Stability(ids, labels, stays, elsewhere, scores)


def _trial(vectors: np.ndarray, config: Config, k: int | None, seed: int) -> np.ndarray:
    clusters = config.clusters.model_copy(
        update={
            "random_state": seed,
            "n_clusters": None if k is None else min(k, len(vectors)),
            "transform": capped_steps(config.clusters.transform, min(vectors.shape)),
        }
    )
    space = fit_space(vectors, clusters)
    return space.by_row(group(space.points, clusters, show=False).labels)


def _as_in_the_run(trial: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Give the clusters of a trial the numbers of those of the run; k for one that matches none, and for noise."""
    both = (trial >= 0) & (labels >= 0)
    numbers = match_clusters(trial[both], labels[both], int(trial.max(initial=-1)) + 1)
    return np.asarray(np.append(np.where(numbers < 0, k, numbers), k)[trial])
