"""What can be chosen by name: backbones and preprocessing recipes, as plain data that needs no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How pixels become the network's input. Part of the fingerprint, so another value is another set of features.

    pad_crop: side of a centre crop before resizing; smaller pictures are padded with black.
    resize: the shorter side after resizing (bilinear, antialiased). crop: side of the centre crop after that.
    Then value / scale, minus mean, over std, channel by channel, in the order of `channels`.
    """

    channels: str
    resize: int
    crop: int
    pad_crop: int | None = None
    scale: float = 255.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Backbone:
    """A pretrained network: where it comes from, what its weights are, and what they were trained to see.

    bf16: whether bfloat16 keeps its features as they are, so that `precision: auto` may take it.
    """

    name: str
    source: str
    default_layer: str
    recipe: Recipe
    licence: str
    sha256: str
    file: str
    bf16: bool


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# As published with the stage task: OpenCV's BGR kept, no mean and std.
RECIPES = {
    "stage": Recipe(channels="bgr", pad_crop=512, resize=448, crop=448),
}

BACKBONES = {
    row.name: row
    for row in (
        Backbone(
            name="vgg16",
            source="torchvision",
            default_layer="fc6",
            recipe=Recipe(channels="rgb", resize=256, crop=224, mean=IMAGENET_MEAN, std=IMAGENET_STD),
            licence="BSD-3-Clause",
            file="vgg16-397923af.pth",
            sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
            bf16=True,
        ),
        Backbone(
            name="efficientnet_lite0",
            source="efficientnet_lite",
            default_layer="avgpool",
            recipe=Recipe(channels="rgb", resize=256, crop=224, scale=1.0, mean=(127.0,) * 3, std=(128.0,) * 3),
            licence="Apache-2.0",
            file="efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            bf16=False,  # cosine to fp32 down to 0.997 on photographs, enough to move images between clusters
        ),
    )
}

RECIPE_NAMES = (*RECIPES, "backbone")
