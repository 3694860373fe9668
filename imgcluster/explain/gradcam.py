"""Grad-CAM: forward pass, gradient of a score, heat map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from imgcluster.backbones import Choice, cut, network_with, pool, scaled, tf32, with_channels_last
from imgcluster.errors import ConfigError
from imgcluster.explain.spatial_layers import KINDS, SpatialLayer, last_spatial_layer
from imgcluster.images import onto_picture, prepare, windows_of


@dataclass(frozen=True)
class ForwardPass:
    """Outputs of a network for n pictures.

    spatial: the output of the spatial layer, a leaf of the graph, (n * views, ...) in the network's own layout.
    outputs: for each layer of the choice, (n, dim) pooled, the mean of the views.
    """

    spatial: Tensor
    outputs: list[Tensor]


class GradCam:
    """The network of a choice on a device, in fp32, cut at the last spatial layer before the choice's layers.

    Raises ConfigError where there is no such layer.
    """

    def __init__(self, choice: Choice, device: torch.device) -> None:
        self.choice = choice
        self.layer: SpatialLayer = last_spatial_layer(choice.backbone, choice.layers, choice.recipe.side)
        self._device = device
        model = network_with(choice.backbone, choice.weights)
        network: nn.Module = cut(model, self.layer.node, choice.layers, choice.backbone.name)
        self._network = with_channels_last(network.to(device))

    def forward(self, images: Sequence[np.ndarray]) -> ForwardPass:
        """Run the network on pictures, (height, width, 3) RGB uint8 each."""
        with torch.enable_grad(), tf32(allowed=False):
            spatial, *outputs = self._network(self.pixels(images))
            layers = map(str, self.choice.layers)
            return ForwardPass(spatial, [self._pooled(*output) for output in zip(outputs, layers, strict=True)])

    def pixels(self, images: Sequence[np.ndarray]) -> Tensor:
        """Return the network's input for pictures: (n * views, 3, side, side) float32."""
        recipe = self.choice.recipe
        pixels = np.empty((len(images), recipe.n_views, recipe.side, recipe.side, 3), np.uint8)
        for image, views in zip(images, pixels, strict=True):
            prepare(image, recipe, views)
        return scaled(torch.from_numpy(pixels).flatten(0, 1).to(self._device), recipe)

    def heat_maps(self, passed: ForwardPass, score: Tensor, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return for each picture where its score, (n,), comes from: (height, width) float32 each, of any sign.

        A score must depend on its own picture alone.
        """
        maps = np.split(self.maps(passed, score).cpu().numpy(), len(images))
        sizes = [image.shape[:2] for image in images]
        return [
            onto_picture(views, windows_of(self.choice.recipe, *size), *size)
            for views, size in zip(maps, sizes, strict=True)
        ]

    def maps(self, passed: ForwardPass, score: Tensor) -> Tensor:
        """Return the map of each view on the spatial layer's grid, (n * views, rows, columns), of any sign.

        Grad-CAM (Selvaraju et al. 2017, equations 1 and 2) before its ReLU: channels weighted by the mean gradient of
        the score. Raises ConfigError where the score does not depend on the spatial layer.
        """
        with tf32(allowed=False):
            found = torch.autograd.grad(score.sum(), [passed.spatial], retain_graph=True, allow_unused=True)
        gradients: Tensor | None = found[0]
        if gradients is None:
            layers = ", ".join(map(str, self.choice.layers))
            raise ConfigError(f"{self.choice.backbone.name}: {self.layer.node} is not a step on the way to {layers}")
        channels, gradients = (KINDS[self.layer.kind](values) for values in (passed.spatial.detach(), gradients))
        return (gradients.mean(dim=(2, 3), keepdim=True) * channels).sum(dim=1)

    def _pooled(self, output: Tensor, layer: str) -> Tensor:
        features = pool(output, self.choice.pooling or "auto", layer).float()
        return features.reshape(-1, self.choice.recipe.n_views, features.shape[1]).mean(dim=1)


def positive_part(heat: np.ndarray) -> np.ndarray:
    """Scale a heat map for display: float32 from 0 to 1, evidence against as 0, the maximum as 1, no heat as 0."""
    positive = np.maximum(heat, 0)
    most = positive.max(initial=0)
    return np.asarray(positive / most if np.isfinite(most) and most > 0 else np.zeros_like(positive), np.float32)
