"""Networks converted from torch to OpenVINO, with bfloat16 where it is harmless, and their cache."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import time
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, Any

import numpy as np

from imgcluster.backbones.runtimes.check_pictures import Pictures, check_pixels, no_pictures
from imgcluster.backbones.runtimes.openvino_package import (
    TELEMETRY,
    Unsupported,
    convert_errors,
    import_openvino,
)
from imgcluster.config import Recipe
from imgcluster.errors import ConfigError
from imgcluster.utils import cache_folder, file_sha256, hash_file, installed, not_installed, parse_json, write_whole

if TYPE_CHECKING:
    from torch import nn

FORMAT = 1  # part of the cache's key: raise it when models are converted in another way
MAX_CACHE_BYTES = 4 * 2**30  # of converted models: eight of VGG16
SECONDS_PER_DAY = 24 * 3600
MODEL, DIGESTS, FAILED = "model.xml", "digests.json", ".failed"
CHECKED_ON = "pictures"  # change it when conversions are checked in another way: it invalidates older refusals
PACKAGES = ("imgcluster", "openvino", "torch", "torchvision", "timm", "numpy")
TOLERANCE = 1e-3  # relative to the largest value; another order of sums in float32 makes a hundredth of it


def converted(build: Callable[[], nn.Module], shaped_by: Any, recipe: Recipe, pictures: Pictures = no_pictures) -> Any:
    """Return a network as an OpenVINO model, from the cache or newly converted.

    build: makes the network, (n, 3, side, side) -> a list of (n, dim); called where the cache lacks it. shaped_by:
    plain data that identifies the network, the key of the cache. pictures: of the run, to compare the model's results
    with torch's; smooth ones where they are too few.

    Raises Unsupported where the network cannot be converted; the cache remembers that.
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
            raise  # there may be enough memory another time
        verdict = json.dumps({"reason": str(error), **_judged_by()}, indent=2)
        _write_cache(folder.parent, lambda: write_whole(folder.with_suffix(FAILED), verdict.encode()))
        raise
    return into_cache(model, shaped_by)


def from_cache(shaped_by: Any) -> Any | None:
    """Return the model cached under a key; None where there is none, or its files are not those that were written."""
    folder = _folder_of(shaped_by)
    with suppress(OSError, ValueError, RuntimeError):  # RuntimeError: of OpenVINO
        # OpenVINO reads a damaged file of weights without an error.
        if parse_json((folder / DIGESTS).read_bytes()) == _digests(folder, file_sha256):
            return import_openvino().Core().read_model(folder / MODEL)
    return None


def _digests(folder: Path, digest_of: Callable[[Path], str]) -> dict[str, str]:
    return {path.name: digest_of(path) for path in folder.iterdir() if path.name != DIGESTS}


def into_cache(model: Any, shaped_by: Any) -> Any:
    """Cache a model under a key, and return it as read from a file.

    The model in memory may compute in another order: a later run, which reads the file, would get other bits.

    Raises Unsupported where no file can be written or read, as without file descriptors.
    """
    ov, folder = import_openvino(), _folder_of(shaped_by)
    _write_cache(folder.parent, lambda: _keep(ov, model, folder))
    # The cached file may be removed.
    with convert_errors(), TemporaryDirectory(ignore_cleanup_errors=True) as elsewhere:
        path = Path(elsewhere) / MODEL
        ov.save_model(model, path, compress_to_fp16=False)
        core = ov.Core()
        core.set_property({"ENABLE_MMAP": False})
        return core.read_model(path)


def has_failed(shaped_by: Any) -> bool:
    """Tell whether conversion of this network failed before, with the same packages and the same check."""
    try:
        verdict = parse_json(_folder_of(shaped_by).with_suffix(FAILED).read_bytes())
        return bool(verdict == {"reason": verdict["reason"], **_judged_by()})
    except (OSError, ValueError, TypeError, KeyError):  # missing, damaged, or in another version's format
        return False


def _judged_by() -> dict[str, Any]:
    """Return the versions a refusal depends on; with others, conversion is tried again."""
    return {"versions": {package: installed(package) for package in PACKAGES}, "checked_on": CHECKED_ON}


def _folder_of(shaped_by: Any) -> Path:
    key = json.dumps([FORMAT, version("openvino"), shaped_by], sort_keys=True)
    return cache_folder() / "openvino" / hashlib.sha256(key.encode()).hexdigest()[:32]


def _keep(ov: Any, model: Any, folder: Path) -> None:
    """Save a model; its folder appears complete. Another process that is quicker has saved the same model."""
    with TemporaryDirectory(dir=folder.parent, prefix=".making-", ignore_cleanup_errors=True) as making:
        whole = Path(making) / "whole"
        whole.mkdir()
        ov.save_model(model, whole / MODEL, compress_to_fp16=False)
        write_whole(whole / DIGESTS, json.dumps(_digests(whole, hash_file), indent=1).encode())
        if folder.exists():  # damaged, or of an earlier version
            shutil.rmtree(folder, ignore_errors=True)
        whole.rename(folder)
    folder.with_suffix(FAILED).unlink(missing_ok=True)
    _prune(folder.parent)


def _prune(folder: Path) -> None:
    """Remove the oldest models beyond MAX_CACHE_BYTES, and what killed processes left behind."""
    made = sorted(folder.glob("*/" + MODEL), key=lambda path: path.stat().st_mtime, reverse=True)
    total = itertools.accumulate(sum(file.stat().st_size for file in path.parent.iterdir()) for path in made)
    dropped = [
        path.parent for path, size in zip(made, total, strict=True) if size > MAX_CACHE_BYTES and path != made[0]
    ]
    old = [path for path in folder.glob(".making-*") if time.time() - path.stat().st_mtime > SECONDS_PER_DAY]
    for path in dropped + old:
        shutil.rmtree(path, ignore_errors=True)


def _write_cache(folder: Path, write: Callable[[], object]) -> None:
    """Call `write`; without a writable cache, the next run converts again."""
    with suppress(OSError, RuntimeError):
        folder.mkdir(parents=True, exist_ok=True)
        write()


def _check(ov: Any, model: Any, network: nn.Module, recipe: Recipe, pixels: np.ndarray) -> None:
    """Compare a converted model with the network: tracing drops branches that depend on values without an error.

    pixels: (n, side, side, 3) uint8, with n > 1, since the network was traced with one picture.
    """
    import torch

    from imgcluster.backbones.runtimes.torch_runtime import scaled

    with convert_errors():
        compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        found = [np.array(block) for block in compiled(pixels).values()]
    with torch.no_grad():
        wanted = [block.numpy() for block in network(scaled(torch.from_numpy(pixels), recipe))]
    for block, other in zip(found, wanted, strict=True):
        if block.shape != other.shape or not np.allclose(block, other, rtol=0, atol=TOLERANCE * np.abs(other).max()):
            raise Unsupported("its results are others than torch's")


def _convert(ov: Any, network: nn.Module, recipe: Recipe) -> Any:
    """Convert a network to a model that takes pixels as they are read, (n, side, side, 3) uint8."""
    import torch

    example = torch.zeros(1, 3, recipe.side, recipe.side)
    with (
        convert_errors(),
        _one_thread(),
        torch.no_grad(),
        not_installed(TELEMETRY),
        not_installed("nncf"),  # the converter would import nncf's support of torch in vain
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # addressed to authors of the converter
        # Traced here without torch's check, which would run the network twice more: `_check` compares the results.
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
    """Limit torch to one thread: on busy cores, tracing with several takes ten times as long."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


NO_OPERATORS = ("Const", "Parameter", "Result")
CONVOLUTIONS = ("Convolution", "GroupConvolution")


def keep_exact(model: Any, convolutions: int) -> Any:
    """Return an OpenVINO model whose operators up to the last of so many convolutions stay in float32.

    Rounding in the first layers changes features most: each BatchNorm behind them amplifies it. OpenVINO takes this
    mark only from a model file. All operators are marked, not only the convolutions: OpenVINO cannot compile a
    convolution fused with a sum of another precision.

    Raises ConfigError where there is no space for the file.
    """
    if not convolutions:
        return model
    ov = import_openvino()
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / MODEL
        try:
            ov.save_model(model, path, compress_to_fp16=False)
        except RuntimeError:  # from C++, with no message about a full disk
            place = gettempdir()
            raise ConfigError(
                f"{place!r} does not take a copy of the network: no space? Set TMPDIR elsewhere"
            ) from None
        tree = ET.parse(path)  # noqa: S314 (written the line before)
        for layer in _first_part(tree, convolutions):
            marks = layer.find("rt_info")
            marks = ET.SubElement(layer, "rt_info") if marks is None else marks
            ET.SubElement(marks, "attribute", {"name": "precise", "version": "0"})
        tree.write(path)
        return ov.Core().read_model(path)


def _first_part(tree: ET.ElementTree[ET.Element], convolutions: int) -> list[ET.Element]:
    """Return the operators up to the last of so many convolutions."""
    layers = tree.findall("./layers/layer")
    passed = itertools.accumulate(layer.get("type") in CONVOLUTIONS for layer in layers)
    return [
        layer
        for layer, count in zip(layers, passed, strict=True)
        if count <= convolutions and layer.get("type") not in NO_OPERATORS
    ]
