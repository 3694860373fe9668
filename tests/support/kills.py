"""`python -m tests.support.kills [N]`: kill commands at N random moments, and see that the same command makes it good.

Each trial begins with a copy of the same folder, starts a command, kills it with -9 somewhere between its start and its
end, and runs it again. What is there then has to be what a command that nobody disturbed leaves, byte for byte.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conftest import write_pictures
from tests.support.warm import Nursery, Program, Running

IMAGES = 60
CONFIG = """\
images: {folder: pictures}
features: {backbone: efficientnet_lite0, batch_size: 2, store: store}
clusters: {method: kmeans, n_clusters: 3}
outputs: {folder: out, submission: null}
"""


@dataclass(frozen=True)
class Killed:
    """A command that is killed.

    before: what was done in the folder until then. makes: files, or folders of some, that show whether it was made
    good; after: what makes these of what the command itself leaves. whole: what a command that does nothing twice says
    where it was killed so late that nothing is left to be done.
    """

    command: tuple[str, ...]
    before: tuple[tuple[str, ...], ...]
    makes: tuple[str, ...]
    after: tuple[tuple[str, ...], ...] = ()
    whole: str = ""


RUN = ("run", "config.yaml", "--quiet")
LEARN = ("learn", "out", "labels.csv", "--out", "model")
FOLDERS = ("export-folders", "out", "sorted", "--copy")
COMMANDS = {
    "run": Killed(RUN, (), ("out/clusters.csv", "out/clusterer.npz", "out/report/")),
    "extract": Killed(("extract", "config.yaml"), (), ("out/clusters.csv",), (RUN,)),
    "sweep": Killed(("sweep", "config.yaml", "--k", "2..6"), (RUN,), ("out/sweep/sweep.csv",)),
    "explain": Killed(("explain", "out"), (RUN,), ("out/report/",)),
    "learn": Killed(
        (*LEARN, "--mode", "augment", "--epochs", "2"),
        (RUN,),
        ("model/model.safetensors",),
        whole="'model' holds a model; overwrite it with --force",
    ),
    "export-folders": Killed(FOLDERS, (RUN,), ("sorted/00/",)),
}
JOURNAL = ".imgcluster-journal.jsonl"  # of each attempt
TRACES = ("*.tmp", ".making-*", ".part-*", ".driven-*", ".imgcluster-part")


class Trials:
    """One command, in a folder for all its trials."""

    def __init__(self, name: str, folder: Path, nursery: Nursery) -> None:
        self._killed, self._folder, self._nursery = COMMANDS[name], folder, nursery
        folder.mkdir(parents=True)
        self._base = self._prepared(folder / "base")
        first, _ = self._undisturbed()
        second, self.seconds = self._undisturbed()
        # What holds a time of day differs between any two.
        self.expected = {name: data for name, data in first.items() if second.get(name) == data}

    def kill_once(self, moment: float) -> str:
        """Kill at a moment between 0 and 1 of the command's time; returns how it ended then. Raises AssertionError."""
        own = self._copy()
        running = self._start(own, self._killed.command)
        time.sleep(moment * self.seconds)
        running.kill()
        ended = "killed" if running.wait() else "over before"
        kept = rows_in(own / "store")
        told = self._made_good(own)
        found = contents(own)
        wrong = [name for name, data in self.expected.items() if found.get(name) != data]
        assert not wrong, f"killed at {moment:.3f}: {wrong} differ"
        traces = [path for pattern in TRACES for path in own.rglob(pattern)]
        assert not traces, f"killed at {moment:.3f}: {traces} stayed"
        if self._killed.command[0] in ("run", "extract"):
            assert f"{IMAGES - kept} computed, {kept} from the store" in told, told
        shutil.rmtree(own)
        return ended

    def _prepared(self, own: Path) -> Path:
        own.mkdir()
        write_pictures(own / "pictures", range(IMAGES))
        (own / "config.yaml").write_text(CONFIG)
        rows = (f"{number:04d}.jpg,{'abc'[number % 3]}\n" for number in range(IMAGES // 2))
        (own / "labels.csv").write_text("id,label\n" + "".join(rows))
        for command in self._killed.before:
            self._finished(own, command)
        return own

    def _undisturbed(self) -> tuple[dict[str, bytes], float]:
        own = self._copy()
        started = time.monotonic()
        self._finished(own, self._killed.command)
        seconds = time.monotonic() - started
        self._make_whole(own)
        found = contents(own)
        shutil.rmtree(own)
        return found, seconds

    def _made_good(self, own: Path) -> str:
        running = self._start(own, self._killed.command)
        out, err = running.communicate()
        assert running.wait() == 0 or (self._killed.whole and self._killed.whole in err), err
        self._make_whole(own)
        return out

    def _make_whole(self, own: Path) -> None:
        for command in self._killed.after:
            self._finished(own, command)

    def _copy(self) -> Path:
        own = self._folder / "own"
        shutil.copytree(self._base, own)
        return own

    def _start(self, own: Path, command: tuple[str, ...]) -> Running:
        return Running(Program("imgcluster", command, own), self._nursery)

    def _finished(self, own: Path, command: tuple[str, ...]) -> str:
        running = self._start(own, command)
        out, err = running.communicate()
        assert running.wait() == 0, err
        return out


def rows_in(store: Path) -> int:
    """How many images have a row in a shard that counts."""
    shards = store.glob("efficient*/index-*.json")
    return len({row[0] for path in shards for row in json.loads(path.read_text())["images"]})


def contents(own: Path) -> dict[str, bytes]:
    """All files but the journal, and those of the store, whose shards are as large as the time between disturbances."""
    left_out = {"store", JOURNAL}
    files = (path for path in own.rglob("*") if path.is_file() and not left_out & {*path.relative_to(own).parts})
    return {path.relative_to(own).as_posix(): path.read_bytes() for path in files}


def main() -> None:
    """Kill in turns, and print how it went."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    generator, nursery = random.Random(count), Nursery()
    with TemporaryDirectory() as folder:
        trials = {name: Trials(name, Path(folder) / name, nursery) for name in COMMANDS}
        ended: dict[str, list[str]] = {name: [] for name in COMMANDS}
        for number in range(count):
            name = [*COMMANDS][number % len(COMMANDS)]
            ended[name].append(trials[name].kill_once(generator.random()))
    nursery.close()
    for name, all_ends in ended.items():
        print(f"{name:16}{len(all_ends)} times, {all_ends.count('killed')} of them in the middle: as undisturbed")


if __name__ == "__main__":
    main()
