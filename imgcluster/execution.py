"""What executes a run's networks: the device, the runtime, the number format and the batch, chosen and then built."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from imgcluster.backbones import Choice, build_extractor
from imgcluster.config import FeaturesConfig
from imgcluster.errors import ConfigError
from imgcluster.reading import RULES
from imgcluster.runtimes import openvino_runtime
from imgcluster.runtimes.hardware import find_device, find_precision
from imgcluster.runtimes.openvino_runtime import OpenVinoRuntime, Unsupported
from imgcluster.runtimes.runtime import Runtime
from imgcluster.runtimes.torch_runtime import TorchRuntime, auto_batch_size

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """How the network of a choice is executed."""

    device: torch.device
    runtime: str
    precision: str
    batch_size: int

    def shapes(self, choice: Choice) -> list[dict[str, Any]]:
        """Return all that shapes the features, one for each layer, for the fingerprint."""
        numerics = {"precision": self.precision, "runtime": self.runtime, "reading": RULES}
        return [{**shaped_by, **numerics} for shaped_by in choice.shaped_by()]


def plan_for(choice: Choice, config: FeaturesConfig) -> Plan:
    """Choose what a config leaves open. Raises ConfigError where it asks for what is not here."""
    device = find_device(config.device)
    runtime = _find_runtime(config.runtime, device, choice)
    precision = find_precision(config.precision, device, choice.backbone)
    if config.batch_size != "auto":
        return Plan(device, runtime, precision, config.batch_size)
    auto = openvino_runtime.auto_batch_size(choice.recipe) if runtime == "openvino" else None
    return Plan(device, runtime, precision, auto or auto_batch_size(device, choice.recipe))


def build_runtime(choice: Choice, plan: Plan) -> Runtime:
    """Build the network, ready to be run. Raises Unsupported where the plan's runtime cannot execute it."""
    return RUNTIMES[plan.runtime](choice, plan)


def on_torch(choice: Choice, plan: Plan, config: FeaturesConfig, error: Unsupported) -> Plan:
    """Return the plan with torch in the place of a runtime that has failed, and say so.

    Raises ConfigError where the config asks for that runtime by its name.
    """
    if config.runtime == plan.runtime:
        raise ConfigError(f"features.runtime: {plan.runtime} cannot execute {choice.backbone.name}: {error}")
    logger.warning("%s cannot execute %s, and torch does: %s", plan.runtime, choice.backbone.name, error)
    return plan_for(choice, config.model_copy(update={"runtime": "torch"}))


def _find_runtime(name: str, device: torch.device, choice: Choice) -> str:
    if name == "openvino":
        openvino_runtime.import_openvino()
        if device.type != "cpu":
            raise ConfigError(f"features.runtime: openvino computes on the CPU, not on {device}; allowed: auto, torch")
    if name != "auto":
        return name
    here = device.type == "cpu" and openvino_runtime.is_installed()
    return "openvino" if here and not openvino_runtime.has_failed(_network_of(choice)) else "torch"


def _torch(choice: Choice, plan: Plan) -> Runtime:
    return TorchRuntime(build_extractor(choice), choice.recipe, plan.device, plan.precision)


def _torch_compile(choice: Choice, plan: Plan) -> Runtime:
    runtime = TorchRuntime(build_extractor(choice), choice.recipe, plan.device, plan.precision)
    runtime.compile()
    return runtime


def _openvino(choice: Choice, plan: Plan) -> Runtime:
    build = partial(build_extractor, choice)
    return OpenVinoRuntime(build, _network_of(choice), choice.recipe, plan.precision, plan.batch_size)


def _network_of(choice: Choice) -> list[dict[str, Any]]:
    """Return what shapes the network and its input, without what only shapes the pictures."""
    recipe = choice.recipe
    values = {"side": recipe.side, "scale": recipe.scale, "mean": recipe.mean, "std": recipe.std}
    return [{**shaped_by, "preprocess": values} for shaped_by in choice.shaped_by()]


RUNTIMES: dict[str, Callable[[Choice, Plan], Runtime]] = {
    "torch": _torch,
    "torch_compile": _torch_compile,
    "openvino": _openvino,
}
