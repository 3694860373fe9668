"""Mode `finetune`: a head on a network whose last block learns with it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from imgcluster.backbones import Choice
from imgcluster.backbones.build import capture
from imgcluster.backbones.captured import Pooled
from imgcluster.backbones.networks import network_with
from imgcluster.backbones.pooling import join
from imgcluster.config import FeaturesConfig
from imgcluster.runtimes.runtime import Pixels
from imgcluster.runtimes.torch_runtime import TorchRuntime, normalization, scaled, with_channels_last
from imgcluster.training.head import Head, prepared_tensor
from imgcluster.training.pictures import Pictures
from imgcluster.training.unfreezing import unfreeze


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
