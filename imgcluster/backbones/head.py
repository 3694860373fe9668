"""Apply the classifier of a network to features of a run, without reading images or running the network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from imgcluster.backbones.layers import LOGITS, layers_of
from imgcluster.backbones.networks import network_with
from imgcluster.backbones.weights.load import Weights
from imgcluster.config import Backbone

if TYPE_CHECKING:
    from torch import nn

# Steps that leave a pooled vector as it is: they change the shape of a map or of tokens, or act in training alone.
NEUTRAL = re.compile(r"(flatten|getitem|view|reshape|mean|squeeze|dropout|adaptive_avg_pool2d)(_\d+)?")
NEUTRAL_MODULES = ("AdaptiveAvgPool2d", "Dropout", "Flatten", "Identity")
VECTOR_MODULES = ("Linear", "ReLU", "Hardswish", "SiLU", "GELU", "Tanh")


def classify(backbone: Backbone, weights: Weights, layer: str | int, vectors: np.ndarray) -> np.ndarray | None:
    """Return class probabilities, (n, classes) float32, of pooled features of a layer, (n, dim) float32.

    None where they cannot be had of such vectors alone: the network has no classifier, or between it and the layer are
    steps that take a map or tokens. Raises WeightsError where the weights do not fit.
    """
    import torch

    model = network_with(backbone, weights)
    known = layers_of(model)
    if LOGITS not in known.aliases or not known.traced:
        return None
    nodes = known.nodes
    behind = nodes[nodes.index(known.find(layer, backbone.name)) + 1 : nodes.index(known.aliases[LOGITS]) + 1]
    modules = _modules(model, behind)
    if modules is None or not _takes(modules, vectors.shape[1]):
        return None
    with torch.no_grad():
        values = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))
        for module in modules:
            values = module(values)
        return np.asarray(values.softmax(dim=1).numpy())


def _modules(model: nn.Module, nodes: list[str]) -> list[nn.Module] | None:
    """Return the modules among some steps that change a vector; None where a step is not known to take one."""
    by_name = dict(model.named_modules())
    found = []
    for node in nodes:
        kind = type(by_name[node]).__name__ if node in by_name else None
        if kind in VECTOR_MODULES:
            found.append(by_name[node])
        elif kind not in NEUTRAL_MODULES and not (kind is None and NEUTRAL.fullmatch(node.rpartition(".")[2])):
            return None
    return found


def _takes(modules: list[nn.Module], dim: int) -> bool:
    """Say whether the first linear step takes vectors of this length."""
    sizes = [module.in_features for module in modules if hasattr(module, "in_features")]
    return bool(sizes and sizes[0] == dim)
