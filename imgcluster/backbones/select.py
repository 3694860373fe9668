"""Backbones by name, and the backbones and weights a run gets: those its config names, or the fallback."""

from __future__ import annotations

import difflib
import logging
from dataclasses import dataclass, replace
from typing import Any, Literal

from imgcluster.backbones.build import check_size
from imgcluster.backbones.clip_networks import PREFIX as CLIP_PREFIX
from imgcluster.backbones.clip_networks import find_clip
from imgcluster.backbones.layers import check_layers
from imgcluster.backbones.networks import network_with
from imgcluster.backbones.timm_networks import PREFIX, corrections, find_timm
from imgcluster.backbones.weights.load import Weights, find_weights
from imgcluster.backbones.weights.locate import published_sha256
from imgcluster.config import (
    AUTO_BACKBONE,
    BACKBONES,
    OLD_NAMES,
    REFUSED,
    Backbone,
    FeaturesConfig,
    Recipe,
    check_views,
    known_elsewhere,
)
from imgcluster.errors import ConfigError, WeightsUnavailable
from imgcluster.images import find_recipe
from imgcluster.utils import installed, remembered

PACKAGES = ("imgcluster", "torch", "torchvision", "timm", "efficientnet-lite-pytorch")  # that build networks

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """A backbone, the layers to read it at, and how it is to see pictures: what a config asks for."""

    backbone: Backbone
    layers: tuple[str | int, ...]
    recipe: Recipe


@dataclass(frozen=True)
class Choice:
    """A backbone, its layers, their pooling, weights and input; `fallback`: why it is not the one asked for.

    Without a pooling, its layers give maps and tokens as they come.
    """

    backbone: Backbone
    layers: tuple[str | int, ...]
    pooling: str | None
    recipe: Recipe
    weights: Weights
    fallback: dict[str, str] | None = None

    def shaped_by(self) -> list[dict[str, Any]]:
        """What of this choice shapes the features, as plain data for the fingerprint: one for each layer."""
        common = {
            "backbone": self.backbone.name,
            "weights": self.weights.sha256,
            "preprocess": self.recipe.as_data(),
            "pooling": self.pooling,
        }
        return [{**common, "layer": str(layer), **corrections(self.backbone, layer)} for layer in self.layers]


def choose_backbones(config: FeaturesConfig, *, progress: bool = True) -> list[Choice]:
    """Find the weights of the backbones a config asks for; where they cannot be had, take the fallback and say so.

    Only unavailability leads to the fallback: weights that are there and do not fit are an error. The fallback is
    read at its own default layer and sees pictures as its own weights were trained to. One that is among the backbones
    already, or stands in for two, is taken once: its features twice would say nothing more.
    Raises ConfigError as `check_backbones`, WeightsError, and WeightsUnavailable where there is no fallback.
    """
    wanted = check_backbones(config)  # all, before half a gigabyte is downloaded for the first of them
    chosen: dict[str, Choice] = {}
    for choice in [_choose(each, config, progress) for each in wanted]:
        name = choice.backbone.name
        own, stand_in = (chosen.get(name), choice) if choice.fallback else (choice, chosen.get(name))
        chosen[name] = replace(own, fallback=stand_in.fallback) if own and stand_in else choice
    return list(chosen.values())


def check_backbones(config: FeaturesConfig) -> list[Wanted]:
    """Return what a config asks for, without looking for weights.

    Raises ConfigError where there is no such backbone or layer, or the backbone cannot see pictures in this way.
    """
    return [_wanted(name, config) for name in config.backbones]


def _wanted(name: str, config: FeaturesConfig) -> Wanted:
    backbone = find_backbone(name)
    asked = config.layers_of(name)
    layers = asked or (backbone.default_layer,)
    recipe = find_recipe(config.preprocess, backbone, config.views, config.reading)
    try:
        check_views(recipe)
    except ValueError as error:
        raise ConfigError(f"features.views: {error}") from None
    versions = {package: installed(package) for package in PACKAGES}
    about = ["network", backbone.name, list(map(str, asked)), list(map(str, layers)), recipe.side, versions]
    remembered(about, lambda: _check_network(backbone, asked, layers, recipe.side))
    return Wanted(backbone, layers, recipe)


def _check_network(
    backbone: Backbone, asked: tuple[str | int, ...], layers: tuple[str | int, ...], side: int
) -> Literal[True]:
    """Raise ConfigError where a network lacks a layer asked for, or cannot take an input of side x side."""
    if asked:
        check_layers(backbone, asked)
    check_size(backbone, side, layers)
    return True


def _choose(wanted: Wanted, config: FeaturesConfig, progress: bool) -> Choice:
    try:
        allowed = config.max_download_bytes > 0
        weights = find_weights(wanted.backbone, config.weights, progress=progress, download=allowed)
    except WeightsUnavailable as error:
        if config.fallback is None or config.fallback == wanted.backbone.name:
            raise
        return _fall_back(wanted.backbone, config, str(error), progress)
    check_fit(wanted.backbone, weights)
    return Choice(wanted.backbone, wanted.layers, config.pooling, wanted.recipe, weights)


def check_fit(backbone: Backbone, weights: Weights) -> None:
    """Raise WeightsError where weights without a published digest do not fit, before anything is written for them."""
    if weights.path is None or (weights.source == "imagenet" and published_sha256(backbone, weights.path)):
        return
    versions = {package: installed(package) for package in PACKAGES}
    remembered(["weights fit", backbone.name, weights.sha256, versions], lambda: bool(network_with(backbone, weights)))


def _fall_back(wanted: Backbone, config: FeaturesConfig, reason: str, progress: bool) -> Choice:
    taken = BACKBONES[str(config.fallback)]
    weights = find_weights(taken, "imagenet", progress=progress)
    logger.warning(
        "FALLBACK: %s weights are not available; using %s (%s) instead, results will differ\n"
        "  why: %s\n  to stop instead: features.fallback: null",
        wanted.name,
        taken.name,
        taken.default_layer,
        reason,
    )
    record = {"wanted": wanted.name, "taken": taken.name, "reason": reason}
    recipe = find_recipe("backbone", taken, config.views, config.reading)
    return Choice(taken, (taken.default_layer,), "auto", recipe, weights, record)


def find_backbone(name: str) -> Backbone:
    """Return the row a name stands for; an old name's has the layer and the dim of the older tool.

    Raises ConfigError where there is no such network, with the nearest names, or where timm is not installed.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    if name.startswith(PREFIX):
        return find_timm(name)
    if name.startswith(CLIP_PREFIX):
        return find_clip(name)
    if name in OLD_NAMES:
        old = OLD_NAMES[name]
        row = find_backbone(old.backbone)
        return replace(row, default_layer=old.layer or row.default_layer, dim=old.dim)
    names = [*BACKBONES, *OLD_NAMES]
    meant, near = known_elsewhere(name, names), difflib.get_close_matches(name, names, 3)
    hint = f"; did you mean {meant}?" if meant else f"; near it: {', '.join(near)}" if near else ""
    if name == AUTO_BACKBONE:
        raise ConfigError("features.backbone: auto is for configs; name a network here")
    reason = f"{name!r}: {REFUSED[name]}" if name in REFUSED else f"there is no backbone {name!r}{hint}"
    raise ConfigError(f"features.backbone: {reason}")
