"""`validate`: a submission against its template."""

from __future__ import annotations

from imgcluster.cli.corrections import check_submission_first
from imgcluster.cli.options import ID_COLUMN, Commands, Options, add_command


def add(commands: Commands) -> None:
    """Add the command."""
    help = "check a submission against a competition's template"
    command = add_command(commands, "validate", run, help, ID_COLUMN)
    command.add_argument("file", metavar="FILE", help="the submission")
    command.add_argument("template", metavar="TEMPLATE", help="the sample submission")
    command.add_argument("--layout", metavar="L", help="its layout: labels, one_hot, soft or names")


def run(options: Options) -> None:
    """Validate a submission, print the verdict."""
    check_submission_first(options)
    from imgcluster.runs import validated

    found = validated(options.file, options.template, id_column=options.id_column, layout=options.layout)
    verdict = "but see the note" if found.notes else "OK"
    notes = [f"note: {note}" for note in found.notes]
    print("\n".join([*notes, f"{options.file}: {found.rows:,} rows match {options.template}: {verdict}"]))
