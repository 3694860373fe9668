"""Images that are parts of files, frames of videos and pages of TIFFs, in an export: each is written as a PNG."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from imgcluster.errors import ImageError
from imgcluster.images import split_frame, split_page
from imgcluster.runs.listed import listed_path

KINDS = ((split_frame, "frame of a video"), (split_page, "page of a TIFF"))
ENDING = ".png"


def kind_of_part(source: str) -> str | None:
    """Return what an image is that is no file of its own; None for a file."""
    return _holder_and_kind(source)[1]


def fixed_because(text: str) -> str:
    """Return why an image, by its path in clusters.csv, cannot be moved; empty for a file on this machine."""
    if (kind := kind_of_part(text)) is not None:
        return f"a {kind}"
    return "" if isinstance(listed_path(text), Path) else "no file of its own on this machine"


def holder_of(source: str) -> str:
    """Return the file that an image is, or that it is a part of."""
    return _holder_and_kind(source)[0]


def _holder_and_kind(source: str) -> tuple[str, str | None]:
    if not os.path.lexists(source):
        for split, kind in KINDS:
            if (found := split(source)) is not None:
                return found[0], kind
    return source, None


def name_for(source: str) -> Path:
    """Return the source of an image with the file name that its copy is to have."""
    return Path(source if kind_of_part(source) is None else source + ENDING)


def rendered(source: str) -> bytes:
    """Return the PNG of a part. Raises OSError, with `source` for its file, where it cannot be read."""
    from imgcluster.images import png, read_image  # with OpenCV

    try:
        return png(read_image(listed_path(source)))
    except ImageError as error:
        raise OSError(errno.EIO, str(error), source) from None
