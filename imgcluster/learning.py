"""From a few labelled images to a classifier on top of their features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgcluster.classifiers import check_classifier, fit_classifier, probabilities
from imgcluster.config import FeaturesConfig, config_from_dict, load_config
from imgcluster.errors import ConfigError
from imgcluster.exports import features_of_run
from imgcluster.images import list_images
from imgcluster.learned import Learned, prepared
from imgcluster.partial_labels import PartialLabels, read_partial_labels
from imgcluster.pipeline import extract_listed
from imgcluster.runs import read_record

NAMED = 3
HELD_BACK = 0.2
LEAST = 5  # images of a class, from which one is held back
CONFIGS = (".yaml", ".yml")


@dataclass(frozen=True)
class Source:
    """Features to learn from: ids, vectors (n, dim), the section that made them, and the fingerprint of each layer."""

    ids: Sequence[str]
    vectors: np.ndarray
    features: FeaturesConfig
    fingerprints: list[str]
    failed: frozenset[str] = frozenset()


def learn(  # noqa: PLR0913 (one call says all)
    source: str | Path,
    labels: str | Path,
    *,
    out: str | Path,
    classifier: str = "logistic",
    random_state: int = 42,
    show: bool = True,
) -> Learned:
    """Learn a classifier from labelled images, on the features of a config or a run; writes it into the folder `out`.

    labels: a CSV of ids and labels, of some images or of all; a blank label is none yet. A fifth of the images of each
    class that has five is held back for the scores, unless too few would be; the model is then fitted to all.
    Raises ConfigError: labels that cannot be read or are of other images, one class only, no such classifier; and as
    `run` and `export_features` for the features.
    """
    check_classifier(classifier)
    known = _source(Path(source), show)
    found = read_partial_labels(labels, known.ids)
    classes = found.classes
    if len(classes) < 2:
        raise ConfigError(f"labels: all images are {classes[0]!r}: there is nothing to tell apart")
    numbers = found.numbers
    points = prepared(known.vectors[found.rows])
    scores, told = _held_back_scores(classifier, points, numbers, random_state)
    fitted = fit_classifier(classifier, points, numbers, random_state)
    model = Learned(
        mode="features",
        classifier=classifier,
        classes=classes,
        features=known.features.model_dump(mode="json"),
        fingerprints=known.fingerprints,
        dim=int(known.vectors.shape[1]),
        arrays=fitted.arrays,
        counts=dict(Counter(found.labels)),
        scores=scores,
        notes=[*_notes(found, known), *told, *fitted.notes],
    )
    model.save(Path(out))
    return model


def _source(source: Path, show: bool) -> Source:
    """Return the features of a config, which are made where they are not there yet, or those of a finished run."""
    if source.suffix in CONFIGS and not source.is_dir():
        config = load_config(source)
        features = extract_listed(list_images(config.images)[0], config, show)
        fingerprints = [origin.fingerprint for origin in features.origins]
        failed = frozenset(failure.image.id for failure in features.failures)
        return Source(features.ids, features.vectors, config.features, fingerprints, failed)
    record = read_record(source)
    table = features_of_run(source)
    config_features = config_from_dict(record["config"]).features
    fingerprints = [str(origin["fingerprint"]) for origin in record["features"]]
    failed = frozenset(failure["id"] for failure in record["failures"])
    return Source(table.ids, table.vectors, config_features, fingerprints, failed)


def _held_back_scores(
    classifier: str, points: np.ndarray, classes: np.ndarray, random_state: int
) -> tuple[dict[str, float], list[str]]:
    """Fit to four fifths and score the rest: accuracy, the mean accuracy of the classes, and macro F1."""
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

    held = _held_back(classes, random_state)
    if not held.any():
        return {}, [f"no scores: no class has {LEAST} images or more, of which some could be held back"]
    arrays = fit_classifier(classifier, points[~held], classes[~held], random_state).arrays
    guessed = probabilities(classifier, points[held], arrays).argmax(axis=1)
    true = classes[held]
    scores = {
        "accuracy": float(accuracy_score(true, guessed)),
        "balanced_accuracy": float(balanced_accuracy_score(true, guessed)),
        "macro_f1": float(f1_score(true, guessed, average="macro", labels=np.unique(true), zero_division=0)),
        "images": float(len(true)),
    }
    return scores, []


def _held_back(classes: np.ndarray, random_state: int) -> np.ndarray:
    """Draw a fifth of each class that has `LEAST` images: (n,) bool. All are in what is left at least once."""
    draw = np.random.default_rng(random_state)
    held = np.zeros(len(classes), bool)
    for number in np.unique(classes):
        rows = draw.permutation(np.flatnonzero(classes == number))
        if len(rows) >= LEAST:
            held[rows[: round(HELD_BACK * len(rows))]] = True
    return held


def _notes(found: PartialLabels, known: Source) -> list[str]:
    notes = []
    failed = [id for id in found.unknown if id in known.failed]
    unknown = [id for id in found.unknown if id not in known.failed]
    for ids, what in ((failed, "cannot be read"), (unknown, "are not among the images")):
        if ids:
            more = ", …" if len(ids) > NAMED else ""
            notes.append(f"{len(ids):,} labelled images {what}: {', '.join(map(repr, ids[:NAMED]))}{more}")
    counts = Counter(found.labels)
    if lonely := sorted(label for label, count in counts.items() if count == 1):
        more = ", …" if len(lonely) > NAMED else ""
        notes.append(
            f"{len(lonely):,} of {len(counts):,} classes have one image: {', '.join(map(repr, lonely[:NAMED]))}{more}"
        )
    return notes


def summary_lines(model: Learned, out: Path) -> list[str]:
    """Return what a person reads of a model that was learned."""
    counts: list[Any] = sorted(model.counts.items(), key=lambda pair: (-pair[1], pair[0]))
    total = sum(model.counts.values())
    lines = [f"labels    {total:,} images of {len(model.classes):,} classes"]
    lines += [f"  {count:>6,}  {label!r}" for label, count in counts[:10]]
    lines += [f"          and {len(counts) - 10:,} more classes"] if len(counts) > 10 else []
    if model.scores:
        lines.append(
            f"accuracy  {model.scores['accuracy']:.3f} on {model.scores['images']:.0f} images held back; mean of the "
            f"classes {model.scores['balanced_accuracy']:.3f}, macro F1 {model.scores['macro_f1']:.3f}"
        )
    return [*lines, *(f"note: {note}" for note in model.notes), f"written   {out}"]
