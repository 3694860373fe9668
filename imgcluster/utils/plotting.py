"""Save matplotlib figures without a display; the same figure gives the same bytes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from imgcluster.utils.files import replacing

INK, QUIET, CHOSEN = "#1f2937", "#9ca3af", "#c2410c"
# By format. The date and random names in an SVG would make other bytes of the same figure.
METADATA: dict[str, dict[str, str | None]] = {"svg": {"Date": None}, "png": {"Software": None}}
DPI = 144


def style_panel(axes: Any, title: str) -> None:
    """Give a panel its title at the left, whole numbers below, and no frame at the top and the right."""
    axes.set_title(title, fontsize=9, color=INK, loc="left")
    axes.tick_params(labelsize=8, colors=INK)
    axes.xaxis.get_major_locator().set_params(integer=True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def save(figure: Any, folder: Path, name: str) -> list[Path]:
    """Write a figure as SVG and PNG, each whole; the same figure gives the same bytes."""
    import matplotlib

    paths = []
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": "imgcluster", "svg.fonttype": "none"}):
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a box stands for a letter that the font has not
        for kind, metadata in METADATA.items():
            paths.append(path := folder / f"{name}.{kind}")
            with replacing(path) as file:
                figure.savefig(file, format=kind, dpi=DPI, metadata=metadata)
    return paths
