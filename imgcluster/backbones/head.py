"""Apply the classifier of a network to features of a run, without reading images or running the network."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from imgcluster.backbones.layers import LOGITS, layers_of
from imgcluster.backbones.networks import network_with
from imgcluster.backbones.select import PACKAGES
from imgcluster.backbones.weights.load import Weights
from imgcluster.config import Backbone
from imgcluster.utils import fingerprint_of, installed, kept_file, kept_path, pack_arrays, unpack_arrays

if TYPE_CHECKING:
    from torch import nn

FORMAT = 1  # of what is kept: raise it when classifiers are taken from networks in another way
# Steps that leave a pooled vector as it is: they change the shape of a map or of tokens, or act in training alone.
NEUTRAL = re.compile(r"(flatten|getitem|view|reshape|mean|squeeze|dropout|adaptive_avg_pool2d)(_\d+)?")
NEUTRAL_MODULES = ("AdaptiveAvgPool2d", "Dropout", "Flatten", "Identity")
LINEAR = "Linear"


@dataclass(frozen=True)
class Step:
    """A module that takes a vector, by the name of its class; of a linear one also weight, (out, in), and bias."""

    kind: str
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return the vectors, (n, out) float32, that this step makes of others, (n, in) float32."""
        if self.weight is None:
            return ACTIVATIONS[self.kind](values)
        products = values @ self.weight.T
        return np.asarray(products if self.bias is None else products + self.bias)


@dataclass(frozen=True)
class Head:
    """The steps from a layer to the logits; None where they cannot be computed from the layer's pooled features."""

    steps: list[Step] | None


def classify(backbone: Backbone, weights: Weights, layer: str | int, vectors: np.ndarray) -> np.ndarray | None:
    """Return class probabilities, (n, classes) float32, of pooled features of a layer, (n, dim) float32.

    The classifier is kept under the cache folder, so that the network is built once for a layer of these weights.

    Returns:
        None where they cannot be had of such vectors alone: the network has no classifier, or between it and the layer
        are steps that take a map or tokens.

    Raises:
        WeightsError: The weights do not fit.
    """
    steps = _kept_head(backbone, weights, layer).steps
    sizes = [step.weight.shape[1] for step in steps or () if step.weight is not None]
    if steps is None or not sizes or sizes[0] != vectors.shape[1]:
        return None
    values = np.asarray(vectors, np.float32)
    for step in steps:
        values = step(values)
    odds = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _kept_head(backbone: Backbone, weights: Weights, layer: str | int) -> Head:
    versions = {package: installed(package) for package in PACKAGES}
    about = [FORMAT, backbone.name, weights.sha256, str(layer), versions]
    path = kept_path("heads", f"{fingerprint_of(about)}.npz")
    head: Head = kept_file(
        path,
        lambda: _head_of(backbone, weights, layer),
        lambda data: unpack_arrays(data, (Head, Step)),
        pack_arrays,
    )
    return head


def _head_of(backbone: Backbone, weights: Weights, layer: str | int) -> Head:
    model = network_with(backbone, weights)
    known = layers_of(model)
    if LOGITS not in known.aliases or not known.traced:
        return Head(None)
    nodes = known.nodes
    behind = nodes[nodes.index(known.find(layer, backbone.name)) + 1 : nodes.index(known.aliases[LOGITS]) + 1]
    return Head(_steps(model, behind))


def _steps(model: nn.Module, nodes: list[str]) -> list[Step] | None:
    """Return the steps among some nodes that change a vector; None where one is not known to take a vector."""
    by_name = dict(model.named_modules())
    found = []
    for node in nodes:
        kind = type(by_name[node]).__name__ if node in by_name else None
        if kind == LINEAR or (kind in ACTIVATIONS and getattr(by_name[node], "approximate", "none") == "none"):
            values = {name: value.detach().float().numpy() for name, value in by_name[node].named_parameters()}
            found.append(Step(kind, **values))
        elif kind not in NEUTRAL_MODULES and not (kind is None and NEUTRAL.fullmatch(node.rpartition(".")[2])):
            return None
    return found


def _gelu(values: np.ndarray) -> np.ndarray:
    erf = np.frompyfunc(math.erf, 1, 1)(values / np.sqrt(2)).astype(np.float32)
    return np.asarray(values * (1 + erf) / 2)


# Hendrycks & Gimpel 2016, "Gaussian Error Linear Units", section 2; Howard et al. 2019, "Searching for MobileNetV3",
# section 5.2: the hard swish.
ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ReLU": lambda values: np.maximum(values, 0),
    "Hardswish": lambda values: values * np.clip(values + 3, 0, 6) / 6,
    "SiLU": lambda values: values * (1 + np.tanh(values / 2)) / 2,  # values * sigmoid(values) that cannot overflow
    "GELU": _gelu,
    "Tanh": np.tanh,
}
