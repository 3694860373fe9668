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


def with_parts(images: Sequence[ImageFile], video: VideoSampling | None, pages: str) -> Expanded | None:
    """Replace videos by their frames and TIFFs by their pages; None where neither is asked for.

    video: `images.video`. pages: `images.pages`.
    """
    expanded = None
    if video is not None:
        expanded = expand(images, partial(frames_in, sampling=video))
    if pages == ALL_PAGES:
        found = expand(images if expanded is None else expanded.images, pages_in)
        notes = [*(expanded.notes if expanded else ()), *far_note(found.images)]
        expanded = Expanded(found.images, notes)
    return expanded


def open_parts(texts: Iterable[str]) -> dict[str, ImagePath]:
    """Return the frames and pages among texts, by these; reading one that is lost raises the reason."""
    names = list(texts)
    return frames_again(names) | pages_again(names)
