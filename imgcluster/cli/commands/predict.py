"""`predict`: labels of a trained model."""

from __future__ import annotations

from pathlib import Path

from imgcluster.cli.corrections import MODEL
from imgcluster.cli.options import (
    NEW_IMAGES,
    QUIET,
    TABLE_ARGUMENTS,
    Commands,
    Options,
    add_command,
    argument,
    free_table,
    write_table,
)

UNSURE_HELP = "probability below which a label is unsure (default: 0.5)"


def add(commands: Commands) -> None:
    """Add the command."""
    model = argument("model", MODEL, metavar="MODEL", help="a folder that `learn` wrote")
    help = "label images with a trained model"
    command = add_command(commands, "predict", run, help, model, NEW_IMAGES, *TABLE_ARGUMENTS, QUIET, resumable=True)
    command.add_argument("--template", metavar="CSV", help="a sample submission to fill in")
    command.add_argument("--label-column", metavar="NAME", help="the template's column of labels")
    command.add_argument("--unsure", type=float, default=0.5, metavar="P", help=UNSURE_HELP)


def run(options: Options) -> None:
    """Predict labels, write the table, print how many images got which."""
    out = free_table(options)
    from imgcluster.cli.format.labels import predicted_lines
    from imgcluster.cli.format.run import summarize_features
    from imgcluster.labels import predict

    found = predict(options.model, options.images, unsure=options.unsure, show=not options.quiet)
    table, notes = found.table(), list[str]()
    if options.template:
        table, notes = found.fill_template(Path(options.template), options.label_column)
    write_table(out, table)
    lines = [*summarize_features(found.features), *predicted_lines(found), *(f"note: {note}" for note in notes)]
    print("\n".join([*lines, f"written   {out}"]))
