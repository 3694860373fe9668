"""Folders of images that were exported, and exports that were taken back."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from imgcluster.cli.options import UNDO_COMMAND
from imgcluster.utils import counted, first_few, printable

if TYPE_CHECKING:
    from imgcluster.runs import ExportedFolders, UndoneExport

DONE = {"copy": "copied", "link": "linked", "move": "moved"}
UNDONE = {
    "copy": ("removed   {}; the originals are untouched", "copy", "copies"),
    "link": ("removed   {}; the originals are untouched", "link", "links"),
    "move": ("moved     {} back", "image", "images"),
}


def exported_lines(found: ExportedFolders, run: str) -> list[str]:
    """Return the folders with their sizes, the images that are missing, and how to undo the export of a run."""
    lines = [f"{DONE[found.action]:<9} {counted(found.placed, 'image')} into {printable(str(found.folder))}"]
    if before := sum(found.counts.values()) - found.placed:
        lines.append(f"there     {before:,} more from an earlier call")
    width = max(map(len, found.counts), default=0)
    lines += [f"  {name:<{width}}  {count:>7,}" for name, count in found.counts.items()]
    if found.missing:
        many = counted(len(found.missing), "image that is", "images that are")
        named = first_few(found.missing, show=printable)
        lines.append(f"skipped   {many} not where the run found them: {named}")
    if found.action == "move":
        lines.append("note: the images are no longer where run, report, score and export look for them")
    undo = UNDO_COMMAND.format(run=shlex.quote(run), folder=shlex.quote(str(found.folder)))
    return [*lines, f"undo      {undo}"]


def undone_lines(undone: UndoneExport) -> list[str]:
    """Return what was taken back, and what was left because it belongs to the user by now."""
    left = [f"left      {printable(name)}: {reason}" for name, reason in undone.left.items()]
    words, one, many = UNDONE[undone.action]
    return [words.format(counted(undone.back, one, many)), *left]


def undone_json(undone: UndoneExport) -> dict[str, Any]:
    """Return what was taken back, and what stays, as plain data."""
    return {**vars(undone), "folder": str(undone.folder)}


def stuck_text(undone: UndoneExport, folder: str) -> str:
    """Return the images that could not be taken back, each with the reason."""
    listed = "".join(f"\n  {printable(name)}: {reason}" for name, reason in undone.stuck.items())
    stay = counted(len(undone.stuck), "image stays", "images stay")
    return f"{stay} in {folder!r}; fix this and repeat --undo:{listed}"
