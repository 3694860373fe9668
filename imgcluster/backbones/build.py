"""From a choice to a network that ends at the layer asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgcluster.backbones.choose import Choice
from imgcluster.backbones.layers import find_node
from imgcluster.backbones.networks import empty_network, random_network
from imgcluster.errors import ConfigError
from imgcluster.weights import fit

if TYPE_CHECKING:
    from torch import nn


def build_extractor(choice: Choice) -> nn.Module:
    """Build the network of a choice up to its layer, in eval mode: (n, 3, side, side) float -> (n, dim).

    A layer that gives a map, (n, channels, height, width), is averaged over height and width.
    Raises WeightsError where the weights do not fit, ConfigError where there is no such layer.
    """
    from torchvision.models.feature_extraction import create_feature_extractor

    model = _network(choice)
    node = find_node(model, choice.layer)
    body = create_feature_extractor(model, {node: "features"}, suppress_diff_warning=True)
    return _flat(body, choice.layer).eval()


def _network(choice: Choice) -> nn.Module:
    if choice.weights.path is None:
        return random_network(choice.backbone)
    model = empty_network(choice.backbone)  # no time is spent on values that the weights replace
    fit(model, choice.weights)
    return model


def _flat(body: nn.Module, layer: str) -> nn.Module:
    from torch import Tensor, nn

    class Flat(nn.Module):
        """The layer's output as one vector an image."""

        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, pixels: Tensor) -> Tensor:
            features = self.body(pixels)["features"]
            if not isinstance(features, Tensor) or features.ndim < 2:
                raise ConfigError(f"features.layer: {layer!r} is no layer but a step between two: it gives no features")
            return features.mean(dim=(2, 3)) if features.ndim == 4 else features.flatten(1)

    return Flat()
