"""The embedded default against tools that other people would pick, on the same JPEGs, files to vectors."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from imgcluster.config.loader import FeaturesConfig
from tests.benchmarks.clock import median_ratio, take_turns
from tests.benchmarks.extraction import BACKBONE, write_jpegs
from tests.benchmarks.ours import OurLoop
from tests.benchmarks.rows import Row

IMAGES = {False: 320, True: 32}  # by --quick
THEIRS = 64  # of these: they are slow enough
ROUNDS = {False: 5, True: 1}
FIGURE = "tasnif, timm efficientnet_lite0 at its own batch of 32"


def peers(quick: bool) -> Iterator[Row]:
    """Networks built before; tasnif's has random weights, which cost as much as real ones."""
    if find_spec("tasnif") is None:
        yield Row("peers", f"{FIGURE}: skipped, tasnif is not installed")
        return
    with TemporaryDirectory() as own:
        images = write_jpegs(Path(own) / "jpegs", IMAGES[quick])
        paths = [image.path for image in images[:THEIRS]]
        ours = OurLoop(FeaturesConfig(backbone=BACKBONE, device="cpu", store=f"{own}/store"))
        embedder = _embedder()
        ours(images)
        rates = take_turns({"ours": lambda _: ours(images), "theirs": lambda _: _embed(embedder, paths)}, ROUNDS[quick])
    ratio = f"{median_ratio(rates['ours'], rates['theirs']):.2f}"
    yield Row(
        "peers", FIGURE, f"{median(rates['ours']):.1f} img/s", f"{median(rates['theirs']):.1f} img/s", ratio, ">= 20"
    )


def _embedder() -> Any:
    from tasnif import create_embedder

    return create_embedder("timm", model="efficientnet_lite0", device="cpu", pretrained=False)


def _embed(embedder: Any, paths: list[Path]) -> np.ndarray:
    from tasnif import ImageStream

    return np.asarray(embedder.embed(ImageStream(paths, max_size=512), show_progress=False))
