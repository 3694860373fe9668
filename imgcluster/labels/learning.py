"""Train a classifier on the features of a few labelled images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imgcluster.config import Config, FeaturesConfig, features_as_dict, features_as_used, load_config
from imgcluster.errors import ConfigError
from imgcluster.features import extract_features, extract_listed, settled
from imgcluster.images import list_images, with_shared_range
from imgcluster.learning import (
    BACKBONE,
    FEATURES,
    LEAST,
    Labelled,
    Learned,
    Training,
    TrainingResult,
    checked,
    fit_classifier,
    is_file,
    plan_training,
    prepared,
    probabilities,
    teach,
    validation_split,
)
from imgcluster.runs import FinishedRun, PartialLabels, features_of_run, listed_images, read_partial_labels, read_run
from imgcluster.types import ImageFile
from imgcluster.utils import Storage, counted, first_few

CONFIGS = (".yaml", ".yml")


@dataclass(frozen=True)
class Source:
    """Images to learn from, the section that makes their features, and what has the vectors of some of them.

    storage: the access to files behind URLs. parts: which frames of videos and pages of TIFFs are images, by the keys
    of the config that are set.
    """

    images: Sequence[ImageFile]
    features: FeaturesConfig
    storage: Storage
    vectors_of: Callable[[Sequence[ImageFile]], Vectors]
    parts: dict[str, Any]


@dataclass(frozen=True)
class Vectors:
    """Features of the readable ones of some images: vectors (len(ids), dim), and the fingerprint of each layer.

    used: the keys of the section `features` in which what made them differs from what the config asks for.
    """

    ids: Sequence[str]
    vectors: np.ndarray
    fingerprints: list[str]
    used: dict[str, Any] = field(default_factory=dict)


def learn(
    source: str | Path,
    labels: str | Path,
    *,
    out: str | Path,
    mode: str = FEATURES,
    classifier: str = "logistic",
    training: Training | None = None,
    random_state: int = 42,
    overrides: Sequence[str] = (),
    show: bool = True,
) -> Learned:
    """Learn a classifier from labelled images, on the features of a config or a run; writes it into the folder `out`.

    labels: a CSV of ids and labels, of some images or of all; a blank label is none yet; or a folder that has a
    subfolder of images for each label. A fifth of the images of each
    class that has five is held back for the scores, unless too few would be; the model is then fitted to all.
    mode: `features`: a classifier of scikit-learn's on the features as they are. `augment`: the network is frozen, its
    pictures are varied, and a head is trained with dropout. `finetune`: so is the network's last block, with the head
    and a small learning rate. Both begin with a logistic regression, and where they make nothing better, the model is
    that of `features`. They leave their curve and, until they are done, a checkpoint in `out`, from which the same call
    goes on after it was killed.
    training: what can be set of them. overrides: keys of a config, as `load_config` takes them; a run has none.
    Raises ConfigError: labels that cannot be read or are of other images, one class only, no such mode or classifier,
    settings that cannot be; ImageError: none of the labelled images can be read; OutputError: the disk fails; and as
    `run` and `export_features` for the features.
    """
    settings = checked(mode, classifier, training, random_state)
    folder = Path(out)
    known = _source(Path(source), overrides, show, stored=mode == FEATURES)
    if is_file(known.features.weights, folder / BACKBONE):
        raise ConfigError(
            f"out: {str(folder)!r} holds the network that the features are made with; name another folder"
        )
    found = read_partial_labels(labels, [image.id for image in known.images])
    _check_classes(found.classes)
    choice = None if mode == FEATURES else plan_training(mode, known.features, settings)
    vectors = known.vectors_of([known.images[row] for row in found.rows])
    labelled, classes, lost = _labelled(known, found, vectors)
    taught = None
    if choice is not None:
        taught = teach(mode, choice, labelled, settings, random_state, folder=folder, show=show)
    if taught is None:
        taught = _fitted(classifier, labelled, random_state)
        if choice is not None:
            taught.notes.append(
                f"{mode}: no epoch was better for the images held back: this is the model of {FEATURES}"
            )
    fingerprints, used = vectors.fingerprints, vectors.used
    if taught.features != known.features:  # the network has learned, and its features are of its own
        made = extract_features(labelled.images, taught.features, storage=known.storage, show=show)
        fingerprints, used = [origin.fingerprint for origin in made.origins], {}
    model = Learned(
        mode=mode,
        classifier=classifier,
        classes=classes,
        features={**features_as_dict(taught.features), **used},
        fingerprints=fingerprints,
        dim=int(labelled.points.shape[1]),
        arrays=taught.arrays,
        counts={name: int(count) for name, count in zip(classes, np.bincount(labelled.classes), strict=True)},
        scores=_scores(labelled.classes[taught.held], taught.probabilities),
        notes=[*_notes(found, lost, classes, labelled.classes), *taught.notes],
        images=known.parts,
    )
    model.save(folder)
    return model


def _source(source: Path, overrides: Sequence[str], show: bool, *, stored: bool) -> Source:
    """Return the images of a config, whose features are made where they are not there yet, or of a finished run.

    stored: the vectors of a run are as it has them; else as its config makes them now, which is what can be trained on.
    """
    if source.suffix in CONFIGS and not source.is_dir():
        config = load_config(source, overrides)
        storage = Storage(config.storage)
        images, _ = list_images(config.images, storage)
        config = with_shared_range(settled(config, show=show), images)
        return Source(images, config.features, storage, partial(_extracted, config, show), _parts(config))
    run = read_run(source)
    if overrides:
        raise ConfigError(f"overrides: {str(source)!r} is a run folder, which has no keys to override; name its config")
    images = listed_images(run.places.rows(run.rows), run.places.storage)
    vectors_of = partial(_of_run, run) if stored else partial(_extracted, run.config, show)
    return Source(images, run.config.features, run.places.storage, vectors_of, _parts(run.config))


def _parts(config: Config) -> dict[str, Any]:
    return config.images.model_dump(mode="json", include={"video", "pages"}, exclude_defaults=True)


def _extracted(config: Config, show: bool, images: Sequence[ImageFile]) -> Vectors:
    features = extract_listed(images, config, show)
    used = features_as_used(config.features, [asdict(origin) for origin in features.origins])
    return Vectors(features.ids, features.vectors, [origin.fingerprint for origin in features.origins], used)


def _of_run(run: FinishedRun, images: Sequence[ImageFile]) -> Vectors:
    table = features_of_run(run)
    place = {id: row for row, id in enumerate(table.ids)}
    ids = [image.id for image in images if image.id in place]
    vectors = np.asarray(table.vectors[[place[id] for id in ids]])
    return Vectors(ids, vectors, [str(origin["fingerprint"]) for origin in run.record["features"]])


def _labelled(known: Source, found: PartialLabels, vectors: Vectors) -> tuple[Labelled, list[str], list[str]]:
    """Return the images that have a label and features, the classes, and the ids of those that have only a label."""
    readable = set(vectors.ids)
    images = [known.images[row] for row in found.rows]
    kept = [at for at, image in enumerate(images) if image.id in readable]
    lost = [image.id for image in images if image.id not in readable]
    partial_labels = replace(found, rows=found.rows[kept], labels=[found.labels[at] for at in kept])
    _check_classes(partial_labels.classes)
    points = prepared(vectors.vectors)
    labelled = Labelled([images[at] for at in kept], partial_labels.numbers, points, known.features)
    return labelled, partial_labels.classes, lost


def _check_classes(classes: Sequence[str]) -> None:
    if not classes:
        raise ConfigError("labels: none of the labelled images can be read")
    if len(classes) < 2:
        raise ConfigError(f"labels: all images are {classes[0]!r}: there is nothing to tell apart")


def _fitted(classifier: str, labelled: Labelled, random_state: int) -> TrainingResult:
    """Fit to four fifths for the scores of the rest, and to all for the model."""
    points, classes = labelled.points, labelled.classes
    held = validation_split(classes, random_state)
    found = None
    if held.any():
        arrays = fit_classifier(classifier, points[~held], classes[~held], random_state).arrays
        found = probabilities(classifier, points[held], arrays)
    fitted = fit_classifier(classifier, points, classes, random_state)
    return TrainingResult(fitted.arrays, labelled.features, held, found, fitted.notes)


def _scores(true: np.ndarray, found: np.ndarray | None) -> dict[str, float]:
    """Score the images held back: accuracy, the mean accuracy of the classes, and macro F1."""
    if found is None:
        return {}
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

    guessed = found.argmax(axis=1)
    return {
        "accuracy": float(accuracy_score(true, guessed)),
        "balanced_accuracy": float(balanced_accuracy_score(true, guessed)),
        "macro_f1": float(f1_score(true, guessed, average="macro", labels=np.unique(true), zero_division=0)),
        "images": float(len(true)),
    }


def _notes(found: PartialLabels, lost: Sequence[str], classes: Sequence[str], numbers: np.ndarray) -> list[str]:
    notes = list(found.notes)
    strange = "is" if len(found.unknown) == 1 else "are"
    for ids, what in ((lost, "cannot be read"), (found.unknown, f"{strange} not among the images")):
        if ids:
            notes.append(f"{counted(len(ids), 'labelled image')} {what}: {first_few(ids)}")
    counts = np.bincount(numbers)
    if lonely := [name for name, count in zip(classes, counts, strict=True) if count == 1]:
        notes.append(f"{len(lonely):,} of {len(classes):,} classes have one image: {first_few(lonely)}")
    if counts.max() < LEAST:
        notes.append(f"no scores: no class has {LEAST} images or more, of which some could be held back")
    return notes
