"""A page of a TIFF as an image of a run: `scans/a.tif#2`. Pages count from 1."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath

from imgcluster.errors import ImageError
from imgcluster.images.containers.tiff_pages import PageList, find_pages, page_file
from imgcluster.images.parts import Expanded, parts_again
from imgcluster.images.sources.base import Lost, local_stamp, number_of, reason_of
from imgcluster.types import ImageFile, ImagePath, Source, Stamp

ALL_PAGES = "all"  # of `images.pages`
TIFF_SUFFIXES = frozenset((".tif", ".tiff", ".btf", ".tf8", ".ptif"))
PAGE = re.compile(r"(?P<place>.*)#(?P<number>[1-9][0-9]{0,8})", re.DOTALL)
KEPT_LISTS = 64  # of pages of files


@dataclass(frozen=True, slots=True)
class TiffPage(Source):
    """A page of a file of this machine as it was at a stamp. offset: where its directory begins."""

    place: str
    file: Stamp
    number: int
    offset: int

    def __str__(self) -> str:
        return page_name(self.place, self.number)

    @property
    def stamp(self) -> Stamp:
        """That of the file, for this page. The size is in the version: a page is smaller than its file."""
        path, size, mtime_ns, version = self.file
        return Stamp(page_name(path, self.number), 0, mtime_ns, number_of(f"{size} {version} {self.offset}"))

    @property
    def is_far(self) -> bool:
        """False: pages are of local files."""
        return False

    def read(self) -> bytes:
        """Return the page as a TIFF of one page."""
        try:
            with Path(self.place).open("rb") as file:
                return page_file(file, self.offset)
        except (OSError, ValueError) as error:
            raise ImageError(reason_of(error)) from None

    def absolute(self) -> TiffPage:
        """Return it with an absolute path, for a process in another folder."""
        return replace(self, place=str(Path(self.place).absolute()))


def page_name(place: str, number: int) -> str:
    """Return the name of a page."""
    return f"{place}#{number}"


def split_page(name: str) -> tuple[str, str] | None:
    """Return the file and the number of a page's name; None for any other name."""
    found = PAGE.fullmatch(name)
    return (found["place"], found["number"]) if found is not None and _is_tiff(found["place"]) else None


def pages_in(image: ImageFile) -> Expanded:
    """Return the pages of a local TIFF; where it has one, its id stays. Any other image is returned as it is."""
    path = image.path
    if not isinstance(path, Path) or not _is_tiff(path.name):
        return Expanded([image])
    try:
        file, found = _listed(str(path))
    except ImageError:  # reading it as an image will tell why
        return Expanded([image])
    if not found.offsets or (found.offsets == [found.first] and not found.trouble):
        return Expanded([image])
    pages = [TiffPage(str(path), file, number, offset) for number, offset in enumerate(found.offsets, 1)]
    if len(pages) == 1 and not found.trouble:
        return Expanded([ImageFile(image.id, pages[0])])
    images = [ImageFile(page_name(image.id, page.number), page) for page in pages]
    if found.trouble:
        next_page = len(pages) + 1
        images.append(ImageFile(page_name(image.id, next_page), Lost(page_name(str(path), next_page), found.trouble)))
    return Expanded(images)


def far_note(images: Iterable[ImageFile]) -> list[str]:
    """Tell of TIFFs whose further pages are not looked for: it would take reading all of them."""
    count = sum(_is_tiff(image.id) and not isinstance(image.path, Path | TiffPage) for image in images)
    one = "1 TIFF" if count == 1 else f"{count:,} TIFFs"
    then = "to take all pages, unpack or download them into a folder, and name it in images.folder"
    return [f"took the first page of {one}; {then}"] * bool(count)


def pages_again(texts: Iterable[str]) -> dict[str, ImagePath]:
    """Return the pages that texts name, by these; reading one that is not there raises the reason.

    A text that is the name of a file names no page.
    """
    return parts_again(
        (text for text in texts if split_page(text) and not os.path.lexists(text)), split_page, _numbered
    )


def _numbered(place: str, numbers: Collection[str]) -> dict[str, ImagePath]:
    file, found = _listed(place)
    pages: dict[str, ImagePath] = {}
    for text in numbers:
        number = int(text)
        if number <= len(found.offsets):
            pages[text] = TiffPage(place, file, number, found.offsets[number - 1])
        else:
            pages[text] = Lost(page_name(place, number), found.trouble or "no such page")
    return pages


def _listed(place: str) -> tuple[Stamp, PageList]:
    """Return the stamp of a file and its pages. Raises ImageError."""
    try:
        stamp = local_stamp(place)
        if not Path(place).is_file():  # a pipe may have no writer
            raise ImageError("is not a regular file")
        return stamp, _list_of(place, stamp)
    except (OSError, ValueError) as error:
        raise ImageError(reason_of(error)) from None


@lru_cache(KEPT_LISTS)
def _list_of(place: str, stamp: Stamp) -> PageList:
    """Return the pages of a file as it was at a stamp. Raises OSError, ValueError."""
    with Path(place).open("rb") as file:
        return find_pages(file)


def _is_tiff(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in TIFF_SUFFIXES
