"""Every layer of a backbone with its other names and the shape of what it gives."""

from __future__ import annotations

from dataclasses import dataclass

from imgcluster.backbones.build import capture, size_problem
from imgcluster.backbones.layers import PREDICTIONS, layers_of
from imgcluster.backbones.networks import empty_network
from imgcluster.config import Backbone
from imgcluster.errors import ConfigError


@dataclass(frozen=True)
class LayerRow:
    """A layer's node name, its aliases, and the shape of its output for one image, the batch left out."""

    name: str
    aliases: list[str]
    shape: list[int]


def list_layers(backbone: Backbone, side: int | None = None) -> list[LayerRow]:
    """List the layers of a backbone in the order in which they are computed, for pictures of side x side.

    Without a side it is that of the backbone's own recipe. Steps that give no tensor of features are left out;
    `predictions`, which is no step, comes last. Raises ConfigError where the backbone cannot take such pictures.
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


def _other_names(aliases: dict[str, str], node: str) -> list[str]:
    return [alias for alias, target in aliases.items() if target == node and alias != PREDICTIONS]


def _check(backbone: Backbone, side: int) -> None:
    if side < 1:
        raise ConfigError(f"the side of the pictures must be a whole number of pixels >= 1, found {side}")
    if side != backbone.recipe.side and (problem := size_problem(backbone, side)):
        raise ConfigError(problem)
