"""A catalogue of bad input: each case one thing that somebody will feed the program, and what it makes of it.

A case is a function that spoils a folder in which a run would have worked. `python -m tests.support.bad_input` runs
them all and prints the table of tests/support/BAD_INPUT.md; `tests/integration/test_bad_input.py` has a test of each.
"""

from __future__ import annotations

import csv
import importlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import write_pictures, write_template
from tests.support.warm import Nursery, Program, Running

GROUPS = (
    "images",
    "formats",
    "pages",
    "videos",
    "tables",
    "configs",
    "weights",
    "stores",
    "surroundings",
)  # modules of cases
IMAGES = 12
SECONDS = 120.0  # on two busy cores; the slowest case takes a few
MOST_MB = 2048
RUN = ("run", "config.yaml")
# What is printed on the way, and is no complaint.
PROGRESS = "features|features of [a-z0-9_]+|measures|clustering|numbers of clusters|thumbnails|report|scores|explained"
ON_THE_WAY = re.compile(rf"\r|^({PROGRESS}): .*$|^preparing .*$", re.MULTILINE)
# What differs with versions and processors: what libraries say of damaged bytes, and fingerprints.
VARYING = re.compile(
    r"(?<=damaged) \([^;]*\)|(?<=incomplete) \([^;]*\)|(?<=file) \(Error[^;]*\)|-[0-9a-f]{16}\b"
    r"|(?<=loaded): [^;]*failed to map[^;]*"
)
CONFIG = """\
images: {folder: pictures}
features: {backbone: efficientnet_lite0, batch_size: 4, store: store}
clusters: {method: kmeans, n_clusters: 3}
outputs: {folder: out, report: false}
"""


@dataclass(frozen=True)
class Case:
    """One bad input.

    spoil: given a folder with twelve pictures, template.csv and config.yaml, which together make a good run.
    commands: what is then typed there, one after the other; the last is looked at.
    exit_code: how it ends. says: a regular expression for what it has to say: where it fails, its last line on standard
    error; else all that it tells, and the reasons of the failures.
    failures: how many images it could not take. Every other one has to have a cluster.
    limits: of the process, by `resource`'s numbers, as from `ulimit`.
    shell: how it is typed, such as `{} >&-`. ended: takes away what would outlive the folder, such as a mount.
    also: what else has to hold of the folder then; it raises AssertionError where it does not.
    """

    name: str
    group: str
    spoil: Callable[[Path], object]
    says: str
    exit_code: int = 0
    failures: int = 0
    commands: tuple[tuple[str, ...], ...] = (RUN,)
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[int, int] = field(default_factory=dict)
    shell: str = "{}"
    ended: Callable[[Path], object] = lambda folder: None
    also: Callable[[Path], object] = lambda folder: None
    skip: Callable[[], str | None] = lambda: None  # a reason why it cannot be had here


@dataclass(frozen=True)
class Outcome:
    """What came of a case: its words without what differs from machine to machine."""

    exit_code: int
    words: str
    stdout: str
    stderr: str
    reasons: tuple[str, ...]
    megabytes: float


CASES: list[Case] = []


def case(name: str, group: str, says: str, **others: object) -> Callable[[Callable[[Path], object]], None]:
    """Put a function that spoils a folder into the catalogue."""

    def add(spoil: Callable[[Path], object]) -> None:
        assert (group, name) not in [(each.group, each.name) for each in CASES], name
        CASES.append(Case(name, group, spoil, says, **others))  # type: ignore[arg-type]

    return add


def prepared(folder: Path) -> Path:
    """Return a folder in which `run config.yaml` works."""
    folder.mkdir(parents=True, exist_ok=True)
    write_pictures(folder / "pictures", range(IMAGES))
    write_template(folder / "template.csv", range(IMAGES))
    (folder / "config.yaml").write_text(CONFIG)
    return folder


def outcome_of(case: Case, folder: Path, nursery: Nursery) -> Outcome:
    """Do a case in an empty folder. Raises AssertionError where the program breaks what it promises of any input."""
    with ExitStack() as at_the_end:
        at_the_end.callback(case.ended, folder)
        prepared(folder)
        case.spoil(folder)
        return _done(case, folder, nursery)


def _done(case: Case, folder: Path, nursery: Nursery) -> Outcome:
    for arguments in case.commands:
        program = Program("imgcluster", arguments, folder, case.environment, False, case.limits, case.shell, True)
        running = Running(program, nursery)
        stdout, stderr = running.communicate(SECONDS)
        code = running.wait()
    reasons = _accounted(folder) if code == 0 and case.commands[-1][0] == "run" else ()
    words = _in_short(code, stderr, reasons, folder)
    outcome = Outcome(code, words, stdout, stderr, reasons, running.megabytes)
    _check(outcome)
    case.also(folder)
    return outcome


def check(case: Case, outcome: Outcome) -> None:
    """Raise AssertionError where it is not what the case says."""
    told = f"exit {outcome.exit_code}\n{outcome.stdout}\n{outcome.stderr}\n{outcome.reasons}"
    assert outcome.exit_code == case.exit_code, told
    assert len(outcome.reasons) == case.failures, told
    text = outcome.words if case.exit_code else "\n".join((outcome.stdout, outcome.stderr, *outcome.reasons))
    assert re.search(case.says, text), told


def _check(outcome: Outcome) -> None:
    """What holds of any input."""
    told = f"exit {outcome.exit_code}\n{outcome.stdout}\n{outcome.stderr}"
    assert outcome.exit_code in (0, 1, 2), told
    assert "Traceback" not in outcome.stderr, told
    assert outcome.megabytes <= MOST_MB, f"{outcome.megabytes:.0f} MB"
    if outcome.exit_code == 1:
        *_, last = (line for line in outcome.stderr.strip().splitlines() if not line.startswith("  "))
        assert last.startswith("imgcluster: "), told


def _accounted(folder: Path) -> tuple[str, ...]:
    """Return the reasons of the failures, having checked that every image has a cluster or is one of them."""
    with (folder / "out" / "clusters.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    record = json.loads((folder / "out" / "run.json").read_text(encoding="utf-8"))
    failed = [row for row in rows if row["status"] == "failed"]
    assert len(rows) == record["counts"]["images"], "rows were lost"
    assert len(failed) == len(record["failures"]), "failures were lost"
    assert all(row["cluster"] for row in rows if row["status"] == "ok"), "an image has no cluster"
    return tuple(row["error"] for row in failed)


def _in_short(code: int, stderr: str, reasons: Sequence[str], folder: Path) -> str:
    one_each = ON_THE_WAY.sub("", stderr).replace("\n  ", "; ")  # of several problems each has a line
    told = [line for line in one_each.splitlines() if line.strip()]
    if code:
        return _anywhere(told[-1] if told else "", folder)
    if reasons:
        return _anywhere(f"{len(reasons)} failed: {'; '.join(sorted(set(reasons)))}", folder)
    return _anywhere(told[0], folder) if told else ""


def _anywhere(text: str, folder: Path) -> str:
    """Take out of a text what is of this machine alone."""
    for root in {str(folder), str(folder.resolve())}:
        text = text.replace(f"{root}/", "").replace(root, ".")
    return VARYING.sub("", text).removeprefix("imgcluster: ")


def table(outcomes: Sequence[tuple[Case, Outcome]]) -> str:
    """Return the catalogue as Markdown."""
    lines = ["| input | what becomes of it |", "|---|---|"]
    group = ""
    for one, outcome in outcomes:
        if one.group != group:
            group = one.group
            lines.append(f"| **{group}** | |")
        lines.append(row(one, outcome))
    return "\n".join(lines)


def row(one: Case, outcome: Outcome) -> str:
    """Return the line of the table for a case."""
    words = re.sub(r"\s+", " ", outcome.words)
    told = f"refused: {words}" if outcome.exit_code else f"done; {words}".removesuffix("; ")
    return f"| {_cell(one.name)} | {_cell(told)} |"


def _cell(text: str) -> str:
    printable = "".join(letter if letter.isprintable() else "?" for letter in text)
    return printable.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def all_cases() -> list[Case]:
    """Return the catalogue, in the order of its table."""
    for group in GROUPS:
        importlib.import_module(f"tests.support.bad_input.{group}")
    return CASES
