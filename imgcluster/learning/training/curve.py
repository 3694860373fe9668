"""The training curve, as an image and a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from imgcluster.learning.model import CURVE
from imgcluster.learning.training.loop import ALL, HELD_BACK, Epoch
from imgcluster.utils import CHOSEN, INK, QUIET, save, style_panel, write_whole

PANELS = {
    "loss": (("loss", "training", QUIET), ("held_loss", "held back", INK)),
    "accuracy": (("accuracy", "training", QUIET), ("held_accuracy", "held back", INK)),
}


def write_curve(history: Sequence[Epoch], folder: Path) -> None:
    """Write training.csv, training.svg and training.png into a folder."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(asdict(history[0])), lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(epoch) for epoch in history)
    write_whole(folder / f"{CURVE}.csv", text.getvalue().encode())
    _draw(history, folder)


def _draw(history: Sequence[Epoch], folder: Path) -> None:
    from matplotlib.figure import Figure

    shown = [epoch for epoch in history if epoch.round == HELD_BACK] or list(history)
    best = max((epoch.number for epoch in history if epoch.round == ALL), default=0)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for place, (title, lines) in zip(figure.subplots(1, 2).flat, PANELS.items(), strict=True):
        _panel(place, shown, title, lines)
        if shown[0].round == HELD_BACK:
            place.axvline(best, color=CHOSEN, linewidth=1, alpha=0.6, label=f"best: epoch {best}")
        place.legend(fontsize=8, frameon=False)
    save(figure, folder, CURVE)


def _panel(place: Any, epochs: Sequence[Epoch], title: str, lines: Sequence[tuple[str, str, str]]) -> None:
    for name, label, colour in lines:
        points = [(epoch.number, getattr(epoch, name)) for epoch in epochs if getattr(epoch, name) is not None]
        if points:
            place.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=3, linewidth=1.2, label=label)
    place.set_xlabel("epoch", fontsize=8, color=INK)
    style_panel(place, title)
