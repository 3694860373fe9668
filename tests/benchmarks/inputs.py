"""What the benchmarks work on: the shipped stage config over the committed frames, with an own folder to write to."""

from __future__ import annotations

from pathlib import Path

from imgcluster import Config, load_config
from tests import ROOT

STAGE = ROOT / "data" / "stage"
TRUTH = STAGE / "truth.csv"


def stage_config(own: Path, *overrides: str) -> Config:
    """The config as shipped, with VGG16's weights random; its store and its outputs are below `own`."""
    places = {
        "images.folder": STAGE / "test",
        "images.ids": STAGE / "sample_submission.csv",
        "features.store": own / "store",
        "outputs.folder": own / "outputs",
    }
    moved = [f"{key}='{place}'" for key, place in places.items()]
    # What it is compared with makes no report.
    own_keys = ["features.weights=random", "outputs.report=false"]
    return load_config(ROOT / "configs" / "stage.yaml", [*moved, *own_keys, *overrides])


def first_ids(count: int, own: Path) -> Path:
    """Write a template of the first frames only, and return it."""
    rows = (STAGE / "sample_submission.csv").read_text().splitlines(keepends=True)
    path = own / "first.csv"
    path.write_text("".join(rows[: count + 1]))
    return path
