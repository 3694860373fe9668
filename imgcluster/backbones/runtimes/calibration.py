"""Calibration images of int8: a sample of the run's images, kept in the store for later runs."""

from __future__ import annotations

import json
import logging
import os
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgcluster.config import Recipe
from imgcluster.errors import ImageError
from imgcluster.images import RULES, prepare, read_image
from imgcluster.types import ImageFile, ImagePath, Source
from imgcluster.utils import digest_bytes, fingerprint_of, replacing

MAX_IMAGES = 40  # with VGG16 on the stage frames, twice as many change no cluster
FILES = "calibration-*.npz"
# Raised by zipfile and numpy where a kept file is damaged, and where its contents are not those that were written.
PARSING_ERRORS = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError)
CONTENT_ERRORS = (ValueError, KeyError, TypeError, AttributeError)

Stamp = list[int]  # size and mtime_ns of a file; of other images also the version

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Calibration:
    """pixels: (n, side, side, 3) uint8, as the network takes them. show: whether calibration shows its progress."""

    pixels: np.ndarray
    show: bool = False

    @property
    def digest(self) -> str:
        """Digest of the pixels."""
        return digest_bytes(np.ascontiguousarray(self.pixels).tobytes())


def find_calibration(images: Sequence[ImageFile], recipe: Recipe, store: Path, show: bool = False) -> Calibration:
    """Return calibration images: those kept in `store`, or a sample of the images, which is then kept there.

    Kept ones are used while at least half of them are among the images: images may be added to a folder and removed,
    and features stay comparable. Fewer than MAX_IMAGES are not used when there are more images now. The sample does not
    depend on the order of the images, nor on their folder.

    Raises ImageError where no image can be read.
    """
    by_name = {_name(image.path): image for image in images}
    made_by = json.dumps([recipe.as_data(), RULES])
    kept = _best_kept(store, made_by, by_name)
    return Calibration(_sampled(by_name, recipe, store, made_by) if kept is None else kept, show)


def _best_kept(store: Path, made_by: str, images: dict[str, ImageFile]) -> np.ndarray | None:
    """Return the kept pixels that share the most images with these, if they share enough."""
    best, most_shared = None, 0
    for path in sorted(store.glob(FILES)):
        try:
            shared, pixels = _read_kept(path, made_by, images)
        except (*PARSING_ERRORS, *CONTENT_ERRORS) as error:
            # numpy's messages advise to unpickle what it does not understand.
            logger.warning("%s is damaged (%s); it is not used for calibration", path, type(error).__name__)
            continue
        if shared > most_shared:
            best, most_shared = pixels, shared
    return best


def _read_kept(path: Path, made_by: str, images: dict[str, ImageFile]) -> tuple[int, np.ndarray]:
    """Return how many images a file of kept pixels shares with these, and the pixels; (0, none) where it is unfit."""
    with np.load(path, allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        stamps: dict[str, Stamp] = about["pictures"]
        shared = sum(name in images and _stamp(images[name].path) == stamp for name, stamp in stamps.items())
        enough = len(stamps) >= min(MAX_IMAGES, len(images)) and 2 * shared >= len(stamps)
        if about["made_by"] == made_by and enough:
            return shared, file["pixels"]
    return 0, np.empty(0, np.uint8)


def _sampled(images: dict[str, ImageFile], recipe: Recipe, store: Path, made_by: str) -> np.ndarray:
    """Read a sample of the images, and keep it in the store. Raises ImageError where no image can be read."""
    pixels: list[np.ndarray] = []
    stamps: dict[str, Stamp | None] = {}
    reason = ""
    for name, image in sorted(images.items(), key=_sample_order):
        stamp = _stamp(image.path)  # before reading: the stamp of a file that changes meanwhile must not match later
        try:
            pixels.append(_picture(image.path, recipe, len(pixels)))
        except (ImageError, MemoryError) as error:
            reason = reason or f"; one of them, {image.path}: {error or 'does not fit into memory'}"
            continue
        stamps[name] = stamp
        if len(pixels) == MAX_IMAGES:
            break
    if images and not pixels:
        none = "the only one cannot" if len(images) == 1 else f"none of the {len(images):,} can"
        raise ImageError(f"int8 is calibrated on the images, and {none} be read{reason}")
    together = np.stack(pixels) if pixels else np.empty((0, recipe.side, recipe.side, 3), np.uint8)
    about = {"made_by": made_by, "pictures": stamps}
    with suppress(OSError):  # the next run takes the same sample; the store reports that it cannot be written
        store.mkdir(parents=True, exist_ok=True)
        with replacing(store / FILES.replace("*", fingerprint_of(about))) as file:
            np.savez(file, pixels=together, about=np.array(json.dumps(about)))
    return together


def _sample_order(named: tuple[str, ImageFile]) -> tuple[str, str]:
    """Return a sort key by a hash of the image's id, so that the first images are a random sample."""
    return digest_bytes(os.fsencode(named[1].id)), named[0]


def _picture(path: ImagePath, recipe: Recipe, number: int) -> np.ndarray:
    views = np.zeros((recipe.n_views, recipe.side, recipe.side, 3), np.uint8)
    prepare(read_image(path, recipe.least, recipe.reading), recipe, views)
    return np.asarray(views[number % recipe.n_views])  # each view from some of the pictures


def _name(path: ImagePath) -> str:
    return str(path if isinstance(path, Source) else path.absolute())


def _stamp(path: ImagePath) -> Any:
    if isinstance(path, Source):
        stamp = path.stamp
        return None if stamp is None else [stamp.size, stamp.mtime_ns, stamp.version]
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns]
