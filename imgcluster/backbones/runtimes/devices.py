"""Devices and number formats of torch: what there is, what the hardware speeds up, and TF32 on GPUs.

What torch says of the machine is remembered, so that torch is imported only where a network runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from imgcluster.errors import ConfigError
from imgcluster.utils import cores, installed, machine, remembered
from imgcluster.utils import free_memory as free_ram

Answer = TypeVar("Answer")
OF_GPUS = ("fp16", "tf32")


def find_devices(names: str | tuple[str, ...]) -> list[str]:
    """Return torch's names of the devices that a config names: one, or several of a kind for a list or for `all` GPUs.

    Raises ConfigError where a device does not exist.
    """
    if names == "all":
        _check_cuda(names)
        return [f"cuda:{number}" for number in range(_gpu_count())]
    devices = [find_device(name) for name in ([names] if isinstance(names, str) else names)]
    if len(set(map(is_gpu, devices))) > 1:
        raise ConfigError("features.device: the CPU and a GPU have other numerics; allowed: a list of one kind")
    return devices


def find_device(name: str) -> str:
    """Return torch's name of the device that a config names; `auto` prefers a GPU.

    Raises ConfigError where it does not exist.
    """
    if name == "auto":
        return "cuda" if _gpu_count() else "cpu"
    kind, _, number = name.partition(":")
    if kind == "cuda":
        _check_cuda(name)
    if kind == "cuda" and int(number or 0) >= _gpu_count():  # torch.device would wrap cuda:256 to cuda:0
        raise ConfigError(f"features.device: no {name!r}; there are {_gpu_count()} GPUs, from cuda:0")
    return name


def is_gpu(device: str) -> bool:
    """Tell whether a device, by torch's name, is a GPU."""
    return device.startswith("cuda")


def _check_cuda(name: str) -> None:
    if not _gpu_count():
        raise ConfigError(f"features.device: {name!r} asked for, but torch sees no CUDA GPU here; allowed: auto, cpu")


def find_precision(name: str, device: str, bears_bf16: bool) -> str:
    """Return the name of a number format; `auto` is bf16 where hardware speeds it up and features tolerate it.

    Raises ConfigError where the device does not support it.
    """
    if name == "auto":
        return "bf16" if bears_bf16 and _quick_bf16(device) else "fp32"
    if name in OF_GPUS and not is_gpu(device):
        raise ConfigError(f"features.precision: {name} needs a GPU; allowed on the CPU: auto, fp32, bf16, int8")
    return name


def describe(device: str) -> str:
    """Return a description of a device for messages: `cpu, 2 threads`, `cuda:0, NVIDIA H200`."""
    if not is_gpu(device):
        return f"cpu, {cpu_threads()} threads"
    import torch

    return f"{device}, {torch.cuda.get_device_name(device)}"


def cpu_threads() -> int:
    """Return how many threads torch computes with on the CPU."""
    if (torch := sys.modules.get("torch")) is not None and hasattr(torch, "get_num_threads"):  # it may have been set
        return int(torch.get_num_threads())
    return _asked_torch(["threads", cores()], _default_threads)


def _default_threads() -> int:
    import torch

    return torch.get_num_threads()


def free_memory(device: str) -> int | None:
    """Return the bytes of a device's memory that are free for networks; None where that is unknown."""
    if is_gpu(device):
        import torch

        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # cached by torch
        return torch.cuda.mem_get_info(device)[0] + unused
    return free_ram()


def has_vnni() -> bool:
    """Tell whether the CPU is known to add up products of int8 in 32 bits (AVX-512 VNNI)."""
    return _asked_torch(["vnni"], lambda: _cpu_has("avx512_vnni", "_is_vnni_supported"))


@contextmanager
def tf32(*, allowed: bool) -> Iterator[None]:
    """Let CUDA round float32 to TF32 (10 bits of mantissa) in matrix products and convolutions, or forbid it.

    The settings are those of the whole process; they are restored at the end.
    """
    settings = _tf32_settings(allowed)
    before = [(module, name, _setting(module, name)) for module, name, _ in settings]
    _apply(settings)
    try:
        yield
    finally:
        _apply((module, name, value) for module, name, value in before if value is not None)


def _tf32_settings(allowed: bool) -> list[tuple[Any, str, Any]]:
    """Return module, attribute and value of both of torch's ways to set TF32; the second came with torch 2.9.

    The second overrides the first, and torch raises where they disagree and the first is read.
    """
    import torch

    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    switches = [(module, "allow_tf32", allowed) for module in (products, convolutions)]
    operators = (products, getattr(convolutions, "conv", None), getattr(convolutions, "rnn", None))
    precision = "tf32" if allowed else "ieee"
    return [
        *switches,
        *((module, "fp32_precision", precision) for module in operators if hasattr(module, "fp32_precision")),
    ]


def _setting(module: Any, name: str) -> Any:
    try:
        return getattr(module, name)
    except RuntimeError:  # set the second way alone: the first has no value to go back to
        return None


def _apply(settings: Iterable[tuple[Any, str, Any]]) -> None:
    for module, name, value in settings:
        setattr(module, name, value)


def _quick_bf16(device: str) -> bool:
    return _asked_torch(["bf16", device], lambda: _has_bf16(device))


def _has_bf16(device: str) -> bool:
    import torch

    if is_gpu(device):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return _cpu_has("avx512_bf16", "_is_avx512_bf16_supported") or _cpu_has("amx_tile", "_is_amx_tile_supported")


def _cpu_has(feature: str, probe: str) -> bool:
    """Tell whether torch knows the CPU to have a set of instructions.

    probe: the private function that says it in versions of torch without `torch.cpu.get_capabilities`. Where a version
    has neither, the answer is no: what depends on it is slower then, and right.
    """
    import torch

    if hasattr(torch.cpu, "get_capabilities"):
        return bool(torch.cpu.get_capabilities().get(feature, False))
    return bool(getattr(torch.cpu, probe, lambda: False)())


def _gpu_count() -> int:
    return _asked_torch(["gpus"], _count_gpus)


def _count_gpus() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _asked_torch(question: list[Any], ask: Callable[[], Answer]) -> Answer:
    """Return torch's answer to a question about this machine, from an earlier process where nothing has changed."""
    return remembered([*question, installed("torch"), machine()], ask)
