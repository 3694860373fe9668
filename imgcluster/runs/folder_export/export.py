"""Export the images of a run into one folder per cluster by copy, link or move, with undo."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from imgcluster.config import RunFiles
from imgcluster.errors import ConfigError, OutputError
from imgcluster.runs.finished import read_run
from imgcluster.runs.folder_export.apply import (
    BACK,
    LEFT,
    PART,
    STUCK,
    find_sorted_by_hand,
    is_lost,
    is_placed,
    place,
    take_back,
)
from imgcluster.runs.folder_export.checks import (
    LOCK,
    check_files,
    check_place,
    check_possible,
    check_same,
    locked,
    real_path,
)
from imgcluster.runs.folder_export.journal import ACTIONS, JOURNAL, Entry, Journal, read_journal
from imgcluster.runs.folder_export.parts import holder_of
from imgcluster.runs.folder_export.plan import FAILED_FOLDER, folder_names, make_plan, renamed, with_links_followed
from imgcluster.utils import track

# What ails one image, and not the disk that all go to.
OF_ONE_IMAGE = frozenset((errno.EACCES, errno.EPERM, errno.ENOENT, errno.EIO))


@dataclass(frozen=True)
class ExportedFolders:
    """What an export brought into DIR: images by folder, those of earlier calls among them, and how many are new.

    missing: ids of images that are not where the run found them. refused: paths of those that the system let nobody
    read or move, with the reason.
    """

    folder: Path
    action: str
    counts: dict[str, int]
    placed: int
    missing: list[str]
    refused: dict[str, str]


@dataclass
class UndoneExport:
    """What an undo did: how many images it took back, and what stays in DIR, by path, with the reason.

    left: copies and links that are the user's own by now. stuck: originals, and what the system refused; the journal
    keeps them, so that the undo can be called again.
    """

    folder: Path
    action: str
    back: int = 0
    left: dict[str, str] = field(default_factory=dict)
    stuck: dict[str, str] = field(default_factory=dict)


def export_folders(run: str | Path, folder: str | Path, action: str = "copy", *, show: bool = False) -> ExportedFolders:
    """Put the images of a finished run into a folder for each cluster: `copy`, `link` or `move`.

    Frames of videos and pages of TIFFs are copied as PNG files. Nothing is overwritten, and nothing put outside of
    `folder`; its journal makes `undo_export` possible. After a kill the same call goes on. Raises OutputError: no
    finished run; a `folder` that would be taken for the run's images, is too small, or holds another export; links or
    moves of frames and pages; the system refuses.
    """
    if action not in ACTIONS:
        raise ConfigError(f"there is no action {action!r}; there are {', '.join(ACTIONS)}")
    root, run_folder = real_path(folder), real_path(run)
    finished = read_run(run)
    where, names = finished.places, finished.names
    rows = where.rows(finished.rows)
    check_files(rows, action)
    folders = folder_names(sorted({int(row["cluster"]) for row in rows if row["status"] == "ok"}), names)
    places = [*folders.values(), *({FAILED_FOLDER} if any(row["status"] == "failed" for row in rows) else ())]
    check_place(root, str(folder), where, places)
    there_before = ["."] if root.exists() else []
    with locked(root, str(folder), make=True):
        found = there_before + [name for name in places if os.path.lexists(root / name)]
        ours = Journal(str(run_folder), _digest(run_folder, names), action, found)
        journal = read_journal(root) or ours
        check_same(journal, ours, folder)
        plan = make_plan(rows, folders, root, [*journal.entries.values()])
        if not plan.entries and not journal.entries:
            raise OutputError(
                f"{where.lost(len(rows))}, or, after an export that moved them, take it back with "
                "imgcluster.undo_export"
            )
        done = carry_out(journal, plan.entries, root, str(folder), show)
    there = [entry for entry in journal.entries.values() if entry.source not in {*done.gone, *done.refused}]
    counts = dict(sorted(Counter(entry.folder for entry in there).items()))
    return ExportedFolders(Path(folder), action, counts, done.placed, plan.missing + done.gone, done.refused)


@dataclass(frozen=True)
class Done:
    """How many images were placed, the sources that are gone, and those that the system refused, with the reason."""

    placed: int
    gone: list[str]
    refused: dict[str, str]


def carry_out(journal: Journal, planned: list[Entry], root: Path, folder: str, show: bool) -> Done:
    """Place the planned images, and those of the journal that a killed process left. Raises OutputError.

    Only for one that holds the lock of DIR, `root`; folder: its name for messages.
    """
    started = [*journal.entries.values()]
    fresh = with_links_followed(planned, root) if journal.action == "move" else planned
    again = [entry for entry in started if not is_placed(journal.action, entry, root)]
    gone = [entry.source for entry in again if not os.path.lexists(holder_of(entry.source))]
    todo = [entry for entry in again if entry.source not in gone] + fresh
    check_possible(journal.action, todo, root, folder)
    for entry in fresh:
        journal.add(entry)
    refused = _place_all(journal, todo, root, folder, show)
    return Done(len(todo) - len(refused), gone, refused)


def undo_export(folder: str | Path, run: str | Path | None = None, *, show: bool = False) -> UndoneExport:
    """Take back what `export_folders` did in `folder`, by its journal; may be repeated after a kill.

    What was moved is where it was, over nothing that came there since; copies and links go, as far as they are as they
    were made. The run need not be there any more; where it is given, it must be the journal's. Raises OutputError.
    """
    root = real_path(folder)
    if not root.is_dir():
        raise OutputError(f"{str(folder)!r} is not a folder: nothing was exported there")
    there = {path.name for path in root.iterdir()}
    killed_early = not there or any(name in (LOCK, PART) or name.startswith(f"{JOURNAL}.") for name in there)
    with locked(root, str(folder), make=False):
        journal = read_journal(root)
        (root / PART).unlink(missing_ok=True)
        if journal is None and not killed_early:
            raise OutputError(f"{str(folder)!r} holds no export of folders (no {JOURNAL}): there is nothing to undo")
        if journal is None:  # killed before the first image was touched
            return UndoneExport(Path(folder), "copy")
        if run is not None and journal.run != str(real_path(run)):
            raise OutputError(f"{str(folder)!r} holds the export of {journal.run!r}, not of {str(run)!r}")
        undone = UndoneExport(Path(folder), journal.action)
        _take_all_back(journal, root, undone, show)
    if not undone.stuck and "." not in journal.found:
        with suppress(OSError):  # not empty: the user's own files stay
            root.rmdir()
    return undone


# Before anything is done.


def _digest(run_folder: Path, names: Mapping[int, str]) -> str:
    """Return a hash of what decides where images go."""
    return hashlib.sha256((run_folder / RunFiles.CLUSTERS).read_bytes() + json.dumps(names).encode()).hexdigest()


# Doing it, and taking it back.


def _place_all(journal: Journal, todo: list[Entry], root: Path, folder: str, show: bool) -> dict[str, str]:
    """Bring all to their places; returns the sources of those that cannot be read or moved, with the reason."""
    done = 0
    refused: dict[str, str] = {}
    try:
        journal.write(root)
        with track(journal.action, len(todo), "images", show=show) as advance:
            for entry in todo:
                if reason := _place_one(journal, entry, root):
                    refused[entry.source] = reason
                done += 1
                advance(1)
    except OSError as error:
        raise OutputError(
            f"{folder!r}: {error.strerror or error} ({str(error.filename)!r}), after {done:,} of {len(todo):,} "
            "images; every other original is where it was. The same command again goes on from here; this takes "
            "back what was done: imgcluster.undo_export(FOLDER)"
        ) from error
    return refused


def _place_one(journal: Journal, entry: Entry, root: Path) -> str | None:
    while True:
        try:
            place(journal.action, entry, root)
            return None
        except FileExistsError:  # somebody put a file there since the plan was made: it keeps its name
            entry = renamed(entry, root, [*journal.entries.values()])
            journal.add(entry)
            journal.write(root)
        except OSError as error:
            if str(error.filename) == entry.source and error.errno in OF_ONE_IMAGE:
                return error.strerror
            raise


def _take_all_back(journal: Journal, root: Path, undone: UndoneExport, show: bool) -> None:
    entries = [*reversed(journal.entries.values())]
    _remove_parts(journal)
    with track("undo", len(entries), "images", show=show) as advance:
        for entry in entries:
            _take_one_back(journal.action, entry, root, undone)
            advance(1)
    _take_lost_back(journal.action, entries, root, undone)
    _remove_folders(journal, root)
    journal.entries = {entry.source: entry for entry in entries if str(Path(entry.folder, entry.name)) in undone.stuck}
    if undone.stuck:
        journal.write(root)
    else:
        (root / JOURNAL).unlink()


def _take_one_back(action: str, entry: Entry, root: Path, undone: UndoneExport) -> None:
    try:
        outcome, reason = take_back(action, entry, root)
    except OSError as error:
        outcome, reason = STUCK, f"{error.strerror or error} ({str(error.filename)!r})"
    except OutputError as error:
        outcome, reason = STUCK, str(error)
    undone.back += outcome == BACK
    if outcome in (LEFT, STUCK):
        (undone.left if outcome == LEFT else undone.stuck)[str(Path(entry.folder, entry.name))] = reason


def _take_lost_back(action: str, entries: list[Entry], root: Path, undone: UndoneExport) -> None:
    """Bring back what was moved and then sorted anew by hand, within DIR."""
    if action != "move":
        return
    lost = [entry for entry in entries if is_lost(entry, root)]
    for entry, found in find_sorted_by_hand(lost, root):
        before = undone.back
        _take_one_back(action, found, root, undone)
        if undone.back > before:
            del undone.stuck[str(Path(entry.folder, entry.name))]


def _remove_parts(journal: Journal) -> None:
    """Remove what a killed undo was about to bring back onto another disk."""
    if journal.action == "move":
        for parent in {str(Path(entry.source).parent) for entry in journal.entries.values()}:
            with suppress(OSError):
                Path(parent, PART).unlink()


def _remove_folders(journal: Journal, root: Path) -> None:
    for name in {entry.folder for entry in journal.entries.values()} - set(journal.found):
        with suppress(OSError):  # what else lies there is the user's own
            (root / name).rmdir()
