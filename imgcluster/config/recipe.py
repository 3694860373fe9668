"""Preprocessing recipes by name, as plain data that needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from imgcluster.config.reading import AS_SHOWN, Reading

Three = tuple[float, float, float]
Steps = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Recipe:
    """How pixels become the network's input. Part of the fingerprint, so another value is another set of features.

    steps: (name, pixels), in order, each one of STEPS; they end in a square. interpolation: bilinear or bicubic.
    Then value / scale, minus mean, over std, channel by channel, in the order of `channels`, rgb or bgr.
    resampling: whose rounding resized pixels have, torch's or pillow's, both with antialias; torch's is faster, and its
    pixels differ from Pillow's by 1 of 255 at most (bicubic: 2).
    views: what of a picture is seen, of which the features are averaged: one of VIEWS.
    reading: how a file becomes the picture.
    """

    steps: Steps
    channels: str = "rgb"
    scale: float = 255.0
    mean: Three = (0.0, 0.0, 0.0)
    std: Three = (1.0, 1.0, 1.0)
    interpolation: str = "bilinear"
    resampling: str = "torch"
    views: str = "center"
    reading: Reading = AS_SHOWN

    def as_data(self) -> dict[str, Any]:
        """Return plain data for fingerprints; of the reading what differs from the defaults, if anything."""
        data = {key: value for key, value in asdict(self).items() if key != "reading"}
        changes = self.reading.changes()
        return {**data, "reading": changes} if changes else data

    @property
    def side(self) -> int:
        """Return the side of the square that the network sees. Raises ValueError where the steps end in none."""
        return side_of(self.steps)

    @property
    def least(self) -> int | None:
        """Return how many pixels of a picture's shorter side are plenty; None: all it has are wanted.

        Twice as many as are left after resizing: then what resizing averages was averaged before to nearly the same.
        """
        name, pixels = self.steps[0]
        return PLENTY * pixels if name in ("resize", "squash") else None

    @property
    def n_views(self) -> int:
        """Return how many pictures the network sees of one."""
        return VIEWS[self.views]


PLENTY = 2

# resize: the shorter side, in its shape. squash: both sides. letterbox: the longer side, the rest filled with the mean.
# center_crop: the middle; where a picture is smaller, it is padded with black.
STEPS = ("resize", "squash", "letterbox", "center_crop")
CHANNELS = ("rgb", "bgr")
INTERPOLATIONS = ("bilinear", "bicubic")
RESAMPLINGS = ("torch", "pillow")

# Of the last center_crop: the middle; it and its mirror image; the corners and the middle; these and their mirrors
# (Krizhevsky, Sutskever & Hinton 2012, "ImageNet Classification with Deep CNNs", section 4.1).
VIEWS = {"center": 1, "flip": 2, "whole": 2, "five_crops": 5, "ten_crops": 10}
CROPPED_VIEWS = ("whole", "five_crops", "ten_crops")

# The mean and std of values from 0 to 1, by the names under which networks are published.
NORMALIZATIONS: dict[str, tuple[Three, Three]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "inception": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}

# As published with the stage task, to the bit: OpenCV's BGR kept, Pillow's resizing, no mean and std.
STAGE = Recipe((("center_crop", 512), ("resize", 448)), channels="bgr", resampling="pillow")

RECIPE_NAMES = ("stage", "backbone", "squash", "letterbox")


def named_recipe(name: str, backbone: Recipe) -> Recipe:
    """Return the recipe of a name, for a network whose weights were trained with the recipe `backbone`.

    squash and letterbox keep its side, values and channels, and show the whole picture: out of shape, or with borders.
    """
    fixed = {"stage": STAGE, "backbone": backbone}
    return fixed.get(name) or replace(backbone, steps=((name, backbone.side),))


def recipe_of(steps: Sequence[Any], backbone: Recipe) -> Recipe:
    """Return the recipe that a config's list of steps makes: `[{resize: 256}, {center_crop: 224}, rgb]`.

    The geometry goes in the order written; words and `normalize` may stand anywhere, each once. Without `normalize`
    the values are from 0 to 1; `normalize: backbone` is what `backbone` has. Raises ValueError in words.
    """
    words = [step for step in steps if isinstance(step, str)]
    pairs = [pair for step in steps if isinstance(step, Mapping) for pair in step.items()]
    recipe = Recipe(
        steps=tuple((name, pixels) for name, pixels in pairs if name in STEPS),
        channels=_only(words, CHANNELS),
        interpolation=_only(words, INTERPOLATIONS),
    )
    given = [value for name, value in pairs if name == "normalize"]
    if len(given) > 1:
        raise ValueError("normalize stands in it twice")
    scale, mean, std = _normalization(given[0], backbone) if given else (255.0, recipe.mean, recipe.std)
    recipe = replace(recipe, scale=scale, mean=mean, std=std)
    side_of(recipe.steps)  # raises where they end in no square
    return recipe


def side_of(steps: Steps) -> int:
    """Return the side of the square that steps end in. Raises ValueError where they end in none."""
    side: int | None = None
    for name, pixels in steps:
        side = pixels if name != "resize" or side is not None else None
    if side is None:
        raise ValueError("the pictures keep their shapes; end with center_crop, or use squash or letterbox")
    return side


def check_views(recipe: Recipe) -> None:
    """Raise ValueError where a recipe has no crops to be seen elsewhere than in the middle."""
    if recipe.views in CROPPED_VIEWS and recipe.steps[-1][0] != "center_crop":
        raise ValueError(f"{recipe.views} needs a recipe that ends with center_crop, not {recipe.steps[-1][0]}")


def _only(words: Sequence[str], choices: tuple[str, ...]) -> str:
    """Return which of the choices is among the words; the first one where none is."""
    found = [word for word in words if word in choices]
    if len(found) > 1:
        raise ValueError(f"{' and '.join(found)} stand in it both" if len(set(found)) > 1 else f"{found[0]} twice")
    return found[0] if found else choices[0]


def _normalization(value: Any, backbone: Recipe) -> tuple[float, Three, Three]:
    if value == "backbone":
        return backbone.scale, backbone.mean, backbone.std
    if isinstance(value, str):
        return (255.0, *NORMALIZATIONS[value])
    return 255.0, tuple(value["mean"]), tuple(value["std"])
