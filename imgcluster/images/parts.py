"""Images that are parts of files, such as frames of a video: put in the files' place, and opened by their names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from imgcluster.errors import ImageError
from imgcluster.images.sources.base import Lost
from imgcluster.types import ImageFile, ImagePath
from imgcluster.utils import in_order


@dataclass(frozen=True)
class Expanded:
    """A list of images in which parts stand for their files; a file that cannot be read will be a failure."""

    images: list[ImageFile]
    notes: list[str] = field(default_factory=list)


def expand(images: Sequence[ImageFile], parts_of: Callable[[ImageFile], Expanded]) -> Expanded:
    """Replace each image by its parts; `parts_of` returns an image without parts as it is."""
    taken: list[ImageFile] = []
    notes: list[str] = []
    for found in in_order(parts_of, images):
        taken += found.images
        notes += found.notes
    return Expanded(taken, notes)


def parts_again(
    texts: Iterable[str],
    split: Callable[[str], tuple[str, str] | None],
    parts_of: Callable[[str, Collection[str]], Mapping[str, ImagePath]],
) -> dict[str, ImagePath]:
    """Return the parts that texts name, by these; of a file that cannot be opened, reading one raises the reason.

    split: returns the file and the part of a text, None where it names none. parts_of: returns the parts of a file by
    their names, or raises ImageError; called once for each file.
    """
    wanted: dict[str, dict[str, str]] = {}
    for text in texts:
        if (named := split(text)) is not None:
            wanted.setdefault(named[0], {})[named[1]] = text
    found: dict[str, ImagePath] = {}
    for place, text_of in wanted.items():
        try:
            found.update((text_of[part], path) for part, path in parts_of(place, text_of).items())
        except ImageError as error:
            found.update((text, Lost(text, str(error))) for text in text_of.values())
    return found
