"""Networks cut behind the deepest of the layers asked for; check of their input size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgcluster.backbones.layers import layers_of
from imgcluster.backbones.networks import empty_network, network_with
from imgcluster.config import Backbone
from imgcluster.errors import ConfigError, first_line

if TYPE_CHECKING:
    from torch import nn

    from imgcluster.backbones.select import Choice

MAX_REASON_LENGTH = 200
# Errors of torch's operators, and of checks in networks, over the size of an input.
SIZE_ERRORS = (RuntimeError, AssertionError, ValueError, LookupError, ArithmeticError)
# Errors of a forward pass on the meta device at any size: no such operator there, or values are needed. torch derives
# NotImplementedError from RuntimeError: this has to be caught first.
NEEDS_VALUES = (NotImplementedError, TypeError, AttributeError)


def build_extractor(choice: Choice) -> nn.Module:
    """Build the network of a choice, in eval mode: (n, 3, side, side) float -> a list of (n, dim), one for each layer.

    Without pooling in the choice, the list has each layer's output as it is. Nothing behind the deepest layer is
    computed. Raises WeightsError where the weights do not fit, ConfigError where there is no such layer, or its output
    cannot be pooled as asked.
    """
    from imgcluster.backbones.layer_outputs import Pooled

    model = network_with(choice.backbone, choice.weights)
    return Pooled(capture(model, choice.layers, choice.backbone.name), choice.layers, choice.pooling).eval()


def capture(model: nn.Module, layers: Sequence[str | int], network: str) -> nn.Module:
    """Wrap a network in eval mode so that it returns a list of these layers' outputs.

    Raises ConfigError where there is no such layer.
    """
    from imgcluster.backbones.layer_outputs import Captured, Hooked, traced

    known = layers_of(model)
    names = [known.find(layer, network) for layer in layers]
    nodes = [known.graph.get(name, name) for name in names]
    body = traced(model, nodes) if known.traced else Hooked(model, nodes)
    return Captured(body, nodes, [known.is_predictions(layer) for layer in layers]).eval()


def check_size(backbone: Backbone, side: int, layers: Sequence[str | int] | None = None) -> None:
    """Raise ConfigError where a backbone cannot take an input of side x side; its own size is not tried.

    With layers, only the steps up to the deepest of them must take it. Needs no weights.
    """
    if side != backbone.recipe.side and (problem := size_problem(backbone, side, layers)):
        raise ConfigError(f"features.preprocess: {problem}")


def size_problem(backbone: Backbone, side: int, layers: Sequence[str | int] | None = None) -> str | None:
    """Return, on one line, why a backbone cannot take an input of side x side; None where it can, or may be able to.

    The network runs without values, on torch's meta device. Where it needs values, or uses an operator that this device
    lacks, nothing is known of the size.
    """
    model = empty_network(backbone)
    network = model if layers is None else capture(model, layers, backbone.name)
    own = backbone.recipe.side
    try:
        _run_without_values(network, side)
        return None
    except NEEDS_VALUES:
        return None
    except SIZE_ERRORS as error:
        reason = first_line(error)[:MAX_REASON_LENGTH]
    try:
        _run_without_values(network, own)
    except (*NEEDS_VALUES, *SIZE_ERRORS):  # at its own size as well: not an error of the size
        return None
    return f"{backbone.name} takes pictures of {own} x {own}, not of {side} x {side} ({reason})"


def _run_without_values(network: nn.Module, side: int) -> None:
    import torch

    with torch.no_grad():
        network(torch.empty(1, 3, side, side, device="meta"))
