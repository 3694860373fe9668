"""The networks themselves, whole, without a choice of layer: by source, one builder each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from imgcluster.catalog import Backbone
from imgcluster.weights import RANDOM_SEED

if TYPE_CHECKING:
    from torch import nn


def empty_network(backbone: Backbone) -> nn.Module:
    """Build a network in eval mode on the meta device: all its layers, and no memory for values."""
    import torch

    with torch.device("meta"):
        return _prepared(BUILDERS[backbone.source](backbone))


def random_network(backbone: Backbone) -> nn.Module:
    """Build a network in eval mode with the values its authors start training from, the same ones each time."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        return _prepared(BUILDERS[backbone.source](backbone))


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


def _prepared(model: nn.Module) -> nn.Module:
    """Keep what a layer gave as it was: an in-place ReLU behind it would overwrite it with its own result."""
    for module in model.modules():
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010 (an attribute of some modules only)
    return model.eval()
