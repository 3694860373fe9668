"""Preprocessing in uint8: crop and resize. The runtime scales the values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from imgcluster.config import Backbone, Recipe, named_recipe, recipe_of

VERY_LONG = 4  # times the shorter side
PILLOWS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
MIDDLE = (0.5, 0.5)
# Where a crop stands, as shares of the room above and to the left of it.
CROPS = {
    "center": (MIDDLE,),
    "flip": (MIDDLE,),
    "whole": (MIDDLE,),
    "five_crops": ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), MIDDLE),
    "ten_crops": ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), MIDDLE),
}
MIRRORED = ("flip", "ten_crops")
WHOLE = "whole"


def find_recipe(preprocess: str | tuple[Any, ...], backbone: Backbone, views: str = "center") -> Recipe:
    """Return the recipe a config names or spells out; `backbone` is what its weights were trained with."""
    make = named_recipe if isinstance(preprocess, str) else recipe_of
    return replace(make(preprocess, backbone.recipe), views=views)  # type: ignore[arg-type]


def prepare(image: np.ndarray, recipe: Recipe, out: np.ndarray) -> None:
    """Crop and resize an RGB uint8 picture (height, width, 3) into `out`, (n_views, side, side, 3) uint8.

    The resizing has antialias, as in the recipes' publications: OpenCV's has none, which makes other pixels and so
    other features.
    """
    crops = CROPS[recipe.views]
    for view, crop in zip(out, _crops(image, recipe, crops), strict=False):
        view[:] = crop[..., ::-1] if recipe.channels == "bgr" else crop
    if recipe.views in MIRRORED:
        out[len(crops) :] = out[: len(crops), :, ::-1]
    if recipe.views == WHOLE:
        whole = _squash(image, recipe.side, recipe)
        out[-1] = whole[..., ::-1] if recipe.channels == "bgr" else whole


def _crops(image: np.ndarray, recipe: Recipe, places: tuple[tuple[float, float], ...]) -> Iterator[np.ndarray]:
    """Go through the steps; a crop at the end is taken at each place."""
    *steps, (last, pixels) = recipe.steps
    if last != "center_crop":
        steps, pixels = list(recipe.steps), recipe.side
    resize = 0
    if steps and steps[-1][0] == "resize":  # together with the crop, so that what is cut off need not be computed
        resize = steps.pop()[1]
    for name, size in steps:
        image = GEOMETRY[name](image, size, recipe)
    for place in places:
        yield resize_and_crop(image, resize, pixels, recipe, place) if resize else crop_at(image, pixels, place)


def center_crop(image: np.ndarray, side: int) -> np.ndarray:
    """Cut the middle (side, side) out of a picture; where it is smaller it is padded with black."""
    return crop_at(image, side, MIDDLE)


def crop_at(image: np.ndarray, side: int, place: tuple[float, float]) -> np.ndarray:
    """Cut (side, side) out of a picture: at (0, 0) the top left, at (1, 1) the bottom right. Pads with black.

    Rounds as torchvision's CenterCrop does: of an odd padding the left and the top get the smaller half.
    """
    height, width = image.shape[:2]
    before = [max(0, (side - size) // 2) for size in (height, width)]
    after = [max(0, (side - size + 1) // 2) for size in (height, width)]
    if any(before) or any(after):
        image = np.pad(image, ((before[0], after[0]), (before[1], after[1]), (0, 0)))
    top, left = (crop_start(size, side, share) for size, share in zip(image.shape[:2], place, strict=True))
    return image[top : top + side, left : left + side]


def resize_and_crop(
    image: np.ndarray,
    resize: int,
    crop: int,
    recipe: Recipe,
    place: tuple[float, float] = MIDDLE,
) -> np.ndarray:
    """Resize the shorter side to `resize`, then cut out (crop, crop) as `crop_at` does.

    Of a very long picture, only the pixels that are kept are computed: one of 20,000 x 20 costs no more than another.
    Those may differ by 1 of 255 from what resizing the whole picture gives, which rounds after another pass first.
    """
    height, width = image.shape[:2]
    short, long = sorted((height, width))
    new_height, new_width = shorter_side_to(resize, height, width)
    if long <= VERY_LONG * short:
        return crop_at(_resized(image, (new_width, new_height), recipe), crop, place)
    window = min(crop, new_height), min(crop, new_width)  # what there is of it: the rest is padded
    top, left = crop_start(new_height, window[0], place[0]), crop_start(new_width, window[1], place[1])
    down, across = height / new_height, width / new_width
    box = (left * across, top * down, min(width, (left + window[1]) * across), min(height, (top + window[0]) * down))
    return crop_at(_part_by_pillow(image, window, recipe.interpolation, box), crop, place)


def shorter_side_to(side: int, height: int, width: int) -> tuple[int, int]:
    """Return the height and width of a picture whose shorter side is resized to `side`."""
    short = min(height, width)
    new_height, new_width = (side if size == short else int(side * size / short) for size in (height, width))
    return new_height, new_width


def crop_start(size: int, side: int, share: float) -> int:
    """Return where a crop of `side` begins, `share` of the room being before it."""
    return round((size - side) * share)


def _resize(image: np.ndarray, side: int, recipe: Recipe) -> np.ndarray:
    new_height, new_width = shorter_side_to(side, *image.shape[:2])
    return _resized(image, (new_width, new_height), recipe)


def _squash(image: np.ndarray, side: int, recipe: Recipe) -> np.ndarray:
    return _resized(image, (side, side), recipe)


def _letterbox(image: np.ndarray, side: int, recipe: Recipe) -> np.ndarray:
    """Fit the whole picture into the square; the borders have the mean, which the network sees as nothing."""
    height, width = image.shape[:2]
    long = max(height, width)
    new_height, new_width = (max(1, round(side * size / long)) for size in (height, width))
    top, left = (side - new_height) // 2, (side - new_width) // 2
    fill = [round(recipe.scale * value) for value in recipe.mean]
    out = np.empty((side, side, 3), np.uint8)
    out[:] = fill[::-1] if recipe.channels == "bgr" else fill
    out[top : top + new_height, left : left + new_width] = _resized(image, (new_width, new_height), recipe)
    return out


def _cropped(image: np.ndarray, side: int, recipe: Recipe) -> np.ndarray:
    return center_crop(image, side)


GEOMETRY: dict[str, Callable[[np.ndarray, int, Recipe], np.ndarray]] = {
    "resize": _resize,
    "squash": _squash,
    "letterbox": _letterbox,
    "center_crop": _cropped,
}


def _resized(image: np.ndarray, size: tuple[int, int], recipe: Recipe) -> np.ndarray:
    return RESAMPLINGS[recipe.resampling](image, size, recipe.interpolation)


def _by_torch(image: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    from torch import from_numpy
    from torch.nn.functional import interpolate

    if image.shape[1::-1] == size:
        return image
    ours = np.ascontiguousarray(image)
    if not ours.flags.writeable:  # of which torch would warn
        ours = ours.copy()
    values = from_numpy(ours).permute(2, 0, 1)[None]  # a view: what torch does quickest
    resized = interpolate(values, size[::-1], mode=interpolation, antialias=True)
    return np.asarray(resized[0].permute(1, 2, 0).numpy())


def _by_pillow(
    image: np.ndarray, size: tuple[int, int], interpolation: str, box: tuple[float, float, float, float] | None = None
) -> np.ndarray:
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize(size, PILLOWS[interpolation], box=box))


def _part_by_pillow(
    image: np.ndarray, window: tuple[int, int], interpolation: str, box: tuple[float, float, float, float]
) -> np.ndarray:
    """Resize a box of a picture, (left, top, right, bottom), to a window, (height, width): its longer side first.

    In two calls: with which side one call begins, and so what it rounds in between, depends on Pillow's version.
    """
    (height, width), (rows, columns), (left, top, right, bottom) = window, image.shape[:2], box
    if rows > columns:
        tall = _by_pillow(image, (columns, height), interpolation, (0.0, top, columns, bottom))
        return _by_pillow(tall, (width, height), interpolation, (left, 0.0, right, height))
    wide = _by_pillow(image, (width, rows), interpolation, (left, 0.0, right, rows))
    return _by_pillow(wide, (width, height), interpolation, (0.0, top, width, bottom))


RESAMPLINGS: dict[str, Callable[[np.ndarray, tuple[int, int], str], np.ndarray]] = {
    "torch": _by_torch,
    "pillow": _by_pillow,
}
