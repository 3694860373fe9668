"""`score`: clusters against true labels, or by internal scores."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from imgcluster.cli.options import (
    ID_COLUMN,
    JSON,
    Commands,
    Options,
    add_command,
    check_free,
    columns_of,
    images_folder,
)
from imgcluster.errors import ConfigError

TRUTH_HELP = (
    "true labels, a CSV or a folder with one subfolder per label; without them, internal scores such as silhouette"
)


def add(commands: Commands) -> None:
    """Add the command."""
    help = "score clusters against true labels"
    command = add_command(commands, "score", run, help, images_folder(of="labels"), ID_COLUMN, JSON)
    command.add_argument("labels", metavar="LABELS", help="a run folder, or a CSV of ids and labels")
    command.add_argument("truth", metavar="TRUTH", nargs="?", help=TRUTH_HELP)
    command.add_argument("--label-column", metavar="NAME", help="column of labels, in the files that have it")
    command.add_argument("--out", metavar="DIR", help="folder for the confusion matrix, or for the scores of images")


def run(options: Options) -> None:
    """Score labels, print the scores and the confusion matrix."""
    if options.truth is None:
        _run_without_truth(options)
        return
    from imgcluster.cli.format.scores import scores_text
    from imgcluster.evaluation import FILES, score_labels, scores_json

    _check_free(FILES, options)
    scores = score_labels(options.labels, options.truth, **columns_of(options), out=options.out)
    print(scores_json(scores) if options.json else scores_text(scores))
    if options.out and not options.json:
        print("\n".join(["", *(f"written   {Path(options.out) / name}" for name in FILES)]))


def _run_without_truth(options: Options) -> None:
    from imgcluster.cli.format.scores import inner_scores_json, inner_scores_lines
    from imgcluster.evaluation import IMAGES, score_run

    if Path(options.labels).is_file():
        raise ConfigError(
            f"{options.labels} is not a run folder, so `score` needs the true labels too: imgcluster score "
            f"{shlex.quote(options.labels)} TRUTH"
        )
    _check_free((IMAGES,), options)
    found = score_run(options.labels, out=options.out)
    if options.json:
        print(inner_scores_json(found))
        return
    written = [f"written   {Path(options.out) / IMAGES}"] if options.out else []
    print("\n".join([*inner_scores_lines(found), *written]))


def _check_free(names: Sequence[str], options: Options) -> None:
    """Refuse a folder in which these files would overwrite a run; earlier scores are overwritten."""
    if options.out:
        for name in names:
            check_free(Path(options.out, name), options, is_picture=Path(name).suffix == ".png")
