"""Capture: networks that return the outputs of their layers, networks cut at a layer, and hooks on a user's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

from imgcluster.backbones.layers import NEGATIVE, layers_of, nearest
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
        raise ConfigError(f"features.layer: {layer!r} is not a layer but a step between two: it gives no features")
    return output


class Watched(nn.Module):
    """A module that gives a list of what modules inside of it gave, each the last time it was called.

    `layers` are names as in `named_modules`, or numbers below 0, which count from the end the modules with none inside.
    Raises ConfigError where there is no such module.
    """

    def __init__(self, body: nn.Module, layers: Sequence[str | int]) -> None:
        super().__init__()
        self.body = body
        self._layers = layers
        module_names(body, layers)  # a wrong one is told now

    def forward(self, pixels: Any) -> list[Tensor]:
        """Return the outputs, copied. Raises ConfigError where a module is not called, or gives no tensor."""
        names = module_names(self.body, self._layers)
        seen: dict[str, Any] = {}
        modules = {name: self.body.get_submodule(name) for name in names}
        with evaluating(self.body), watching(modules, seen.__setitem__):
            self.body(pixels)
        return [self._tensor(seen, name) for name in names]

    def _tensor(self, seen: dict[str, Any], name: str) -> Tensor:
        where = f"layers: {name!r} of {type(self.body).__name__}"
        if name not in seen:
            raise ConfigError(f"{where} gives nothing: the forward pass does not call it")
        if not isinstance(seen[name], Tensor):
            raise ConfigError(f"{where} gives a {type(seen[name]).__name__}, not a tensor; take a module inside of it")
        return seen[name]  # type: ignore[no-any-return]


def module_names(model: nn.Module, layers: Sequence[str | int]) -> list[str]:
    """Return the names in `named_modules` that layers stand for. Raises ConfigError with the nearest names."""
    modules = dict(model.named_modules(remove_duplicate=False))
    innermost = [name for name, module in model.named_modules() if not list(module.children())]
    return [_module_name(str(layer), modules, innermost) for layer in layers]


def _module_name(layer: str, modules: dict[str, nn.Module], innermost: list[str]) -> str:
    counted = NEGATIVE.fullmatch(layer) and -int(layer) <= len(innermost)
    name = innermost[int(layer)] if counted else layer
    if name not in modules:
        hint = nearest(name, [name for name in modules if name])
        raise ConfigError(f"layers: {type(modules['']).__name__} has no module {name!r}{hint}")
    if isinstance(modules[name], torch.jit.ScriptModule):
        raise ConfigError(f"layers: {name!r} of {type(modules['']).__name__} is TorchScript and cannot be watched")
    return name


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into eval mode with nothing in place, then each of its modules back, even after an error.

    By their flags: a class may have a `train` of its own that does more, such as merging weights.
    """
    modes = [(module, module.training) for module in model.modules()]
    in_place = [module for module in model.modules() if _works_in_place(module)]
    try:
        _set("training", [(module, False) for module, _ in modes])
        _set("inplace", [(module, False) for module in in_place])
        yield
    finally:
        _set("training", modes)
        _set("inplace", [(module, True) for module in in_place])


def _works_in_place(module: nn.Module) -> bool:
    return getattr(module, "inplace", None) is True and not isinstance(module, torch.jit.ScriptModule)


def _set(flag: str, values: list[tuple[nn.Module, bool]]) -> None:
    for module, value in values:
        setattr(module, flag, value)


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
