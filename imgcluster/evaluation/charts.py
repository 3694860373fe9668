"""Charts as image files, drawn without a display."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imgcluster.evaluation.sweep import Sweep
from imgcluster.utils import CHOSEN, INK, QUIET, save, style_panel

PANELS = {
    "modularity": "modularity of the neighbours (higher is better)",
    "silhouette": "silhouette (higher is better)",
    "stability": "stability (higher is better)",
    "gap": "gap statistic (higher is better)",
    "davies_bouldin": "Davies-Bouldin (lower is better)",
    "inertia": "inertia (elbow)",
}


def draw_sweep(found: Sweep, folder: Path) -> list[Path]:
    """Draw each measure of a sweep over the number of clusters; returns the files, sweep.svg and sweep.png."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5.6), layout="constrained")
    for place, (name, title) in zip(figure.subplots(2, 3).flat, PANELS.items(), strict=True):
        _panel(place, found, name, title)
    figure.suptitle(f"{found.chosen} clusters proposed", color=INK, fontweight="bold")
    return save(figure, folder, "sweep")


def _panel(place: Any, found: Sweep, name: str, title: str) -> None:
    ks = [row.k for row in found.rows]
    values = [getattr(row, name) for row in found.rows]
    place.axvline(found.chosen, color=CHOSEN, linewidth=1, alpha=0.6)
    if name == "inertia" and found.elbow != found.chosen:
        place.axvline(found.elbow, color=QUIET, linewidth=1, linestyle=":")
    if name == "gap":
        place.errorbar(ks, values, [row.gap_error for row in found.rows], color=QUIET, linewidth=0, elinewidth=1)
    place.plot(ks, values, color=INK, marker="o", markersize=3, linewidth=1.2)
    style_panel(place, title)
