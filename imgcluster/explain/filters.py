"""Filter visualization: pictures that maximize the activation of a layer's filters, by gradient ascent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from imgcluster.backbones import Choice, normalization, size_problem
from imgcluster.errors import ConfigError
from imgcluster.explain.activations import LayerNetwork
from imgcluster.explain.heatmap import standardized
from imgcluster.explain.spatial_layers import PROBE_SIZE, before_activation
from imgcluster.utils import track

GREY, NOISE = 128.0, 20.0  # mean and range, 0 to 255
STEPS, STEP = 40, 1.0
# Gradients of late layers, spread over thousands of pixels, are as small as the usual 1e-5: it would slow their ascent,
# and stop that of a network with random weights. This value only avoids 0 / 0.
MIN_GRADIENT = 1e-12
FILTERS_PER_BATCH = 8
SMALL_SIDE = 128  # pixels; enough for a filter's pattern, in a third of the time of 224
DEFAULT_FILTERS = 16  # of a layer


def filters_of_layer(
    choice: Choice,
    layer: str | int,
    device: torch.device,
    filters: Sequence[int] | None = None,
    *,
    side: int | None = None,
    steps: int = STEPS,
    seed: int = 0,
    show: bool = False,
) -> np.ndarray:
    """Return pictures that maximize filters of a layer, (n, side, side, 3) RGB uint8; as `filter_images` says."""
    choice = _ascent_choice(choice, layer)
    network = LayerNetwork.build(choice, device)
    wanted = _first_filters(network, DEFAULT_FILTERS) if filters is None else list(filters)
    return _maximize(network, wanted, _grey_noise(side or _ascent_side(choice), seed), steps=steps, show=show)


def _first_filters(network: LayerNetwork, most: int) -> list[int]:
    """Return the numbers of the first filters of the only layer, `most` at most."""
    side = network.choice.recipe.side
    with torch.no_grad():
        output = network.network(torch.zeros(PROBE_SIZE, 3, side, side, device=network.device))[0]
    return list(range(min(most, channels_last(output).shape[-1])))


def _grey_noise(side: int, seed: int) -> Tensor:
    """Return noise around grey, (1, 3, side, side) float32 from 118 to 138."""
    noise = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(seed)) - 0.5
    return noise * NOISE + GREY


def _maximize(
    network: LayerNetwork, filters: Sequence[int], start: Tensor, *, steps: int = STEPS, show: bool = False
) -> np.ndarray:
    """Return pictures that maximize filters of the network's only layer, (n, side, side, 3) RGB uint8.

    The layer should not be an activation: a ReLU that is shut passes no gradient on, and its filter stays grey.

    Gradient ascent in pixels, 0 to 255, from the same start, (1, 3, side, side), for each filter: `steps` of 1.0 along
    the gradient of the filter's mean activation, divided by its root mean square (Erhan et al. 2009, "Visualizing
    Higher-Layer Features of a Deep Network", section 3.2; with the scaling of Chollet, "How convolutional neural
    networks see the world", 2016). Raises ConfigError where there is no such filter.
    """
    start = start.to(network.device)
    made = []
    with track("filters", len(filters), "filters", show=show) as advance:
        for at in range(0, len(filters), FILTERS_PER_BATCH):
            made.append(ascend(network, start, filters[at : at + FILTERS_PER_BATCH], steps))
            advance(len(made[-1]))
    return standardized(np.concatenate(made))


def ascend(network: LayerNetwork, start: Tensor, filters: Sequence[int], steps: int) -> np.ndarray:
    """Return pixels after gradient ascent from the same start for each filter: (n, side, side, 3) float32."""
    pixels = start.repeat(len(filters), 1, 1, 1)
    recipe = network.choice.recipe
    mean, std = normalization(recipe, network.device)
    for _ in range(steps):
        pixels.requires_grad_()
        with torch.enable_grad():
            seen = (pixels.flip(1) if recipe.channels == "bgr" else pixels) / recipe.scale
            means = _mean_activations(network, network.network((seen - mean) / std)[0], filters)
            (gradient,) = torch.autograd.grad(means.sum(), pixels)
        size = gradient.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        pixels = (pixels + STEP * gradient / (size + MIN_GRADIENT)).detach()
    return pixels.permute(0, 2, 3, 1).cpu().numpy()


def _mean_activations(network: LayerNetwork, output: Tensor, filters: Sequence[int]) -> Tensor:
    """Return the mean activation of one filter for each picture, (n,)."""
    channels = channels_last(output)
    count = channels.shape[-1]
    if wrong := [number for number in filters if not 0 <= number < count]:
        name, layer = network.choice.backbone.name, network.choice.layers[0]
        raise ConfigError(f"{name} {layer} has no filter {wrong[0]}: it has {count:,}, from 0")
    rows = torch.arange(len(filters), device=output.device)
    return channels.flatten(1, -2).mean(dim=1)[rows, torch.tensor(filters, device=output.device)]


def channels_last(output: Tensor) -> Tensor:
    """Return a layer's output with its filters last, behind at least one dimension of places."""
    if output.ndim == 2:
        return output[:, None]
    return output.movedim(1, -1) if output.ndim == 4 and output.shape[2] == output.shape[3] else output


def _ascent_choice(choice: Choice, layer: str | int) -> Choice:
    """Return the choice with the layer to maximize: for an activation, the layer in front of it."""
    node = before_activation(choice.backbone, layer, choice.recipe.side)
    return replace(choice, layers=(layer if node == str(layer) else node,))


def _ascent_side(choice: Choice) -> int:
    """Return the side of the pictures to make, in pixels: SMALL_SIDE where the network takes pictures of any size."""
    own = choice.recipe.side
    return own if own <= SMALL_SIDE or size_problem(choice.backbone, SMALL_SIDE, choice.layers) else SMALL_SIDE
