"""Carry out a plan of duplicates that people have edited: move the copies, note what is distinct."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from imgcluster.curation.copies import COLUMNS, KEEP, MOVE
from imgcluster.curation.distinct_pairs import DigestPair, digest_pair, note_distinct
from imgcluster.curation.real_files import rows_inside
from imgcluster.errors import ConfigError, ImageError
from imgcluster.features import read_with_key
from imgcluster.runs import FinishedRun, fixed_because, listed_paths, move_images, moved_before, read_run, source_of
from imgcluster.utils import read_cells

DISTINCT = "distinct"
ACTIONS = (KEEP, MOVE, DISTINCT)
NEEDED = ("group", "id", "path", "action", "digest")
WHAT = "duplicates"  # in the journal


@dataclass(frozen=True)
class PlanRow:
    """A row of a plan. line: counted from 1, with the header."""

    line: int
    group: str
    id: str
    path: str
    action: str
    digest: str


@dataclass(frozen=True)
class AppliedPlan:
    """What came of a plan.

    folder: where the copies are; None: none is there. moved: how many now, and before: by an earlier call.
    kept: how many rows say keep. distinct: how many pairs are new among those that are never proposed again. refused:
    by line of the plan, why the row was not carried out.
    """

    folder: Path | None
    moved: int = 0
    before: int = 0
    kept: int = 0
    distinct: int = 0
    refused: dict[int, str] = field(default_factory=dict)


def read_plan(path: str | Path) -> list[PlanRow]:
    """Read a plan as `find_duplicates` makes it, whatever the order of its columns. Raises ConfigError."""
    try:
        header, *rows = read_cells(Path(path), separators=",;\t") or [[]]
    except OSError as error:
        raise ConfigError(f"plan: {str(path)!r}: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigError(f"plan: {str(path)!r} {error}") from None
    names = [name.strip().lower() for name in header]
    if lacking := [name for name in NEEDED if name not in names]:
        raise ConfigError(
            f"plan: {str(path)!r} is not a plan of duplicates: it lacks the columns {', '.join(lacking)} (a plan has "
            f"{', '.join(COLUMNS)})"
        )
    cells = [{name: row[names.index(name)] for name in NEEDED} for row in rows]
    return [
        PlanRow(line, **{**each, "action": each["action"].strip().lower(), "group": _group(each["group"])})
        for line, each in enumerate(cells, 2)
    ]


def _group(text: str) -> str:
    """Return a number of a group without the decimals that spreadsheets add."""
    return re.sub(r"(?<=\d)[.,]0+$", "", text.strip())


def apply_plan(
    run: str | Path,
    plan: str | Path,
    folder: str | Path | None = None,
    *,
    protect: Sequence[str | Path] = (),
    show: bool = False,
) -> AppliedPlan:
    """Move the copies of a plan into `folder`, a folder for each group, and note the rows that say `distinct`.

    Nothing is deleted or overwritten: `undo_export` takes the moves back, and after a kill the same call goes on. A row
    is refused, and the others are carried out, where its image is another one by now, or no copy of it would stay.

    Args:
        run: the folder of the finished run that the plan was made for.
        plan: a CSV with the columns of `Duplicates.table`; its actions are keep, move and distinct.
        folder: where the copies go; None: no row may say move.
        protect: folders from which nothing is moved.
        show: whether to show progress.

    Raises:
        ConfigError: the plan cannot be read, no folder is given, or a protected one has no image; OutputError: no
            finished run, or as `export_folders`.
    """
    if folder is not None and not str(folder):
        raise ConfigError("to: is empty; name a folder")
    rows = read_plan(plan)
    moves = [row for row in rows if row.action == MOVE]
    if moves and folder is None:
        raise ConfigError(f"plan: {len(moves):,} rows of {str(plan)!r} say move; say where: to=FOLDER")
    finished = read_run(run)
    places = {row["id"]: row["path"] for row in finished.places.rows(finished.rows)}
    before = set() if folder is None else moved_before(folder, [places.get(row.id, "") for row in moves])
    there_still = {path for path in before if os.path.lexists(path)}  # refused by the system, or cut off by a kill
    refused = _refused(rows, places, before, _protected(finished, places, protect))
    allowed = [row for row in moves if row.line not in refused and places[row.id] not in before]
    distinct = note_distinct(finished.folder, _distinct_pairs(rows, refused))
    kept = sum(row.action == KEEP for row in rows)
    if folder is None or not (allowed or before):
        return AppliedPlan(None, kept=kept, distinct=distinct, refused=refused)
    width = max(len(row.group) for row in moves)
    wanted = {places[row.id]: _folder_name(row.group, width) for row in allowed}
    done = move_images(run, folder, wanted, what=WHAT, show=show)
    by_source = {source_of(places[row.id]): row.line for row in moves if row.id in places}
    refused |= {by_source.get(source, 0): f"{source!r}: {reason}" for source, reason in done.refused.items()}
    moved_earlier = len(before - there_still)
    there = Path(folder) if done.moved or not all(map(os.path.lexists, before)) else None
    return AppliedPlan(there, done.moved, moved_earlier, kept, distinct, dict(sorted(refused.items())))


def _protected(run: FinishedRun, places: Mapping[str, str], folders: Sequence[str | Path]) -> set[str]:
    """Return the ids of images in protected folders. Raises ConfigError: one holds none."""
    paths = [str(path) for path in listed_paths([*places.values()], run.places.storage)] if folders else []
    inside = rows_inside(paths, folders)
    return {id for row, id in enumerate(places) if row in inside}


def _folder_name(group: str, width: int) -> str:
    return f"group-{group:0>{width}}"


def _distinct_pairs(rows: Sequence[PlanRow], refused: Mapping[int, str]) -> set[DigestPair]:
    """Return the pairs of each row that says distinct with all others of its group."""
    groups: dict[str, list[PlanRow]] = defaultdict(list)
    for row in rows:
        if row.digest and row.line not in refused:
            groups[row.group].append(row)
    return {
        digest_pair(one.digest, other.digest)
        for group in groups.values()
        for one, other in combinations(group, 2)
        if DISTINCT in (one.action, other.action)
    }


def _refused(
    rows: Sequence[PlanRow], places: Mapping[str, str], before: set[str], protected: set[str]
) -> dict[int, str]:
    """Return why rows cannot be carried out, by line."""
    refused: dict[int, str] = {}
    problem_of = _Problems(places, before, protected)
    for row in rows:
        if reason := problem_of(row):
            refused[row.line] = reason
    kept = [row for row in rows if row.action == KEEP and row.line not in refused]
    stays, needed_by = {row.group for row in kept}, _KeptFiles([places[row.id] for row in kept])
    for row in rows:
        if row.action != MOVE or row.line in refused:
            continue
        if row.group not in stays:
            refused[row.line] = f"no image of group {row.group} would stay: one must be there, unchanged, and say keep"
        elif keeper := needed_by(places[row.id]):
            refused[row.line] = f"{keeper!r}, which says keep, is the same file under another name"
    return refused


class _KeptFiles:
    """The real files of the images that are to be kept, some of them behind links."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._all = {_real_path(path): path for path in paths}
        self._behind_links = {_real_path(path): path for path in paths if _is_link(path)}

    def __call__(self, path: str) -> str:
        """Return a kept image that would be lost with this one, "" if there is none.

        A link may go where its file is kept by itself, but not where another link is kept, which may lead through it.
        """
        return (self._behind_links if _is_link(path) else self._all).get(_real_path(path), "")


def _real_path(path: str) -> str:
    return os.path.realpath(str(listed_paths([path])[0]))


def _is_link(path: str) -> bool:
    return Path(str(listed_paths([path])[0])).is_symlink()


class _Problems:
    """What speaks against a row of a plan: "" where nothing does."""

    def __init__(self, places: Mapping[str, str], before: set[str], protected: set[str]) -> None:
        self._places, self._before, self._protected = places, before, protected
        self._seen: set[str] = set()
        self._checks: tuple[Callable[[PlanRow], str], ...] = (self._form, self._image, self._content)

    def __call__(self, row: PlanRow) -> str:
        """Return the first problem of a row."""
        return next((problem for check in self._checks if (problem := check(row))), "")

    def _form(self, row: PlanRow) -> str:
        if row.action not in ACTIONS:
            return f"action {row.action!r}; allowed: {', '.join(ACTIONS)}"
        if not row.group.isascii() or not row.group.isdecimal():
            return f"group {row.group!r} is not a whole number"
        if row.id in self._seen:
            return f"{row.id!r} is in the plan twice"
        self._seen.add(row.id)
        return ""

    def _image(self, row: PlanRow) -> str:
        if row.id not in self._places:
            return f"the run has no image {row.id!r}"
        if Path(row.path).name != Path(self._places[row.id]).name:
            return f"the run has {self._places[row.id]!r} as {row.id!r}"
        if row.action == MOVE and row.id in self._protected and self._places[row.id] not in self._before:
            return f"{self._places[row.id]!r} lies in a protected folder, or a link there leads to it"
        fixed = fixed_because(self._places[row.id]) if row.action == MOVE else ""
        return f"{fixed}: it is listed, never moved" if fixed else ""

    def _content(self, row: PlanRow) -> str:
        """Compare the bytes that are there with those that the plan was made for."""
        path = self._places[row.id]
        if path in self._before:
            return ""
        try:
            digest = read_with_key(listed_paths([path])[0])[1].digest
        except ImageError as error:
            return f"{path!r}: {error}"
        return "" if digest == row.digest else f"{path!r} has changed since the plan was made"
