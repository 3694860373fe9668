"""Tables of sweeps, comparisons and stability trials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imgcluster.cli.format.run import cluster_lines
from imgcluster.evaluation import BEST, TABLE
from imgcluster.runs import with_name
from imgcluster.utils import counted, printable

if TYPE_CHECKING:
    from imgcluster.evaluation import Comparison, Stability, Sweep
    from imgcluster.runs import CutRun

MAX_UNSTABLE_NAMED = 3
HALF = 0.5


def sweep_lines(found: Sweep) -> list[str]:
    """Return a table of a sweep's measures, and the number proposed."""
    lines = ["   K  modularity  silhouette  stability      gap  Davies-B.  Calinski-H.      inertia"]
    lines += [
        f"{row.k:>4} {row.modularity:>11.3f} {row.silhouette:>11.3f} {row.stability:>10.3f} {row.gap:>8.3f} "
        f"{row.davies_bouldin:>10.3f} {row.calinski_harabasz:>12.1f} {row.inertia:>12.5g}"
        f"{'  <' if row.k == found.chosen else ''}"
        for row in found.rows
    ]
    return [*lines, "", found.reason, f"elbow of the inertia curve: {found.elbow}"]


def comparison_lines(found: Comparison, out: Path) -> list[str]:
    """Return the table of a comparison, and how to run its rows; `out`: the folder it was written into."""
    return [
        found.table().to_string(index=False, na_rep=""),
        *(f"note: {note}" for note in found.notes),
        f"written   {out / TABLE}",
        f"the best  python -m imgcluster run {out / BEST}",
        f"any row   python -m imgcluster run {out}/CONFIG, where CONFIG is its last column",
    ]


def cut_lines(found: CutRun) -> list[str]:
    """Return how many clusters there are now and were before, how good the level is, and the clusters."""
    hierarchy, failed = found.hierarchy, len(found.run.rows) - len(found.labels)
    before = f"the run has {hierarchy.n_clusters}" + (f"; {counted(failed, 'image')} failed" if failed else "")
    lines = [f"images    {len(found.labels):,} in {len(found.members)} clusters ({before})"]
    if found.level is not None:
        here, own = (hierarchy.modularity[level - 1] for level in (found.level, hierarchy.n_clusters))
        levels = f"level     {found.level} of 1 to {hierarchy.levels}"
        lines.append(f"{levels}: modularity {here:.3f}; the run's clusters {own:.3f}")
    return [*lines, *_change_lines(found), "", *cluster_lines(found.sizes, found.names), ""]


def _change_lines(found: CutRun) -> list[str]:
    """Return what became of the run's clusters that were merged or split."""
    lines = []
    for before, after in found.changes:
        now = _listed([f"{number} ({counted(int(found.sizes[number]), 'image')})" for number in after])
        subject = f"cluster {before[0]} is" if len(before) == 1 else f"clusters {_listed([*map(str, before)])} are"
        lines.append(f"change    {subject} now {now}")
    return lines


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def stability_lines(found: Stability) -> list[str]:
    """Return how well a run's clusters came out again, and the images that change cluster most."""
    median, least = np.median(found.scores), min(found.scores)
    rows = [row for row in np.argsort(found.stays, kind="stable").tolist() if found.stays[row] < HALF]
    lines = [
        f"trials    {len(found.scores)}, adjusted Rand index to the run: median {median:.3f}, lowest {least:.3f}",
        f"unstable  {len(rows):,} of {len(found.ids):,} images leave their cluster in more than half of the trials",
    ]
    if found.note:
        lines.append(f"of        {found.note}")
    for row in rows[:MAX_UNSTABLE_NAMED]:
        own, other = (with_name(int(numbers[row]), found.names) for numbers in (found.labels, found.elsewhere))
        elsewhere = printable(other) if found.elsewhere[row] >= 0 else "none"
        lines.append(f"  {printable(found.ids[row])}: cluster {printable(own)}, else {elsewhere}")
    return lines
