"""Thumbnails of a run's images: JPEGs without the originals' metadata, each made once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from imgcluster.errors import ImageError
from imgcluster.features import known_key, read_with_key, with_stamps
from imgcluster.images import bytes_of, decode_image, jpeg, readers_for, room_for
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


def make_thumbnails(paths: Sequence[ImagePath], folder: Path, *, show: bool = True) -> list[str | None]:
    """Make the thumbnails of images under a folder, unless they are there already, and remove all others.

    Returns their names below the folder, without the ending; None for an image that cannot be read. A name is a hash of
    the image's path, size and time, so that a changed image gets another one. Raises OSError where the disk fails.
    """
    side = thumbnail_side(len(paths))
    paths = with_stamps(paths)
    names: list[str | None] = []
    slices = [slice(start, start + IMAGES_PER_TASK) for start in range(0, len(paths), IMAGES_PER_TASK)]

    def make(part: slice) -> list[str | None]:
        return [_make(path, folder, side) for path in paths[part]]

    with track("thumbnails", len(paths), "images", show=show) as advance:
        for made in at_once(make, slices) if readers_for(paths) else in_order(make, slices):
            names += made
            advance(len(made))
    _remove_others(folder, {name for name in names if name is not None})
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


def _version(path: ImagePath) -> str:
    """Return a text that changes when the image changes. Raises OSError, ImageError."""
    if not isinstance(path, Source):
        status = path.stat()
        return f"{os.path.realpath(path)} {status.st_size} {status.st_mtime_ns}"
    key = known_key(path) or read_with_key(path)[1]
    return " ".join(map(str, key.stamp))


def _make(path: ImagePath, folder: Path, side: int) -> str | None:
    try:
        version = f"{side} {_version(path)}"
        digest = hashlib.blake2b(os.fsencode(version), digest_size=7).hexdigest()
        name = f"{digest[:2]}/{digest[2:]}"
        place = thumbnail_path(folder, name)
        if place.exists() and place.stat().st_size:  # a power cut may leave an empty file
            return name
        original = bytes_of(path)
        with room_for(original):
            data = jpeg(shrunk(decode_image(original, least=side), side), JPEG_QUALITY)
    except (ImageError, OSError, ValueError, MemoryError):
        return None
    place.parent.mkdir(parents=True, exist_ok=True)
    # Not flushed to the disk, as results are: a thumbnail that is lost is made again.
    temporary = place.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(data)
    temporary.replace(place)
    return name


def _remove_others(folder: Path, names: set[str]) -> None:
    for place in folder.glob("??/*"):
        if place.relative_to(folder).with_suffix("").as_posix() not in names or place.suffix != ".jpg":
            place.unlink(missing_ok=True)
    for place in folder.glob("??"):
        with suppress(OSError):
            place.rmdir()  # where it is empty
