"""A network cut in two at a layer: nothing is kept of what comes before it, and gradients begin there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from imgcluster.backbones.captured import Captured, Hooked, traced
from imgcluster.backbones.layers import layers_of


def cut(model: nn.Module, at: str, layers: Sequence[str | int], network: str) -> nn.Module:
    """Return a network, pixels -> [what the node `at` gives, *what these layers give], as they come.

    The first output is a leaf: of the others, torch.autograd.grad gives the derivatives by it, and no more is stored
    for them than the steps behind it. Its values stay what they were, whatever comes behind. The weights are frozen.
    """
    known = layers_of(model)
    names = [known.find(layer, network) for layer in (at, *layers)]
    nodes = [known.graph.get(name, name) for name in names]
    body = _cut_graph(traced(model, nodes), nodes[0]) if known.traced else _CutModules(model, nodes)
    softmax = [False, *(known.is_predictions(layer) for layer in layers)]
    return Captured(body, nodes, softmax).eval().requires_grad_(False)


def _leaf(values: Tensor) -> Tensor:
    return values.detach().requires_grad_()


def _cut_graph(graph_module: Any, node: str) -> nn.Module:
    graph = graph_module.graph
    output = next(step for step in graph.nodes if step.op == "output")
    at = output.args[0][node]
    with graph.inserting_after(at):
        leaf = graph.call_function(_leaf, (at,))
    with graph.inserting_after(leaf):
        behind = graph.call_function(torch.clone, (leaf,))  # a step behind may work in place
    at.replace_all_uses_with(behind, delete_user_cb=lambda user: user not in (leaf, output))
    at.replace_all_uses_with(leaf, delete_user_cb=lambda user: user is output)
    graph_module.recompile()
    return graph_module  # type: ignore[no-any-return]


class _CutModules(nn.Module):
    """The same for networks that cannot be traced: the first of the nodes, a module, gives a leaf."""

    def __init__(self, body: nn.Module, nodes: Sequence[str]) -> None:
        super().__init__()
        self._at = nodes[0]
        self._watched = Hooked(body, nodes)

    def forward(self, pixels: Tensor) -> dict[str, Any]:
        leaves: list[Tensor] = []

        def begin(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            leaves[:] = [_leaf(output)]
            return leaves[0].clone()

        with self._watched.body.get_submodule(self._at).register_forward_hook(begin):
            found = self._watched(pixels)
        return {**found, self._at: leaves[0]}
