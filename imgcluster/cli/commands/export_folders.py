"""`export-folders`: the images of a run, one folder per cluster."""

from __future__ import annotations

import json

from imgcluster.cli.options import QUIET, RUN_ARGUMENT, Commands, Options, add_command, images_folder
from imgcluster.errors import OutputError

ACTIONS = {
    "copy": "copy the images; write frames of videos and pages of TIFFs as PNG",
    "link": "create symbolic links",
    "move": "move the images",
    "undo": "take back an export in DIR",
}


def add(commands: Commands) -> None:
    """Add the command."""
    help = "put a run's images into one folder per cluster"
    command = add_command(commands, "export-folders", run, help, RUN_ARGUMENT, images_folder(), QUIET, resumable=True)
    command.add_argument("folder", metavar="DIR", help="where to create the folders; nothing there is overwritten")
    actions = command.add_mutually_exclusive_group(required=True)
    for action, help in ACTIONS.items():
        actions.add_argument(f"--{action}", dest="action", action="store_const", const=action, help=help)


def run(options: Options) -> None:
    """Export the images of a run, or take an export back; print the folders."""
    if options.action == "undo":
        take_back(options.folder, options)
        return
    from imgcluster.cli.format.folders import exported_lines
    from imgcluster.runs import export_folders

    found = export_folders(options.run, options.folder, options.action, show=not options.quiet)
    print(*exported_lines(found, options.run), sep="\n")
    if found.refused:
        from imgcluster.utils import counted

        path, reason = next(iter(found.refused.items()))
        stay = counted(len(found.refused), "image stays where it was", "images stay where they were; the first")
        raise OutputError(f"{stay}: {path!r}: {reason}")


def take_back(folder: str, options: Options, *, as_json: bool = False) -> None:
    """Take back what was exported or moved into a folder; print it. Raises OutputError where some of it stays."""
    from imgcluster.cli.format.folders import stuck_text, undone_json, undone_lines
    from imgcluster.runs import undo_export

    undone = undo_export(folder, options.run, show=not options.quiet)
    print(json.dumps(undone_json(undone), indent=2) if as_json else "\n".join(undone_lines(undone)))
    if undone.stuck:
        raise OutputError(stuck_text(undone, folder))
