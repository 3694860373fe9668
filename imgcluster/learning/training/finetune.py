"""Mode finetune: a head and the last block of a network, and which parameters are trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from imgcluster.backbones import (
    Choice,
    Layers,
    Pooled,
    TorchRuntime,
    capture,
    join,
    layers_of,
    network_with,
    normalization,
    scaled,
    with_channels_last,
)
from imgcluster.config import FeaturesConfig
from imgcluster.errors import ConfigError
from imgcluster.images import Pixels
from imgcluster.learning.training.dataset import Pictures
from imgcluster.learning.training.head import Head, prepared_tensor


class Network:
    """A backbone of a choice, of which the weights from a layer on can be learned, on a device, in fp32.

    It stays in eval mode: BatchNorm uses the statistics that it has, which no batch changes, and nothing is dropped.
    """

    def __init__(self, choice: Choice, config: FeaturesConfig, start: str | None, device: torch.device) -> None:
        name = choice.backbone.name
        self.device = device
        self.model = network_with(choice.backbone, choice.weights).to(device)
        body = capture(self.model, choice.layers, name)
        self._network = with_channels_last(Pooled(body, choice.layers, choice.pooling).eval())
        self.unfrozen = unfreeze(self.model, start, choice.layers, name)
        self._config = config
        self._recipe = choice.recipe
        self._normalization = normalization(choice.recipe, device)
        self.runtime = TorchRuntime(self._network, choice.recipe, device, "fp32", moved=False)

    def points(self, pixels: Pixels) -> Tensor:
        """Return what a head gets of pixels, (n, n_views, side, side, 3) uint8: (n, dim)."""
        images, views = pixels.shape[:2]
        batch = pixels if isinstance(pixels, Tensor) else torch.from_numpy(pixels)
        values = scaled(batch.flatten(0, 1), self._recipe, self._normalization)
        blocks = [block.unflatten(0, (images, views)).mean(dim=1) for block in self._network(values)]
        return prepared_tensor(join(blocks, self._config.block_l2, self._config.block_weights))


class OnNetwork:
    """A head and the block of a network below it, which learn together."""

    def __init__(self, head: Head, network: Network, pictures: Pictures, batch_size: int) -> None:
        self.head = head.to(network.device)
        self.network = network
        self._pictures = pictures
        self._batch_size = batch_size

    def trained(self) -> dict[str, nn.Parameter]:
        """Return the weights of the head and of the block."""
        own = {f"head:{name}": value for name, value in self.head.named_parameters()}
        return {**own, **{f"backbone:{name}": value for name, value in self.network.unfrozen.items()}}

    def varied(self, rows: np.ndarray, epoch: int) -> Iterator[tuple[Tensor, np.ndarray]]:
        """Yield the scores of varied pictures."""
        self.head.train()
        yield from self._scored(rows, epoch)

    @torch.no_grad()
    def scores(self, rows: np.ndarray) -> Tensor:
        """Return the scores of pictures as they are."""
        self.head.eval()
        # Each is waited for: the next batch is read into the place of one that a GPU has not come to yet.
        return torch.cat([scores.cpu() for scores, _ in self._scored(rows, None)])

    def _scored(self, rows: np.ndarray, epoch: int | None) -> Iterator[tuple[Tensor, np.ndarray]]:
        for pixels, batch in self._pictures.batches(rows, min(self._batch_size, len(rows)), epoch):
            yield self.head(self.network.points(pixels[: len(batch)])), batch


WHOLE = "all"

# The last block of the families, by what the name of a backbone begins with; the longest beginning counts.
TOP_BLOCKS = {
    "alexnet": "conv5",
    "convnext": "features.7",
    "densenet": "features.denseblock4",
    "efficientnet_b": "features.7",
    "efficientnet_lite0": "_blocks.11",
    "efficientnet_lite1": "_blocks.15",
    "efficientnet_lite2": "_blocks.15",
    "efficientnet_v2": "features.7",
    "efficientnet_v2_s": "features.6",
    "googlenet": "inception5b",
    "inception_v3": "Mixed_7c",
    "maxvit": "blocks.3",
    "mnasnet": "layers.13",
    "mobilenet_v2": "features.17",
    "mobilenet_v3_large": "features.15",
    "mobilenet_v3_small": "features.11",
    "regnet": "trunk_output.block4",
    "resnet": "layer4",
    "resnext": "layer4",
    "shufflenet": "stage4",
    "squeezenet": "features.12",
    "swin": "features.7",
    "vgg": "conv5_1",
    "vit_b": "encoder.layers.encoder_layer_11",
    "vit_h": "encoder.layers.encoder_layer_31",
    "vit_l": "encoder.layers.encoder_layer_23",
    "wide_resnet": "layer4",
}


def top_block(backbone: str) -> str:
    """Return the last block of a backbone. Raises ConfigError where its family is not known."""
    known = [name for name in TOP_BLOCKS if backbone.startswith(name)]
    if not known:
        raise ConfigError(
            f"unfreeze: name the layer from which on {backbone} is to learn; `imgcluster layers {backbone}` lists them"
        )
    return TOP_BLOCKS[max(known, key=len)]


def unfreeze(
    model: nn.Module, start: str | None, layers: Sequence[str | int], backbone: str
) -> dict[str, nn.Parameter]:
    """Let the weights from a layer or block on take gradients, to the deepest of `layers`, and no others.

    start: as in `features.layer`, the first step that learns; a block begins with its first step; `all`: everything;
    None: the last block. Returns them by name.
    Raises ConfigError: no such layer, or none of its weights comes before the deepest layer.
    """
    if not list(model.parameters()):
        raise ConfigError(f"unfreeze: {backbone} has no weights that could learn")
    known = layers_of(model)
    name = start or top_block(backbone)
    try:
        first = 0 if name == WHOLE else _ends(known, name, backbone)[0]
    except ConfigError as error:
        raise ConfigError(str(error).replace("features.layer:", "unfreeze:", 1)) from None
    last = max(_ends(known, layer, backbone)[1] for layer in layers)
    model.requires_grad_(False)
    chosen = {
        key: value
        for key, value in model.named_parameters()
        if (place := _place(key.rpartition(".")[0], known.nodes)) is not None and first <= place <= last
    }
    if not chosen:
        hint = "" if start else ", its last block; name an earlier layer"
        raise ConfigError(f"unfreeze: {backbone} has no weights on the way to its features from {name!r} on{hint}")
    for value in chosen.values():
        value.requires_grad_(True)
    return chosen


def _ends(known: Layers, layer: str | int, network: str) -> tuple[int, int]:
    """Return the numbers of the first and the last step of a layer or block."""
    node = known.find(layer, network)  # of a block in a graph, the last one
    if node in known.nodes and (node == layer or str(layer) in known.aliases or str(layer).startswith("-")):
        return known.nodes.index(node), known.nodes.index(node)
    inside = [at for at, name in enumerate(known.nodes) if name.startswith(f"{layer}.")]
    return inside[0], inside[-1]


def _place(module: str, nodes: Sequence[str]) -> int | None:
    """Return the number of the first step that a module takes part in, or is a part of; the network itself, in all."""
    if not module:
        return 0
    inside, around = f"{module}.", tuple(f"{node}." for node in nodes)
    return next((at for at, node in enumerate(around) if node.startswith(inside) or inside.startswith(node)), None)
