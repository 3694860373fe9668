"""Every layer of a backbone with its other names and the shape of what it gives."""

from __future__ import annotations

from dataclasses import dataclass

from imgcluster.backbones.build import capture
from imgcluster.backbones.layers import layers_of
from imgcluster.backbones.networks import empty_network
from imgcluster.catalog import Backbone


@dataclass(frozen=True)
class LayerRow:
    """A layer's node name, its aliases, and the shape of its output for one image, the batch left out."""

    name: str
    aliases: list[str]
    shape: list[int]


def list_layers(backbone: Backbone, side: int | None = None) -> list[LayerRow]:
    """List the layers of a backbone in the order in which they are computed, for pictures of side x side.

    Without a side it is that of the backbone's own recipe. Steps that give no tensor of features are left out.
    """
    import torch

    model = empty_network(backbone)
    known = layers_of(model)
    side = side or backbone.recipe.crop
    with torch.no_grad():
        outputs = capture(model, known.nodes, backbone.name)(torch.zeros(1, 3, side, side, device="meta"))
    return [
        LayerRow(node, [alias for alias, target in known.aliases.items() if target == node], list(output.shape[1:]))
        for node, output in zip(known.nodes, outputs, strict=True)
        if isinstance(output, torch.Tensor) and output.ndim >= 2
    ]
