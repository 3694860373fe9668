"""`label-errors`: labels of a run's images that are likely wrong."""

from __future__ import annotations

import json
from dataclasses import asdict

from imgcluster.cli.options import (
    IMAGES_FOLDER,
    JSON,
    LABEL_COLUMNS,
    LABELS_HELP,
    RUN_ARGUMENT,
    TABLE_OPTIONS,
    Commands,
    Options,
    add_command,
    columns_of,
    images_folder,
    optional_table,
    write_table,
)
from imgcluster.errors import ConfigError


def add(commands: Commands) -> None:
    """Add the command."""
    help = "find labels that are likely wrong, worst first"
    command = add_command(commands, "label-errors", run, help, RUN_ARGUMENT)
    command.add_argument("labels", nargs="?", metavar="LABELS", help=LABELS_HELP)
    command.add_argument("--folders", action="store_true", help="an image's label is the name of its folder")
    command.add_argument(
        "--top", type=int, metavar="N", help="list the N least certain labels (default: all that have a likelier label)"
    )
    for add_part in (*TABLE_OPTIONS, *LABEL_COLUMNS, images_folder(IMAGES_FOLDER), JSON):
        add_part(command)
    command.epilog = "Example: imgcluster label-errors outputs/photos labels.csv --csv suspects.csv"


def run(options: Options) -> None:
    """Print the labels that are likely wrong, and write them as a table where one is asked for."""
    if (options.labels is None) != options.folders:
        raise ConfigError("name a file of labels, or --folders: one of them")
    out = optional_table(options)
    from imgcluster.cli.format.curation import label_errors_lines
    from imgcluster.curation import find_label_errors

    found = find_label_errors(options.run, options.labels, top=options.top, **columns_of(options))
    if out is not None:
        write_table(out, found.text_table())
    print(json.dumps(asdict(found), indent=2) if options.json else "\n".join(label_errors_lines(found, options.top)))
    if out is not None and not options.json:
        print(f"written   {out}")
