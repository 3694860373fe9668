"""The commands that go beyond clusters: learn, predict, distance."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from imgcluster.cli.corrections import CONFIG, MODEL, RUN
from imgcluster.cli.options import add_command, add_images_folder, add_set, free_table, write_table
from imgcluster.errors import ConfigError

if TYPE_CHECKING:
    from imgcluster.cli.options import Commands
    from imgcluster.learning import Training


def add_learn_commands(commands: Commands) -> None:
    """Add them to the others."""
    _add_learn(commands)
    _add_predict(commands)
    _add_distance(commands)


def _add_learn(commands: Commands) -> None:
    learn = add_command(commands, "learn", _learn, "learn a classifier from a few labelled images")
    learn.add_argument("source", metavar="CONFIG|RUN", help="a YAML file, or a run folder, whose features are taken")
    learn.add_argument(
        "labels",
        metavar="LABELS",
        help="a CSV of ids and labels, blank: none yet; or a folder with a subfolder for each label",
    )
    add_images_folder(learn, of="source")
    add_set(learn, "features.backbone=vgg16")
    learn.add_argument("--out", required=True, metavar="MODEL", help="the folder to write the model into")
    learn.add_argument("--classifier", default="logistic", metavar="C", help="logistic, svm, knn or mlp")
    learn.add_argument("--mode", default="features", metavar="M", help="features, augment or finetune")
    learn.add_argument("--augment", metavar="STEPS", help="how pictures are varied: crop,flip,color, or none")
    learn.add_argument("--unfreeze", metavar="LAYER", help="finetune: the layer or block from which on it learns; all")
    learn.add_argument("--epochs", type=int, metavar="N", help="of augment and finetune, at the most")
    learn.add_argument("--patience", type=int, metavar="N", help="epochs without a gain that end the training")
    learn.add_argument("--learning-rate", type=float, metavar="R", help="of Adam")
    learn.add_argument("--batch-size", type=int, metavar="N", help="images a step")
    learn.add_argument("--dropout", type=float, metavar="P", help="share of the features a step does without; 0.2")
    learn.add_argument("--random-state", type=int, default=42, metavar="N", help="seed of all that is drawn; 42")
    learn.add_argument("--force", action="store_true", help="overwrite the model")
    learn.add_argument("--quiet", action="store_true", help="no progress; warnings and the summary stay")
    learn.set_defaults(resumable=True, takes=("source", f"{CONFIG} or {RUN}"))


def _add_predict(commands: Commands) -> None:
    predict = add_command(commands, "predict", _predict, "label images by a model that was learned")
    predict.add_argument("model", metavar="MODEL", help="a folder that `learn` wrote")
    predict.add_argument(
        "images",
        metavar="IMAGES",
        help="a folder of images, or one image; a URL, a tar, a zip or a Parquet file of them",
    )
    predict.add_argument("--out", required=True, metavar="CSV", help="the table to write")
    predict.add_argument("--template", metavar="CSV", help="a sample submission: its rows, with the labels filled in")
    predict.add_argument("--label-column", metavar="NAME", help="the template's column of labels")
    predict.add_argument("--unsure", type=float, default=0.5, metavar="P", help="below it an image is unsure; 0.5")
    predict.add_argument("--force", action="store_true", help="overwrite the table")
    predict.add_argument("--quiet", action="store_true", help="no progress; warnings and the summary stay")
    predict.set_defaults(resumable=True, takes=("model", MODEL))


def _add_distance(commands: Commands) -> None:
    distance = add_command(commands, "distance", _distance, "how far apart images are to a network")
    distance.add_argument("first", metavar="A", help="an image, or a folder of them")
    distance.add_argument("second", metavar="B", help="another; of folders, images of the same name are compared")
    distance.add_argument("--backbone", default="vgg16", metavar="NAME", help="vgg16 unless another is said")
    distance.add_argument("--layers", metavar="L=W,...", help="layers, each with its weight or with none for 1")
    distance.add_argument("--distance", default="l2", metavar="D", help="l2, l1 or gram")
    distance.add_argument("--weights", default="imagenet", metavar="W", help="imagenet, random or a file")


def _learn(options: argparse.Namespace) -> None:
    from imgcluster.learning import CHECKPOINT, RECORD, checked

    training = _training(options)
    checked(options.mode, options.classifier, training, options.random_state)  # before what follows has imported torch
    out = Path(options.out)
    if not options.force:
        if (out / RECORD).exists():
            raise ConfigError(f"{str(out)!r} holds a model; overwrite it with --force")
        if out.exists() and not _is_free(out, CHECKPOINT):
            raise ConfigError(f"{str(out)!r} is no model of imgcluster's and not empty; name another folder")
    from imgcluster.labels import learn, summary_lines

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
    print("\n".join(summary_lines(model, out)))


def _is_free(out: Path, checkpoint: str) -> bool:
    """Say whether a folder is empty, or holds training that was broken off, if only the beginning of a file."""
    return out.is_dir() and ((out / checkpoint).exists() or all(p.name.startswith(checkpoint) for p in out.iterdir()))


def _training(options: argparse.Namespace) -> Training:
    """Return the settings that were given, and the usual ones for the others."""
    from imgcluster.learning import Training

    names = ("unfreeze", "epochs", "patience", "learning_rate", "batch_size", "dropout")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    if options.augment is not None:
        steps = [name.strip() for name in options.augment.split(",")]
        given["augment"] = tuple(name for name in steps if name not in ("", "none"))
    return Training(**given)


def _predict(options: argparse.Namespace) -> None:
    out = free_table(options)
    from imgcluster.cli.format import summarize_features
    from imgcluster.labels import predict

    found = predict(options.model, options.images, unsure=options.unsure, show=not options.quiet)
    table, notes = found.table(), list[str]()
    if options.template:
        table, notes = found.fill_template(Path(options.template), options.label_column)
    write_table(out, table)
    said = [f"note: {note}" for note in notes]
    print("\n".join([*summarize_features(found.features), *found.lines(), *said, f"written   {out}"]))


def _distance(options: argparse.Namespace) -> None:
    layers = _weighed(options.layers)
    from imgcluster.backbones import image_distances
    from imgcluster.utils import printable

    found = image_distances(
        options.first,
        options.second,
        backbone=options.backbone,
        layers=layers,
        distance=options.distance,
        weights=options.weights,
    )
    print("\n".join(f"{distance:>12.6g}  {printable(name)}" for name, distance in found.items()))
    if len(found) > 1:
        print(f"{sum(found.values()) / len(found):>12.6g}  mean of {len(found):,}")


def _weighed(text: str | None) -> dict[str, float] | None:
    """Read `relu1_2=1,relu3_3=0.5`."""
    if text is None:
        return None
    parts = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    try:
        return {name: float(weight or 1) for name, _, weight in parts}
    except ValueError:
        raise ConfigError(f"--layers: {text!r}; allowed: layers such as relu1_2, or with weights relu1_2=0.5") from None
