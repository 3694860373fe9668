"""`assign`: new images into the clusters of a run."""

from __future__ import annotations

from imgcluster.cli.options import (
    NEW_IMAGES,
    QUIET,
    RUN_ARGUMENT,
    TABLE_ARGUMENTS,
    Commands,
    Options,
    add_command,
    free_table,
    write_table,
)


def add(commands: Commands) -> None:
    """Add the command."""
    help = "assign new images to the clusters of a run"
    add_command(commands, "assign", run, help, RUN_ARGUMENT, NEW_IMAGES, *TABLE_ARGUMENTS, QUIET)


def run(options: Options) -> None:
    """Assign images to clusters, write the table, print the sizes."""
    out = free_table(options)
    from imgcluster.cli.format.run import summarize_assigned
    from imgcluster.labels import assign

    found = assign(options.run, options.images, show=not options.quiet)
    write_table(out, found.text_table())
    print(*summarize_assigned(found), f"written   {out}", sep="\n")
