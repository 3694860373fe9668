"""timm's own feature vector, the output of `forward_head` before the classifier, as a layer."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

VECTOR = "_vector"  # the module that passes it on; no network of timm has one of this name


def with_vector(model: nn.Module) -> nn.Module:
    """Return a network of timm with one step more, the module `VECTOR`, which gives the vector; it shares all modules.

    The scores of the classes are computed first: in a graph, every step then keeps the name it has without the vector.
    """
    twin = copy.copy(model)
    twin.__dict__["_modules"] = {**model._modules, VECTOR: nn.Identity()}
    twin.__class__ = type(type(model).__name__, (type(model),), {"forward": _forward})
    return twin


def _forward(self: Any, pixels: Tensor) -> Tensor:
    features = self.forward_features(pixels)
    logits: Tensor = self.forward_head(features)
    self.get_submodule(VECTOR)(self.forward_head(features, pre_logits=True))
    return logits
