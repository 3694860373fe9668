"""All kinds of parts of files that are images: frames of videos, and pages of TIFFs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from imgcluster.images.pages import ALL_PAGES, far_note, pages_again, pages_in
from imgcluster.images.parts import Expanded, expand
from imgcluster.images.video.frames import frames_again
from imgcluster.images.video.listing import frames_in
from imgcluster.types import ImageFile, ImagePath

if TYPE_CHECKING:
    from imgcluster.config import VideoSampling

PART_MARK = "#"  # in all names of parts, and in few of files


def with_parts(images: Sequence[ImageFile], video: VideoSampling | None, pages: str) -> Expanded | None:
    """Replace videos by their frames and TIFFs by their pages; None where neither is asked for.

    video: `images.video`. pages: `images.pages`.
    """
    if video is None and pages != ALL_PAGES:
        return None
    expanded = Expanded(list(images)) if video is None else expand(images, partial(frames_in, sampling=video))
    if pages != ALL_PAGES:
        return expanded
    found = expand(expanded.images, pages_in)
    return Expanded(found.images, [*expanded.notes, *far_note(found.images)])


def file_of_part(text: str) -> str:
    """Return the file of a frame's or a page's name."""
    return text.rpartition(PART_MARK)[0]


def open_parts(texts: Iterable[str]) -> dict[str, ImagePath]:
    """Return the frames and pages among texts, by these; reading one that is lost raises the reason."""
    names = [text for text in texts if PART_MARK in text]
    return frames_again(names) | pages_again(names)
