"""A finished run at a glance, for a terminal: its clusters by size, what they are called, what is typical of them."""

from __future__ import annotations

import heapq
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imgcluster.config import RunFiles
from imgcluster.errors import ConfigError, OutputError
from imgcluster.runs.cluster_names import recorded_names
from imgcluster.runs.reader import read_record, read_report_record, read_rows
from imgcluster.types import NOISE
from imgcluster.utils import ASCII_BLOCK, ASCII_ELLIPSIS, BLOCK, ELLIPSIS, bar, columns_of, printable, shortened

NARROWEST, WIDEST = 40, 120
BAR_SHARE = 4  # a quarter of the terminal
ON_A_LINE = 3


@dataclass(frozen=True)
class Group:
    """Images that belong together: a cluster, by its number, or `noise` or `failed`.

    name: the one that is known; suggested: {"name", "share"}, the report's guess where none is. typical: ids, the
    nearest to the centroid first; of noise and failed images the first ones.
    """

    label: str
    size: int
    share: float
    typical: list[str]
    name: str | None = None
    suggested: dict[str, Any] | None = None


@dataclass(frozen=True)
class Overview:
    """What `show` tells of a run. silhouette: where a report has it. report: its page, where there is one."""

    run: str
    finished: str
    images: int
    backbones: list[str]
    fallbacks: list[dict[str, str]]
    silhouette: float | None
    clusters: list[Group]
    others: list[Group] = field(default_factory=list)
    report: str | None = None


def run_overview(run: str | Path, *, typical: int = 3) -> Overview:
    """Look at a finished run, with so many typical ids of each cluster. Raises OutputError: no finished run there."""
    if typical < 0:
        raise ConfigError(f"--typical: found {typical}, allowed: 0 or more")
    folder = Path(run)
    record, rows = read_record(folder), read_rows(folder)
    report = read_report_record(folder)
    images = _by_label(rows)
    numbers = sorted({label for label in images if isinstance(label, int)} - {NOISE})
    names = recorded_names(record)
    origins = [origin for origin in record.get("features", ()) if isinstance(origin, dict)]
    page = folder / RunFiles.REPORT / RunFiles.PAGE

    def group(word: str, label: int | str) -> Group:
        found = images.get(label, [])
        nearest = [id for _, _, id in heapq.nsmallest(typical, found)]
        return Group(word, len(found), len(found) / max(1, len(rows)), nearest)

    return Overview(
        run=str(run),
        finished=str(record.get("finished", "")),
        images=len(rows),
        backbones=[_backbone(origin) for origin in origins],
        fallbacks=[origin["fallback"] for origin in origins if origin.get("fallback")],
        silhouette=_number(report.get("silhouette")),
        clusters=[
            replace(
                group(str(number), number),
                name=names.get(number),
                suggested=None if number in names else _guess(report, number),
            )
            for number in numbers
        ],
        others=[group(word, label) for label, word in ((NOISE, "noise"), ("failed", "failed")) if label in images],
        report=str(page) if page.is_file() else None,
    )


def report_page(run: str | Path) -> Path:
    """Return the page of a run's report. Raises OutputError: there is none."""
    page = Path(run) / RunFiles.REPORT / RunFiles.PAGE
    if not page.is_file():
        raise OutputError(f"{str(run)!r} has no report; python -m imgcluster report {shlex.quote(str(run))} makes it")
    return page


def overview_lines(found: Overview, columns: int, *, ascii: bool = False) -> list[str]:
    """Return the overview for a terminal of so many columns, at least 40; only the command that ends it may be wider.

    ascii: for a terminal that has no letters for bars.
    """
    width = min(max(columns, NARROWEST), WIDEST)
    look = _Look(width, ASCII_BLOCK if ascii else BLOCK, ASCII_ELLIPSIS if ascii else ELLIPSIS)
    return [*_header(found, look), "", *_group_lines([*found.clusters, *found.others], look), "", *_hints(found)]


# What is known of a run.


def _by_label(rows: Sequence[Mapping[str, str]]) -> dict[int | str, list[tuple[float, int, str]]]:
    """Return distance, place and id of the images of each cluster, and of those that failed."""
    found: dict[int | str, list[tuple[float, int, str]]] = {}
    for place, row in enumerate(rows):
        label = "failed" if row["status"] == "failed" else int(row["cluster"])
        found.setdefault(label, []).append((_distance(row["distance"]), place, row["id"]))
    return found


def _distance(text: str) -> float:
    with suppress(ValueError):
        return float(text)
    return math.inf


def _guess(report: Mapping[str, Any], number: int) -> dict[str, Any] | None:
    names = report.get("names")
    guess = names.get(str(number)) if isinstance(names, dict) else None
    if not isinstance(guess, dict) or not isinstance(guess.get("name"), str):
        return None
    return {"name": guess["name"], "share": _number(guess.get("share"))}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _backbone(origin: Mapping[str, Any]) -> str:
    if origin.get("runtime") == "file":
        return f"{origin.get('weights_file')}, {origin.get('dim')}-d"
    return f"{origin.get('backbone')} {origin.get('layer')}, {origin.get('dim')}-d, {origin.get('weights')}"


# How it is shown.


@dataclass(frozen=True)
class _Look:
    width: int
    block: str
    ellipsis: str

    def fit(self, text: str, columns: int | None = None) -> str:
        return shortened(text, self.width if columns is None else columns, self.ellipsis)


def _header(found: Overview, look: _Look) -> list[str]:
    noise = "".join(f", {group.size:,} {group.label}" for group in found.others)
    lines = [
        f"run       {printable(found.run)}",
        f"finished  {found.finished}",
        f"images    {found.images:,} in {len(found.clusters):,} clusters{noise}",
        *(f"backbone  {printable(backbone)}" for backbone in found.backbones),
        *(f"FALLBACK  {each.get('taken')} stood in for {each.get('wanted')}" for each in found.fallbacks),
    ]
    if found.silhouette is not None:
        lines.append(f"scored    silhouette {found.silhouette:.3f}, from -1 to 1")
    return [look.fit(line) for line in lines]


def _group_lines(groups: Sequence[Group], look: _Look) -> Iterator[str]:
    label = max((len(group.label) for group in groups), default=0)
    size = max((len(f"{group.size:,}") for group in groups), default=0)
    largest = max((group.size for group in groups), default=0)
    length = look.width // BAR_SHARE
    for group in groups:
        blocks = bar(group.size, largest, length, look.block)
        line = f"{group.label:>{label}}  {blocks:<{length}}  {group.size:>{size},}  {group.share:>6.1%}"
        yield _with_name(line, group, look)
        yield from _id_lines(group.typical, label + 2, look)


def _with_name(line: str, group: Group, look: _Look) -> str:
    room = look.width - len(line) - 2
    if group.name is not None:
        return f"{line}  {look.fit(printable(group.name), room)}"
    if group.suggested is None:
        return line
    share = group.suggested["share"]
    ending = "?" if share is None else f" {share:.0%}?"
    return f"{line}  {look.fit(printable(group.suggested['name']), room - len(ending))}{ending}"


def _id_lines(ids: Sequence[str], indent: int, look: _Look) -> Iterator[str]:
    """Yield the ids side by side: a few on one line, the longest cut in the middle; more on several lines."""
    room = look.width - indent
    shown = [printable(id) for id in ids]
    limit = _longest(shown, room) if len(ids) <= ON_A_LINE else room // 2 - 1
    line = ""
    for id in (look.fit(id, limit) for id in shown):
        joined = f"{line}, {id}" if line else id
        if line and columns_of(joined) > room:
            yield " " * indent + line
            joined = id
        line = joined
    if line:
        yield " " * indent + line


def _longest(texts: Sequence[str], room: int) -> int:
    """Return the columns to which all must be cut to stand on one line."""
    widths = list(map(columns_of, texts))
    left = room - 2 * (len(texts) - 1)
    return next((limit for limit in range(left, 0, -1) if sum(min(width, limit) for width in widths) <= left), 1)


def _hints(found: Overview) -> list[str]:
    run = shlex.quote(found.run)
    if found.report is None:
        return [f"next      python -m imgcluster report {run}"]
    return [f"report    python -m imgcluster show {run} --open"]
