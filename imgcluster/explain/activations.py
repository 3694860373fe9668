"""Activations: the channels of a network's layers for one picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from imgcluster.backbones import Choice, capture, network_with, scaled
from imgcluster.errors import ConfigError
from imgcluster.explain.heatmap import standardized, tiled
from imgcluster.explain.spatial_layers import KINDS, PROBE_SIZE, kind_of, spatial_layers
from imgcluster.images import prepare


@dataclass(frozen=True)
class LayerNetwork:
    """A network on a device: pixels -> the output of each of the choice's layers, as it comes; weights frozen."""

    choice: Choice
    network: nn.Module
    device: torch.device

    @classmethod
    def build(cls, choice: Choice, device: torch.device) -> LayerNetwork:
        """Build the network of a choice. Raises ConfigError where it has no such layer."""
        model = network_with(choice.backbone, choice.weights)
        network = capture(model, choice.layers, choice.backbone.name).requires_grad_(False)
        return cls(choice, network.to(device), device)

    def activations(self, image: np.ndarray) -> list[np.ndarray]:
        """Return the channels of each layer for the first view of a picture: (channels, rows, columns) float32 each.

        Raises ConfigError for a layer that is not spatial.
        """
        recipe = self.choice.recipe
        views = np.empty((recipe.n_views, recipe.side, recipe.side, 3), np.uint8)
        prepare(image, recipe, views)
        pixels = torch.from_numpy(views[:1]).expand(PROBE_SIZE, -1, -1, -1)
        with torch.no_grad():
            outputs = self.network(scaled(pixels.to(self.device), recipe))
        return [self._as_map(output, layer) for output, layer in zip(outputs, self.choice.layers, strict=True)]

    def _as_map(self, output: object, layer: str | int) -> np.ndarray:
        kind = kind_of(output)
        if kind is None or not isinstance(output, Tensor):
            raise ConfigError(f"{self.choice.backbone.name} {layer}: has no grid of places to be shown as pictures")
        return np.asarray(KINDS[kind](output)[0].float().cpu().numpy())


def grid_of_channels(channels: np.ndarray) -> np.ndarray:
    """Put (channels, rows, columns) side by side, 16 in a row, each with mean 128 and deviation 64: (H, W) uint8."""
    return tiled(standardized(channels))


def layers_by_size(choice: Choice) -> list[str]:
    """Return the last spatial layer of each grid size up to the choice's layers, early to late."""
    found = spatial_layers(choice.backbone, choice.layers, choice.recipe.side)
    last = {layer.side: layer.node for at, layer in found.layers.items() if not found.is_passing(at)}
    order = list(found.known.nodes)
    return sorted(last.values(), key=order.index)
