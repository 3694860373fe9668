"""Check that decoding and resizing give the same pixels here as with the versions of this release.

A few pictures, encoded once and kept in pixel_check.json (tests/support/make_pixel_check.py writes it), are decoded and
resized by what is installed. A part that gives the pixels of the reference is not mentioned in a fingerprint; any
other is, with its digest. So versions of OpenCV and Pillow that give the same pixels share a store of features, and
others have stores of their own.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from zlib import decompress

import numpy as np

from imgcluster.config import Recipe, Steps
from imgcluster.errors import ImageError
from imgcluster.images.decode import RULES, decode_image
from imgcluster.images.geometry import WHOLE_VIEW
from imgcluster.images.preprocess import prepare
from imgcluster.utils import file_sha256, installed, machine, remembered

TABLE = Path(__file__).with_name("pixel_check.json")
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
PACKAGES = ("imgcluster", "numpy", "pillow", *OPENCV)  # that read and resize
FORMATS = ("jpeg", "png", "gif", "webp", "tiff", "bmp", "pnm", "jp2")
REDUCED = "jpeg, reduced"
ENOUGH = (8, 4, 2)  # pixels of the shorter side: a JPEG then comes at a half, a quarter, an eighth of its size
IN_SHAPE, SQUASHED, LONG = "in shape", "squashed", "long"
# What is resized in each way: the steps, and the height and width of the picture. It becomes smaller, larger, or the
# one side does and the other does not.
WAYS: dict[str, tuple[tuple[Steps, tuple[int, int]], ...]] = {
    IN_SHAPE: (
        ((("resize", 17), ("center_crop", 17)), (41, 31)),
        ((("resize", 50), ("center_crop", 50)), (31, 41)),
    ),
    SQUASHED: (((("squash", 24),), (53, 37)), ((("squash", 32),), (20, 61)), ((("squash", 32),), (61, 20))),
    LONG: (
        ((("resize", 11), ("center_crop", 11)), (14, 97)),
        ((("resize", 29), ("center_crop", 29)), (97, 14)),
    ),
}
WAYS_OF_STEPS = {
    "resize": (IN_SHAPE, LONG),
    "letterbox": (IN_SHAPE,),
    "squash": (SQUASHED,),
    "center_crop": (),
    WHOLE_VIEW: (SQUASHED,),
}


def differences(recipe: Recipe) -> dict[str, str]:
    """Return a digest of each part that differs from the reference, by its name; of parts this recipe can meet.

    A picture that is not read here, or was not by the reference, makes no difference: it has no vector to be taken for
    another. What an earlier process found with the same versions on the same machine is not looked at again.
    """
    parts, versions = parts_of(recipe), {package: installed(package) for package in PACKAGES}
    about = ["pixels", RULES, parts, versions, file_sha256(TABLE), machine()]
    return remembered(about, lambda: _differences(parts))


def _differences(parts: list[str]) -> dict[str, str]:
    reference = _table()["reference"]
    return {part: digest for part in parts if (digest := _digest_of_changes(part, reference)) is not None}


def parts_of(recipe: Recipe) -> list[str]:
    """Return the names of what a recipe's pictures can meet: every format of files, and its own ways of resizing."""
    steps = [name for name, _ in recipe.steps] + ([WHOLE_VIEW] if recipe.views == WHOLE_VIEW else [])
    ways = {way for step in steps for way in WAYS_OF_STEPS[step]}
    reduced = [] if recipe.least is None else [REDUCED]
    return [*FORMATS, *reduced, *(resizing(way, recipe) for way in WAYS if way in ways)]


@cache
def digests_of(part: str) -> dict[str, str | None]:
    """Return the digest of each picture that a part of reading or resizing gives here; None: it is not read."""
    way, _, by = part.partition(", ")
    pictures = _resized(way, *by.split()) if way in WAYS else _decoded(way, reduced=part == REDUCED)
    return {f"{part}: {name}": None if pixels is None else _digest(pixels) for name, pixels in pictures}


def _digest_of_changes(part: str, reference: dict[str, str | None]) -> str | None:
    here = {name: digest for name, digest in digests_of(part).items() if None not in (digest, reference[name])}
    changed = {name: digest for name, digest in here.items() if digest != reference[name]}
    return _digest(np.frombuffer(json.dumps(changed).encode(), np.uint8)) if changed else None


def _digest(pixels: np.ndarray) -> str:
    data = repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def resizing(way: str, recipe: Recipe) -> str:
    """Return the name of a way of resizing by a recipe's library and interpolation."""
    # Of a very long picture the part that is kept is resized by Pillow, whatever resizes the others.
    return f"{way}, {'pillow' if way == LONG else recipe.resampling} {recipe.interpolation}"


def _resized(way: str, resampling: str, interpolation: str) -> Iterator[tuple[str, np.ndarray]]:
    for steps, (height, width) in WAYS[way]:
        recipe = Recipe(steps, interpolation=interpolation, resampling=resampling)
        out = np.empty((1, recipe.side, recipe.side, 3), np.uint8)
        prepare(picture(height, width), recipe, out)
        yield f"{height} x {width} to {recipe.side}", out


def _decoded(format: str, *, reduced: bool) -> Iterator[tuple[str, np.ndarray | None]]:
    for name, data in _table()["files"].items():
        if name.startswith(f"{format}: "):
            for least in ENOUGH if reduced else (None,):
                rest = name.removeprefix(f"{format}: ")
                yield f"{rest}, {least}" if least else rest, _decoded_or_none(decompress(b64decode(data)), least)


def _decoded_or_none(data: bytes, least: int | None) -> np.ndarray | None:
    try:
        return decode_image(data, least)
    except ImageError:
        return None


def picture(height: int, width: int) -> np.ndarray:
    """Return (height, width, 3) uint8 in which all neighbours differ, so that every way of resizing leaves a trace."""
    rows, columns, channels = np.ogrid[:height, :width, :3]
    values = (rows * rows * 3 + columns * columns * 5 + rows * columns * 7 ^ rows * 31) + 85 * channels
    return np.asarray(values % 256, np.uint8)


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(TABLE.read_bytes())
    return table
