"""The pictures by which int8 finds the range of each layer's values, kept beside the features made with them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgcluster.config import Recipe
from imgcluster.errors import ImageError
from imgcluster.images import RULES, prepare, read_image
from imgcluster.types import ImageFile, ImagePath, Source
from imgcluster.utils import digest_bytes, fingerprint_of, replacing

MOST = 40  # of VGG16 on the stage frames, twice as many change no cluster
FILES = "calibration-*.npz"

Stamp = list[int]  # size and mtime_ns; of what is no file here also its version


@dataclass(frozen=True, eq=False)
class Calibration:
    """pixels: (n, side, side, 3) uint8, as the network takes them; show: whether to tell that it is at work."""

    pixels: np.ndarray
    show: bool = False

    @property
    def digest(self) -> str:
        """What tells it from others."""
        return digest_bytes(np.ascontiguousarray(self.pixels).tobytes())


def find_calibration(images: Sequence[ImageFile], recipe: Recipe, store: Path, show: bool = False) -> Calibration:
    """Return the pictures to calibrate a network on: those kept in `store`, or some of the images, kept there.

    Kept ones are taken while at least half of them are among the images, so that images may be added to a folder and
    removed: the features that are there stay as good as the new ones. Fewer than MOST are not kept to when there are
    more images now. The choice does not depend on the order of the images, nor on the folder they lie in.

    Raises ImageError where no image can be read.
    """
    here = {_name(image.path): image for image in images}
    made_by = json.dumps([asdict(recipe), RULES])
    kept = _best_kept(store, made_by, here)
    return Calibration(_made(here, recipe, store, made_by) if kept is None else kept, show)


def _best_kept(store: Path, made_by: str, here: dict[str, ImageFile]) -> np.ndarray | None:
    best, most = None, 0
    for path in sorted(store.glob(FILES)):
        # Damaged, it is made again; numpy raises whatever the bytes happen to make it do.
        with suppress(Exception), np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            stamps: dict[str, Stamp] = about["pictures"]
            shared = sum(name in here and _stamp(here[name].path) == stamp for name, stamp in stamps.items())
            enough = len(stamps) >= min(MOST, len(here)) and 2 * shared >= len(stamps)
            if about["made_by"] == made_by and enough and shared > most:
                best, most = file["pixels"], shared
    return best


def _made(here: dict[str, ImageFile], recipe: Recipe, store: Path, made_by: str) -> np.ndarray:
    pixels: list[np.ndarray] = []
    stamps: dict[str, Stamp | None] = {}
    reason = ""
    for name, image in sorted(here.items(), key=_drawn):
        stamp = _stamp(image.path)  # before the reading: of a file that changes meanwhile, it will not be the later one
        try:
            pixels.append(_picture(image.path, recipe, len(pixels)))
        except (ImageError, MemoryError) as error:
            reason = reason or f"; one of them, {image.path}: {error or 'does not fit into memory'}"
            continue
        stamps[name] = stamp
        if len(pixels) == MOST:
            break
    if here and not pixels:
        raise ImageError(f"int8 is calibrated on the images, and none of the {len(here):,} can be read{reason}")
    together = np.stack(pixels) if pixels else np.empty((0, recipe.side, recipe.side, 3), np.uint8)
    about = {"made_by": made_by, "pictures": stamps}
    with suppress(OSError):  # not kept, it is made again; a store that cannot be written tells so itself
        store.mkdir(parents=True, exist_ok=True)
        with replacing(store / FILES.replace("*", fingerprint_of(about))) as file:
            np.savez(file, pixels=together, about=np.array(json.dumps(about)))
    return together


def _drawn(named: tuple[str, ImageFile]) -> tuple[str, str]:
    """By this the images come in an order that is nobody's: the first ones are as good as drawn by lot."""
    return digest_bytes(os.fsencode(named[1].id)), named[0]


def _picture(path: ImagePath, recipe: Recipe, number: int) -> np.ndarray:
    views = np.zeros((recipe.n_views, recipe.side, recipe.side, 3), np.uint8)
    prepare(read_image(path, recipe.least), recipe, views)
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
