"""What a second run costs, with every feature in the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from imgcluster import run
from tests.benchmarks.clock import seconds
from tests.benchmarks.inputs import first_ids, stage_config
from tests.benchmarks.rows import Row

FRAMES = {False: 100, True: 20}  # by --quick
ROUNDS = {False: 3, True: 1}
WARM_FRAMES = 5


def second_run(quick: bool) -> Iterator[Row]:
    """Seconds from config to submission, twice with the same config, imports done before."""
    _first_and_second(WARM_FRAMES)
    rounds = [_first_and_second(FRAMES[quick]) for _ in range(ROUNDS[quick])]
    first, second = (median(taken) for taken in zip(*rounds, strict=True))
    ratio = median(later / earlier for earlier, later in rounds)
    figure = f"second run against the first, {FRAMES[quick]} frames"
    yield Row("second-run", figure, f"{second:.2f} s", f"{first:.2f} s", f"{ratio:.3f}", "<= 0.10")


def _first_and_second(frames: int) -> tuple[float, float]:
    with TemporaryDirectory() as folder:
        own = Path(folder)
        ids = first_ids(frames, own)
        return _seconds(own, ids), _seconds(own, ids)


def _seconds(own: Path, ids: Path) -> float:
    return seconds(lambda: run(stage_config(own, f"images.ids='{ids}'"), show=False))
