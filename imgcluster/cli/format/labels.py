"""Labels that were propagated, suggested, learned and predicted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgcluster.cli.format.curation import skipped_lines
from imgcluster.utils import counted, first_few, printable

if TYPE_CHECKING:
    from imgcluster.labels import Predictions, PropagatedLabels, Suggestions
    from imgcluster.learning import Learned

MAX_SPREAD_CLASSES, MAX_MODEL_CLASSES = 20, 10
HALF = 0.5


def spread_lines(found: PropagatedLabels) -> list[str]:
    """Return the classes with their sizes, how many labels were given, and how many images are unsure."""
    given = Counter(label for label, known in zip(found.labels, found.given, strict=True) if known)
    counts = Counter(found.labels).most_common()
    single = [label for label, count in given.items() if count == 1]
    unsure = int((found.confidence < HALF).sum())
    return [
        *skipped_lines(found.unknown, found.notes),
        f"images    {len(found.ids):,}, {int(found.given.sum()):,} of them labelled, {len(given)} classes",
        *(f"{count:>8,}  {printable(name)} ({given[name]:,} given)" for name, count in counts[:MAX_SPREAD_CLASSES]),
        *_more_classes(len(counts) - MAX_SPREAD_CLASSES),
        *([f"note: only one labelled image for {first_few(single)}"] if single else []),
        f"unsure    {counted(unsure, 'image')} (confidence below {HALF})",
    ]


def suggestions_lines(found: Suggestions) -> list[str]:
    """Return how many images of how many clusters were suggested."""
    images = f"images    {len(found.ids):,} to label, of {len(set(found.clusters))} clusters"
    return [*skipped_lines(found.unknown, found.notes), images]


def model_lines(model: Learned) -> list[str]:
    """Return the classes that a model has learned, and its scores."""
    counts = sorted(model.counts.items(), key=lambda pair: (-pair[1], pair[0]))
    scores = model.scores
    accuracy = (
        f"accuracy  {scores['accuracy']:.3f} on {scores['images']:.0f} images held back; mean of the classes "
        f"{scores['balanced_accuracy']:.3f}, macro F1 {scores['macro_f1']:.3f}"
        if scores
        else None
    )
    return [
        f"labels    {sum(model.counts.values()):,} images of {len(model.classes):,} classes",
        *_class_lines(counts[:MAX_MODEL_CLASSES]),
        *_more_classes(len(counts) - MAX_MODEL_CLASSES),
        *([accuracy] if accuracy else []),
        *(f"note: {note}" for note in model.notes),
    ]


def predicted_lines(found: Predictions) -> list[str]:
    """Return how many images got which label, and how many are unsure."""
    unsure = int((found.probabilities.max(axis=1, initial=0) < found.unsure).sum())
    return [
        *_class_lines(Counter(found.labels).most_common()),
        f"unsure    {unsure:,} of {len(found.features.images):,} images (probability below {found.unsure:g})",
    ]


def _class_lines(counts: Sequence[tuple[str, int]]) -> list[str]:
    return [f"  {count:>6,}  {label!r}" for label, count in counts]


def _more_classes(count: int) -> list[str]:
    return [f"          and {count:,} more classes"] if count > 0 else []
