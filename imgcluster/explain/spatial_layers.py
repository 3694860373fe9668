"""Where in a network a map can be read: the last grid of places before a layer, whatever the network calls it."""

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

PASSING = re.compile(
    "^(?!conv).*(pool|drop|pad)", re.IGNORECASE
)  # steps that see nothing new in what the one before them gave
ACTIVATION = re.compile(r"elu|swish|silu|mish|sigmoid|(^|_)act(ivation)?\d*$", re.IGNORECASE)
ATTENTION = re.compile(r"(^|[._])(self_)?att(n|ention)(?![a-z])")
MOST_EXTRA_TOKENS = 8  # of a class, of registers, of distillation
LOOKED_BACK = 60  # nodes: the last place is among them but for very long heads
PROBED = 2  # pictures at a time: what has another first dimension is no map of pictures


@dataclass(frozen=True)
class Place:
    """A node of a network, the kind of what it gives (one of KINDS), and its shape for one picture."""

    node: str
    kind: str
    shape: tuple[int, ...]

    @property
    def side(self) -> int:
        """How many cells a row of its grid has."""
        if self.kind == "tokens":
            return isqrt(self.shape[0])
        return self.shape[-1] if self.kind == "map" else self.shape[0]


@cache  # a second or so, each time
def place_before(backbone: Backbone, layers: tuple[str | int, ...], side: int) -> Place:
    """Return the last place that all of these layers lie behind, or are. Raises ConfigError where there is none.

    Of convolutional networks it is what the last convolution gives, with the normalization and the activation behind
    it: pooling only thins it out. Of transformers it is the tokens that go into the last attention: behind it, those
    of the pictures' patches do not reach the class token any more.
    """
    for most in (LOOKED_BACK, None):
        listed = places_of(backbone, layers, side, most)
        if (place := _last_place(listed, backbone, layers)) is not None:
            return place
    raise ConfigError(
        f"{backbone.name} has no grid of places before {' and '.join(map(str, layers))}: nothing of it can be shown on "
        "a picture"
    )


def _last_place(listed: Places, backbone: Backbone, layers: Sequence[str | int]) -> Place | None:
    nodes, found = listed.known.nodes, listed.places
    first = min(_index(listed.known, listed.known.find(layer, backbone.name)) for layer in layers)
    before = [at for at in range(first, -1, -1) if at in found and not listed.is_passing(at)]
    if before and found[before[0]].kind == "tokens":
        attention = [at for at in range(first + 1) if ATTENTION.search(nodes[at])]
        begin = min((at for at in attention if _same_block(nodes[at], nodes[attention[-1]])), default=0)
        before = [at for at in before if at < begin]
    return found[before[0]] if before else None


@dataclass(frozen=True)
class Places:
    """The nodes of a network up to some layers, and those that are places, by their index."""

    known: Layers
    places: dict[int, Place]
    model: nn.Module

    def is_passing(self, at: int) -> bool:
        """Say whether a node only pools, drops or pads."""
        return self._is(PASSING, at)

    def is_activation(self, at: int) -> bool:
        """Say whether a node is a ReLU, or what takes its place."""
        return self._is(ACTIVATION, at)

    def _is(self, what: re.Pattern[str], at: int) -> bool:
        node = self.known.nodes[at]
        kind = type(dict(self.model.named_modules()).get(node)).__name__
        return bool(what.search(node.rsplit(".", 1)[-1]) or what.search(kind))


def places_of(backbone: Backbone, layers: Sequence[str | int], side: int, most: int | None = None) -> Places:
    """Find every place up to the last of these layers, for pictures of side x side; no weights are needed.

    most: only among so many nodes in front of the first of the layers, which takes less time.
    """
    model = empty_network(backbone)
    known = layers_of(model)
    at = [_index(known, known.find(layer, backbone.name)) for layer in layers]
    begin = 0 if most is None else max(0, min(at) + 1 - most)
    names = known.nodes[begin : max(at) + 1]
    with torch.no_grad():
        outputs = capture(model, names, backbone.name)(torch.zeros(PROBED, 3, side, side, device="meta"))
    kinds = [kind_of(output) for output in outputs]
    found = {
        begin + number: Place(names[number], kind, tuple(outputs[number].shape[1:]))
        for number, kind in enumerate(kinds)
        if kind is not None
    }
    return Places(known, found, model)


def before_activation(backbone: Backbone, layer: str | int, side: int) -> str:
    """Return what goes into a layer that is an activation of a grid; any other layer itself, as a node."""
    listed = places_of(backbone, (layer,), side)
    at = _index(listed.known, listed.known.find(layer, backbone.name))
    before, here = listed.places.get(at - 1), listed.places.get(at)
    same = before is not None and here is not None and before.shape == here.shape
    return listed.known.nodes[at - 1 if same and listed.is_activation(at) else at]


def kind_of(output: Any) -> str | None:
    """Return which of KINDS a layer's output for `PROBED` square pictures is; None: it has no places."""
    if not isinstance(output, Tensor) or len(output) != PROBED:
        return None
    shape = output.shape
    if output.ndim == 4 and shape[2] == shape[3] > 1:
        return "map"
    if output.ndim == 4 and shape[1] == shape[2] > 1:
        return "map_last"
    extra = shape[1] - isqrt(shape[1]) ** 2 if output.ndim == 3 else MOST_EXTRA_TOKENS
    return "tokens" if output.ndim == 3 and shape[1] > 1 and extra < MOST_EXTRA_TOKENS else None


def _tokens_as_map(values: Tensor) -> Tensor:
    side = isqrt(values.shape[1])
    return values[:, -(side**2) :].transpose(1, 2).reshape(len(values), -1, side, side)


# What a place gives, as a map (n, channels, rows, columns): of tokens, those of a class or of registers come first.
KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "map": lambda values: values,
    "map_last": lambda values: values.permute(0, 3, 1, 2),
    "tokens": _tokens_as_map,
}


def _index(known: Layers, node: str) -> int:
    """Return where a node stands; a block, where the last one inside of it does."""
    if node in known.nodes:
        return known.nodes.index(node)
    return max(at for at, name in enumerate(known.nodes) if name.startswith(f"{node}."))


def _same_block(node: str, other: str) -> bool:
    """Say whether two nodes of attention belong to the same one."""
    ours, theirs = (ATTENTION.split(name, maxsplit=1)[0] for name in (node, other))
    return ours == theirs
