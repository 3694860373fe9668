"""`duplicates`: copies in a run, a plan of what to move, and carrying it out."""

from __future__ import annotations

import json
import re

from imgcluster.cli.commands.export_folders import take_back
from imgcluster.cli.options import (
    JSON,
    QUIET,
    RUN_ARGUMENT,
    Commands,
    Options,
    add_command,
    argument,
    free_table,
    images_folder,
    split_list,
    write_table,
)
from imgcluster.errors import ConfigError, OutputError

LEVELS = ("exact", "same", "scene")
FILES = ("plan", "apply", "undo", "to")  # options
LEVEL = argument(
    "--level",
    default="same",
    metavar="LEVEL",
    help="exact: same bytes or pixels; same: also saved again, resized, cropped or mirrored (default); "
    "scene: also other pictures of one scene",
)
KEEP_HELP = (
    "rules that choose the copy to keep, in order: largest, sharpest, oldest, folder-first, path:GLOB "
    "(largest, then oldest, follow those that are named)"
)


def add(commands: Commands) -> None:
    """Add the command."""
    help = "find copies of images, plan which to keep, move the others"
    command = add_command(
        commands, "duplicates", run, help, RUN_ARGUMENT, images_folder(), LEVEL, JSON, QUIET, resumable=True
    )
    command.add_argument("--keep", metavar="RULES", help=KEEP_HELP)
    command.add_argument(
        "--protect", action="append", default=[], metavar="FOLDER", help="keep every image in FOLDER; may be repeated"
    )
    command.add_argument("--force", action="store_true", help="overwrite the plan")
    actions = command.add_mutually_exclusive_group()
    actions.add_argument("--plan", metavar="CSV", help="write the plan, to read and edit: keep, move or distinct")
    actions.add_argument("--apply", metavar="CSV", help="carry out a plan: move copies, remember what is distinct")
    actions.add_argument("--undo", metavar="FOLDER", help="move the copies in FOLDER back")
    command.add_argument("--to", metavar="FOLDER", help="with --apply: where the copies go")


def run(options: Options) -> None:
    """Find duplicates, carry out a plan, or take it back; print what was found or done."""
    if empty := next((name for name in FILES if getattr(options, name) == ""), None):
        raise ConfigError(f"--{empty}: is empty; name a file or folder")
    if options.to and not options.apply:
        raise ConfigError("--to: only with --apply PLAN")
    options.folder = options.undo or options.to  # for the messages on exports
    if options.undo:
        take_back(options.undo, options, as_json=options.json)
    elif options.apply:
        _apply(options)
    else:
        _find(options)


def _find(options: Options) -> None:
    options.out = options.plan
    out = free_table(options) if options.plan else None
    from imgcluster.cli.format.duplicates import duplicates_lines
    from imgcluster.curation import DEFAULT_RULES, find_duplicates

    keep = [*split_list(options.keep or ""), *DEFAULT_RULES]
    found = find_duplicates(
        options.run, level=options.level, keep=keep, protect=options.protect, show=not options.quiet
    )
    if out is not None:
        write_table(out, found.text_table())
    if options.json:
        print(json.dumps(found.as_json(), indent=2))
    else:
        print(*duplicates_lines(found, options.run, out), sep="\n")


def _apply(options: Options) -> None:
    from imgcluster.cli.format.duplicates import applied_json, applied_lines
    from imgcluster.curation import apply_plan
    from imgcluster.utils import first_few

    try:
        done = apply_plan(options.run, options.apply, options.to, protect=options.protect, show=not options.quiet)
    except ConfigError as error:
        raise ConfigError(re.sub("^plan:", "--apply:", str(error))) from None
    print(json.dumps(applied_json(done), indent=2) if options.json else "\n".join(applied_lines(done, options.run)))
    if done.refused:
        named = first_few([f"line {line}: {reason}" for line, reason in done.refused.items()], show=str)
        raise OutputError(f"{len(done.refused):,} rows of {options.apply!r} were refused ({named})")
