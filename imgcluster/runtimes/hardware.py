"""What this machine computes on, and in which precision it is quick."""

from __future__ import annotations

import torch

from imgcluster.catalog import Backbone
from imgcluster.errors import ConfigError

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
OF_GPUS = ("fp16", "tf32")


def find_device(name: str) -> torch.device:
    """Return the device a config names; `auto` is the GPU where there is one. Raises ConfigError if it is not here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"features.device: {name!r} asked for, but torch sees no CUDA GPU here; allowed: auto, cpu")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():  # torch.device would wrap cuda:256 to cuda:0
        raise ConfigError(f"features.device: no {name!r}; there are {torch.cuda.device_count()} GPUs, from cuda:0")
    return torch.device(name)


def find_precision(name: str, device: torch.device, backbone: Backbone) -> str:
    """Return a number format's name; `auto` is bf16 where the hardware speeds it up and the backbone bears it.

    Raises ConfigError where the device cannot compute in it.
    """
    if name == "auto":
        return "bf16" if backbone.bf16 and _quick_bf16(device) else "fp32"
    if name in OF_GPUS and device.type == "cpu":
        raise ConfigError(f"features.precision: {name} needs a GPU; allowed on the CPU: auto, fp32, bf16")
    return name


def describe(device: torch.device) -> str:
    """Name the device for a person: `cpu, 2 threads`, `cuda:0, NVIDIA H200`."""
    if device.type == "cpu":
        return f"cpu, {torch.get_num_threads()} threads"
    return f"{device}, {torch.cuda.get_device_name(device)}"


def _quick_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # torch says it only in private; where a version does not, fp32 is always right.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
