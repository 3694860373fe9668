"""`suggest`: which images to label next."""

from __future__ import annotations

from imgcluster.cli.options import (
    IMAGES_FOLDER,
    LABEL_COLUMNS,
    RUN_ARGUMENT,
    TABLE_ARGUMENTS,
    Commands,
    Options,
    add_command,
    columns_of,
    free_table,
    images_folder,
    write_table,
)


def add(commands: Commands) -> None:
    """Add the command."""
    help = "suggest images of a run to label, the most useful first"
    command = add_command(
        commands, "suggest", run, help, RUN_ARGUMENT, images_folder(), *TABLE_ARGUMENTS, *LABEL_COLUMNS
    )
    command.add_argument("--count", "-n", type=int, default=20, metavar="N", help="number of images (default: 20)")
    command.add_argument("--labels", metavar="CSV", help="labels you have already, as for spread")


def run(options: Options) -> None:
    """Suggest images to label, write the table, print the next step."""
    out = free_table(options)
    from imgcluster.cli.format.labels import suggestions_lines
    from imgcluster.labels import suggest_images
    from imgcluster.utils import shell_line

    found = suggest_images(options.run, options.count, labels=options.labels, **columns_of(options))
    write_table(out, found.text_table())
    there = [] if options.images_folder is None else [IMAGES_FOLDER, options.images_folder]
    then = shell_line(options.run, str(out), *there)
    print("\n".join([*suggestions_lines(found), f"written   {out}: fill in the column label"]))
    print(f"then      python -m imgcluster spread {then} --out CSV")
