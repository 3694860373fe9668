"""The backbones that can be chosen by name, as plain data that needs no torch."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from imgcluster.config.recipe import Recipe


@dataclass(frozen=True)
class Backbone:
    """A pretrained network: where it comes from, what its weights are, and what they were trained to see.

    default_layer: what feeds the last classification layer. dim: its length; None: only building the network tells.
    weights: the source's own id of the weights, empty where it offers none. sha256: of their file, or as many of its
    first digits as the source publishes.
    bf16_from: how many of its convolutions must keep fp32, from the first one on, so that bfloat16 in the others leaves
    its features as they are and `precision: auto` may take it. 0: none; None: not known, or more than it is worth.
    With BatchNorm the first ones do: efficientnet_lite0's smallest cosine to fp32 on photographs is 0.971 with none of
    them in fp32 and 0.999 with twelve.
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
