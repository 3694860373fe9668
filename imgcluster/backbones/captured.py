"""Networks that return what some of their layers gave: the part of `build` that needs torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

from imgcluster.backbones.pooling import pool
from imgcluster.backbones.timm_vector import VECTOR, with_vector
from imgcluster.errors import ConfigError


class Captured(nn.Module):
    """A network whose body gives {node: output}, read at some of its nodes, or at the softmax of what they gave."""

    def __init__(self, body: nn.Module, nodes: Sequence[str], softmax: Sequence[bool]) -> None:
        super().__init__()
        self.body = body
        self._nodes = list(zip(nodes, softmax, strict=True))

    def forward(self, pixels: Tensor) -> list[Any]:
        """Return the outputs of the nodes, as they come; None for one that the forward pass does not come by."""
        found = self.body(pixels)
        return [found[node].softmax(dim=1) if softmax else found.get(node) for node, softmax in self._nodes]


class Hooked(nn.Module):
    """The network itself, watched, for those that cannot be traced; stopped when all nodes have been seen."""

    def __init__(self, body: nn.Module, nodes: Sequence[str]) -> None:
        super().__init__()
        self.body = with_vector(body) if VECTOR in nodes else body
        self._nodes = set(nodes)

    def forward(self, pixels: Tensor) -> dict[str, Any]:
        """Return {node: output}, without those that the forward pass does not come by."""
        seen: dict[str, Any] = {}

        def see(node: str, output: Any) -> None:
            seen.setdefault(node, output)  # of a module called twice, the same whatever else is asked for
            if len(seen) == len(self._nodes):
                raise _Enough

        modules = {node: self.body.get_submodule(node) for node in self._nodes}
        with suppress(_Enough), watching(modules, see):
            self.body(pixels)
        return seen


class _Enough(Exception):
    """Ends a forward pass."""


class Pooled(nn.Module):
    """A network that gives a list of outputs, each of them pooled; without a pooling, they stay as they are."""

    def __init__(self, body: nn.Module, layers: Sequence[str | int], pooling: str | None) -> None:
        super().__init__()
        self.body = body
        self._layers = [str(layer) for layer in layers]
        self._pooling = pooling

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return (n, dim) for each layer. Raises ConfigError for what is no tensor, or cannot be pooled as asked."""
        outputs = zip(self.body(pixels), self._layers, strict=True)
        return [self._pool(_tensor(output, layer), layer) for output, layer in outputs]

    def _pool(self, output: Tensor, layer: str) -> Tensor:
        return output if self._pooling is None else pool(output, self._pooling, layer)


def traced(model: nn.Module, nodes: Sequence[str]) -> nn.Module:
    """Return the graph of a network, cut behind the last node: pixels -> {node: output}."""
    whole = with_vector(model) if VECTOR in nodes else model
    body: nn.Module = create_feature_extractor(whole, {node: node for node in nodes}, suppress_diff_warning=True).eval()
    _keep_from_working_in_place(body)
    return body


def _keep_from_working_in_place(graph_module: Any) -> None:
    """Change the calls of functions: they would overwrite what the layer in front of them gave. Modules have flags."""
    for step in graph_module.graph.nodes:
        if "inplace" in step.kwargs:
            step.update_kwarg("inplace", False)
    graph_module.recompile()


@contextmanager
def watching(modules: Mapping[str, nn.Module], see: Callable[[str, Any], None]) -> Iterator[None]:
    """Call `see` with the name and the output of each of these modules whenever it has been called.

    A tensor is a copy: what comes behind the module may go on in its memory.
    """

    def hook_of(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            see(name, output.clone() if isinstance(output, Tensor) else output)

        return hook

    with ExitStack() as hooks:
        for name, module in modules.items():
            hooks.enter_context(module.register_forward_hook(hook_of(name)))
        yield


def _tensor(output: Any, layer: str) -> Tensor:
    if not isinstance(output, torch.Tensor):
        raise ConfigError(f"features.layer: {layer!r} is no layer but a step between two: it gives no features")
    return output
