"""List the images of a run in a stable order: the rows of a CSV, or everything below a folder."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from typing_extensions import override

from imgcluster.config import ImagesConfig, VideoSampling
from imgcluster.images.expansion import with_parts
from imgcluster.images.ids.files import IdFiles
from imgcluster.images.ids.table import read_rows
from imgcluster.images.sources.base import RemoteFile, asked_again
from imgcluster.images.sources.endings import ending_of, is_image_name
from imgcluster.images.sources.filter import ImageFilter
from imgcluster.images.sources.local import LocalFolder, none_below
from imgcluster.images.sources.names import as_id, natural_key
from imgcluster.images.sources.open import Holder, file_name, open_again, open_holder
from imgcluster.images.video.extra import check_no_video, endings_for, video_hint
from imgcluster.types import ImageFile, ImagePath, Template
from imgcluster.utils import DEFAULT_STORAGE, LazySequence, Storage, shown

END = b"\0"  # of a name: it can hold no zero byte
ENDING, NO_DOT = rb"\.[^./\0]*(?=\0)", rb"(?:^|[/\0])[^./\0]+\0"  # among names

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listing:
    """The images of a run; the CSV that names them, if there is one; what a person should know of how they were found.

    left_out: how many files, and folders that were not entered, were passed over, by the reason. files: how many there
    are, those included; None where only the files of the ids were looked up.
    """

    images: Sequence[ImageFile]
    template: Template | None = None
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, int | dict[str, int]] = field(default_factory=dict)
    files: int | None = None


def list_images(
    config: ImagesConfig, storage: Storage = DEFAULT_STORAGE
) -> tuple[Sequence[ImageFile], Template | None]:
    """List the images of a run, and the CSV that names them, if any. Reads no image; logs what is left out.

    Raises:
        ConfigError: The folder does not exist or cannot be opened.
        ImageError: There is no image, or an id is missing, not unique, or leads outside the folder.
    """
    listing = list_with_notes(config, storage)
    return listing.images, listing.template


def list_with_notes(config: ImagesConfig, storage: Storage = DEFAULT_STORAGE) -> Listing:
    """List images as `list_images` does, and return the notes too."""
    return _told(find_images(config, storage))


def find_images(config: ImagesConfig, storage: Storage = DEFAULT_STORAGE) -> Listing:
    """List images as `list_images` does, without logging."""
    place = open_holder(config, storage)
    if config.ids is None:
        return _expanded(_all_images(place, ", ".join(config.folders)), config.video, config.pages)
    rows = read_rows(storage.place(str(config.ids)), config.id_column, config.encoding)
    files = IdFiles(place, config, rows, storage)
    images = files.images()
    without_row = {"no_row": files.without_row} if files.without_row else {}
    return Listing(
        images,
        files.template,
        [*files.notes, *place.wanted.notes(by_ids=True)],
        {**place.wanted.left_out, **without_row},
    )


def images_at(text: str, storage: Storage = DEFAULT_STORAGE) -> Sequence[ImageFile]:
    """List the images of an archive or a URL. Raises as `list_images`."""
    path = open_again(text, storage)
    if isinstance(path, RemoteFile) and is_image_name(name := file_name(path)):
        return [ImageFile(name, asked_again(path))]
    return list_images(ImagesConfig(folder=text), storage)[0]


def walk_images(
    folder: Path, video: VideoSampling | None = None, pages: Literal["first", "all"] = "first"
) -> list[ImageFile]:
    """List every image file below a folder, in natural order of the relative paths (`2.jpg` before `10.jpg`).

    Passes over what `LocalFolder` does, and logs it. video: which frames of videos are images; None: none. pages: which
    pages of TIFFs are.
    Raises ImageError where no image is left.
    """
    wanted = ImageFilter(endings=endings_for(video), video_hint=video_hint(video))
    listing = _all_images(LocalFolder(str(folder), wanted), str(folder))
    return list(_told(_expanded(listing, video, pages)).images)


def parts_of_files(
    images: Sequence[ImageFile], video: VideoSampling | None = None, pages: Literal["first", "all"] = "first"
) -> Sequence[ImageFile]:
    """Replace videos by their frames and TIFFs by their pages, as `walk_images` does, in a list of files.

    Logs what is remarkable. Raises ImageError: the one file is a video, and no frames are asked for.
    """
    if video is None and len(images) == 1:
        check_no_video(images[0].path)
    return _told(_expanded(Listing(images), video, pages)).images


def _all_images(place: Holder, folder: str) -> Listing:
    images = _in_folder(place) if isinstance(place, LocalFolder) else _in_order(place.images())
    if not images:
        place.wanted.check_include(shown(folder))
        raise none_below(shown(folder), place.wanted)
    left_out = place.wanted.left_out
    counts = (sum(count.values()) if isinstance(count, dict) else count for count in left_out.values())
    return Listing(images, None, place.wanted.notes(), left_out, len(images) + sum(counts))


def _expanded(listing: Listing, video: VideoSampling | None, pages: str) -> Listing:
    found = with_parts(listing.images, video, pages)
    if found is None:
        return listing
    return replace(listing, images=found.images, notes=[*listing.notes, *found.notes])


class FolderImages(LazySequence[ImageFile]):
    """The images of a folder of this machine by their names below it: about 10 bytes each beside the name."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._folder = folder
        encoded = [os.fsencode(name) + END for name in names]
        self._names, self._ends = b"".join(encoded), np.cumsum([0, *map(len, encoded)])

    def endings(self) -> set[str]:
        """Return all endings, as `ending_of` has them, without a look at each image."""
        found = {ending_of(f"x{os.fsdecode(ending)}") for ending in {*re.findall(ENDING, self._names)}}
        return found | {""} if re.search(NO_DOT, self._names) else found

    def __len__(self) -> int:
        return len(self._ends) - 1

    @override
    def item(self, place: int) -> ImageFile:
        name = os.fsdecode(self._names[self._ends.item(place) : self._ends.item(place + 1) - len(END)])
        return ImageFile(as_id(name), self._folder / name)


def _in_folder(place: LocalFolder) -> FolderImages:
    return FolderImages(place.folder, sorted(place.names(), key=natural_key))


def _in_order(found: Mapping[str, ImagePath]) -> list[ImageFile]:
    if not found:
        return []
    first = next(iter(found.values()))
    by_row = not isinstance(first, Path) and first.order  # rows are read in the order they have, and are no files
    names = list(found) if by_row else sorted(found, key=natural_key)
    return [ImageFile(as_id(name), found[name]) for name in names]


def _told(listing: Listing) -> Listing:
    for note in listing.notes:
        logger.warning("%s", note)
    return listing
