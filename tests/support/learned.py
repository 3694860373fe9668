"""Images with a few labels, to learn from."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

RED, GREEN, BLUE = "red, dark", "green", "007"


NAMES = (RED, GREEN, BLUE)


def blank_labels(template: Path) -> None:
    """Let a template say nothing of its labels: these are words, and its own are numbers."""
    table = pd.read_csv(template, dtype=str, keep_default_na=False)
    table["label"] = ""
    table.to_csv(template, index=False)
