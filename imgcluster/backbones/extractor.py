"""Feature extraction as a torch module: the outputs of selected layers for a batch of images."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from imgcluster.backbones.build import capture
from imgcluster.backbones.layer_outputs import Pooled, Watched
from imgcluster.backbones.layers import check_layers, nearest
from imgcluster.backbones.networks import network_with
from imgcluster.backbones.pooling import POOLINGS
from imgcluster.backbones.select import find_backbone
from imgcluster.backbones.weights.load import find_weights
from imgcluster.config import NORMALIZATIONS, Backbone
from imgcluster.errors import ConfigError

WHITE = 255.0  # recipes count from 0 to this, pixels here from 0 to 1


class FeatureExtractor(nn.Module):
    """Torch module that maps (n, 3, h, w) float RGB from 0 to 1 to {layer: tensor}, in the order of `layers`.

    >>> with FeatureExtractor("vgg16", ["relu3_3", "fc6"]) as extractor:
    ...     fc6 = extractor(pixels)["fc6"]

    Args:
        backbone: A name from `imgcluster models`, or your own module.
        layers: One or a list; None: the backbone's default. For your own module, names as in `named_modules`, or
            negative numbers, which count from the end among modules without children. For a module that is called
            several times, the last output counts.
        weights: "imagenet", "random" or a path. Your own module keeps its own.
        pooling: None returns maps, tokens and vectors unchanged; a value of `features.pooling` returns (n, dim).
        normalize: Whether to scale values as in the backbone's training, or for your own module by ImageNet's mean and
            standard deviation. None: True for a backbone by name, False for your own module, whose input may then be
            anything.
        gradients: Whether gradients reach the pixels, and the weights of your own module. The weights of a backbone by
            name are frozen.

    Features are always computed in eval mode, whatever `train()` and `eval()` set. For a backbone by name, nothing
    after the deepest layer is computed. Your own module is neither copied nor changed: it runs completely, in eval mode
    and without in-place operations, and its modes and flags are restored afterwards. `to()` moves it; `parameters()`
    returns its weights.

    Raises:
        ConfigError: An argument is invalid; or, when called, the pixels have the wrong shape, a layer returns no tensor
            or cannot be pooled, or the extractor is closed.
        WeightsError: The weights do not fit. WeightsUnavailable: They cannot be downloaded.
    """

    def __init__(
        self,
        backbone: str | nn.Module = "vgg16",
        layers: str | int | Sequence[str | int] | None = None,
        *,
        weights: str | os.PathLike[str] = "imagenet",
        pooling: str | None = None,
        normalize: bool | None = None,
        gradients: bool = False,
    ) -> None:
        super().__init__()
        _check_pooling(pooling)
        asked = _listed(layers)
        body: nn.Module
        scaled: nn.Module
        if isinstance(backbone, nn.Module):
            _check_own(backbone, asked, os.fspath(weights))
            self.layers = asked or []
            body = Watched(backbone, self.layers)
            scaled = _Scaled(1.0, *NORMALIZATIONS["imagenet"]) if normalize else nn.Identity()
        else:
            row = find_backbone(backbone)
            self.layers = asked or [row.default_layer]
            body = _frozen(row, self.layers, os.fspath(weights))
            scaled = nn.Identity() if normalize is False else _scaled_for(row)
        self.gradients = gradients
        self._scaled = scaled
        self._network: nn.Module | None = Pooled(body, self.layers, pooling)

    def forward(self, pixels: Tensor) -> dict[str | int, Tensor]:
        """Return what each layer gives for a batch."""
        if self._network is None:
            raise ConfigError("the extractor is closed; make another one")
        with torch.set_grad_enabled(self.gradients and torch.is_grad_enabled()):
            return dict(zip(self.layers, self._network(self._scaled(pixels)), strict=True))

    def train(self, mode: bool = True) -> FeatureExtractor:
        """Set the flag of this module alone: the network's modes are not its to change."""
        self.training = mode
        return self

    def close(self) -> None:
        """Let go of the network."""
        self._network = None
        gc.collect()  # a traced network refers to itself: its memory would be held until somebody else collects

    def __enter__(self) -> FeatureExtractor:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Scaled(nn.Module):
    """Values from 0 to 1, times a factor, minus the mean, over the std, channel by channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, factor: float, mean: Sequence[float], std: Sequence[float], flip: bool = False) -> None:
        super().__init__()
        self._factor = factor
        self._flip = flip
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        if pixels.ndim != 4 or pixels.shape[1] != 3 or not pixels.is_floating_point():
            found = f"{tuple(pixels.shape)} of {str(pixels.dtype).removeprefix('torch.')}"
            raise ConfigError(f"pixels: found {found}; allowed: (n, 3, height, width) of floats from 0 to 1")
        values = pixels.flip(1) if self._flip else pixels
        return (values * self._factor - self.mean) / self.std


def _scaled_for(backbone: Backbone) -> nn.Module:
    recipe = backbone.recipe
    return _Scaled(WHITE / recipe.scale, recipe.mean, recipe.std, flip=recipe.channels == "bgr")


def _frozen(backbone: Backbone, layers: Sequence[str | int], weights: str) -> nn.Module:
    check_layers(backbone, layers)  # before half a gigabyte is downloaded
    model = network_with(backbone, find_weights(backbone, weights))
    return capture(model, layers, backbone.name).requires_grad_(False)


def _listed(layers: str | int | Sequence[str | int] | None) -> list[str | int] | None:
    listed = [layers] if isinstance(layers, str | int) else layers
    if listed is not None and not listed:
        raise ConfigError("layers: an empty list; name one layer at least")
    return None if listed is None else list(listed)


def _check_own(module: nn.Module, layers: Sequence[str | int] | None, weights: str) -> None:
    if weights != "imagenet":
        raise ConfigError(f"weights: {weights!r} is for a backbone by name; a module has its own already")
    if layers is None:
        names = nearest("", [name for name, _ in module.named_modules() if name])
        raise ConfigError(f"layers: {type(module).__name__} has no default layer; name one, or a list of them{names}")


def _check_pooling(pooling: str | None) -> None:
    known = list(dict.fromkeys(name for poolings in POOLINGS.values() for name in poolings))
    if pooling is not None and pooling not in known:
        raise ConfigError(f"pooling: there is no {pooling!r}; allowed: {', '.join(known)}")
