"""Lists of what can be chosen: backbones, and the layers of one."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace

from imgcluster.backbones.build import capture, size_problem
from imgcluster.backbones.layers import PREDICTIONS, layers_of
from imgcluster.backbones.networks import empty_network
from imgcluster.backbones.select import find_backbone
from imgcluster.backbones.timm_networks import PREFIX, features_dim, match_timm
from imgcluster.backbones.weights.locate import are_here
from imgcluster.config import BACKBONES, OLD_NAMES, Backbone
from imgcluster.errors import ConfigError

MAX_MEASURED = 50  # so many of timm's networks are built, on the meta device, to know their dim and megabytes


@dataclass(frozen=True)
class ModelRow:
    """A name for `features.backbone`; None: unknown without building or downloading the network.

    stands_for: backbone and layer of an older name. px: side of the input. megabytes: of the weights. here: whether
    the weights are on this machine.
    """

    name: str
    stands_for: str | None
    source: str
    dim: int | None
    px: int | None
    megabytes: float | None
    here: bool | None
    licence: str | None


@dataclass(frozen=True)
class LayerRow:
    """A layer's node name, its aliases, and the shape of its output for one image, the batch left out."""

    name: str
    aliases: list[str]
    shape: list[int]


def list_models(pattern: str = "") -> list[ModelRow]:
    """Return the backbones whose names contain the pattern, or match it where it has `*` or `?`.

    Those of timm, 1,800 and more, are listed for a pattern that begins with `timm:`. Raises ConfigError where timm is
    asked for and not installed.
    """
    if pattern.startswith(PREFIX):
        rows = match_timm(PREFIX + _glob(pattern.removeprefix(PREFIX)))
        return [_row(row, row.name, measure=len(rows) <= MAX_MEASURED) for row in rows]
    names, old_names = (fnmatch.filter(known, _glob(pattern)) for known in (BACKBONES, OLD_NAMES))
    measure = len(names) + len(old_names) <= MAX_MEASURED
    return [_row(BACKBONES[name], name) for name in names] + [_old_row(name, measure) for name in old_names]


def list_layers(backbone: Backbone, side: int | None = None) -> list[LayerRow]:
    """List the layers of a backbone in the order in which they are computed, for pictures of side x side.

    Without a side it is that of the backbone's own recipe. Steps that give no tensor of features are left out;
    `predictions`, which is not a step, comes last. Raises ConfigError where the backbone cannot take such pictures.
    """
    import torch

    side = backbone.recipe.side if side is None else side
    _check(backbone, side)
    model = empty_network(backbone)
    known = layers_of(model)
    names = [*known.nodes, *(alias for alias in known.aliases if known.is_predictions(alias))]
    with torch.no_grad():
        outputs = capture(model, names, backbone.name)(torch.zeros(1, 3, side, side, device="meta"))
    return [
        LayerRow(name, _other_names(known.aliases, name), list(output.shape[1:]))
        for name, output in zip(names, outputs, strict=True)
        if isinstance(output, torch.Tensor) and output.ndim >= 2
    ]


def _glob(pattern: str) -> str:
    return pattern if set(pattern) & set("*?[") else f"*{pattern}*"


def _row(backbone: Backbone, name: str, stands_for: str | None = None, *, measure: bool = False) -> ModelRow:
    if measure and backbone.megabytes is None:
        backbone = _measured(backbone)
    return ModelRow(
        name=name,
        stands_for=stands_for,
        source=backbone.source,
        dim=backbone.dim,
        px=backbone.recipe.side,
        megabytes=backbone.megabytes,
        here=are_here(backbone),
        licence=backbone.licence,
    )


def _old_row(name: str, measure: bool) -> ModelRow:
    old = OLD_NAMES[name]
    stands_for = " ".join(filter(None, (old.backbone, old.layer)))
    try:
        return _row(find_backbone(name), name, stands_for, measure=measure)
    except ConfigError:  # one of timm's, and timm is not installed
        return ModelRow(name, stands_for, "timm", old.dim, None, None, None, None)


def _measured(backbone: Backbone) -> Backbone:
    model = empty_network(backbone)
    size = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    return replace(backbone, dim=backbone.dim or features_dim(model), megabytes=round(size / 2**20, 1))


def _other_names(aliases: dict[str, str], node: str) -> list[str]:
    return [alias for alias, target in aliases.items() if target == node and alias != PREDICTIONS]


def _check(backbone: Backbone, side: int) -> None:
    if side < 1:
        raise ConfigError(f"the side of the pictures must be a whole number of pixels >= 1, found {side}")
    if side != backbone.recipe.side and (problem := size_problem(backbone, side)):
        raise ConfigError(problem)
