"""Which network a run really gets: the one asked for, or, loudly, its fallback."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

from imgcluster.backbones.find import find_backbone
from imgcluster.backbones.layers import check_layers
from imgcluster.catalog import BACKBONES, Backbone
from imgcluster.config import FeaturesConfig
from imgcluster.errors import WeightsUnavailable
from imgcluster.preprocess import find_recipe
from imgcluster.recipes import Recipe
from imgcluster.weights import Weights, find_weights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """A backbone, its layers, their pooling, weights and input; `fallback`: why it is not the one asked for."""

    backbone: Backbone
    layers: tuple[str | int, ...]
    pooling: str
    recipe: Recipe
    weights: Weights
    fallback: dict[str, str] | None = None

    def shaped_by(self) -> list[dict[str, Any]]:
        """What of this choice shapes the features, as plain data for the fingerprint: one for each layer."""
        common = {
            "backbone": self.backbone.name,
            "weights": self.weights.sha256,
            "preprocess": asdict(self.recipe),
            "pooling": self.pooling,
        }
        return [{**common, "layer": str(layer)} for layer in self.layers]


def choose_backbone(config: FeaturesConfig, *, progress: bool = True) -> Choice:
    """Find the weights of the backbone a config asks for; where they cannot be had, take the fallback and say so.

    Only unavailability leads to the fallback: weights that are there and do not fit are an error. The fallback is
    read at its own default layer and sees pictures as its own weights were trained to.
    Raises ConfigError where there is no such layer, WeightsError, and WeightsUnavailable where there is no fallback.
    """
    backbone = find_backbone(config.backbone)
    layers = config.layers or (backbone.default_layer,)
    check_layers(backbone, layers)  # before half a gigabyte is downloaded
    try:
        weights = find_weights(backbone, config.weights, progress=progress)
    except WeightsUnavailable as error:
        if config.fallback is None or config.fallback == backbone.name:
            raise
        return _fall_back(backbone, BACKBONES[config.fallback], str(error), progress)
    recipe = find_recipe(config.preprocess, backbone)
    return Choice(backbone, layers, config.pooling, recipe, weights)


def _fall_back(wanted: Backbone, taken: Backbone, reason: str, progress: bool) -> Choice:
    weights = find_weights(taken, "imagenet", progress=progress)
    logger.warning(
        "FALLBACK: these are NOT features of %s, but of %s (%s)\n  why: %s\n  to stop instead: features.fallback: null",
        wanted.name,
        taken.name,
        taken.default_layer,
        reason,
    )
    record = {"wanted": wanted.name, "taken": taken.name, "reason": reason}
    return Choice(taken, (taken.default_layer,), "auto", taken.recipe, weights, record)
