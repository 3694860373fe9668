"""The commands that judge what a run wrote: score, validate."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from imgcluster.cli.corrections import check_submission_first
from imgcluster.cli.options import add_command, add_images_folder
from imgcluster.errors import ConfigError

if TYPE_CHECKING:
    from imgcluster.cli.options import Commands


def add_score_commands(commands: Commands) -> None:
    """Add them to the others."""
    score = add_command(commands, "score", _score, "score clusters against labels that are known")
    score.add_argument("labels", metavar="LABELS", help="a run folder, or a CSV with ids and labels")
    score.add_argument(
        "truth",
        metavar="TRUTH",
        nargs="?",
        help="true labels: a CSV, or a folder with a subfolder for each; without, a run by its shape",
    )
    add_images_folder(score, of="labels")
    score.add_argument("--label-column", metavar="NAME", help="column of labels, in the files that have it")
    score.add_argument("--out", metavar="DIR", help="folder for the scores of images, or the confusion matrix")
    score.add_argument("--json", action="store_true", help="as JSON")
    validate = add_command(commands, "validate", _validate, "check a submission against a competition's template")
    validate.add_argument("file", metavar="FILE", help="the submission")
    validate.add_argument("template", metavar="TEMPLATE", help="the sample submission")
    validate.add_argument("--layout", metavar="L", help="what it was written as: labels, one_hot, soft or names")
    for command in (score, validate):
        command.add_argument("--id-column", metavar="NAME", help="column of ids; otherwise the first one")


def _score(options: argparse.Namespace) -> None:
    if options.truth is None:
        _score_inside(options)
        return
    from imgcluster.evaluation import FILES, score_labels, scores_json, scores_text

    columns = {"id_column": options.id_column, "label_column": options.label_column}
    scores = score_labels(options.labels, options.truth, **columns, out=options.out)
    print(scores_json(scores) if options.json else scores_text(scores))
    if options.out and not options.json:
        print("\n".join(["", *(f"written   {Path(options.out) / name}" for name in FILES)]))


def _score_inside(options: argparse.Namespace) -> None:
    from imgcluster.evaluation import IMAGES, SHOWN, score_run

    if Path(options.labels).is_file():
        raise ConfigError(
            f"{options.labels} is no run folder, so `score` needs the true labels too: imgcluster score "
            f"{shlex.quote(options.labels)} TRUTH"
        )
    found = score_run(options.labels, out=options.out)
    if options.json:
        print(json.dumps({name: getattr(found.scores, name) for name in SHOWN}, indent=2))
        return
    print("\n".join([*found.lines(), *([f"written   {Path(options.out) / IMAGES}"] if options.out else [])]))


def _validate(options: argparse.Namespace) -> None:
    check_submission_first(options)
    from imgcluster.runs import validated

    found = validated(options.file, options.template, id_column=options.id_column, layout=options.layout)
    verdict = "nothing wrong" if not found.notes else "see the note"
    lines = [f"note: {note}" for note in found.notes]
    print("\n".join([*lines, f"{options.file}: {found.rows:,} rows in the shape of {options.template}: {verdict}"]))
