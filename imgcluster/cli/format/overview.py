"""The overview of a run, as `show` prints it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgcluster.utils import ASCII_BLOCK, ASCII_ELLIPSIS, BLOCK, ELLIPSIS, bar, columns_of, printable, shortened

if TYPE_CHECKING:
    from imgcluster.config import AutoRecord
    from imgcluster.runs import Group, Overview

MIN_COLUMNS, MAX_COLUMNS = 40, 120
BAR_SHARE = 4  # a quarter of the terminal
IDS_ON_A_LINE = 3


@dataclass(frozen=True)
class _Look:
    width: int
    block: str
    ellipsis: str

    def fit(self, text: str, columns: int | None = None) -> str:
        return shortened(text, self.width if columns is None else columns, self.ellipsis)


def overview_lines(found: Overview, columns: int, *, ascii: bool = False) -> list[str]:
    """Return the overview for a terminal of so many columns, at least 40; only the command that ends it may be wider.

    ascii: for a terminal that has no letters for bars.
    """
    width = min(max(columns, MIN_COLUMNS), MAX_COLUMNS)
    look = _Look(width, ASCII_BLOCK if ascii else BLOCK, ASCII_ELLIPSIS if ascii else ELLIPSIS)
    return [*_header(found, look), "", *_group_lines([*found.clusters, *found.others], look), "", *_hints(found)]


def fallback_line(fallback: Mapping[str, str]) -> str:
    """Return the line about a network that was used in place of another, as run.json has it."""
    used, wanted = fallback.get("taken"), fallback.get("wanted")
    return f"FALLBACK  used {used} instead of {wanted}"


def auto_lines(found: AutoRecord | None) -> list[str]:
    """Return the lines about what `backbone: auto` chose, and what it passed over; none for a named backbone."""
    if found is None:
        return []
    return [
        f"auto      chose {_chosen(found)}",
        *(f"  not     {_chosen(each)}" for each in found["passed_over"]),
    ]


def _chosen(entry: AutoRecord) -> str:
    return f"{' and '.join(entry['backbone'])}: {printable(entry['why'])}"  # a reason may be from a file in the store


def _header(found: Overview, look: _Look) -> list[str]:
    noise = "".join(f", {group.size:,} {group.label}" for group in found.others)
    lines = [
        f"run       {printable(found.run)}",
        f"finished  {found.finished}",
        f"images    {found.images:,} in {len(found.clusters):,} clusters{noise}",
        *(f"backbone  {printable(backbone)}" for backbone in found.backbones),
        *auto_lines(found.auto),
        *map(fallback_line, found.fallbacks),
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
    limit = _longest(shown, room) if len(ids) <= IDS_ON_A_LINE else room // 2 - 1
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
