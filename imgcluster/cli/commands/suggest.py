"""`suggest`: which images to label next."""

from __future__ import annotations

import shlex

from imgcluster.cli.options import (
    IMAGES_FOLDER,
    Commands,
    Options,
    add_command,
    add_images_folder,
    add_label_columns,
    add_run,
    add_table,
    free_table,
    write_table,
)


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "suggest", run, "suggest images of a run to label, the most useful first")
    add_run(command)
    command.add_argument("--count", "-n", type=int, default=20, metavar="N", help="number of images (default: 20)")
    command.add_argument("--labels", metavar="CSV", help="labels you have already, as for spread")
    add_images_folder(command)
    add_table(command)
    add_label_columns(command)


def run(options: Options) -> None:
    """Suggest images to label, write the table, print the next step."""
    out = free_table(options)
    from imgcluster.cli.format.labels import suggestions_lines
    from imgcluster.labels import suggest_images

    columns = {"id_column": options.id_column, "label_column": options.label_column}
    found = suggest_images(options.run, options.count, labels=options.labels, **columns)
    write_table(out, found.table())
    there = [] if options.images_folder is None else [IMAGES_FOLDER, options.images_folder]
    then = shlex.join([options.run, str(out), *there])
    print("\n".join([*suggestions_lines(found), f"written   {out}: fill in the column label"]))
    print(f"then      python -m imgcluster spread {then} --out CSV")
