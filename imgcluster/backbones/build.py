"""From a choice to a network that ends at the layer asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from imgcluster.backbones.choose import Choice
from imgcluster.backbones.layers import find_node
from imgcluster.catalog import Backbone
from imgcluster.weights import RANDOM_SEED, fit

if TYPE_CHECKING:
    from torch import nn


def build_extractor(choice: Choice) -> nn.Module:
    """Build the network of a choice up to its layer, in eval mode: (n, 3, side, side) float -> (n, dim).

    A layer that gives a map, (n, channels, height, width), is averaged over height and width.
    Raises WeightsError where the weights do not fit, ConfigError where there is no such layer.
    """
    from torchvision.models.feature_extraction import create_feature_extractor

    model = _build(choice).eval()
    _forbid_inplace(model)
    node = find_node(model, choice.layer)
    body = create_feature_extractor(model, {node: "features"}, suppress_diff_warning=True)
    return _flat(body).eval()


def _build(choice: Choice) -> nn.Module:
    import torch

    builder = BUILDERS[choice.backbone.source]
    if choice.weights.path is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(RANDOM_SEED)
            return builder(choice.backbone)
    with torch.device("meta"):  # no time is spent on values that the weights replace
        model = builder(choice.backbone)
    fit(model, choice.weights)
    return model


def _torchvision(backbone: Backbone) -> nn.Module:
    from torchvision.models import get_model

    return get_model(backbone.name, weights=None)  # type: ignore[no-any-return]


def _efficientnet_lite(backbone: Backbone) -> nn.Module:
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_name(backbone.name.replace("_", "-"))  # type: ignore[no-any-return]


BUILDERS: dict[str, Callable[[Backbone], nn.Module]] = {
    "torchvision": _torchvision,
    "efficientnet_lite": _efficientnet_lite,
}


def _forbid_inplace(model: nn.Module) -> None:
    """Keep what a layer gave as it was: an in-place ReLU behind it would overwrite it with its own result."""
    for module in model.modules():
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010 (an attribute of some modules only)


def _flat(body: nn.Module) -> nn.Module:
    from torch import Tensor, nn

    class Flat(nn.Module):
        """The layer's output as one vector an image."""

        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, pixels: Tensor) -> Tensor:
            features: Tensor = self.body(pixels)["features"]
            return features.mean(dim=(2, 3)) if features.ndim == 4 else features.flatten(1)

    return Flat()
