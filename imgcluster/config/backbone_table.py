"""The table of backbones, as plain data that needs no torch."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from imgcluster.config.recipe import Recipe

FORMULA = "imgcluster"  # the source of backbones without weights


@dataclass(frozen=True)
class Backbone:
    """A pretrained network, or a formula of imgcluster itself: source, weights and preprocessing.

    Attributes:
        default_layer: The input of the last classification layer.
        dim: Length of its vectors; None: known only after building the network.
        weights: The source's own id of the weights; empty if it offers none. Of a formula its version, which takes the
            place of a digest in fingerprints.
        sha256: Digest of the weights file, or as many of its first digits as the source publishes.
        bf16_from: Number of first convolutions that must stay in fp32 for `precision: auto` to use bfloat16 in the
            others. 0: none; None: unknown, or not worth it. Networks with BatchNorm need some: the smallest cosine of
            efficientnet_lite0 to fp32 on photographs is 0.971 with none and 0.999 with twelve.
    """

    name: str
    source: str
    default_layer: str
    dim: int | None
    recipe: Recipe
    weights: str
    file: str
    sha256: str
    megabytes: float | None
    licence: str
    bf16_from: int | None

    @property
    def has_weights(self) -> bool:
        """Whether it has weights; a formula has none, whatever `features.weights` is."""
        return self.source != FORMULA


def _read_table() -> dict[str, Backbone]:
    """Read backbones.csv, which tests/support/make_backbones.py writes."""
    text = Path(__file__).with_name("backbones.csv").read_text(encoding="utf-8")
    return {row["name"]: _backbone(row) for row in csv.DictReader(text.splitlines())}


def _backbone(row: dict[str, str]) -> Backbone:
    recipe = Recipe(
        steps=(("resize", int(row["resize"])), ("center_crop", int(row["crop"]))),
        scale=float(row["scale"]),
        mean=_three(row["mean"]),
        std=_three(row["std"]),
        interpolation=row["interpolation"],
    )
    return Backbone(
        name=row["name"],
        source=row["source"],
        default_layer=row["layer"],
        dim=int(row["dim"]),
        recipe=recipe,
        weights=row["weights"],
        file=row["file"],
        sha256=row["sha256"],
        megabytes=float(row["megabytes"]),
        licence=row["licence"],
        bf16_from=int(row["bf16_from"]) if row["bf16_from"] else None,
    )


def _three(text: str) -> tuple[float, float, float]:
    red, green, blue = map(float, text.split())
    return red, green, blue


BACKBONES = _read_table()


@dataclass(frozen=True)
class OldName:
    """The backbone an old name stands for, the vector's length, and the layer that was read (None: the default)."""

    backbone: str
    dim: int
    layer: str | None = None


# timm's with the tag of their weights: without it, another version may mean other ones.
OLD_NAMES = {
    "inception_v1": OldName("googlenet", 1024),
    "inception_v4": OldName("timm:inception_v4.tf_in1k", 1536),
    "inception_resnet_v2": OldName("timm:inception_resnet_v2.tf_in1k", 1536),
    "resnet_v1_50": OldName("resnet50", 2048),
    "resnet_v1_101": OldName("resnet101", 2048),
    "resnet_v1_152": OldName("resnet152", 2048),
    "resnet_v2_50": OldName("timm:resnetv2_50.a1h_in1k", 2048),
    "resnet_v2_101": OldName("timm:resnetv2_101.a1h_in1k", 2048),
    "resnet_v2_152": OldName("timm:resnetv2_152", 2048),  # timm has the network, and no weights for it
    "vgg_16": OldName("vgg16", 1000, "fc8"),
    "vgg_19": OldName("vgg19", 1000, "fc8"),
    "mobilenet_v1": OldName("timm:mobilenetv1_100.ra4_e3600_r224_in1k", 1024),
    "nasnet_large": OldName("timm:nasnetalarge.tf_in1k", 4032),
    "pnasnet_large": OldName("timm:pnasnet5large.tf_in1k", 4320),
}

REFUSED = {
    "inception_v2": "nobody offers its weights; the nearest are inception_v3 and inception_v1",
    "nasnet_mobile": "nobody offers its weights; the nearest are nasnet_large and mnasnet1_0",
}
