"""Move single images of a run into folders, by the journal of an export, with undo."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from imgcluster.runs.finished import read_run
from imgcluster.runs.folder_export.checks import check_place, check_same, locked, real_path
from imgcluster.runs.folder_export.export import carry_out
from imgcluster.runs.folder_export.journal import JOURNAL, Journal, read_journal
from imgcluster.runs.folder_export.plan import plan_moves


@dataclass(frozen=True)
class MovedImages:
    """How many images were moved into a folder, and which ones the system refused: by source, the reason."""

    folder: Path
    moved: int
    refused: dict[str, str]


def move_images(
    run: str | Path, folder: str | Path, places: Mapping[str, str], *, what: str, show: bool = False
) -> MovedImages:
    """Move files of a run's images, each into a folder of its own name below `folder`; nothing is overwritten.

    After a kill the same call goes on; more images may be moved into the same folder later. `undo_export` takes all of
    them back.

    Args:
        run: the folder of a finished run.
        folder: where the images go; outside of the run's images.
        places: by path of an image, the name of its folder.
        what: the kind of the moves, a word for the journal: those of another kind are not mixed with them.
        show: whether to show progress.

    Raises:
        OutputError: as `export_folders`.
    """
    root, run_folder = real_path(folder), real_path(run)
    names = sorted(set(places.values()))
    check_place(root, str(folder), read_run(run).places, names)
    there_before = ["."] if root.exists() else []
    with locked(root, str(folder), make=True):
        found = there_before + [name for name in names if os.path.lexists(root / name)]
        ours = Journal(str(run_folder), what, "move", found)
        journal = read_journal(root) or ours
        check_same(journal, ours, folder)
        planned = plan_moves(places, root, [*journal.entries.values()])
        done = carry_out(journal, planned, root, str(folder), show)
    return MovedImages(Path(folder), done.placed, done.refused)


def moved_before(folder: str | Path, paths: Iterable[str]) -> set[str]:
    """Return the paths of images that were moved into a folder, or were about to be when a process was killed.

    Raises OutputError: the folder is in use, or its journal damaged.
    """
    root = real_path(folder)
    if not (root / JOURNAL).is_file():
        return set()
    with locked(root, str(folder), make=False):
        journal = read_journal(root)
    sources = set(journal.entries) if journal else set()
    return {path for path in paths if source_of(path) in sources}


def source_of(path: str) -> str:
    """Return a path as the journal has it: absolute, links among the folders above it followed."""
    return str(Path(os.path.realpath(Path(path).parent), Path(path).name))
