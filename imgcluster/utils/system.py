"""The machine: free memory, and versions of installed packages."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement

MEMORY = Path("/proc/meminfo")  # of Linux; counts what its caches would give up


def free_memory() -> int | None:
    """Return how many bytes of the machine's memory are free; None where the system does not tell."""
    with suppress(OSError):
        for line in MEMORY.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def ran_out(error: BaseException) -> bool:
    """Tell memory that ran out from other errors: of the CPU torch has only words for it, of a GPU a class."""
    words = ("not enough memory", "can't allocate memory")
    told = isinstance(error, RuntimeError) and any(each in str(error) for each in words)
    return told or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def fits(bytes_: float) -> bool:
    """Tell whether so much memory is free, or the system does not tell."""
    free = free_memory()
    return free is None or bytes_ <= free


NOT_INSTALLED = "not installed"


def installed(package: str) -> str:
    """Return the version of a package, for a person."""
    try:
        return version(package)
    except PackageNotFoundError:
        return NOT_INSTALLED


def install_command(*extras: str) -> str:
    """Return the command that installs this package with some of its extras."""
    return f'pip install "imgcluster[{",".join(extras)}]"'


def asked_for(extra: str = "") -> list[Requirement]:
    """Return what this package asks for, with an extra what that adds; nothing where it is not installed itself."""
    from packaging.requirements import Requirement

    try:
        asked = [Requirement(line) for line in requires("imgcluster") or []]
    except PackageNotFoundError:
        return []
    if not extra:
        return [each for each in asked if each.marker is None or each.marker.evaluate({"extra": ""})]
    return [each for each in asked if each.marker is not None and _is_of(each, extra)]


def _is_of(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def return_freed_memory() -> None:
    """Return to the system what the C library keeps of freed memory: other arrays hardly fit into the gaps."""
    if sys.platform == "linux":
        with suppress(AttributeError):  # of another C library
            ctypes.CDLL(None).malloc_trim(0)
