"""Plot of a confusion matrix, drawn without a display."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = 0.5  # inches
NUMBERED = 40  # rows or columns above which the numbers in the cells could not be read
LONG = 40  # letters of a name


def confusion_chart(counts: np.ndarray, classes: Sequence[str], clusters: Sequence[str], title: str) -> Figure:
    """Draw counts, (classes, clusters) int, as a matrix: a cell is as dark as its share of the row's class."""
    from matplotlib.figure import Figure

    height, width = counts.shape
    cell = CELL * min(1, NUMBERED / max(height, width))
    figure = Figure(figsize=(2.2 + cell * width, 1.6 + cell * height), layout="constrained")
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    # Names are shown as they are: a dollar sign in one begins no formula.
    axes.set_xticks(*_ticks(clusters), rotation=90 if max(map(len, clusters)) > 3 else 0, parse_math=False)
    axes.set_yticks(*_ticks(classes), parse_math=False)
    axes.set_xlabel("cluster")
    axes.set_ylabel("class")
    axes.set_title(title, fontsize="medium", parse_math=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if max(height, width) <= NUMBERED:
        for row, column in np.argwhere(counts > 0):
            colour = "white" if shares[row, column] > 0.5 else "black"
            text = f"{counts[row, column]:,}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize="small")
    return figure


def _ticks(names: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return which places are named, and how: every name, or as many of them as there is room for."""
    places = list(range(0, len(names), -(-len(names) // NUMBERED)))
    return places, [names[place] if len(names[place]) <= LONG else f"{names[place][:LONG]}…" for place in places]
