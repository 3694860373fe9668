"""From a picture to the network's input: crop and resize, in uint8. The values are scaled where the network runs."""

from __future__ import annotations

import numpy as np
from PIL import Image

from imgcluster.catalog import Backbone
from imgcluster.recipes import RECIPES, Recipe

VERY_LONG = 4  # times the shorter side
INTERPOLATIONS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def find_recipe(name: str, backbone: Backbone) -> Recipe:
    """Return the recipe a config names; `backbone` is what its weights were trained with."""
    return backbone.recipe if name == "backbone" else RECIPES[name]


def prepare(image: np.ndarray, recipe: Recipe, out: np.ndarray) -> None:
    """Crop and resize an RGB uint8 picture (height, width, 3) into `out`, (crop, crop, 3) uint8.

    The resizing is Pillow's, with antialias, as in the recipes' publications: OpenCV's has no antialias,
    which makes other pixels and so other features.
    """
    if recipe.pad_crop is not None:
        image = center_crop(image, recipe.pad_crop)
    resized = resize_and_crop(image, recipe.resize, recipe.crop, INTERPOLATIONS[recipe.interpolation])
    out[:] = resized[..., ::-1] if recipe.channels == "bgr" else resized


def center_crop(image: np.ndarray, side: int) -> np.ndarray:
    """Cut the middle (side, side) out of a picture; where it is smaller it is padded with black.

    Rounds as torchvision's CenterCrop does: of an odd padding the left and the top get the smaller half.
    """
    height, width = image.shape[:2]
    before = [max(0, (side - size) // 2) for size in (height, width)]
    after = [max(0, (side - size + 1) // 2) for size in (height, width)]
    if any(before) or any(after):
        image = np.pad(image, ((before[0], after[0]), (before[1], after[1]), (0, 0)))
    top, left = (_crop_start(size, side) for size in image.shape[:2])
    return image[top : top + side, left : left + side]


def resize_and_crop(
    image: np.ndarray, resize: int, crop: int, interpolation: Image.Resampling = Image.Resampling.BILINEAR
) -> np.ndarray:
    """Resize the shorter side to `resize`, then cut out the middle (crop, crop).

    Of a very long picture, only the pixels that are kept are computed: one of 20,000 x 20 costs no more than another.
    Pillow may then resize first the one way, then the other, in another order, and round in between to other values.
    """
    height, width = image.shape[:2]
    short, long = sorted((height, width))
    new_height, new_width = (resize if size == short else int(resize * size / short) for size in (height, width))
    picture = Image.fromarray(np.ascontiguousarray(image))
    if long <= VERY_LONG * short:
        return center_crop(np.asarray(picture.resize((new_width, new_height), interpolation)), crop)
    top, left = _crop_start(new_height, crop), _crop_start(new_width, crop)
    down, across = height / new_height, width / new_width
    box = (left * across, top * down, min(width, (left + crop) * across), min(height, (top + crop) * down))
    return np.asarray(picture.resize((crop, crop), interpolation, box=box))


def _crop_start(size: int, side: int) -> int:
    return round((size - side) / 2)
