"""Layers by the names people know: `fc6`, `relu5_3`, `pool4`; or by the network's own node names, `features.29`."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from imgcluster.backbones.networks import empty_network
from imgcluster.catalog import Backbone
from imgcluster.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

NAMED_IN_MESSAGES = 5
EFFICIENTNET_LITE_ALIASES = {"avgpool": "_avg_pooling", "logits": "_fc"}


def check_layer(backbone: Backbone, layer: str) -> None:
    """Raise ConfigError with the nearest names if the backbone has no such layer. Needs no weights."""
    find_node(empty_network(backbone), layer)


def find_node(model: nn.Module, layer: str) -> str:
    """Return the graph node that a layer's name stands for. Raises ConfigError with the nearest names."""
    from torchvision.models.feature_extraction import get_graph_node_names

    aliases = layer_aliases(model)
    nodes = get_graph_node_names(model, suppress_diff_warning=True)[1]
    if (node := aliases.get(layer, layer)) in nodes:
        return node
    known = [*aliases, *nodes]
    near = difflib.get_close_matches(layer, known, n=NAMED_IN_MESSAGES, cutoff=0.5) or known[-NAMED_IN_MESSAGES:]
    raise ConfigError(f"features.layer: {type(model).__name__} has no layer {layer!r}; near it: {', '.join(near)}")


def layer_aliases(model: nn.Module) -> dict[str, str]:
    """Return the known names of a network's layers, each with its node name."""
    from torchvision.models import VGG

    return vgg_aliases(model) if isinstance(model, VGG) else dict(EFFICIENTNET_LITE_ALIASES)


def vgg_aliases(model: nn.Module) -> dict[str, str]:
    """Name the layers of a VGG as its paper does (Simonyan & Zisserman 2015, table 1): block_number, fc6 to fc8.

    The names are counted off the modules, so that they hold for VGG11 to VGG19, with BatchNorm or without.
    """
    from torch import nn

    kinds = {nn.Conv2d: "conv", nn.BatchNorm2d: "bn", nn.ReLU: "relu"}
    aliases = {"avgpool": "avgpool", "flatten": "flatten"}
    block, number = 1, 0
    for index, module in enumerate(model.get_submodule("features").children()):
        if isinstance(module, nn.MaxPool2d):
            aliases[f"pool{block}"] = f"features.{index}"
            block, number = block + 1, 0
            continue
        number += isinstance(module, nn.Conv2d)
        aliases[f"{kinds[type(module)]}{block}_{number}"] = f"features.{index}"
    return aliases | _classifier_aliases(model)


def _classifier_aliases(model: nn.Module) -> dict[str, str]:
    from torch import nn

    kinds = {nn.Linear: "fc", nn.ReLU: "relu", nn.Dropout: "drop"}
    aliases, number = {}, 5  # the fifth block's features end where the classifier begins
    for index, module in enumerate(model.get_submodule("classifier").children()):
        number += isinstance(module, nn.Linear)
        aliases[f"{kinds[type(module)]}{number}"] = f"classifier.{index}"
    return aliases
