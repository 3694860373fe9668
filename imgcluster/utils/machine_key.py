"""What tells this machine from another one, for findings that hold on the same machine alone."""

from __future__ import annotations

import os
import platform
import re
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

DEVICE_FOLDER, GPU_NAMES = Path("/dev"), re.compile(r"nvidia\d+|kfd|dxg")
CPU_FILE, DRIVER_FILE = Path("/proc/cpuinfo"), Path("/proc/driver/nvidia/version")
CPU_LINES = re.compile(r"(?:model name|flags|Features|CPU part)\s*:.*")
# Environment variables that change which GPUs, instructions or threads libraries use.
VARIABLES = re.compile(r"(ATEN|CUDA|HIP|HSA|MKL|OMP|OPENCV|PYTORCH|ROCR|TORCH)_.*")


def machine() -> list[Any]:
    """Return the processor, the GPUs and the environment variables for them, as plain data.

    A machine that cannot be described is like no other, not even itself: where Windows has a GPU's driver, nothing but
    the driver tells which GPUs there are.
    """
    windows = os.environ.get("SYSTEMROOT")
    if windows and (Path(windows) / "System32" / "nvcuda.dll").exists():
        return [uuid.uuid4().hex]
    variables = sorted(f"{name}={value}" for name, value in os.environ.items() if VARIABLES.fullmatch(name))
    # Where the processor is not described, the machine's name stands in for it; containers have another each time.
    processor = _processor() or [platform.node(), platform.processor()]
    return [platform.machine(), processor, _gpus(), variables]


def _processor() -> list[str]:
    with suppress(OSError):
        return sorted(set(CPU_LINES.findall(CPU_FILE.read_text(encoding="utf-8", errors="replace"))))
    return []


def _gpus() -> list[str]:
    found = []
    with suppress(OSError):
        found += sorted(path.name for path in DEVICE_FOLDER.iterdir() if GPU_NAMES.fullmatch(path.name))
    with suppress(OSError):
        found.append(DRIVER_FILE.read_text(encoding="utf-8", errors="replace"))
    return found
