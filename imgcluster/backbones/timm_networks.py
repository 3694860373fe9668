"""timm's networks by name, as rows of the table of backbones."""

from __future__ import annotations

import difflib
import fnmatch
import math
import re
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from imgcluster.backbones.weights.locate import TIMM_FILE
from imgcluster.config import Backbone, Recipe
from imgcluster.errors import ConfigError
from imgcluster.utils import install_command

if TYPE_CHECKING:
    from torch import nn

PREFIX = "timm:"
PRE_LOGITS = "pre_logits"  # timm's own vector of a picture: forward_head(forward_features(x), pre_logits=True)
# In earlier versions their vector was that of the step before the first classifier; their features are made anew.
CORRECTED = (
    "caformer_*",
    "convformer_*",
    "crossvit_*",
    "deit_*_distilled_*",
    "efficientvim_*",
    "efficientvit_m?",
    "iformer_*",
    "levit_*",
    "pit_*_distilled_*",
    "repvit_*",
    "shvit_*",
)
CROP_MODES = {"center": "resize", "squash": "squash", "border": "letterbox"}
NEAREST = 3
SIDE = re.compile("[1-9][0-9]{1,3}")  # of pictures, in pixels
PIP = install_command("timm")


def find_timm(name: str) -> Backbone:
    """Return the row of `timm:NAME`; without a tag, NAME has timm's default weights.

    `timm:NAME@SIDE` is a vision transformer for pictures of another side, its position embeddings resampled.

    Raises ConfigError where timm is not installed, or has no such network; then with the nearest names.
    """
    timm = _import_timm()
    wanted, _, side = name.removeprefix(PREFIX).partition("@")
    known = wanted in _names() or ("." not in wanted and timm.is_model(wanted))
    known = known and (not side or SIDE.fullmatch(side) is not None)
    if not known:
        near = difflib.get_close_matches(wanted, [*_names(), *timm.list_models()], NEAREST)
        hint = f"; near it: {', '.join(PREFIX + found for found in near)}" if near else ""
        raise ConfigError(f"features.backbone: timm has no network {name.removeprefix(PREFIX)!r}{hint}")
    config = _config(wanted)
    if not _is_square(config):
        raise ConfigError(f"features.backbone: {name} takes pictures of {config.input_size}; only squares can be given")
    if side and not config.fixed_input_size:
        raise ConfigError(
            f"features.backbone: {PREFIX}{wanted} takes pictures of any size; leave out @{side}, and set "
            f"features.preprocess, such as [{{resize: {side}}}, {{center_crop: {side}}}]"
        )
    return _row(config, int(side) if side else None)


def match_timm(pattern: str) -> list[Backbone]:
    """Return the rows of timm's networks with pretrained weights that match `timm:PATTERN`, `*` and `?` allowed."""
    _import_timm()
    found = [_config(name) for name in fnmatch.filter(_names(), pattern.removeprefix(PREFIX))]
    return [_row(config) for config in found if _is_square(config)]


def recipe_of_timm(model: nn.Module) -> Recipe | None:
    """Return how pictures become the input of a network of timm that somebody has built; of any other, None."""
    values = getattr(model, "pretrained_cfg", None)
    if not values or "crop_pct" not in values:
        return None
    return _recipe(SimpleNamespace(**{"crop_mode": "center", **values}))


def timm_name(backbone: Backbone) -> str:
    """Return what timm calls a backbone."""
    return backbone.name.removeprefix(PREFIX).partition("@")[0]


def size_arguments(backbone: Backbone) -> dict[str, int]:
    """Return the arguments by which timm builds a network for pictures of the side in its name."""
    return {"img_size": backbone.recipe.side} if "@" in backbone.name else {}


def corrections(backbone: Backbone, layer: str | int) -> dict[str, str]:
    """Return what the fingerprint of a layer has beside its name, where the same name meant something else before."""
    architecture = timm_name(backbone).partition(".")[0]
    corrected = layer == PRE_LOGITS and any(fnmatch.fnmatchcase(architecture, pattern) for pattern in CORRECTED)
    return {"vector": "forward_head"} if backbone.source == "timm" and corrected else {}


def classifier_name(model: nn.Module) -> str | None:
    """Return the module that makes classes of features; of several, the first. None: there is none."""
    named = getattr(model, "pretrained_cfg", {}).get("classifier")
    return named[0] if isinstance(named, list | tuple) else named


def features_dim(model: nn.Module) -> int:
    """Return the length of timm's own vector, without a forward pass."""
    return int(getattr(model, "head_hidden_size", None) or model.num_features)  # type: ignore[arg-type]


def _import_timm() -> ModuleType:
    try:
        return import_module("timm")
    except ImportError as error:
        raise ConfigError(f"features.backbone: {PREFIX}NAME needs the package timm ({error}); {PIP}") from error


@cache
def _names() -> list[str]:
    import timm

    return list(timm.list_models(pretrained=True))


def _config(name: str) -> Any:
    """What timm knows of a network's weights and of what they were trained to see: a PretrainedCfg."""
    import timm

    return timm.get_pretrained_cfg(name, allow_unregistered=False)


def _is_square(config: Any) -> bool:
    _, height, width = config.input_size
    return bool(height == width)


def _row(config: Any, side: int | None = None) -> Backbone:
    trained = config.tag != "untrained"
    tag = f".{config.tag}" if config.tag and trained else ""
    return Backbone(
        name=f"{PREFIX}{config.architecture}{tag}{f'@{side}' if side else ''}",
        source="timm",
        default_layer=PRE_LOGITS,
        dim=None,
        recipe=_recipe(config, side),
        weights=(config.hf_hub_id or config.url or "") if trained else "",
        file=config.hf_hub_filename or TIMM_FILE,
        sha256="",  # not published; the hub's own cache has it
        megabytes=None,
        licence=_licence(config.license),
        bf16_from=None,
    )


def _recipe(config: Any, side: int | None = None) -> Recipe:
    crop = side or config.input_size[-1]
    resize = math.floor(crop / config.crop_pct)  # as timm.data.create_transform rounds
    return Recipe(
        steps=((CROP_MODES[config.crop_mode], resize), ("center_crop", crop)),
        mean=tuple(config.mean),
        std=tuple(config.std),
        interpolation=config.interpolation,
    )


def _licence(name: str | None) -> str:
    """Spell a licence as in the table: timm has them in small letters."""
    known: Iterable[str] = ("Apache-2.0", "BSD-3-Clause", "MIT", "CC-BY-4.0", "CC-BY-NC-4.0")
    return {licence.lower(): licence for licence in known}.get(str(name), name or "unknown")
