"""What this machine computes on, and in which precision it is quick."""

from __future__ import annotations

import torch

from imgcluster.errors import ConfigError
from imgcluster.utils import free_memory as free_ram

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
OF_GPUS = ("fp16", "tf32")


def find_devices(names: str | tuple[str, ...]) -> list[torch.device]:
    """Return the devices a config names: one, or for a list, or for `all` GPUs, several of a kind.

    Raises ConfigError where one is not here.
    """
    if names == "all":
        _check_cuda(names)
        return [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
    devices = [find_device(name) for name in ([names] if isinstance(names, str) else names)]
    if len({device.type for device in devices}) > 1:
        raise ConfigError("features.device: the CPU and a GPU have other numerics; allowed: a list of one kind")
    return devices


def find_device(name: str) -> torch.device:
    """Return the device a config names; `auto` is the GPU where there is one. Raises ConfigError if it is not here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind == "cuda":
        _check_cuda(name)
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():  # torch.device would wrap cuda:256 to cuda:0
        raise ConfigError(f"features.device: no {name!r}; there are {torch.cuda.device_count()} GPUs, from cuda:0")
    return torch.device(name)


def _check_cuda(name: str) -> None:
    if not torch.cuda.is_available():
        raise ConfigError(f"features.device: {name!r} asked for, but torch sees no CUDA GPU here; allowed: auto, cpu")


def find_precision(name: str, device: torch.device, bears_bf16: bool) -> str:
    """Return a number format's name; `auto` is bf16 where the hardware speeds it up and the features bear it.

    Raises ConfigError where the device cannot compute in it.
    """
    if name == "auto":
        return "bf16" if bears_bf16 and _quick_bf16(device) else "fp32"
    if name in OF_GPUS and device.type == "cpu":
        raise ConfigError(f"features.precision: {name} needs a GPU; allowed on the CPU: auto, fp32, bf16, int8")
    return name


def describe(device: torch.device) -> str:
    """Name the device for a person: `cpu, 2 threads`, `cuda:0, NVIDIA H200`."""
    if device.type == "cpu":
        return f"cpu, {torch.get_num_threads()} threads"
    return f"{device}, {torch.cuda.get_device_name(device)}"


def free_memory(device: torch.device) -> int | None:
    """Return how many bytes a device has free for networks; None where the system does not tell."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # held by torch, for nothing
        return torch.cuda.mem_get_info(device)[0] + unused
    return free_ram()


def has_vnni() -> bool:
    """Tell whether the CPU is known to add up products of int8 in 32 bits; torch says it only in private."""
    return bool(getattr(torch.cpu, "_is_vnni_supported", lambda: False)())


def _quick_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # torch says it only in private; where a version does not, fp32 is always right.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
