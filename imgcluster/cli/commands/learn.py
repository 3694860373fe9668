"""`learn`: a classifier from a few labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from imgcluster.cli.corrections import CONFIG, RUN
from imgcluster.cli.options import (
    LABELS_HELP,
    QUIET,
    YES,
    Commands,
    Options,
    add_command,
    argument,
    images_folder,
    set_option,
    split_list,
)
from imgcluster.errors import ConfigError

if TYPE_CHECKING:
    from imgcluster.learning import Training


TRAINING = ("unfreeze", "epochs", "patience", "learning_rate", "batch_size", "dropout")
SOURCE_HELP = "a YAML file, or a run folder whose features to use"
MODE_HELP = "features, augment or finetune (default: features)"
CLASSIFIER_HELP = "logistic, svm, knn or mlp (default: logistic)"


def add(commands: Commands) -> None:
    """Add the command."""
    help = "train a classifier on a few labelled images"
    source = argument("source", f"{CONFIG} or {RUN}", metavar="CONFIG|RUN", help=SOURCE_HELP)
    command = add_command(commands, "learn", run, help, source, images_folder(of="source"), QUIET, resumable=True)
    command.add_argument("labels", metavar="LABELS", help=LABELS_HELP)
    set_option("features.backbone=vgg16")(command)
    YES(command)
    command.add_argument("--out", required=True, metavar="MODEL", help="the folder to write the model into")
    command.add_argument("--force", action="store_true", help="overwrite the model")
    command.add_argument("--classifier", default="logistic", metavar="C", help=CLASSIFIER_HELP)
    command.add_argument("--mode", default="features", metavar="M", help=MODE_HELP)
    training = command.add_argument_group("augment and finetune")
    training.add_argument("--augment", metavar="STEPS", help="how images are varied: crop,flip,color, or none")
    training.add_argument("--unfreeze", metavar="LAYER", help="finetune: train from this layer or block on, or all")
    training.add_argument("--epochs", type=int, metavar="N", help="maximum number of epochs")
    training.add_argument("--patience", type=int, metavar="N", help="stop after so many epochs without improvement")
    training.add_argument("--learning-rate", type=float, metavar="R", help="learning rate of Adam")
    training.add_argument("--batch-size", type=int, metavar="N", help="images per step")
    training.add_argument("--dropout", type=float, metavar="P", help="dropout of the features (default: 0.2)")
    command.add_argument("--random-state", type=int, default=42, metavar="N", help="random seed (default: 42)")


def run(options: Options) -> None:
    """Learn a classifier, print its scores."""
    from imgcluster.learning import checked

    training = _training(options)
    checked(options.mode, options.classifier, training, options.random_state)  # before what follows imports torch
    out = Path(options.out)
    if not options.force:
        _check_free(out)
    from imgcluster.cli.format.labels import model_lines
    from imgcluster.labels import learn

    model = learn(
        options.source,
        options.labels,
        out=out,
        overrides=options.set,
        mode=options.mode,
        classifier=options.classifier,
        training=training,
        random_state=options.random_state,
        show=not options.quiet,
    )
    print(*model_lines(model), f"written   {out}", sep="\n")


def _check_free(out: Path) -> None:
    """Raise ConfigError where a folder holds a model, or anything but an interrupted training."""
    from imgcluster.learning import CHECKPOINT, RECORD

    if (out / RECORD).exists():
        raise ConfigError(f"{str(out)!r} holds a model; overwrite it with --force")
    interrupted = out.is_dir() and (
        (out / CHECKPOINT).exists() or all(path.name.startswith(CHECKPOINT) for path in out.iterdir())
    )
    if out.exists() and not interrupted:
        raise ConfigError(f"{str(out)!r} is not a model of imgcluster's and not empty; name another folder")


def _training(options: Options) -> Training:
    """Return the settings that were given, with the defaults for the others."""
    from imgcluster.learning import Training

    given = {name: value for name in TRAINING if (value := getattr(options, name)) is not None}
    if options.augment is not None:
        given["augment"] = tuple(step for step in split_list(options.augment) if step != "none")
    return Training(**given)
