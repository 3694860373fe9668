"""Scores of clusters, against true labels and without them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from imgcluster.evaluation import TITLES
from imgcluster.runs import with_name
from imgcluster.types import NOISE
from imgcluster.utils import first_few, printable

if TYPE_CHECKING:
    from imgcluster.evaluation import InnerScores, Scores

MAX_MATRIX_SIDE = 20  # rows and columns that a terminal has room for
INTERNAL_TITLES = {
    "silhouette": "silhouette, from -1 to 1",
    "davies_bouldin": "Davies-Bouldin, 0 at best",
    "calinski_harabasz": "Calinski-Harabasz",
    "inertia": "inertia",
}


def scores_text(scores: Scores) -> str:
    """Return what was not scored, a line for each score, and the confusion matrix."""
    counts = scores.agreement.counts
    lines = [
        *_not_scored(scores.missing, "images of the truth without a label"),
        *_not_scored(scores.extra, "images without a known label"),
        *(f"note: {note}" for note in scores.notes),
        f"images    {scores.images:,} in {counts.shape[1]} clusters, {counts.shape[0]} classes",
    ]
    if scores.noise:
        lines.append(f"noise     {scores.noise:,} images, scored as one cluster; accuracy and F1 count them as wrong")
    lines += ["", *(f"{scores.scores[name]:8.4f}  {title}" for name, title in TITLES.items()), ""]
    if scores.accuracy_as_is is not None:
        what = f"accuracy of the labels in {scores.as_is_in} as they stand, without matching clusters to classes"
        lines += [f"{scores.accuracy_as_is:8.4f}  {what}", ""]
    return "\n".join([*lines, *_matrix_lines(scores)])


def inner_scores_lines(found: InnerScores) -> list[str]:
    """Return the internal scores of a run, and the images that are least sure of their cluster."""
    lines = [f"images    {len(found.ids):,} in {len(np.unique(found.labels[found.labels != NOISE]))} clusters", ""]
    lines += [f"{getattr(found.scores, name):>12.5g}  {title}" for name, title in INTERNAL_TITLES.items()]
    if found.note:
        lines.append(f"all scores are of {found.note}")
    if found.scores.sampled is not None:
        lines.append(f"the silhouette is of {found.scores.sampled:,} images drawn at random")
    least = found.table().head(3)
    rows = zip(least["id"], least["cluster"], least["sureness"], strict=True)
    named = (f"  {id!r}: cluster {printable(with_name(int(number), found.names))}, {sure}" for id, number, sure in rows)
    return [*lines, "", "least sure", *named]


def inner_scores_json(found: InnerScores) -> str:
    """Return the internal scores of a run as JSON."""
    return json.dumps({name: getattr(found.scores, name) for name in INTERNAL_TITLES}, indent=2)


def _not_scored(ids: Sequence[str], what: str) -> list[str]:
    return [f"not scored: {len(ids):,} {what}: {first_few(ids)}"] if ids else []


def _matrix_lines(scores: Scores) -> list[str]:
    rows, columns = scores.agreement.counts.shape
    if max(rows, columns) > MAX_MATRIX_SIDE:
        return [f"the confusion matrix, {rows} x {columns}, is too large to print; write it with --out"]
    table = scores.confusion()
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in table]
    return ["images per class (rows) and cluster (columns), matched ones on the diagonal", *map("  ".join, lines)]
