"""Networks of torch as models of OpenVINO: converted once, checked, and kept under the cache folder."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from imgcluster.backbones.runtimes.check_pictures import Pictures, check_pixels, no_pictures
from imgcluster.backbones.runtimes.openvino_package import TELEMETRY, Unsupported, import_openvino, not_installed, told
from imgcluster.backbones.runtimes.torch_runtime import scaled
from imgcluster.config import Recipe
from imgcluster.utils import cache_folder, installed, write_whole

FORMAT = 1  # of what is kept: raise it when models are converted in another way
MOST = 4 * 2**30  # bytes of converted models kept: eight of VGG16
A_DAY = 24 * 3600
MODEL, FAILED = "model.xml", ".failed"
CHECKED_ON = "pictures"  # change it when a conversion is checked in another way: older refusals are not believed then
PACKAGES = ("imgcluster", "openvino", "torch", "torchvision", "timm", "numpy")
TOLERANCE = 1e-3  # of the largest value: another order of sums in float32 makes less than a hundredth of it


def converted(build: Callable[[], nn.Module], shaped_by: Any, recipe: Recipe, pictures: Pictures = no_pictures) -> Any:
    """Return a network as a model of OpenVINO: from the cache, or converted, and put there.

    build: makes the network, (n, 3, side, side) -> a list of (n, dim); called only where it was not converted before.
    shaped_by: what tells it from other networks, as plain data: the key under which the converted one is kept.
    pictures: some that it will see, to compare its results with torch's; without any, smooth ones are made up.

    Half a file is never found there. Raises Unsupported where the network cannot be converted.
    """
    ov = import_openvino()
    if (found := from_cache(shaped_by)) is not None:
        return found
    folder = _folder_of(shaped_by)
    network = build().eval()
    try:
        model = _convert(ov, network, recipe)
        _check(ov, model, network, recipe, check_pixels(pictures, recipe))
    except Unsupported as error:
        if isinstance(error.__cause__, MemoryError):
            raise  # another time there may be enough
        verdict = json.dumps({"reason": str(error), **_judged_by()}, indent=2)
        _write_cache(folder.parent, lambda: write_whole(folder.with_suffix(FAILED), verdict.encode()))
        raise
    return into_cache(model, shaped_by)


def from_cache(shaped_by: Any) -> Any | None:
    """Return the model kept under a key; None where there is none."""
    folder = _folder_of(shaped_by)
    if (folder / MODEL).is_file():
        with suppress(RuntimeError):  # damaged: made again
            return import_openvino().Core().read_model(folder / MODEL)
    return None


def into_cache(model: Any, shaped_by: Any) -> Any:
    """Keep a model under a key, and return it as it is read from a file.

    In memory it may compute in another order: a later run, which reads it, would have other bits than this one.
    """
    ov, folder = import_openvino(), _folder_of(shaped_by)
    _write_cache(folder.parent, lambda: _keep(ov, model, folder))
    with TemporaryDirectory(ignore_cleanup_errors=True) as elsewhere:  # a file of its own: nobody else changes it
        path = Path(elsewhere) / MODEL
        ov.save_model(model, path, compress_to_fp16=False)
        core = ov.Core()
        core.set_property({"ENABLE_MMAP": False})
        return core.read_model(path)


def has_failed(shaped_by: Any) -> bool:
    """Tell whether this network could not be converted before, by the same packages and the same check."""
    try:
        verdict = json.loads(_folder_of(shaped_by).with_suffix(FAILED).read_bytes())
        return bool(verdict == {"reason": verdict["reason"], **_judged_by()})
    except (OSError, ValueError, TypeError, KeyError):  # none, damaged, or of an older version, by another check
        return False


def _judged_by() -> dict[str, Any]:
    """Return all that a refusal may depend on: with another version of it, the network is converted once more."""
    return {"versions": {package: installed(package) for package in PACKAGES}, "checked_on": CHECKED_ON}


def _folder_of(shaped_by: Any) -> Path:
    key = json.dumps([FORMAT, version("openvino"), shaped_by], sort_keys=True)
    return cache_folder() / "openvino" / hashlib.sha256(key.encode()).hexdigest()[:32]


def _keep(ov: Any, model: Any, folder: Path) -> None:
    """Save a model: its folder appears whole; where another process was quicker, it has made the same one."""
    with TemporaryDirectory(dir=folder.parent, prefix=".making-", ignore_cleanup_errors=True) as making:
        whole = Path(making) / "whole"
        whole.mkdir()
        ov.save_model(model, whole / MODEL, compress_to_fp16=False)
        if folder.exists():  # what could not be read
            shutil.rmtree(folder, ignore_errors=True)
        whole.rename(folder)
    folder.with_suffix(FAILED).unlink(missing_ok=True)
    _prune(folder.parent)


def _prune(folder: Path) -> None:
    """Keep the models made last, as many as fit, and nothing of a process that was killed while it made one."""
    made = sorted(folder.glob("*/" + MODEL), key=lambda path: path.stat().st_mtime, reverse=True)
    total = itertools.accumulate(sum(file.stat().st_size for file in path.parent.iterdir()) for path in made)
    dropped = [path.parent for path, size in zip(made, total, strict=True) if size > MOST and path != made[0]]
    old = [path for path in folder.glob(".making-*") if time.time() - path.stat().st_mtime > A_DAY]
    for path in dropped + old:
        shutil.rmtree(path, ignore_errors=True)


def _write_cache(folder: Path, write: Callable[[], object]) -> None:
    """A cache that cannot be written costs the seconds of another conversion, and no more."""
    with suppress(OSError, RuntimeError):
        folder.mkdir(parents=True, exist_ok=True)
        write()


def _check(ov: Any, model: Any, network: nn.Module, recipe: Recipe, pixels: np.ndarray) -> None:
    """Compare what was converted with the network itself: a branch that depends on values is converted silently.

    pixels: (n, side, side, 3) uint8, n more than one: the example it was traced with is one picture.
    """
    with told():
        compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        found = [np.array(block) for block in compiled(pixels).values()]
    with torch.no_grad():
        wanted = [block.numpy() for block in network(scaled(torch.from_numpy(pixels), recipe))]
    for block, other in zip(found, wanted, strict=True):
        if block.shape != other.shape or not np.allclose(block, other, rtol=0, atol=TOLERANCE * np.abs(other).max()):
            raise Unsupported("its results are others than torch's")


def _convert(ov: Any, network: nn.Module, recipe: Recipe) -> Any:
    """Convert a network, and let it take pixels as they are read: uint8, (n, side, side, 3)."""
    example = torch.zeros(1, 3, recipe.side, recipe.side)
    with (
        told(),
        _one_thread(),
        torch.no_grad(),
        not_installed(TELEMETRY),
        not_installed("nncf"),  # where it was imported, its part for torch would be as well, for nothing
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # they advise whoever writes the converter
        # Traced here: its own check of the trace would run the network twice more, and _check compares the results.
        traced = torch.jit.trace(network, example, strict=False, check_trace=False)  # type: ignore[no-untyped-call]
        model = ov.convert_model(traced, example_input=example)
        model.reshape([-1, 3, recipe.side, recipe.side])
        return _taking_pixels(ov, model, recipe)


def _taking_pixels(ov: Any, model: Any, recipe: Recipe) -> Any:
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model)
    pixels = steps.input()
    pixels.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    scaled = pixels.preprocess().convert_element_type(ov.Type.f32).scale(recipe.scale)
    scaled.mean(list(recipe.mean)).scale(list(recipe.std))
    pixels.model().set_layout(ov.Layout("NCHW"))
    for number in range(len(model.outputs)):
        steps.output(number).tensor().set_element_type(ov.Type.f32)
    return steps.build()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Trace without torch's threads: where others keep the cores busy they wait for each other ten times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
