"""`spread`: a few labels propagated to all images of a run."""

from __future__ import annotations

from imgcluster.cli.options import (
    LABEL_COLUMNS,
    LABELS_HELP,
    RUN_ARGUMENT,
    TABLE_ARGUMENTS,
    Commands,
    Options,
    add_command,
    argument,
    columns_of,
    free_table,
    images_folder,
    write_table,
)


def add(commands: Commands) -> None:
    """Add the command."""
    labels = argument("labels", metavar="LABELS", help=LABELS_HELP)
    help = "propagate a few labels to all images of a run"
    add_command(commands, "spread", run, help, RUN_ARGUMENT, labels, images_folder(), *TABLE_ARGUMENTS, *LABEL_COLUMNS)


def run(options: Options) -> None:
    """Propagate labels, write the table, print the classes."""
    out = free_table(options)
    from imgcluster.cli.format.labels import spread_lines
    from imgcluster.labels import spread_labels

    found = spread_labels(options.run, options.labels, **columns_of(options))
    write_table(out, found.table())
    print(*spread_lines(found), f"written   {out}", sep="\n")
