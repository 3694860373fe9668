"""`spread`: a few labels propagated to all images of a run."""

from __future__ import annotations

from imgcluster.cli.options import (
    LABELS_HELP,
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
    command = add_command(commands, "spread", run, "propagate a few labels to all images of a run")
    add_run(command)
    command.add_argument("labels", metavar="LABELS", help=LABELS_HELP)
    add_images_folder(command)
    add_table(command)
    add_label_columns(command)


def run(options: Options) -> None:
    """Propagate labels, write the table, print the classes."""
    out = free_table(options)
    from imgcluster.cli.format.labels import spread_lines
    from imgcluster.labels import spread_labels

    columns = {"id_column": options.id_column, "label_column": options.label_column}
    found = spread_labels(options.run, options.labels, **columns)
    write_table(out, found.table())
    print("\n".join([*spread_lines(found), f"written   {out}"]))
