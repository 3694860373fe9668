"""Duplicates of a run, plans that were carried out, and images that two runs share."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgcluster.cli.options import UNDO_DUPLICATES
from imgcluster.utils import printable

if TYPE_CHECKING:
    from imgcluster.curation import AppliedPlan, Copy, Duplicates, Leaks

MAX_GROUPS, MAX_COPIES, MAX_PAIRS = 20, 5, 20
NAMES = {"bytes": "same bytes", "pixels": "same pixels", "same": "same picture", "scene": "same scene"}


def duplicates_lines(found: Duplicates, run: str, plan: Path | None) -> list[str]:
    """Return how many copies there are, without a plan also the largest groups, and what comes next."""
    moves = [copy for copy in found.copies if copy.action == "move"]
    megabytes = sum(copy.size for copy in moves) / 2**20
    copies = [copy for group in found.groups.values() for copy in group[1:]]
    lines = [
        f"images    {found.images:,} compared",
        f"groups    {len(found.groups):,}, with {len(copies):,} copies{_levels(copy.level for copy in copies)}",
    ]
    if not found.groups:
        return [*lines, *([f"written   {plan}: no rows"] if plan else [])]
    lines += [] if plan else _group_lines(found)
    lines.append(f"to move   {len(moves):,} images, {megabytes:,.1f} MB")
    command = f"python -m imgcluster duplicates {shlex.quote(run)}"
    if plan is None:
        return [*lines, f"then      {command} --plan plan.csv"]
    lines.append(f"written   {plan}: edit the column action (keep, move, distinct)")
    return [*lines, f"then      {command} --apply {shlex.quote(str(plan))} --to FOLDER"]


def _group_lines(found: Duplicates) -> list[str]:
    """Return the largest groups, and how many there are beside them."""
    lines = []
    for number, group in list(found.groups.items())[:MAX_GROUPS]:
        lines.append(f"  group {number:,}: {len(group):,} images")
        lines += [_copy_line(copy, is_kept=copy is group[0]) for copy in group[:MAX_COPIES]]
        lines += [f"    and {len(group) - MAX_COPIES:,} more"] if len(group) > MAX_COPIES else []
    if len(found.groups) > MAX_GROUPS:
        lines.append(f"  and {len(found.groups) - MAX_GROUPS:,} more groups: --plan FILE, --json")
    return lines


def applied_lines(done: AppliedPlan, run: str) -> list[str]:
    """Return what was moved, what was noted, what was refused, and how to undo it."""
    lines = []
    if done.folder is not None:
        lines.append(f"moved     {done.moved:,} images into {printable(str(done.folder))}")
    if done.before:
        lines.append(f"there     {done.before:,} more from an earlier call")
    lines.append(f"kept      {done.kept:,} images")
    if done.distinct:
        lines.append(f"distinct  {done.distinct:,} pairs; they will not be proposed again")
    lines += [f"refused   line {line}: {printable(reason)}" for line, reason in done.refused.items()]
    if done.folder is not None:
        undo = UNDO_DUPLICATES.format(run=shlex.quote(run), to=shlex.quote(str(done.folder)))
        lines.append(f"undo      {undo}")
    if gone := done.moved + done.before:
        have = "image of this run has" if gone == 1 else "images of this run have"
        lines.append(f"then      run the config again: {gone:,} {have} moved")
    return lines


def applied_json(done: AppliedPlan) -> dict[str, Any]:
    """Return what came of a plan as plain data."""
    return {**vars(done), "folder": None if done.folder is None else str(done.folder)}


def leaks_lines(found: Leaks, out: Path | None) -> list[str]:
    """Return how many pairs there are, and the first of them."""
    lines = [f"note: {note}" for note in found.notes]
    lines += [
        f"images    {found.images_a:,} and {found.images_b:,} compared",
        f"pairs     {len(found.pairs):,}{_levels(pair.level for pair in found.pairs)}",
    ]
    for pair in found.pairs[:MAX_PAIRS]:
        lines.append(f"  {_level(pair.level, pair.similarity)}  {printable(pair.id_a)}  {printable(pair.id_b)}")
    if len(found.pairs) > MAX_PAIRS:
        lines.append(f"  and {len(found.pairs) - MAX_PAIRS:,} more")
    return [*lines, *([f"written   {out}"] if out else [])]


def _copy_line(copy: Copy, *, is_kept: bool) -> str:
    """Return a line for a copy; is_kept: it is the one that the others are compared with."""
    level = f"{NAMES[copy.level]:<12}     " if is_kept else _level(copy.level, copy.similarity)
    return f"    {copy.action}  {level}  {printable(copy.id)} ({printable(copy.reason)})"


def _level(level: str, similarity: float) -> str:
    return f"{NAMES[level]:<12} {similarity:.2f}"


def _levels(levels: Iterable[str]) -> str:
    counts = Counter(levels)
    found = [f"{count:,} {NAMES[level]}" for level in NAMES if (count := counts[level])]
    return f" ({', '.join(found)})" if found else ""
