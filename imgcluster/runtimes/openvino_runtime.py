"""The network executed by OpenVINO on the CPU: several batches at a time, and nothing converted twice."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from imgcluster.errors import ConfigError
from imgcluster.files import cache_folder
from imgcluster.recipes import Recipe
from imgcluster.runtimes.runtime import Blocks
from imgcluster.runtimes.torch_runtime import scaled

FORMAT = 1  # of what is kept: raise it when models are converted in another way
TELEMETRY = "openvino_telemetry"
MOST = 4 * 2**30  # bytes of converted models kept: eight of VGG16
A_DAY = 24 * 3600
LARGE_SIDE = 320
BATCH_SIZES = {True: 1, False: 2}
MODEL, FAILED = "model.xml", ".failed"
TOLERANCE = 1e-3  # of the largest value: another order of sums in float32 makes less than a hundredth of it
HINTS = {"fp32": "f32", "bf16": "bf16"}


class Unsupported(Exception):
    """OpenVINO cannot execute this network; the text says why. torch can."""


class OpenVinoRuntime:
    """A network of torch, converted: see `Runtime`.

    build: makes the network, (n, 3, side, side) -> a list of (n, dim); called only where it was not converted before.
    shaped_by: what tells it from other networks, as plain data: the key under which the converted one is kept.
    Raises Unsupported where the network cannot be converted.
    """

    name = "openvino"

    def __init__(
        self, build: Callable[[], nn.Module], shaped_by: Any, recipe: Recipe, precision: str, batch_size: int
    ) -> None:
        ov = import_openvino()
        self._images, self._views = batch_size, recipe.n_views
        self._streams = torch.get_num_threads()
        self.depth = self._streams + 1  # one more than are computed, so that no stream waits for its next batch
        self.device = f"cpu, {self._streams} threads"
        self.buffer((batch_size, self._views, recipe.side, recipe.side, 3))  # tells whether the memory holds a batch
        model = _converted(ov, build, shaped_by, recipe)
        with _told():
            model.reshape([batch_size * recipe.n_views, recipe.side, recipe.side, 3])
            compiled = ov.Core().compile_model(model, "CPU", _settings(precision, self._streams))
            self._requests = [compiled.create_infer_request() for _ in range(self.depth)]
        self._started = 0
        self._tensor = ov.Tensor

    def buffer(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return an array of uint8 for batches."""
        try:
            return np.zeros(shape, np.uint8)
        except MemoryError:
            raise ConfigError(f"features.batch_size: {shape[0]:,} images do not fit into memory") from None

    def start(self, pixels: np.ndarray) -> Callable[[], Blocks]:
        """Begin with a batch: as many are computed at a time as there are cores, each by one of them."""
        request = self._requests[self._started % self.depth]
        self._started += 1
        request.set_input_tensor(self._tensor(pixels.reshape(-1, *pixels.shape[2:]), shared_memory=True))
        request.start_async()

        def result() -> Blocks:
            request.wait()
            return [self._mean_of_views(output.data) for output in request.output_tensors]

        return result

    def __call__(self, pixels: np.ndarray) -> Blocks:
        """Compute a batch and wait for it."""
        return self.start(pixels)()

    def _mean_of_views(self, block: np.ndarray) -> np.ndarray:
        if self._views == 1:
            return block.copy()  # the request has its memory for the next batch
        return np.asarray(block.reshape(self._images, self._views, *block.shape[1:]).mean(axis=1, dtype=np.float32))


def auto_batch_size(recipe: Recipe) -> int:
    """Return the number of images that one core computes at a time, all their views together."""
    return max(1, BATCH_SIZES[recipe.side >= LARGE_SIDE] // recipe.n_views)


def is_installed() -> bool:
    """Tell whether OpenVINO can be imported, without importing it."""
    from importlib.util import find_spec

    return find_spec("openvino") is not None


def import_openvino() -> Any:
    """Import OpenVINO so that it reports to nobody: what it would report with is taken for not installed."""
    try:
        with _not_installed(TELEMETRY):
            return import_module("openvino")
    except ImportError as error:
        raise ConfigError(
            f"features.runtime: openvino needs the package openvino ({error}); pip install openvino"
        ) from error


@contextmanager
def _not_installed(package: str) -> Iterator[None]:
    before = sys.modules.get(package)
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]
        if before is not None:
            sys.modules[package] = before


def _settings(precision: str, streams: int) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams,
        "ENABLE_CPU_PINNING": False,  # the readers run on the same cores
    }


# What was converted is kept.


def has_failed(shaped_by: Any) -> bool:
    """Tell whether this network could not be converted before."""
    return _folder_of(shaped_by).with_suffix(FAILED).exists()


def _folder_of(shaped_by: Any) -> Path:
    key = json.dumps([FORMAT, version("openvino"), shaped_by], sort_keys=True)
    return cache_folder() / "openvino" / hashlib.sha256(key.encode()).hexdigest()[:32]


def _converted(ov: Any, build: Callable[[], nn.Module], shaped_by: Any, recipe: Recipe) -> Any:
    """Return the model from the cache, or convert it and put it there. Half a file is never found there."""
    folder = _folder_of(shaped_by)
    if (folder / MODEL).is_file():
        with suppress(RuntimeError):  # damaged: made again
            return ov.Core().read_model(folder / MODEL)
    network = build().eval()
    try:
        model = _convert(ov, network, recipe)
        _check(ov, model, network, recipe)
    except Unsupported as error:
        if isinstance(error.__cause__, MemoryError):
            raise  # another time there may be enough
        reason = str(error)
        _write_cache(folder.parent, lambda: folder.with_suffix(FAILED).write_text(reason))
        raise
    _write_cache(folder.parent, lambda: _keep(ov, model, folder))
    return model


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


def _check(ov: Any, model: Any, network: nn.Module, recipe: Recipe) -> None:
    """Compare what was converted with the network itself: a branch that depends on values is converted silently."""
    shape = (2, recipe.side, recipe.side, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with _told():
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
    with _told(), _one_thread(), torch.no_grad(), _not_installed(TELEMETRY), warnings.catch_warnings():
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
def _told() -> Iterator[None]:
    """Turn whatever OpenVINO raises, at a step it does not know, into the one error that leads to torch."""
    try:
        yield
    except Exception as error:
        raise Unsupported(_first_line(error)) from error


@contextmanager
def _one_thread() -> Iterator[None]:
    """Trace without torch's threads: where others keep the cores busy they wait for each other ten times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
