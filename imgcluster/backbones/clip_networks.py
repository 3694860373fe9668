"""Networks of CLIP, an image tower and a text tower that share a space: rows of the table of backbones, and builder."""

from __future__ import annotations

import copy
from types import ModuleType
from typing import TYPE_CHECKING, Any

from imgcluster.config import Backbone, Recipe
from imgcluster.errors import ConfigError, one_line
from imgcluster.utils import install_command

if TYPE_CHECKING:
    from torch import Tensor, nn

PREFIX = "clip:"
EMBEDDING = "embedding"  # the module that passes on what the image tower gives
HALF = (0.5, 0.5, 0.5)
# Perception Encoder (Bolya et al. 2025, "Perception Encoder: The best visual embeddings are not at the output of the
# network", arXiv:2504.13181), its small one: the file of both towers is smaller than `features.download`.
NAMING_NETWORK = "clip:PE-Core-S-16-384.meta"
CLIP_NETWORKS = {
    NAMING_NETWORK: Backbone(
        name=NAMING_NETWORK,
        source="open_clip",
        default_layer=EMBEDDING,
        dim=512,
        recipe=Recipe(steps=(("squash", 384), ("center_crop", 384)), mean=HALF, std=HALF),
        weights="timm/PE-Core-S-16-384",
        file="open_clip_model.safetensors",
        sha256="",  # not published; the hub's own cache has it
        megabytes=None,
        licence="Apache-2.0",
        bf16_from=None,
    )
}
CLIP_MEGABYTES = {NAMING_NETWORK: 332.6}  # of the tensors, in 2**20 bytes


def find_clip(name: str) -> Backbone:
    """Return the row of `clip:NAME`. Raises ConfigError: there is no such network, or open_clip is not installed."""
    if name not in CLIP_NETWORKS:
        known = ", ".join(CLIP_NETWORKS)
        raise ConfigError(f"features.backbone: there is no backbone {name!r}; of {PREFIX}NAME, there is {known}")
    import_open_clip()
    return CLIP_NETWORKS[name]


def import_open_clip() -> ModuleType:
    """Import open_clip. Raises ConfigError where it is not installed."""
    try:
        import open_clip
    except ImportError as error:
        pip = install_command("clip")
        raise ConfigError(
            f"features.backbone: {PREFIX}NAME needs the package open_clip_torch ({error}); {pip}"
        ) from error
    return open_clip  # type: ignore[no-any-return]


def model_name(backbone: Backbone) -> str:
    """Return what open_clip calls a network, without the tag of its weights."""
    return backbone.name.removeprefix(PREFIX).rpartition(".")[0]


def build_clip(backbone: Backbone) -> nn.Module:
    """Build both towers. Called with pixels, (n, 3, side, side), the network is the image tower: (n, dim)."""
    from torch import nn

    open_clip = import_open_clip()
    settings = open_clip.get_model_config(model_name(backbone))
    kind = open_clip.CustomTextCLIP if settings.pop("custom_text", False) else open_clip.CLIP
    try:
        model = kind(**settings)
    except RuntimeError as error:  # a version of timm that lacks the image tower
        newer = "pip install --upgrade timm open_clip_torch"
        raise ConfigError(f"{backbone.name} cannot be built: {one_line(error)}; {newer}") from error
    twin = copy.copy(model)
    twin.__dict__["_modules"] = {**model._modules, EMBEDDING: nn.Identity()}
    twin.__class__ = type(type(model).__name__, (type(model),), {"forward": _embed_pixels})
    return twin  # type: ignore[no-any-return]


def _embed_pixels(self: Any, pixels: Tensor) -> Tensor:
    embedding: Tensor = self.get_submodule(EMBEDDING)(self.visual(pixels))
    return embedding
