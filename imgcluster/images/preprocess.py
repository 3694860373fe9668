"""Preprocessing in uint8: crop and resize. The runtime scales the values."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from imgcluster.config import AS_SHOWN, Backbone, Reading, Recipe, named_recipe, recipe_of
from imgcluster.images.geometry import (
    CROPPING,
    CROPS,
    MIDDLE,
    MIRRORED_VIEWS,
    RESIZED_SIZES,
    WHOLE_VIEW,
    Place,
    crop_slices,
    is_very_long,
)
from imgcluster.images.resampling import resample

PILLOW_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
BLACK = (0, 0, 0)
IMAGES_WORTH_TORCH = 4_000
GPU_STEPS = (("resize", "center_crop"), ("squash",))

Box = tuple[float, float, float, float]  # left, top, right, bottom


def find_recipe(
    preprocess: str | tuple[Any, ...], backbone: Backbone, views: str = "center", reading: Reading = AS_SHOWN
) -> Recipe:
    """Return the recipe a config names or spells out; `backbone` is what its weights were trained with."""
    make = named_recipe if isinstance(preprocess, str) else recipe_of
    return replace(make(preprocess, backbone.recipe), views=views, reading=reading)  # type: ignore[arg-type]


def resizes_here(recipe: Recipe) -> bool:
    """Tell whether the GPU of a network resizes its pictures; those of other recipes are prepared on the CPU."""
    by_torch = recipe.resampling == "torch" and recipe.views != WHOLE_VIEW
    return by_torch and tuple(name for name, _ in recipe.steps) in GPU_STEPS


def ready_to_prepare(count: int, recipe: Recipe) -> None:
    """Load torch where it resizes so many images sooner than it takes to load, which saves 0.4 ms or more of each."""
    if recipe.resampling == "torch" and count >= IMAGES_WORTH_TORCH:
        import torch.nn.functional  # noqa: F401 (its being there decides how images are resized)


def prepare(image: np.ndarray, recipe: Recipe, out: np.ndarray) -> None:
    """Crop and resize an RGB uint8 picture (height, width, 3) into `out`, (n_views, side, side, 3) uint8.

    The resizing has antialias, as in the recipes' publications: OpenCV's has none, which makes other pixels and so
    other features.
    """
    order = slice(None, None, -1 if recipe.channels == "bgr" else 1)
    places = CROPS[recipe.views]
    for view, crop in zip(out, _crops(image, recipe, places), strict=False):
        view[:] = crop[..., order]
    if recipe.views in MIRRORED_VIEWS:
        out[len(places) :] = out[: len(places), :, ::-1]
    if recipe.views == WHOLE_VIEW:
        out[-1] = _step(image, "squash", recipe.side, recipe)[..., order]


def _crops(image: np.ndarray, recipe: Recipe, places: tuple[Place, ...]) -> Iterator[np.ndarray]:
    """Go through the steps; yield what the last one makes at each place."""
    *steps, last = recipe.steps
    # A resize and the crop behind it go together, so that what is cut off need not be computed.
    resize = steps.pop()[1] if last[0] == "center_crop" and steps and steps[-1][0] == "resize" else None
    for name, side in steps:
        image = _step(image, name, side, recipe)
    for place in places:
        yield (
            _step(image, *last, recipe, place)
            if resize is None
            else _resize_and_crop(image, resize, last[1], recipe, place)
        )


def _step(image: np.ndarray, name: str, side: int, recipe: Recipe, place: Place = MIDDLE) -> np.ndarray:
    image = _resized(image, RESIZED_SIZES[name](side, *image.shape[:2]), recipe)
    if name not in CROPPING:
        return image
    return crop_at(image, side, place, _mean_colour(recipe) if name == "letterbox" else BLACK)


def _mean_colour(recipe: Recipe) -> tuple[int, ...]:
    """Return the RGB that becomes 0 in the network's input."""
    colour = tuple(round(recipe.scale * value) for value in recipe.mean)
    return colour[::-1] if recipe.channels == "bgr" else colour


def crop_at(image: np.ndarray, side: int, place: Place = MIDDLE, padding: tuple[int, ...] = BLACK) -> np.ndarray:
    """Cut (side, side) out of a picture, at (0, 0) the top left, at (1, 1) the bottom right; a small one is padded."""
    (rows, down), (columns, across) = (
        crop_slices(size, side, share) for size, share in zip(image.shape[:2], place, strict=True)
    )
    cut = image[rows, columns]
    if cut.shape[:2] == (side, side):
        return cut
    out = np.empty((side, side, 3), np.uint8)
    out[:] = padding
    out[down, across] = cut
    return out


def _resize_and_crop(image: np.ndarray, resize: int, crop: int, recipe: Recipe, place: Place) -> np.ndarray:
    """Resize the shorter side to `resize`, then cut out (crop, crop) as `crop_at` does.

    Of a very long picture, only the pixels that are kept are computed: one of 20,000 x 20 costs no more than another.
    Those may differ by 1 of 255 from what resizing the whole picture gives, which rounds after another pass first.
    """
    height, width = image.shape[:2]
    new_height, new_width = RESIZED_SIZES["resize"](resize, height, width)
    rows, columns = crop_slices(new_height, crop, place[0])[0], crop_slices(new_width, crop, place[1])[0]
    if not is_very_long(height, width):
        return crop_at(_resized(image, (new_height, new_width), recipe, (rows, columns)), crop, place)
    down, across = height / new_height, width / new_width
    box = (
        columns.start * across,
        rows.start * down,
        min(width, columns.stop * across),
        min(height, rows.stop * down),
    )
    size = rows.stop - rows.start, columns.stop - columns.start
    return crop_at(_part_by_pillow(image, size, recipe.interpolation, box), crop, place)


def _resized(
    image: np.ndarray, size: tuple[int, int], recipe: Recipe, window: tuple[slice, slice] = (slice(None), slice(None))
) -> np.ndarray:
    """Resize a picture to a size, (height, width), and return the rows and columns of a window of it."""
    if image.shape[:2] == size:
        return image[window]
    if recipe.resampling == "pillow":
        return _by_pillow(image, size, recipe.interpolation)[window]
    if "torch" in sys.modules:
        return _by_torch(image, size, recipe.interpolation)[window]
    return resample(image, size, recipe.interpolation, window)


def _by_torch(image: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """Resize as `resample` does, to the same bits, more quickly once torch is loaded."""
    from torch import from_numpy
    from torch.nn.functional import interpolate

    ours = np.ascontiguousarray(image)
    if not ours.flags.writeable:  # torch would warn
        ours = ours.copy()
    values = from_numpy(ours).permute(2, 0, 1)[None]  # a view: the layout that torch resizes fastest
    resized = interpolate(values, size, mode=interpolation, antialias=True)
    return np.asarray(resized[0].permute(1, 2, 0).numpy())


def _by_pillow(image: np.ndarray, size: tuple[int, int], interpolation: str, box: Box | None = None) -> np.ndarray:
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize(size[::-1], PILLOW_FILTERS[interpolation], box=box))


def _part_by_pillow(image: np.ndarray, size: tuple[int, int], interpolation: str, box: Box) -> np.ndarray:
    """Resize a box of a picture to a size, (height, width): its longer side first.

    In two calls: with which side one call begins, and so what it rounds in between, depends on Pillow's version.
    """
    (height, width), (rows, columns), (left, top, right, bottom) = size, image.shape[:2], box
    if rows > columns:
        tall = _by_pillow(image, (height, columns), interpolation, (0.0, top, columns, bottom))
        return _by_pillow(tall, size, interpolation, (left, 0.0, right, height))
    wide = _by_pillow(image, (rows, width), interpolation, (left, 0.0, right, rows))
    return _by_pillow(wide, size, interpolation, (0.0, top, width, bottom))
