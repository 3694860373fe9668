"""`subset`: images of a run that cover all of them."""

from __future__ import annotations

import json
from dataclasses import asdict

from imgcluster.cli.options import (
    IMAGES_FOLDER,
    JSON,
    LABEL_COLUMNS,
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


def add(commands: Commands) -> None:
    """Add the command."""
    help = "choose images of a run that cover all of them"
    command = add_command(commands, "subset", run, help, RUN_ARGUMENT)
    command.add_argument("--count", "-n", type=int, default=200, metavar="N", help="number of images (default: 200)")
    labelled = "labels you have already: these images count as covered"
    command.add_argument("--labelled", metavar="CSV", help=labelled)
    command.add_argument(
        "--method", default="facility-location", metavar="NAME", help="facility-location (default) or k-center"
    )
    for add_part in (*TABLE_OPTIONS, *LABEL_COLUMNS, images_folder(IMAGES_FOLDER), JSON):
        add_part(command)
    command.epilog = "Example: imgcluster subset outputs/photos -n 200 --csv to_label.csv"


def run(options: Options) -> None:
    """Choose images; write them as a table, or print their ids."""
    out = optional_table(options)
    from imgcluster.cli.format.curation import subset_lines
    from imgcluster.curation import choose_subset

    found = choose_subset(
        options.run, options.count, labelled=options.labelled, method=options.method, **columns_of(options)
    )
    if out is not None:
        write_table(out, found.text_table())
    if options.json:
        print(json.dumps(asdict(found), indent=2))
        return
    written = [f"written   {out}: fill in the column label"] if out is not None else [f"  {id}" for id in found.ids]
    print(*subset_lines(found), *written, sep="\n")
