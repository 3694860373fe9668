"""Labels changed on purpose, found again: against cleanlab on the same probabilities, and against its own default.

cleanlab 2.9 (Apache-2.0; AGPL-3.0 in earlier versions) is only measured against, in an environment of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.metrics import average_precision_score

from imgcluster.curation.label_errors import label_probabilities, rank_scores
from imgcluster.curation.neighbor_votes import Neighborhood
from tests.benchmarks.labels import SETS, sample_vectors
from tests.benchmarks.rows import Row

SHARES = (0.05, 0.1, 0.2)  # of the labels that are changed
DRAWS = {False: 3, True: 1}  # by --quick
TO = ("any class", "the most similar class")


def label_errors(quick: bool) -> Iterator[Row]:
    """Average precision of the ranking, mean of the draws."""
    with TemporaryDirectory() as own:
        for name in SETS:
            vectors, classes = sample_vectors(Path(own), name)
            around = Neighborhood.of(vectors)
            for share in SHARES:
                for to in TO:
                    scores = [
                        _scores(vectors, around, *_changed(around.points, classes, share, to, draw))
                        for draw in range(DRAWS[quick])
                    ]
                    yield from _rows(f"{name}: {share:.0%} to {to}", np.mean(scores, axis=0))


def _rows(figure: str, scores: np.ndarray) -> Iterator[Row]:
    ours, theirs, default = scores.tolist()
    for against, what in ((theirs, "find_label_issues"), (default, "CleanLearning")):
        found = ("cleanlab is missing", "") if np.isnan(against) else (f"{against:.3f}", f"{ours / against:.2f}")
        yield Row("labels", f"AP, {figure}, {what}", f"{ours:.3f}", *found, "1")


def _changed(
    points: np.ndarray, classes: np.ndarray, share: float, to: str, draw: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels with a share of them changed, (n,) int64, and which they are, (n,) bool."""
    generator, count = np.random.default_rng(draw), int(classes.max()) + 1
    rows = generator.choice(len(classes), round(share * len(classes)), replace=False)
    changed = classes.copy()
    if to == TO[0]:
        changed[rows] = (classes[rows] + generator.integers(1, count, len(rows))) % count
    else:
        means = np.stack([points[classes == number].mean(axis=0) for number in range(count)])
        distances = ((means[:, None] - means[None]) ** 2).sum(axis=2)
        np.fill_diagonal(distances, np.inf)
        changed[rows] = distances.argmin(axis=1)[classes[rows]]
    return changed, changed != classes


def _scores(vectors: np.ndarray, around: Neighborhood, labels: np.ndarray, wrong: np.ndarray) -> list[float]:
    """Return average precisions: ours; cleanlab's on the same probabilities; cleanlab's on its own."""
    found = label_probabilities(around, labels)
    every = np.arange(len(labels))
    others = found.copy()
    others[every, labels] = -1
    suspicion = -rank_scores(found[every, labels], others.max(axis=1))
    if find_spec("cleanlab") is None:
        return [float(average_precision_score(wrong, suspicion)), np.nan, np.nan]
    from cleanlab.classification import CleanLearning
    from cleanlab.filter import find_label_issues

    ranked = find_label_issues(labels, found, return_indices_ranked_by="normalized_margin", n_jobs=1)
    place = np.full(len(labels), -1.0)
    place[ranked] = np.arange(len(ranked), 0, -1)
    quality = CleanLearning(seed=0).find_label_issues(vectors, labels)["label_quality"].to_numpy()
    return [float(average_precision_score(wrong, each)) for each in (suspicion, place, -quality)]
