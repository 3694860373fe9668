"""Runtime of OpenVINO on the CPU: several batches at a time, one on each core."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from imgcluster.backbones.runtimes.base import Blocks
from imgcluster.backbones.runtimes.devices import cpu_threads
from imgcluster.backbones.runtimes.openvino_package import convert_errors, import_openvino
from imgcluster.config import Recipe
from imgcluster.errors import ConfigError
from imgcluster.images import prepare

LARGE_SIDE = 320
BATCH_SIZES = {True: 1, False: 2}
HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}  # int8: the precision of operators that are not quantised


class OpenVinoRuntime:
    """Runtime of an OpenVINO model that `converted` returned.

    recipe: of the pictures. at_once: images of a batch that one core computes together, a divisor of `batch_size`;
    None: the whole batch.

    Raises Unsupported where the model cannot be compiled, ConfigError where a batch does not fit into memory.
    """

    name = "openvino"

    def __init__(self, model: Any, recipe: Recipe, precision: str, batch_size: int, at_once: int | None = None) -> None:
        ov = import_openvino()
        self._images, self._views = at_once or batch_size, recipe.n_views
        self._streams = cpu_threads()
        self.depth = self._streams + 1  # one more than streams: no stream waits for its next batch
        self.device = f"cpu, {self._streams} threads"
        self.buffer((batch_size, self._views, recipe.side, recipe.side, 3))  # raises where memory is too small
        with convert_errors():
            model.reshape([self._images * self._views, recipe.side, recipe.side, 3])
            compiled = ov.Core().compile_model(model, "CPU", _settings(precision, self._streams))
            parts = range(batch_size // self._images)
            self._requests = [[compiled.create_infer_request() for _ in parts] for _ in range(self.depth)]
        self._started = 0

    def buffer(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return zeros for batches, uint8. Raises ConfigError where they do not fit into memory."""
        try:
            return np.zeros(shape, np.uint8)
        except (MemoryError, ValueError):  # ValueError where the size exceeds the address space
            raise ConfigError(f"features.batch_size: {shape[0]:,} images do not fit into memory") from None

    prepare = staticmethod(prepare)

    def start(self, pixels: np.ndarray) -> Callable[[], Blocks]:
        """Start a batch; each core computes one at a time. Returns a function that waits for the result."""
        requests = self._requests[self._started % self.depth]
        self._started += 1
        pictures = pixels.reshape(len(requests), -1, *pixels.shape[2:])
        for request, part in zip(requests, pictures, strict=True):
            request.get_input_tensor().data[:] = part  # a copy: an exception may free `pixels` while it is computed
            request.start_async()

        def result() -> Blocks:
            return [np.concatenate(blocks) for blocks in zip(*map(self._result, requests), strict=True)]

        return result

    def __call__(self, pixels: np.ndarray) -> Blocks:
        """Compute a batch and wait for it."""
        return self.start(pixels)()

    def _result(self, request: Any) -> Blocks:
        request.wait()
        return [self._mean_of_views(output.data) for output in request.output_tensors]

    def _mean_of_views(self, block: np.ndarray) -> np.ndarray:
        if self._views == 1:
            return block.copy()  # the request reuses this memory for the next batch
        return np.asarray(block.reshape(self._images, self._views, *block.shape[1:]).mean(axis=1, dtype=np.float32))


def auto_batch_size(recipe: Recipe) -> int:
    """Return the number of images that one core computes together, each with all its views."""
    return max(1, BATCH_SIZES[recipe.side >= LARGE_SIDE] // recipe.n_views)


def processor() -> str:
    """Return the CPU's model name; another model may compute in another order."""
    return str(import_openvino().Core().get_property("CPU", "FULL_DEVICE_NAME"))


def _settings(precision: str, streams: int) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams,
        "ENABLE_CPU_PINNING": False,  # the readers run on the same cores
    }
