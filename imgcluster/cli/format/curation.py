"""Findings of curation as lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from imgcluster.utils import first_few, printable

if TYPE_CHECKING:
    from imgcluster.curation import LabelErrors, Matches, Subset

SHOWN_NEIGHBORS, MAX_SUSPECTS = 3, 50


def label_errors_lines(found: LabelErrors, top: int | None = None) -> list[str]:
    """Return how many labels are suspicious, and the worst of them with what speaks against them.

    top: how many labels were asked for, suspicious or not; None: the suspicious ones.
    """
    shown = found.suspects if top is not None else found.suspects[:MAX_SUSPECTS]
    unlabelled = f", {found.unlabelled:,} images without a label" if found.unlabelled else ""
    return [
        *skipped_lines(found.unknown, found.notes),
        *_too_small_lines(found.too_small),
        f"labels    {found.labelled:,}{unlabelled}",
        *_heading_lines(found, len(shown), top),
        *(
            f"  {printable(each.id)}  {printable(each.label)} -> {printable(each.likely)} ({each.probability:.2f}, "
            f"given label {each.given_probability:.2f}); nearest: "
            + ", ".join(f"{printable(id)} ({printable(label)})" for id, label in each.neighbors[:SHOWN_NEIGHBORS])
            for each in shown
        ),
    ]


def _too_small_lines(sizes: Mapping[str, int]) -> list[str]:
    """Return one line for all classes that cannot be judged."""
    named = first_few([f"{printable(name)!r} ({size})" for name, size in sizes.items()], show=str)
    count = "1 class" if len(sizes) == 1 else f"{len(sizes):,} classes"
    return [f"note: cannot judge {count}, too small or all near copies: {named}"] if sizes else []


def _heading_lines(found: LabelErrors, shown: int, top: int | None) -> list[str]:
    """Return how many labels are suspicious, and which are listed below."""
    count = f"{found.suspicious:,} {'has' if found.suspicious == 1 else 'have'} a likelier label"
    if top is not None:
        return [f"suspects  {count}", f"listed    the {shown:,} least certain labels, suspects or not:"]
    if shown < found.suspicious:
        return [f"suspects  {count}; the first {shown:,} (all: --csv FILE, --json):"]
    return [f"suspects  {count}{':' if shown else ''}"]


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
