"""`leaks`: images that two runs share."""

from __future__ import annotations

import json
from pathlib import Path

from imgcluster.cli.commands.duplicates import LEVEL
from imgcluster.cli.corrections import RUN
from imgcluster.cli.options import JSON, QUIET, Commands, Options, add_command, argument, free_table, write_table
from imgcluster.errors import OutputError


def add(commands: Commands) -> None:
    """Add the command."""
    help = "find images that two runs share, such as of training and test"
    parts = (
        argument("run", RUN, metavar="A", help="a run folder, such as of the training set"),
        argument("other", metavar="B", help="another run folder, such as of the test set"),
    )
    command = add_command(commands, "leaks", run, help, *parts, LEVEL, JSON, QUIET)
    command.add_argument("--csv", metavar="FILE", help="write the pairs: ids and paths of both, level, similarity")
    command.add_argument("--force", action="store_true", help="overwrite the CSV")
    command.add_argument("--fail", action="store_true", help="exit with 1 where there are any")


def run(options: Options) -> None:
    """Find the pairs, write the table, print a summary."""
    options.out = options.csv
    out: Path | None = free_table(options) if options.csv else None
    from imgcluster.cli.format.duplicates import leaks_lines
    from imgcluster.curation import find_leaks

    found = find_leaks(options.run, options.other, level=options.level, show=not options.quiet)
    if out is not None:
        write_table(out, found.text_table())
    print(json.dumps(found.as_json(), indent=2) if options.json else "\n".join(leaks_lines(found, out)))
    if options.fail and found.pairs:
        from imgcluster.utils import counted

        pairs = counted(len(found.pairs), "pair of images is", "pairs of images are")
        raise OutputError(f"{pairs} in both {options.run!r} and {options.other!r}")
