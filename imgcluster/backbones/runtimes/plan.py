"""Execution plans: device, runtime, number format and batch size of a network, chosen and then built."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from imgcluster.backbones.build import build_extractor
from imgcluster.backbones.runtimes import openvino_package, openvino_runtime
from imgcluster.backbones.runtimes.base import Runtime
from imgcluster.backbones.runtimes.batch_sizes import auto_batch_size
from imgcluster.backbones.runtimes.calibration import Calibration
from imgcluster.backbones.runtimes.check_pictures import Pictures, no_pictures
from imgcluster.backbones.runtimes.devices import find_devices, find_precision, is_gpu
from imgcluster.backbones.runtimes.int8 import check_int8, numerics_of_int8, quantised
from imgcluster.backbones.runtimes.openvino_conversion import converted, has_failed, keep_exact
from imgcluster.backbones.runtimes.openvino_package import Unsupported
from imgcluster.backbones.runtimes.openvino_runtime import OpenVinoRuntime
from imgcluster.backbones.runtimes.same_bits import MAX_BATCH, alone_and_together, at_any_place
from imgcluster.backbones.select import Choice
from imgcluster.config import FeaturesConfig
from imgcluster.errors import ConfigError
from imgcluster.images import RULES, differences, resizes_here
from imgcluster.utils import ran_out, remembered

if TYPE_CHECKING:
    from imgcluster.backbones.runtimes.torch_runtime import TorchRuntime

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Plan:
    """Execution plan of the network of a choice.

    exact: number of its first convolutions that are computed in fp32 whatever the precision, with all between them.
    calibration: images for int8. pixels: differences of reading and resizing here from the reference, as
    `pixel_check.differences` returns them. is_open: whether the precision is only a default by the network's name, and
    evidence may change it.
    """

    device: str
    runtime: str
    precision: str
    batch_size: int
    exact: int = 0
    calibration: Calibration | None = None
    pixels: dict[str, str] = field(default_factory=dict)
    is_open: bool = False

    def shapes(self, choice: Choice) -> list[dict[str, Any]]:
        """Return, for each layer, the plain data on which its features depend, for the fingerprint."""
        numerics: dict[str, Any] = {"precision": self.precision, "runtime": self.runtime, "reading": RULES}
        if self.pixels:
            numerics["pixels"] = self.pixels
        if self.exact:
            numerics["exact"] = self.exact
        if self.calibration is not None:  # the other layers may change where values are rounded
            layers = [str(layer) for layer in choice.layers]
            numerics["int8"] = {**numerics_of_int8(self.calibration), "layers": layers}
        if is_gpu(self.device) and resizes_here(choice.recipe):
            numerics["resizing"] = "cuda"  # its pixels differ from the CPU's
        return [{**shaped_by, **numerics} for shaped_by in choice.shaped_by()]


def plan_for(choice: Choice, config: FeaturesConfig) -> Plan:
    """Choose what a config leaves open. Raises ConfigError for a device, runtime or precision that is not available."""
    device = find_devices(config.device)[0]
    check_int8(config.precision, config.runtime, device)
    runtime = "openvino" if config.precision == "int8" else _find_runtime(config.runtime, device, choice)
    bf16_from = choice.backbone.bf16_from
    bears_bf16 = bf16_from == 0 or (bf16_from is not None and runtime == "openvino")
    asked = find_precision(config.precision, device, bears_bf16)
    has_weights = choice.backbone.has_weights
    precision = asked if has_weights else "fp32"  # bf16 would round away differences of pixels, and save nothing
    exact = (bf16_from or 0) if (precision, runtime) == ("bf16", "openvino") else 0
    is_auto = has_weights and (config.precision, runtime) == ("auto", "openvino")
    is_open = is_auto and find_precision("auto", device, True) == "bf16"
    plan = Plan(device, runtime, precision, 1, exact, pixels=differences(choice.recipe), is_open=is_open)
    if config.batch_size != "auto":
        return replace(plan, batch_size=config.batch_size)
    auto = openvino_runtime.auto_batch_size(choice.recipe) if runtime == "openvino" else None
    return replace(plan, batch_size=auto or auto_batch_size(device, choice.recipe, precision))


def build_runtime(choice: Choice, plan: Plan, pictures: Pictures = no_pictures) -> Runtime:
    """Build the network on the plan's runtime.

    pictures: of the run; a runtime that converts the network checks the result on them.

    Raises Unsupported where the runtime cannot execute the network, ConfigError where memory is too small for one
    picture.
    """
    with memory_errors(choice):
        return RUNTIMES[plan.runtime](choice, plan, pictures)


@contextmanager
def memory_errors(choice: Choice) -> Iterator[None]:
    """Turn the errors of torch and OpenVINO where memory is too small for a network into a ConfigError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
        pixels = f"{choice.recipe.side} x {choice.recipe.side}"
        raise ConfigError(
            f"features.preprocess: pictures of {pixels} do not fit into memory in {choice.backbone.name}"
        ) from None


def with_fallback(choice: Choice, config: FeaturesConfig, execute: Callable[[FeaturesConfig], Result]) -> Result:
    """Return what `execute` returns for a config, or for torch where it raises Unsupported.

    Raises ConfigError where the config asks for openvino, or for int8, which torch does not compute.
    """
    try:
        return execute(config)
    except Unsupported as error:
        refusal = f"cannot execute {choice.backbone.name}: {error}"
        if config.precision == "int8":
            raise ConfigError(f"features.precision: int8 is computed by openvino, which {refusal}") from error
        if config.runtime == "openvino":
            raise ConfigError(f"features.runtime: openvino {refusal}") from error
        logger.warning("openvino cannot execute %s, and torch does: %s", choice.backbone.name, error)
    return execute(config.model_copy(update={"runtime": "torch"}))


def build_with_fallback(
    choice: Choice, config: FeaturesConfig, pictures: Pictures = no_pictures
) -> tuple[Runtime, int]:
    """Build the network of a choice, on torch where its runtime cannot; returns it and its batch size.

    pictures: as `build_runtime` takes them.
    """

    def build(config: FeaturesConfig) -> tuple[Runtime, int]:
        plan = plan_for(choice, config)
        return build_runtime(choice, plan, pictures), plan.batch_size

    return with_fallback(choice, config, build)


def _find_runtime(name: str, device: str, choice: Choice) -> str:
    if name == "openvino":
        openvino_package.import_openvino()
        if is_gpu(device):
            raise ConfigError(f"features.runtime: openvino computes on the CPU, not on {device}; allowed: auto, torch")
    if name != "auto":
        return name
    here = not is_gpu(device) and openvino_package.is_installed()
    return "openvino" if here and not has_failed(_network_of(choice)) else "torch"


def _torch(choice: Choice, plan: Plan, _: Pictures) -> Runtime:
    import torch

    from imgcluster.backbones.runtimes.torch_runtime import TorchRuntime

    runtime = TorchRuntime(build_extractor(choice), choice.recipe, torch.device(plan.device), plan.precision)
    if plan.runtime == "torch_compile":
        runtime.compile()
    return _at_any_place(runtime, choice, plan)


def _at_any_place(runtime: TorchRuntime, choice: Choice, plan: Plan) -> Runtime:
    """Make the CPU compute images one by one where the bits of a vector depend on its place in a batch.

    Places change when an interrupted run resumes and when images are added. On a GPU this would be too slow.
    """
    import torch

    if plan.batch_size == 1 or is_gpu(plan.device):
        return runtime
    together = min(plan.batch_size, MAX_BATCH)
    about = [_network_of(choice), plan.runtime, plan.precision, together, version("torch"), runtime.device]
    about.append(torch.backends.cpu.get_cpu_capability())
    if not remembered(about, partial(at_any_place, runtime, choice.recipe, together)):
        runtime.compute_one_by_one()
    return runtime


def _openvino(choice: Choice, plan: Plan, pictures: Pictures) -> Runtime:
    if plan.precision == "int8":
        model = quantised(partial(converted_network, choice, pictures), _network_of(choice), plan.calibration)
    else:
        model = keep_exact(converted_network(choice, pictures), plan.exact)
    at_once = _at_once(partial(OpenVinoRuntime, model, choice.recipe, plan.precision), choice, plan)
    return OpenVinoRuntime(model, choice.recipe, plan.precision, plan.batch_size, at_once)


def converted_network(choice: Choice, pictures: Pictures) -> Any:
    """Return the network of a choice as an OpenVINO model in fp32; raises and takes pictures as `converted`."""
    return converted(partial(build_extractor, choice), _network_of(choice), choice.recipe, pictures)


def _at_once(build: Callable[[int], Runtime], choice: Choice, plan: Plan) -> int:
    """Return how many images of a batch are computed together: the automatic batch size, or 1.

    1 where it does not divide the batch size, and where the bits of a vector depend on it: the order of sums in matrix
    products may change with the number of rows.
    """
    together = openvino_runtime.auto_batch_size(choice.recipe)
    if together == 1 or plan.batch_size % together:
        return 1
    numerics = [plan.precision, plan.exact, plan.calibration and plan.calibration.digest]
    about = [_network_of(choice), numerics, together, version("openvino"), openvino_runtime.processor()]
    return together if remembered(about, partial(alone_and_together, build, choice.recipe, together)) else 1


def _network_of(choice: Choice) -> list[dict[str, Any]]:
    """Return plain data that identifies the network and the scaling of its input."""
    recipe = choice.recipe
    values = {"side": recipe.side, "scale": recipe.scale, "mean": recipe.mean, "std": recipe.std}
    return [{**shaped_by, "preprocess": values} for shaped_by in choice.shaped_by()]


RUNTIMES: dict[str, Callable[[Choice, Plan, Pictures], Runtime]] = {
    "torch": _torch,
    "torch_compile": _torch,
    "openvino": _openvino,
}
