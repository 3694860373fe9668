"""A whole day's work with weights that are here: no connection, nothing written but where it belongs, nothing run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.bad_input import prepared
from tests.support.warm import Nursery, Program, Running

# What each command may make, below the folder it is called in; all may use the cache and the temporary folder.
COMMANDS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("check", "config.yaml"), ()),
    (("run", "config.yaml"), ("out", "store")),
    (("extract", "config.yaml"), ("store",)),
    (("show", "out"), ()),
    (("report", "out"), ("out", "store")),
    (("explain", "out"), ("out", "store")),
    (("sweep", "config.yaml", "--k", "2..4"), ("out", "store")),
    (("stability", "out", "--trials", "2"), ("out", "store")),
    (("score", "out"), ()),
    (("export", "out", "--format", "npz", "features.npz"), ("features.npz",)),
    (("assign", "out", "pictures", "--out", "placed.csv"), ("placed.csv", "store")),
    (("suggest", "out", "--out", "ask.csv"), ("ask.csv",)),
    (("spread", "out", "labels.csv", "--out", "spread.csv"), ("spread.csv",)),
    (("learn", "out", "labels.csv", "--out", "model"), ("model", "store")),
    (("predict", "model", "pictures", "--out", "predicted.csv"), ("predicted.csv", "store")),
    (("distance", "pictures/0000.jpg", "pictures/0001.jpg", "--backbone", "efficientnet_lite0"), ()),
    (("export-folders", "out", "sorted", "--copy"), ("sorted",)),
    (("doctor",), ()),
)
HOME = {"HOME": "", "IMGCLUSTER_CACHE": "cache", "TORCH_HOME": "torch", "HF_HOME": "hf", "XDG_CACHE_HOME": "xdg"}
WRITES = ("open", "os.")
REACHES = "socket."
RUNS = "pickle.find_class"
# Libraries ask how many cores there are, and which fonts; matplotlib keeps a list of these in a folder of its own.
STARTED = ("'lscpu'", "'fc-list'")
OF_LIBRARIES = ("home/xdg/matplotlib", "home/.config/matplotlib", "home/.config", "home/xdg")


@dataclass(frozen=True)
class Day:
    """A folder, and what the commands in it have asked for, each event with what it was about."""

    own: Path
    events: dict[tuple[str, ...], list[list[str]]]
    images_before: dict[str, tuple[bytes, int]]


def images_of(own: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (own / "pictures").iterdir()}


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Callable[..., list[list[str]]]:
    """Run a program in a folder and return what it asked for."""

    def call(own: Path, module: str, *arguments: str) -> list[list[str]]:
        home = own.parent / "home"
        environment = {name: str(home / place) for name, place in HOME.items()}
        environment |= {"TMPDIR": str(own.parent / "temporary"), "IMGCLUSTER_WEIGHTS_MIRROR": "http://127.0.0.1:9"}
        log = own.parent / "log"
        log.unlink(missing_ok=True)
        running = Running(Program("tests.support.audited", (str(log), module, *arguments), own, environment), nursery)
        _, errors = running.communicate()
        assert running.wait() == 0, errors
        return [json.loads(line) for line in log.read_text().splitlines()]

    return call


def sandbox(root: Path) -> Path:
    for place in ("home", "temporary"):
        (root / place).mkdir(parents=True)
    return prepared(root / "own")


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, audited: Callable[..., list[list[str]]]) -> Day:
    own = sandbox(tmp_path_factory.mktemp("day"))
    config = own / "config.yaml"
    config.write_text(config.read_text().replace(", report: false", ""))
    (own / "labels.csv").write_text("id,label\n" + "".join(f"{n:04d}.jpg,{'abc'[n % 3]}\n" for n in range(9)))
    before = images_of(own)
    return Day(own, {arguments: audited(own, "imgcluster", *arguments) for arguments, _ in COMMANDS}, before)


def strangers(event: list[str], root: Path, allowed: tuple[str, ...]) -> list[str]:
    """The paths of an event that are in none of the places, by their names below the root."""
    paths = [Path(about.strip("'\"")) for about in event[1:]]
    if event[0] == "os.mkdir" and paths == [root / "own"]:  # as one that may be there already
        return []
    places = [root / name for name in (*allowed, "home/cache", "temporary", *OF_LIBRARIES)]
    beside = [place.with_name(f"{place.name}.") for place in places]  # files in the making: NAME.123.tmp
    return [
        str(path)
        for path in paths
        if not any(path == place or place in path.parents for place in places)
        and not any(str(path).startswith(str(each)) and path.suffix == ".tmp" for each in beside)
        and not str(path).startswith("/dev/")
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "may_make"), COMMANDS, ids=[each[0][0] for each in COMMANDS])
def test_nothing_is_written_elsewhere(day: Day, arguments: tuple[str, ...], may_make: tuple[str, ...]) -> None:
    allowed = tuple(f"own/{name}" for name in may_make)
    for event in day.events[arguments]:
        if event[0].startswith(WRITES):
            assert not strangers(event, day.own.parent, allowed), event


@pytest.mark.slow
def test_there_is_nothing_else_afterwards(day: Day) -> None:
    """What no event tells of: files that libraries wrote without Python."""
    made = {name for _, names in COMMANDS for name in names}
    there = {path.name for path in day.own.iterdir()}
    assert there <= made | {"pictures", "config.yaml", "template.csv", "labels.csv"}
    assert {path.name for path in (day.own.parent / "home").iterdir()} <= {"cache", "xdg", ".config"}
    assert not [*(day.own.parent / "temporary").iterdir()]


@pytest.mark.slow
def test_images_are_as_they_were(day: Day) -> None:
    assert images_of(day.own) == day.images_before


@pytest.mark.slow
def test_no_connection_is_made(day: Day) -> None:
    assert [event for events in day.events.values() for event in events if event[0].startswith(REACHES)] == []


@pytest.mark.slow
def test_nothing_is_unpickled_and_no_program_is_started(day: Day) -> None:
    events = [event for each in day.events.values() for event in each]
    assert [event for event in events if event[0] == RUNS] == []
    assert {event[1] for event in events if event[0] == "subprocess.Popen"} <= {*STARTED}


def test_who_does_such_things_is_seen(tmp_path: Path, audited: Callable[..., list[list[str]]]) -> None:
    own = sandbox(tmp_path)
    (own / "wicked.py").write_text(
        "import os, pathlib, pickle, socket, subprocess\n"
        f"pathlib.Path({str(tmp_path / 'elsewhere')!r}).write_text('x')\n"
        "os.rename('template.csv', 'other.csv')\n"
        "pickle.loads(pickle.dumps(pathlib.Path('x')))\n"
        "subprocess.run(['true'])\n"
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))\n"
    )
    events = audited(own, "wicked")
    written = [event for event in events if event[0].startswith(WRITES) and strangers(event, tmp_path, ())]
    assert [event[0] for event in written] == ["open", "os.rename"]
    assert [event for event in events if event[0] == "socket.connect"] == [["socket.connect", "('127.0.0.1', 9)"]]
    assert [event[0] for event in events if event[0] == RUNS]
    assert ["subprocess.Popen", "'true'"] in events
