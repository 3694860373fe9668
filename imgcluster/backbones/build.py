"""From a choice to a network that ends at the deepest of the layers asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgcluster.backbones.layers import layers_of
from imgcluster.backbones.networks import empty_network, network_with
from imgcluster.config import Backbone
from imgcluster.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from imgcluster.backbones.select import Choice

REASON_LENGTH = 200


def build_extractor(choice: Choice) -> nn.Module:
    """Build the network of a choice, in eval mode: (n, 3, side, side) float -> a list of (n, dim), one for each layer.

    Where the choice's pooling is None, the list has each layer's output as it comes. Nothing behind the deepest layer
    is computed. Raises WeightsError where the weights do not fit, ConfigError where there is no such layer, or its
    output cannot be pooled as asked.
    """
    from imgcluster.backbones.captured import Pooled

    model = network_with(choice.backbone, choice.weights)
    return Pooled(capture(model, choice.layers, choice.backbone.name), choice.layers, choice.pooling).eval()


def capture(model: nn.Module, layers: Sequence[str | int], network: str) -> nn.Module:
    """Wrap a network in eval mode so that it returns a list of the outputs of these layers, as they come.

    Raises ConfigError where there is no such layer.
    """
    from imgcluster.backbones.captured import Captured, Hooked, traced

    known = layers_of(model)
    names = [known.find(layer, network) for layer in layers]
    nodes = [known.graph.get(name, name) for name in names]
    body = traced(model, nodes) if known.traced else Hooked(model, nodes)
    return Captured(body, nodes, [known.is_predictions(layer) for layer in layers]).eval()


def check_size(backbone: Backbone, side: int, layers: Sequence[str | int] | None = None) -> None:
    """Raise ConfigError where a backbone cannot take pictures of side x side; of its own side, it can.

    With layers, only what comes before the deepest of them has to take them. Needs no weights.
    """
    if side != backbone.recipe.side and (problem := size_problem(backbone, side, layers)):
        raise ConfigError(f"features.preprocess: {problem}")


def size_problem(backbone: Backbone, side: int, layers: Sequence[str | int] | None = None) -> str | None:
    """Say in one line why a backbone cannot take pictures of side x side; None: it can, or it cannot be told."""
    model = empty_network(backbone)
    network = model if layers is None else capture(model, layers, backbone.name)
    own = backbone.recipe.side
    reason = _refusal(network, side)
    if reason is None or _refusal(network, own) is not None:  # a network that looks at values cannot do without them
        return None
    return f"{backbone.name} takes pictures of {own} x {own}, not of {side} x {side} ({reason})"


def _refusal(network: nn.Module, side: int) -> str | None:
    import torch

    try:
        with torch.no_grad():
            network(torch.empty(1, 3, side, side, device="meta"))
    except Exception as error:  # each network, and torch for it, has an error of its own for this
        return (str(error).strip() or type(error).__name__).splitlines()[0][:REASON_LENGTH]
    return None
