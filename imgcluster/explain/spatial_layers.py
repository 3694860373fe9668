"""Spatial layers: those whose output is a grid over the picture, whatever the network calls them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn

from imgcluster.backbones import Layers, capture, empty_network, layers_of
from imgcluster.config import Backbone
from imgcluster.errors import ConfigError

PASSING = re.compile("^(?!conv).*(pool|drop|pad)", re.IGNORECASE)  # steps that compute no features of their own
ACTIVATION = re.compile(r"elu|swish|silu|mish|sigmoid|(^|_)act(ivation)?\d*$", re.IGNORECASE)
ATTENTION = re.compile(r"(^|[._])(self_)?att(n|ention)(?![a-z])")
MAX_EXTRA_TOKENS = 8  # class token, registers, distillation token
NODES_SEARCHED_FIRST = 60  # back from the layer; all others only for very long heads
PROBE_SIZE = 2  # pictures at a time: an output with another first dimension is none of pictures


@dataclass(frozen=True)
class SpatialLayer:
    """A node whose output is a grid: kind, one of KINDS; shape, of its output for one picture."""

    node: str
    kind: str
    shape: tuple[int, ...]

    @property
    def side(self) -> int:
        """Cells in a row of the grid."""
        if self.kind == "tokens":
            return isqrt(self.shape[0])
        return self.shape[-1] if self.kind == "map" else self.shape[0]


@cache  # a second or so, each time
def last_spatial_layer(backbone: Backbone, layers: tuple[str | int, ...], side: int) -> SpatialLayer:
    """Return the last spatial layer in front of all of these layers, or among them. Raises ConfigError: there is none.

    In convolutional networks it is the last convolution with its normalization and activation; pooling behind it only
    discards values. In transformers it is the input of the last attention: behind that, the tokens of patches do not
    reach the class token any more.
    """
    for most in (NODES_SEARCHED_FIRST, None):
        listed = spatial_layers(backbone, layers, side, most)
        if (layer := _last_of(listed, backbone, layers)) is not None:
            return layer
    raise ConfigError(
        f"{backbone.name} has no grid of places before {' and '.join(map(str, layers))}: nothing of it can be shown on "
        "a picture"
    )


def _last_of(listed: SpatialLayers, backbone: Backbone, layers: Sequence[str | int]) -> SpatialLayer | None:
    nodes, found = listed.known.nodes, listed.layers
    first = min(_index(listed.known, listed.known.find(layer, backbone.name)) for layer in layers)
    before = [at for at in range(first, -1, -1) if at in found and not listed.is_passing(at)]
    if before and found[before[0]].kind == "tokens":
        attention = [at for at in range(first + 1) if ATTENTION.search(nodes[at])]
        begin = min((at for at in attention if _same_block(nodes[at], nodes[attention[-1]])), default=0)
        before = [at for at in before if at < begin]
    return found[before[0]] if before else None


@dataclass(frozen=True)
class SpatialLayers:
    """The nodes of a network up to some layers, and its spatial layers by their index among them."""

    known: Layers
    layers: dict[int, SpatialLayer]
    model: nn.Module

    def is_passing(self, at: int) -> bool:
        """Say whether a node only pools, drops or pads."""
        return self._is(PASSING, at)

    def is_activation(self, at: int) -> bool:
        """Say whether a node is an activation function."""
        return self._is(ACTIVATION, at)

    def _is(self, what: re.Pattern[str], at: int) -> bool:
        node = self.known.nodes[at]
        kind = type(dict(self.model.named_modules()).get(node)).__name__
        return bool(what.search(node.rsplit(".", 1)[-1]) or what.search(kind))


def spatial_layers(
    backbone: Backbone, layers: Sequence[str | int], side: int, most: int | None = None
) -> SpatialLayers:
    """Find every spatial layer up to the last of these layers, for pictures of side x side. Needs no weights.

    most: search only so many nodes back from the first of the layers, which is quicker; None: all.
    """
    model = empty_network(backbone)
    known = layers_of(model)
    at = [_index(known, known.find(layer, backbone.name)) for layer in layers]
    begin = 0 if most is None else max(0, min(at) + 1 - most)
    names = known.nodes[begin : max(at) + 1]
    with torch.no_grad():
        outputs = capture(model, names, backbone.name)(torch.zeros(PROBE_SIZE, 3, side, side, device="meta"))
    kinds = [kind_of(output) for output in outputs]
    found = {
        begin + number: SpatialLayer(names[number], kind, tuple(outputs[number].shape[1:]))
        for number, kind in enumerate(kinds)
        if kind is not None
    }
    return SpatialLayers(known, found, model)


def before_activation(backbone: Backbone, layer: str | int, side: int) -> str:
    """Return the node in front of a layer that is an activation of a grid; of any other layer, its own node."""
    listed = spatial_layers(backbone, (layer,), side)
    at = _index(listed.known, listed.known.find(layer, backbone.name))
    before, here = listed.layers.get(at - 1), listed.layers.get(at)
    same = before is not None and here is not None and before.shape == here.shape
    return listed.known.nodes[at - 1 if same and listed.is_activation(at) else at]


def kind_of(output: Any) -> str | None:
    """Return which of KINDS a layer's output for `PROBE_SIZE` square pictures is; None: it is not spatial."""
    if not isinstance(output, Tensor) or len(output) != PROBE_SIZE:
        return None
    shape = output.shape
    if output.ndim == 4 and shape[2] == shape[3] > 1:
        return "map"
    if output.ndim == 4 and shape[1] == shape[2] > 1:
        return "map_last"
    extra = shape[1] - isqrt(shape[1]) ** 2 if output.ndim == 3 else MAX_EXTRA_TOKENS
    return "tokens" if output.ndim == 3 and shape[1] > 1 and extra < MAX_EXTRA_TOKENS else None


def _tokens_as_map(values: Tensor) -> Tensor:
    side = isqrt(values.shape[1])
    return values[:, -(side**2) :].transpose(1, 2).reshape(len(values), -1, side, side)


# Outputs as maps (n, channels, rows, columns); tokens of a class or of registers come before those of patches.
KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "map": lambda values: values,
    "map_last": lambda values: values.permute(0, 3, 1, 2),
    "tokens": _tokens_as_map,
}


def _index(known: Layers, node: str) -> int:
    """Return the index of a node; of a block, that of the last node inside."""
    if node in known.nodes:
        return known.nodes.index(node)
    return max(at for at, name in enumerate(known.nodes) if name.startswith(f"{node}."))


def _same_block(node: str, other: str) -> bool:
    """Say whether two nodes belong to the same attention."""
    ours, theirs = (ATTENTION.split(name, maxsplit=1)[0] for name in (node, other))
    return ours == theirs
