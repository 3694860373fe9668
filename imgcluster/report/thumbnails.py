"""Thumbnails of a run's images: JPEGs without the originals' metadata, each made once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from imgcluster.config import AS_SHOWN, Reading
from imgcluster.errors import ImageError
from imgcluster.features import ImageKey, known_key, known_keys, read_with_key, with_stamps
from imgcluster.images import (
    RULES,
    VideoFrame,
    bytes_of,
    decode_image,
    decoder_of,
    ending_of,
    jpeg,
    readers_for,
    room_for,
)
from imgcluster.types import ImagePath, Source
from imgcluster.utils import at_once, in_order, track

# Longer side, in pixels, by the largest number of images it is used for: the folder stays small.
SIDES = ((2_000, 224), (20_000, 128))
MIN_SIDE = 96
JPEG_QUALITY = 75
IMAGES_PER_TASK = 16  # of a thread

Picture = np.ndarray  # (height, width, 3) RGB uint8


def thumbnail_side(images: int) -> int:
    """Return the longer side, in pixels, of the thumbnails of so many images."""
    return next((side for most, side in SIDES if images <= most), MIN_SIDE)


def make_thumbnails(
    paths: Sequence[ImagePath], folder: Path, reading: Reading = AS_SHOWN, *, show: bool = True
) -> list[str | None]:
    """Make the thumbnails of images under a folder, unless they are there already, and remove all others.

    Returns their names below the folder, without the ending; None for an image that cannot be read. A name is a hash of
    the image's path, size and time, so that a changed image gets another one. Raises OSError where the disk fails.
    """
    side = thumbnail_side(len(paths))
    paths = with_stamps(paths)
    there = {place for place, size in _files_in(folder) if size}  # a power cut may leave an empty file
    names = [
        None if key is None else _name(path, key, side, reading)
        for path, key in zip(paths, known_keys(paths), strict=True)
    ]
    lacking = [row for row, name in enumerate(names) if name is None or f"{name}.jpg" not in there]
    # Frames are taken one by one, so that all threads are at about the same place of a video.
    step = 1 if any(isinstance(paths[row], VideoFrame) for row in lacking) else IMAGES_PER_TASK
    slices = [lacking[start : start + step] for start in range(0, len(lacking), step)]

    def make(rows: list[int]) -> list[str | None]:
        return [_make(paths[row], folder, side, reading, there) for row in rows]

    done = len(paths) - len(lacking)
    with track("thumbnails", len(paths), "images", show=show and bool(lacking), done=done) as advance:
        made = at_once(make, slices) if readers_for(paths) else in_order(make, slices)
        for rows, found in zip(slices, made, strict=True):
            for row, name in zip(rows, found, strict=True):
                names[row] = name
            advance(len(rows))
    _remove_others(folder, {f"{name}.jpg" for name in names if name is not None})
    return names


def thumbnail_path(folder: Path, name: str) -> Path:
    """Return the path of a thumbnail by its name."""
    return folder / f"{name}.jpg"


def shrunk(image: Picture, side: int) -> Picture:
    """Return a picture reduced to `side` pixels at most on its longer side."""
    height, width = image.shape[:2]
    share = min(1.0, side / max(height, width))
    if share == 1:
        return image
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _name(path: ImagePath, key: ImageKey, side: int, reading: Reading) -> str:
    """Return a name that changes when the image changes, the side, or how the image is read."""
    version = key.stamp if isinstance(path, Source) else key.stamp[:3]
    changes = [f"{key}={value}" for key, value in reading.changes().items()]
    about = side, *version, *changes, RULES, decoder_of(ending_of(str(path)))
    digest = hashlib.blake2b(os.fsencode(" ".join(map(str, about))), digest_size=7).hexdigest()
    return f"{digest[:2]}/{digest[2:]}"


def _make(path: ImagePath, folder: Path, side: int, reading: Reading, there: set[str]) -> str | None:
    try:
        name = _name(path, known_key(path) or read_with_key(path)[1], side, reading)
        if f"{name}.jpg" in there:
            return name
        original = bytes_of(path)
        with room_for(original):
            data = jpeg(shrunk(decode_image(original, side, reading), side), JPEG_QUALITY)
    except (ImageError, OSError, ValueError, MemoryError):
        return None
    place = thumbnail_path(folder, name)
    place.parent.mkdir(parents=True, exist_ok=True)
    # Not flushed to the disk, as results are: a thumbnail that is lost is made again.
    temporary = place.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(data)
    temporary.replace(place)
    return name


def _files_in(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the files of thumbnails, `ab/cdef.jpg` and what a killed process left there, and their sizes in bytes."""
    for below in folder.glob("??"):
        with os.scandir(below) as entries:
            yield from ((f"{below.name}/{entry.name}", entry.stat().st_size) for entry in entries)


def _remove_others(folder: Path, wanted: set[str]) -> None:
    for name in [name for name, _ in _files_in(folder) if name not in wanted]:
        (folder / name).unlink(missing_ok=True)
    for below in folder.glob("??"):
        with suppress(OSError):
            below.rmdir()  # where it is empty
