"""From a choice to a network that ends at the deepest of the layers asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imgcluster.backbones.choose import Choice
from imgcluster.backbones.layers import layers_of
from imgcluster.backbones.networks import network_with
from imgcluster.backbones.pooling import pool
from imgcluster.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor, nn


def build_extractor(choice: Choice) -> nn.Module:
    """Build the network of a choice, in eval mode: (n, 3, side, side) float -> a list of (n, dim), one for each layer.

    Nothing behind the deepest layer is computed. Raises WeightsError where the weights do not fit, ConfigError where
    there is no such layer, or its output cannot be pooled as asked.
    """
    model = network_with(choice.backbone, choice.weights)
    return _pooled(capture(model, choice.layers, choice.backbone.name), choice).eval()


def capture(model: nn.Module, layers: Sequence[str | int], network: str) -> nn.Module:
    """Wrap a network in eval mode so that it returns a list of the outputs of these layers, as they come."""
    known = layers_of(model)
    nodes = [known.find(layer, network) for layer in layers]
    return _traced(model, nodes) if known.traced else _hooked(model, nodes)


def _traced(model: nn.Module, nodes: list[str]) -> nn.Module:
    from torch import nn
    from torchvision.models.feature_extraction import create_feature_extractor

    class Traced(nn.Module):
        """The graph of the network, cut behind the last node."""

        def __init__(self) -> None:
            super().__init__()
            self.body = create_feature_extractor(model, {node: node for node in nodes}, suppress_diff_warning=True)

        def forward(self, pixels: Tensor) -> list[Tensor]:
            found = self.body(pixels)
            return [found[node] for node in nodes]

    return Traced().eval()


class _Enough(Exception):
    """Ends a forward pass."""


def _hooked(model: nn.Module, nodes: list[str]) -> nn.Module:
    from torch import nn

    class Hooked(nn.Module):
        """The network itself, watched, for those that cannot be traced; stopped when all layers have been seen."""

        def __init__(self) -> None:
            super().__init__()
            self.body = model

        def forward(self, pixels: Tensor) -> list[Tensor]:
            seen: dict[str, Tensor] = {}

            def keep(node: str) -> Any:
                def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
                    seen[node] = output
                    if len(seen) == len(set(nodes)):
                        raise _Enough

                return hook

            handles = [self.body.get_submodule(node).register_forward_hook(keep(node)) for node in set(nodes)]
            try:
                self.body(pixels)
            except _Enough:
                pass
            finally:
                for handle in handles:
                    handle.remove()
            return [seen[node] for node in nodes]

    return Hooked().eval()


def _pooled(body: nn.Module, choice: Choice) -> nn.Module:
    from torch import nn

    class Pooled(nn.Module):
        """Each layer's output as one vector an image."""

        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, pixels: Tensor) -> list[Tensor]:
            outputs = zip(self.body(pixels), choice.layers, strict=True)
            return [pool(_tensor(output, layer), choice.pooling, str(layer)) for output, layer in outputs]

    return Pooled()


def _tensor(output: Any, layer: str | int) -> Tensor:
    from torch import Tensor

    if not isinstance(output, Tensor) or output.ndim < 2:
        raise ConfigError(f"features.layer: {str(layer)!r} is no layer but a step between two: it gives no features")
    return output
