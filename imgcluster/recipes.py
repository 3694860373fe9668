"""How pixels become a network's input: recipes by name, as plain data that needs no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How pixels become the network's input. Part of the fingerprint, so another value is another set of features.

    pad_crop: side of a centre crop before resizing; smaller pictures are padded with black.
    resize: the shorter side after resizing (antialiased). crop: side of the centre crop after that.
    interpolation: bilinear or bicubic.
    Then value / scale, minus mean, over std, channel by channel, in the order of `channels`.
    """

    channels: str
    resize: int
    crop: int
    pad_crop: int | None = None
    scale: float = 255.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    interpolation: str = "bilinear"


# As published with the stage task: OpenCV's BGR kept, no mean and std.
RECIPES = {
    "stage": Recipe(channels="bgr", pad_crop=512, resize=448, crop=448),
}

RECIPE_NAMES = (*RECIPES, "backbone")
