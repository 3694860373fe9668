"""Networks that look at pictures and can say of what they saw where it was: Grad-CAM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from imgcluster.backbones import Choice, cut, network_with, pool, scaled, with_channels_last
from imgcluster.errors import ConfigError
from imgcluster.explain.spatial_layers import KINDS, Place, place_before
from imgcluster.images import onto_picture, prepare, windows_of


@dataclass(frozen=True)
class Sight:
    """What an eye saw of n pictures.

    place: the leaf, as the network gives it, (n * views, ...). outputs: one for each layer, (n, dim) pooled, the mean
    of the views.
    """

    place: Tensor
    outputs: list[Tensor]


class Eye:
    """The network of a choice, cut at the last grid of places before its layers, on a device, in fp32."""

    def __init__(self, choice: Choice, device: torch.device) -> None:
        self.choice = choice
        self.place: Place = place_before(choice.backbone, choice.layers, choice.recipe.side)
        self._device = device
        model = network_with(choice.backbone, choice.weights)
        network: nn.Module = cut(model, self.place.node, choice.layers, choice.backbone.name)
        self._network = with_channels_last(network.to(device))

    def look(self, images: Sequence[np.ndarray]) -> Sight:
        """Look at pictures, (height, width, 3) RGB uint8 each."""
        with torch.enable_grad():
            place, *outputs = self._network(self.pixels(images))
            layers = map(str, self.choice.layers)
            return Sight(place, [self._features(*output) for output in zip(outputs, layers, strict=True)])

    def pixels(self, images: Sequence[np.ndarray]) -> Tensor:
        """Return what the network gets of pictures: (n * views, 3, side, side) float32."""
        recipe = self.choice.recipe
        pixels = np.empty((len(images), recipe.n_views, recipe.side, recipe.side, 3), np.uint8)
        for image, views in zip(images, pixels, strict=True):
            prepare(image, recipe, views)
        return scaled(torch.from_numpy(pixels).flatten(0, 1).to(self._device), recipe)

    def heat(self, sight: Sight, score: Tensor, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return what each picture has for its score, (n,), and where: an (height, width) float32 each, of any sign.

        A score must depend on its own picture alone.
        """
        maps = np.split(self.maps(sight, score).cpu().numpy(), len(images))
        sizes = [image.shape[:2] for image in images]
        return [
            onto_picture(views, windows_of(self.choice.recipe, *size), *size)
            for views, size in zip(maps, sizes, strict=True)
        ]

    def maps(self, sight: Sight, score: Tensor) -> Tensor:
        """Return the map of each view on the network's own grid, (n * views, rows, columns), of any sign.

        Grad-CAM (Selvaraju et al. 2017, equations 1 and 2) before its ReLU: channels weighted by the mean derivative of
        the score. Raises ConfigError where the score does not depend on the place.
        """
        found = torch.autograd.grad(score.sum(), [sight.place], retain_graph=True, allow_unused=True)
        gradients: Tensor | None = found[0]
        if gradients is None:
            layers = ", ".join(map(str, self.choice.layers))
            raise ConfigError(f"{self.choice.backbone.name}: {self.place.node} is no step on the way to {layers}")
        return grad_cam_of(*(KINDS[self.place.kind](values) for values in (sight.place.detach(), gradients)))

    def _features(self, output: Tensor, layer: str) -> Tensor:
        features = pool(output, self.choice.pooling or "auto", layer).float()
        return features.reshape(-1, self.choice.recipe.n_views, features.shape[1]).mean(dim=1)


def grad_cam_of(maps: Tensor, gradients: Tensor) -> Tensor:
    """Return the sum of the channels, each weighted by its mean gradient: (n, channels, h, w) twice -> (n, h, w)."""
    return (gradients.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1)


def shown(heat: np.ndarray) -> np.ndarray:
    """Return heat as it is shown, float32 from 0 to 1: what speaks against is 0, the most is 1; nothing stays 0."""
    positive = np.maximum(heat, 0)
    most = positive.max(initial=0)
    return np.asarray(positive / most if np.isfinite(most) and most > 0 else np.zeros_like(positive), np.float32)
