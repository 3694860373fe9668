"""Convert arrays, tensors and PIL images to (height, width, 3) RGB uint8."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageOps

from imgcluster.errors import ImageError
from imgcluster.images.color import from_lab
from imgcluster.images.rendering import render
from imgcluster.images.stored import Alpha, Stored

CHANNELS = (1, 3, 4)
DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")  # one channel of more than eight bits


def to_rgb(picture: Any) -> np.ndarray:
    """Return a picture as (height, width, 3) RGB uint8, by the rules that files are read by.

    picture: a PIL image; an array (height, width[, 1, 3 or 4]), RGB or RGBA; a tensor ([1, 3 or 4, ]height, width).
    Integers are uint8 or uint16, floats and booleans from 0 to 1. Raises ImageError.
    """
    if isinstance(picture, Image.Image):
        return _of_pillow(picture)
    if hasattr(picture, "detach"):  # a tensor; torch itself is not needed for it
        return _of_array(np.moveaxis(_of_tensor(picture), 0, -1))
    if isinstance(picture, np.ndarray):
        return _of_array(picture)
    raise ImageError(f"a {type(picture).__name__} is not a picture; allowed: a path, a PIL image, an array or a tensor")


def _of_pillow(picture: Image.Image) -> np.ndarray:
    try:
        picture = ImageOps.exif_transpose(picture)
    except OSError as error:  # Pillow reads the pixels only now
        raise ImageError(f"cannot be decoded: {error}") from None
    icc = picture.info.get("icc_profile")
    if picture.mode in DEEP_MODES:
        values = np.asarray(picture)
        deep = picture.mode.startswith("I;16") or (
            values.min() >= 0 and values.max() < 2**16 and values.dtype.kind == "i"
        )
        return render(Stored(values.astype(np.uint16) if deep else values, icc=icc))[0]
    if picture.has_transparency_data:
        return render(Stored(np.asarray(picture.convert("RGBA")), Alpha.STRAIGHT, icc=icc))[0]
    if picture.mode == "CMYK" and icc:
        return render(Stored(np.asarray(picture), icc=icc, inks=True))[0]
    shown = from_lab(picture) if picture.mode == "LAB" else picture
    return render(Stored(np.asarray(shown if shown.mode == "L" else shown.convert("RGB")), icc=icc))[0]


def _of_tensor(picture: Any) -> np.ndarray:
    values = picture.detach().cpu()
    values = np.asarray((values.float() if values.is_floating_point() else values).numpy())
    return values if values.ndim == 3 else values[None]


def _of_array(values: np.ndarray) -> np.ndarray:
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.shape[-1] not in CHANNELS or not values.size:
        raise ImageError(f"the shape {values.shape} is none of a picture: (height, width), or with 1, 3 or 4 channels")
    return render(Stored(_integers(values), Alpha.STRAIGHT if values.shape[-1] == 4 else Alpha.NONE))[0]


def _integers(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "bf":
        if not (values.min() >= 0 and values.max() <= 1):  # NaN is neither
            raise ImageError(f"floats are taken from 0 to 1, and these go from {values.min():g} to {values.max():g}")
        return np.asarray((values.astype(np.float32) * 255).round(), dtype=np.uint8)
    if values.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"{values.dtype} is not a format of pictures; allowed: uint8, uint16, or floats from 0 to 1")
    return values
