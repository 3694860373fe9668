"""`export-folders`: the images of a run, one folder per cluster."""

from __future__ import annotations

from imgcluster.cli.options import Commands, Options, add_command, add_images_folder, add_quiet, add_run
from imgcluster.errors import OutputError


def add(commands: Commands) -> None:
    """Add the command."""
    help = "put a run's images into one folder per cluster"
    command = add_command(commands, "export-folders", run, help, resumable=True)
    add_run(command)
    add_images_folder(command)
    command.add_argument("folder", metavar="DIR", help="where to create the folders; nothing there is overwritten")
    action = command.add_mutually_exclusive_group(required=True)
    action.add_argument("--copy", dest="action", action="store_const", const="copy", help="copy the images")
    action.add_argument("--link", dest="action", action="store_const", const="link", help="create symbolic links")
    action.add_argument("--move", dest="action", action="store_const", const="move", help="move the images")
    action.add_argument("--undo", dest="action", action="store_const", const="undo", help="take back an export in DIR")
    add_quiet(command)


def run(options: Options) -> None:
    """Export the images of a run, or take an export back; print the folders."""
    if options.action == "undo":
        _undo(options)
        return
    from imgcluster.cli.format.folders import exported_lines
    from imgcluster.runs import export_folders

    found = export_folders(options.run, options.folder, options.action, show=not options.quiet)
    print("\n".join(exported_lines(found, options.run)))
    if found.refused:
        path, reason = next(iter(found.refused.items()))
        raise OutputError(f"{len(found.refused):,} images stay where they were; the first: {path!r}: {reason}")


def _undo(options: Options) -> None:
    from imgcluster.cli.format.folders import stuck_text, undone_lines
    from imgcluster.runs import undo_export

    undone = undo_export(options.folder, options.run, show=not options.quiet)
    print("\n".join(undone_lines(undone)))
    if undone.stuck:
        raise OutputError(stuck_text(undone, options.folder))
