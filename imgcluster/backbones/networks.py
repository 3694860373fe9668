"""Networks: built from torchvision, timm and EfficientNet-Lite, and the classes of ImageNet that they tell apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from imgcluster.backbones.clip_networks import build_clip
from imgcluster.backbones.timm_networks import size_arguments, timm_name
from imgcluster.backbones.weights.load import RANDOM_SEED, Weights, fit, load_state_dict
from imgcluster.config import FORMULA, Backbone
from imgcluster.errors import ConfigError, WeightsError, one_line
from imgcluster.utils import installed, remembered

if TYPE_CHECKING:
    from torch import nn


# What torchvision's builders set where they load the weights themselves. Google's were trained on values from -1 to 1,
# which these networks make of the input's on request; vit_h_14's are for larger pictures than the network by default.
TORCHVISION_ARGUMENTS: dict[str, dict[str, Any]] = {
    "googlenet": {"transform_input": True, "init_weights": True},
    "inception_v3": {"transform_input": True, "init_weights": True},
    "vit_h_14": {"image_size": 518},
}


def empty_network(backbone: Backbone) -> nn.Module:
    """Build a network in eval mode on the meta device: all its layers, and no memory for values."""
    try:
        with _allocating_nothing():
            return _prepared(BUILDERS[backbone.source](backbone)).to("meta")
    except RuntimeError:  # some compute with values that they have just allocated
        return random_network(backbone).to("meta")


def random_network(backbone: Backbone) -> nn.Module:
    """Build a network in eval mode with the values its authors start training from, the same ones each time."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        return _prepared(BUILDERS[backbone.source](backbone))


def network_with(backbone: Backbone, weights: Weights) -> nn.Module:
    """Build a network in eval mode with these weights. Raises WeightsError where they do not fit."""
    if weights.path is None:
        return random_network(backbone)
    if backbone.source == "timm":
        return _fitted_by_timm(backbone, weights)
    # No time is spent on values that the weights replace; CLIP computes others, such as masks, which no file has.
    model = random_network(backbone) if backbone.source == "open_clip" else empty_network(backbone)
    fit(model, weights)
    return model


def _torchvision(backbone: Backbone) -> nn.Module:
    from torchvision.models import get_model

    arguments = TORCHVISION_ARGUMENTS.get(backbone.name, {})
    return get_model(backbone.name, weights=None, **arguments)  # type: ignore[no-any-return]


def _efficientnet_lite(backbone: Backbone) -> nn.Module:
    from efficientnet_lite_pytorch import EfficientNet

    # Blocks that are left out at random are of its training; with them, torch 2.6 cannot trace it.
    return EfficientNet.from_name(backbone.name.replace("_", "-"), drop_connect_rate=0.0)  # type: ignore[no-any-return]


def _formula(backbone: Backbone) -> nn.Module:
    from imgcluster.backbones.hog import OrientedGradients

    return OrientedGradients()


def _timm(backbone: Backbone) -> nn.Module:
    import timm

    size = size_arguments(backbone)
    try:
        model: nn.Module = timm.create_model(timm_name(backbone), pretrained=False, **size)
    except (AssertionError, ValueError, TypeError) as error:
        if not size:
            raise
        side = backbone.recipe.side
        raise ConfigError(f"{backbone.name} cannot take pictures of {side} x {side} ({one_line(error)})") from error
    return model


BUILDERS: dict[str, Callable[[Backbone], nn.Module]] = {
    "torchvision": _torchvision,
    "efficientnet_lite": _efficientnet_lite,
    "timm": _timm,
    FORMULA: _formula,
    "open_clip": build_clip,
}


def _fitted_by_timm(backbone: Backbone, weights: Weights) -> nn.Module:
    """Leave it to timm: for many networks it renames or reshapes what their authors published."""
    import timm

    state = load_state_dict(weights)
    try:
        model = timm.create_model(
            timm_name(backbone),
            pretrained=True,
            pretrained_cfg_overlay={"state_dict": state},
            **size_arguments(backbone),
        )
    except Exception as error:  # its conversions raise whatever a foreign file happens to lead to
        fit(empty_network(backbone), weights)  # tells the difference in one line
        raise WeightsError(f"weights {weights.path}: timm cannot use them: {one_line(error)[:200]}") from error
    return _prepared(model)


@contextmanager
def _allocating_nothing() -> Iterator[None]:
    """Put on the meta device what modules allocate, and only that: RegNet computes its widths with tensors."""
    import torch
    from torch.overrides import TorchFunctionMode

    allocators = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn}

    class Mode(TorchFunctionMode):
        """Intercepts every call into torch."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = dict(kwargs or {})
            if func in allocators and kwargs.get("device") is None:
                kwargs["device"] = "meta"
            return func(*args, **kwargs)

    with Mode():
        yield


def _prepared(model: nn.Module) -> nn.Module:
    """Keep what a layer gave as it was: an in-place ReLU behind it would overwrite it with its own result."""
    for module in model.modules():
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010 (an attribute of some modules only)
    return model.eval()


CLASSES = 1000


def class_names() -> list[str]:
    """Return the names of ImageNet's 1000 classes in the order of the logits, as torchvision has them."""
    return remembered(["classes of ImageNet", installed("torchvision")], _class_names)


def _class_names() -> list[str]:
    from torchvision.models import AlexNet_Weights

    return list(AlexNet_Weights.IMAGENET1K_V1.meta["categories"])
