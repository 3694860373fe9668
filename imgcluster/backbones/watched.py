"""A module of the user's own, watched from outside while it runs, and left as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from imgcluster.backbones.captured import watching
from imgcluster.backbones.layers import NEGATIVE, nearest
from imgcluster.errors import ConfigError


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
