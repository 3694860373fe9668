"""The commands around labels of a few images: spread, suggest."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from imgcluster.cli.options import add_command, add_images_folder, add_run, free_table, write_table
from imgcluster.runs import OPTION

if TYPE_CHECKING:
    from imgcluster.cli.options import Commands


def add_label_commands(commands: Commands) -> None:
    """Add them to the others."""
    spread = add_command(commands, "spread", _spread, "give all images of a run labels, from those of a few")
    add_run(spread)
    spread.add_argument(
        "labels",
        metavar="LABELS",
        help="a CSV of ids and labels, blank: not known yet; or a folder with a subfolder for each label",
    )
    suggest = add_command(commands, "suggest", _suggest, "name the images of a run whose labels would help most")
    add_run(suggest)
    suggest.add_argument("-n", type=int, default=20, metavar="N", help="how many; 20")
    suggest.add_argument("--labels", metavar="CSV", help="labels known already, as for spread")
    for command in (spread, suggest):
        add_images_folder(command)
        command.add_argument("--out", required=True, metavar="CSV", help="the table to write")
        command.add_argument("--force", action="store_true", help="overwrite the table")
        command.add_argument("--id-column", metavar="NAME", help="column of ids in the labels; otherwise the first one")
        command.add_argument("--label-column", metavar="NAME", help="column of labels; otherwise label")


def _spread(options: argparse.Namespace) -> None:
    out = free_table(options)
    from imgcluster.labels import spread_labels

    found = spread_labels(options.run, options.labels, id_column=options.id_column, label_column=options.label_column)
    write_table(out, found.table())
    print("\n".join([*found.lines(), f"written   {out}"]))


def _suggest(options: argparse.Namespace) -> None:
    out = free_table(options)
    from imgcluster.labels import suggest_images

    columns = {"id_column": options.id_column, "label_column": options.label_column}
    found = suggest_images(options.run, options.n, labels=options.labels, **columns)
    write_table(out, found.table())
    print("\n".join([*found.lines(), f"written   {out}: fill in the column label"]))
    there = [] if options.images_folder is None else [OPTION, options.images_folder]
    then = shlex.join([options.run, str(out), *there])
    print(f"then      python -m imgcluster spread {then} --out CSV")
