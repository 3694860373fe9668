"""Findings of curation as lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgcluster.utils import first_few, printable

if TYPE_CHECKING:
    from imgcluster.curation import LabelErrors, Matches, Subset

SHOWN_NEIGHBORS = 3


def label_errors_lines(found: LabelErrors) -> list[str]:
    """Return how many labels are suspicious, and the worst of them with what speaks against them."""
    unlabelled = f", {found.unlabelled:,} images without a label" if found.unlabelled else ""
    return [
        *skipped_lines(found.unknown, found.notes),
        *(
            f"note: cannot judge {printable(name)!r}: {size} image{'s' * (size != 1)}, too few or all near copies"
            for name, size in found.too_small.items()
        ),
        f"labels    {found.labelled:,}{unlabelled}",
        f"suspects  {found.suspicious:,} have a likelier label; the first {len(found.suspects):,}:",
        *(
            f"  {printable(each.id)}  {printable(each.label)} -> {printable(each.likely)} ({each.probability:.2f}, "
            f"given label {each.given_probability:.2f}); nearest: "
            + ", ".join(f"{printable(id)} ({printable(label)})" for id, label in each.neighbors[:SHOWN_NEIGHBORS])
            for each in found.suspects
        ),
    ]


def matches_lines(found: Matches) -> list[str]:
    """Return the images found, the most similar one first; those that are an example picture are marked."""
    return [
        *(f"note: {note}" for note in found.notes),
        *(
            f"{rank:>5}  {each.similarity:.4f}  {printable(each.id)}{' (the picture itself)' if each.is_query else ''}"
            for rank, each in enumerate(found.matches, start=1)
        ),
    ]


def subset_lines(found: Subset) -> list[str]:
    """Return how many images were chosen, and how well they cover the others."""
    beside = f", beside {found.labelled:,} with a label" if found.labelled else ""
    return [
        *skipped_lines(found.unknown, found.notes),
        f"chosen    {len(found.ids):,} of {found.images:,} images{beside}",
        f"coverage  {found.coverage:.3f}: mean cosine of an image to the nearest of them",
    ]


def skipped_lines(unknown: Sequence[str], notes: Sequence[str]) -> list[str]:
    """Return which labelled ids the run does not have, and how names that differ were matched."""
    plural = "" if len(unknown) == 1 else "s"
    skipped = f"skipped   {len(unknown):,} labelled id{plural} that the run does not have: {first_few(unknown)}"
    return [*([skipped] if unknown else []), *(f"note: {note}" for note in notes)]
