"""What is inside of a network: the channels of its layers for one picture, and what its filters answer to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from imgcluster.backbones import Choice, capture, network_with, normalization, scaled, size_problem
from imgcluster.errors import ConfigError
from imgcluster.explain.heatmap import evened, tiled
from imgcluster.explain.spatial_layers import KINDS, PROBED, before_activation, kind_of, places_of
from imgcluster.images import prepare
from imgcluster.utils import track

GREY, NOISE = 128.0, 20.0  # of the pictures that ascents start from, 0 to 255: from 118 to 138
STEPS, STEP = 40, 1.0
# The usual 1e-5 is as much as the gradients of late layers are, of which a pixel has a share in ten thousands: it would
# slow their ascent, and that of a network with random weights to a standstill. This only keeps 0 / 0 from happening.
LEAST_GRADIENT = 1e-12
AT_ONCE = 8  # filters
SMALL_SIDE = 128  # enough for a filter to show itself, in a third of the time that 224 take
FILTERS = 16  # of a layer, where nobody says which


@dataclass(frozen=True)
class Inside:
    """A network on a device, watched at some layers: pixels -> what each gives, as it comes; the weights are frozen."""

    choice: Choice
    network: nn.Module
    device: torch.device

    @classmethod
    def build(cls, choice: Choice, device: torch.device) -> Inside:
        """Build the network of a choice. Raises ConfigError where it has no such layer."""
        model = network_with(choice.backbone, choice.weights)
        network = capture(model, choice.layers, choice.backbone.name).requires_grad_(False)
        return cls(choice, network.to(device), device)

    def activations(self, image: np.ndarray) -> list[np.ndarray]:
        """Return the channels of each layer for the first view of a picture: (channels, rows, columns) float32 each.

        Raises ConfigError for a layer that gives no grid of places.
        """
        recipe = self.choice.recipe
        views = np.empty((recipe.n_views, recipe.side, recipe.side, 3), np.uint8)
        prepare(image, recipe, views)
        pixels = torch.from_numpy(views[:1]).expand(PROBED, -1, -1, -1)
        with torch.no_grad():
            outputs = self.network(scaled(pixels.to(self.device), recipe))
        return [self._as_map(output, layer) for output, layer in zip(outputs, self.choice.layers, strict=True)]

    def _as_map(self, output: object, layer: str | int) -> np.ndarray:
        kind = kind_of(output)
        if kind is None or not isinstance(output, Tensor):
            raise ConfigError(f"{self.choice.backbone.name} {layer}: has no grid of places to be shown as pictures")
        return np.asarray(KINDS[kind](output)[0].float().cpu().numpy())

    def filters(self, most: int) -> list[int]:
        """Return the numbers of the first filters of the only layer, so many at most."""
        recipe = self.choice.recipe
        with torch.no_grad():
            output = self.network(torch.zeros(PROBED, 3, recipe.side, recipe.side, device=self.device))[0]
        return list(range(min(most, channels_last(output).shape[-1])))

    def ascended(self, filters: Sequence[int], side: int, *, seed: int, steps: int, show: bool = False) -> np.ndarray:
        """Return pictures that make filters of the only layer answer, (n, side, side, 3) RGB uint8.

        The layer should not be an activation: a ReLU that is shut passes no gradient on, and its filter stays grey.

        Gradient ascent in pixels, 0 to 255, from noise around grey, the same for each filter: `steps` of 1.0 along the
        gradient of the filter's mean activation, divided by its root mean square (Erhan et al. 2009, "Visualizing
        Higher-Layer Features of a Deep Network", section 3.2; with the scaling of Chollet, "How convolutional neural
        networks see the world", 2016).
        """
        noise = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(seed)) - 0.5
        start = (noise * NOISE + GREY).to(self.device)
        made = []
        with track("filters", len(filters), "filters", show=show) as advance:
            for at in range(0, len(filters), AT_ONCE):
                made.append(self._ascend(start, filters[at : at + AT_ONCE], steps))
                advance(len(made[-1]))
        return evened(np.concatenate(made))

    def _ascend(self, start: Tensor, filters: Sequence[int], steps: int) -> np.ndarray:
        pixels = start.repeat(len(filters), 1, 1, 1)
        recipe = self.choice.recipe
        mean, std = normalization(recipe, self.device)
        for _ in range(steps):
            pixels.requires_grad_()
            with torch.enable_grad():
                seen = (pixels.flip(1) if recipe.channels == "bgr" else pixels) / recipe.scale
                answer = self._answers(self.network((seen - mean) / std)[0], filters)
                (gradient,) = torch.autograd.grad(answer.sum(), pixels)
            size = gradient.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
            pixels = (pixels + STEP * gradient / (size + LEAST_GRADIENT)).detach()
        return pixels.permute(0, 2, 3, 1).cpu().numpy()

    def _answers(self, output: Tensor, filters: Sequence[int]) -> Tensor:
        """Return the mean activation of a filter for each picture, (n,)."""
        channels = channels_last(output)
        there = channels.shape[-1]
        if wrong := [number for number in filters if not 0 <= number < there]:
            layer = self.choice.layers[0]
            raise ConfigError(f"{self.choice.backbone.name} {layer} has no filter {wrong[0]}: it has {there:,}, from 0")
        rows = torch.arange(len(filters), device=output.device)
        return channels.flatten(1, -2).mean(dim=1)[rows, torch.tensor(filters, device=output.device)]


def channels_last(output: Tensor) -> Tensor:
    """Return a layer's output with its filters last, and a dimension of places: of a vector, one."""
    if output.ndim == 2:
        return output[:, None]
    return output.movedim(1, -1) if output.ndim == 4 and output.shape[2] == output.shape[3] else output


def grid_of_channels(channels: np.ndarray) -> np.ndarray:
    """Put (channels, rows, columns) side by side, 16 in a row, each with mean 128 and deviation 64: (H, W) uint8."""
    return tiled(evened(channels))


def ascent_choice(choice: Choice, layer: str | int) -> Choice:
    """Return the choice at the place where a layer's filters are climbed: of an activation, what goes into it."""
    place = before_activation(choice.backbone, layer, choice.recipe.side)
    return replace(choice, layers=(layer if place == str(layer) else place,))


def ascent_side(choice: Choice) -> int:
    """Return the side of the pictures to ascend in: a small one, where the network takes pictures of any size."""
    own = choice.recipe.side
    return own if own <= SMALL_SIDE or size_problem(choice.backbone, SMALL_SIDE, choice.layers) else SMALL_SIDE


def layers_by_size(choice: Choice) -> list[str]:
    """Return the last place of each size of the grid up to the choice's layers, early to late."""
    listed = places_of(choice.backbone, choice.layers, choice.recipe.side)
    last = {place.side: place.node for at, place in listed.places.items() if not listed.is_passing(at)}
    order = list(listed.known.nodes)
    return sorted(last.values(), key=order.index)
