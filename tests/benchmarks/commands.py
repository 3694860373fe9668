"""What whole processes of the command line cost on the stage frames, once asked and asked again.

Set AGAINST to the Python of an older build that is installed beside, to compare with that.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from tests.benchmarks.inputs import STAGE, TRUTH
from tests.benchmarks.rows import Row

AGAINST = "IMGCLUSTER_BENCHMARK_AGAINST"  # an environment variable
ROUNDS = {False: 5, True: 1}  # by --quick
WARM_UPS = 2  # converts the network; asks torch for its number of threads
NEW_IMAGES = 10
KEPT = ("imgcluster/clusters", "imgcluster/placed", "imgcluster/reports")  # of earlier features, in the cache
RUN = "run CONFIG --force --set features.store=STORE --set outputs.folder="


@dataclass(frozen=True)
class Command:
    """A command line and what is removed before it. ROUND in it is another number each time."""

    figure: str
    line: str
    aim: str
    removed: tuple[str, ...] = ()


COMMANDS = (
    Command("run, new frames, network converted", f"{RUN}OUT", "<= 0.65", ("store", *KEPT)),
    Command("run, nothing new", f"{RUN}OUT", "<= 0.30"),
    Command("run, other number of clusters", f"{RUN}OTHER --set clusters.n_clusters=ROUND", "<= 0.45"),
    Command("check", "check CONFIG --set features.store=STORE --set outputs.folder=OUT", "<= 0.35"),
    Command("show", "show OUT", "<= 0.35"),
    Command("score", f"score OUT {TRUTH}", "<= 0.35"),
    Command("validate", f"validate OUT/submission.csv {STAGE / 'sample_submission.csv'}", "<= 0.35"),
    Command("suggest", "suggest OUT --out suggested.csv --force -n ROUND", "<= 0.35"),
    Command("suggest, asked before", "suggest OUT --out suggested.csv --force", "<= 0.35"),
    Command("assign, known images", "assign OUT new --out assigned.csv --force", "<= 0.35", KEPT),
    Command("assign, asked before", "assign OUT new --out assigned.csv --force", "<= 0.35"),
)


@dataclass(frozen=True)
class Build:
    """A build by its Python, with a folder of its own for what it keeps and writes; (CPU s, wall s) by figure."""

    python: str
    folder: Path
    taken: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Variables for a cache of its own, and for bytecode, which an installed package has."""
        own = str(self.folder)
        bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{own}/bytecode"}
        return {"IMGCLUSTER_CACHE": "", "XDG_CACHE_HOME": own, **bytecode}

    def call(self, command: Command, number: int) -> None:
        """Run a command and put its seconds on record."""
        for name in command.removed:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        words = {"CONFIG": "stage.yaml", "OUT": "out", "OTHER": "other", "STORE": "store", "ROUND": str(number)}
        line = command.line
        for word, meant in words.items():
            line = line.replace(word, meant)
        before, start = _cpu_seconds(), perf_counter()
        subprocess.run(
            [self.python, "-m", "imgcluster", *line.split()],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            check=True,
            capture_output=True,
        )
        taken = _cpu_seconds() - before, perf_counter() - start
        self.taken.setdefault(command.figure, []).append(taken)


def commands(quick: bool) -> Iterator[Row]:
    """CPU and wall seconds of each command, both builds in turn; those of the first calls are not counted."""
    with TemporaryDirectory() as own:
        pythons = [sys.executable, *filter(None, [os.environ.get(AGAINST)])]
        builds = [_build(python, Path(own) / str(number)) for number, python in enumerate(pythons)]
        for command in COMMANDS:
            for number in range(ROUNDS[quick] + WARM_UPS):
                for build in builds:
                    build.call(command, number + 3)
            yield _row(command, [build.taken[command.figure][WARM_UPS:] for build in builds])


def _build(python: str, folder: Path) -> Build:
    (folder / "new").mkdir(parents=True)
    for path in sorted((STAGE / "test").iterdir())[:NEW_IMAGES]:
        shutil.copy(path, folder / "new")
    config = (STAGE.parents[1] / "configs" / "stage.yaml").read_text()
    (folder / "stage.yaml").write_text(config.replace("data/stage", str(STAGE)))
    return Build(python, folder)


def _row(command: Command, taken: list[list[tuple[float, float]]]) -> Row:
    ours, *others = ([median(kind) for kind in zip(*each, strict=True)] for each in taken)
    texts = [f"{cpu:.2f} s, {wall:.2f} s" for cpu, wall in (ours, *others)]
    ratio = median(our / their for (our, _), (their, _) in zip(*taken, strict=True)) if others else None
    figure = f"{command.figure}: CPU, wall"
    return Row("commands", figure, *texts, *([] if ratio is None else [f"{ratio:.2f}", command.aim]))


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
