"""The commands that carry a run away and look at it: export-folders, show."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from imgcluster.cli.options import add_command, add_images_folder, add_run
from imgcluster.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

    from imgcluster.cli.options import Commands
    from imgcluster.runs import ExportedFolders

NAMED = 3
DONE = {"copy": "copied", "link": "linked", "move": "moved"}


def add_folder_commands(commands: Commands) -> None:
    """Add them to the others."""
    export = add_command(commands, "export-folders", _export, "put a run's images into a folder for each cluster")
    add_run(export)
    add_images_folder(export)
    export.add_argument("folder", metavar="DIR", help="where the folders go; nothing there is overwritten")
    action = export.add_mutually_exclusive_group(required=True)
    action.add_argument("--copy", dest="action", action="store_const", const="copy", help="copy the images")
    action.add_argument("--link", dest="action", action="store_const", const="link", help="make symbolic links to them")
    action.add_argument("--move", dest="action", action="store_const", const="move", help="move them; see --undo")
    action.add_argument("--undo", dest="action", action="store_const", const="undo", help="take an export in DIR back")
    export.add_argument("--quiet", action="store_true", help="no progress; the summary stays")
    export.set_defaults(resumable=True)
    show = add_command(commands, "show", _show, "a run at a glance: the clusters' sizes, names and typical images")
    add_run(show)
    show.add_argument("--open", action="store_true", help="open the run's report in the browser")
    show.add_argument("--typical", type=int, default=3, metavar="N", help="ids shown of each cluster; 3")
    show.add_argument("--json", action="store_true", help="as JSON")


def _export(options: argparse.Namespace) -> None:
    if options.action == "undo":
        _undo(options)
        return
    from imgcluster.runs import export_folders

    found = export_folders(options.run, options.folder, options.action, show=not options.quiet)
    print("\n".join(_export_lines(found, options.run)))
    if found.refused:
        path, reason = next(iter(found.refused.items()))
        raise OutputError(f"{len(found.refused):,} images stay where they were; the first: {path!r}: {reason}")


def _export_lines(found: ExportedFolders, run: str) -> list[str]:
    from imgcluster.utils import printable

    lines = [f"{DONE[found.action]:<9} {found.placed:,} images into {printable(str(found.folder))}"]
    if before := sum(found.counts.values()) - found.placed:
        lines.append(f"there     {before:,} more from an earlier call")
    width = max(map(len, found.counts), default=0)
    lines += [f"  {name:<{width}}  {count:>7,}" for name, count in found.counts.items()]
    if found.missing:
        named = ", ".join(map(printable, found.missing[:NAMED])) + (", …" if len(found.missing) > NAMED else "")
        lines.append(f"left out  {len(found.missing):,} that are not where the run found them: {named}")
    if found.action == "move":
        lines.append("note: the images are no longer where run, report, score and export look for them")
    undo = f"python -m imgcluster export-folders {shlex.quote(run)} {shlex.quote(str(found.folder))} --undo"
    return [*lines, f"undo      {undo}"]


def _undo(options: argparse.Namespace) -> None:
    from imgcluster.runs import undo_export
    from imgcluster.utils import printable

    undone = undo_export(options.folder, options.run, show=not options.quiet)
    what = "brought back" if undone.action == "move" else "removed"
    print(f"undone    {undone.back:,} images {what}")
    for name, reason in undone.left.items():
        print(f"left      {printable(name)}: {reason}")
    if undone.stuck:
        listed = "".join(f"\n  {printable(name)}: {reason}" for name, reason in undone.stuck.items())
        raise OutputError(
            f"{len(undone.stuck):,} images stay in {options.folder!r}; mend that, and call --undo again:{listed}"
        )


def _show(options: argparse.Namespace) -> None:
    from imgcluster.runs import overview_lines, report_page, run_overview
    from imgcluster.utils import BLOCK, ELLIPSIS, can_show

    found = run_overview(options.run, typical=options.typical)
    page = report_page(options.run) if options.open else None
    if options.json:
        print(json.dumps(asdict(found), indent=2))
    else:
        ascii = not can_show(sys.stdout.encoding, BLOCK + ELLIPSIS)
        print("\n".join(overview_lines(found, shutil.get_terminal_size().columns, ascii=ascii)))
    if page is not None:
        _open(page)


def _open(page: Path) -> None:
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        raise OutputError(f"no browser can be started here; open {str(page.resolve())!r} yourself")
