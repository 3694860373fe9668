"""The backbones that can be chosen by name, as plain data that needs no torch."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from imgcluster.errors import ConfigError
from imgcluster.recipes import IMAGENET_MEAN, IMAGENET_STD, Recipe


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


def find_backbone(name: str) -> Backbone:
    """Return the row of a backbone. Raises ConfigError with the nearest names."""
    if name in BACKBONES:
        return BACKBONES[name]
    near = difflib.get_close_matches(name, BACKBONES, n=3) or sorted(BACKBONES)
    raise ConfigError(f"there is no backbone {name!r}; near it: {', '.join(near)}")
