"""`assign`: new images into the clusters of a run."""

from __future__ import annotations

from imgcluster.cli.options import (
    Commands,
    Options,
    add_command,
    add_new_images,
    add_quiet,
    add_run,
    add_table,
    free_table,
    write_table,
)


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "assign", run, "assign new images to the clusters of a run")
    add_run(command)
    add_new_images(command)
    add_table(command)
    add_quiet(command)


def run(options: Options) -> None:
    """Assign images to clusters, write the table, print the sizes."""
    out = free_table(options)
    from imgcluster.cli.format.run import summarize_assigned
    from imgcluster.labels import assign

    found = assign(options.run, options.images, show=not options.quiet)
    write_table(out, found.table())
    print("\n".join([*summarize_assigned(found), f"written   {out}"]))
