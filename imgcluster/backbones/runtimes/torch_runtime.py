"""Runtime of torch, on the CPU or on one GPU."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from torch import nn

from imgcluster.backbones.runtimes.base import Blocks
from imgcluster.backbones.runtimes.devices import describe, tf32
from imgcluster.config import Recipe
from imgcluster.errors import ConfigError
from imgcluster.images import GpuPreprocessor, Pixels, prepare
from imgcluster.utils import ran_out

logger = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchRuntime:
    """Runtime of a torch network, (n, 3, side, side) -> a list of (n, dim), one for each layer.

    moved: False for a caller's own module: it stays as it is, where it is, and computes by the program's settings.

    On a GPU, batches follow each other without a pause, and readers prepare pictures there. Its buffers are tensors on
    that GPU; arrays are accepted as well.
    """

    name = "torch"

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        device: torch.device,
        precision: str,
        *,
        moved: bool = True,
    ) -> None:
        self.device = describe(str(device))
        self.torch_device = device
        self.precision = precision
        self.depth = 2 if device.type == "cuda" else 1  # the next batch is queued while one is computed
        self._dtype = DTYPES[precision]
        self._recipe = recipe
        self._normalization = normalization(recipe, device)
        self._preprocessor = GpuPreprocessor()
        self.network = with_channels_last(network.to(device, self._dtype)) if moved else network
        self._chunk: int | None = None
        # Tensors made in inference mode cannot be trained with: a caller's module may keep one.
        self._mode = torch.inference_mode if moved else torch.no_grad
        self._tf32 = partial(tf32, allowed=precision == "tf32") if moved else nullcontext

    def compile(self) -> None:
        """Compile the network on its first call; needs a C++ compiler, and about a minute."""
        self.network.compile(dynamic=False)

    def compute_one_by_one(self) -> None:
        """Compute the images of each batch one by one."""
        self._chunk = 1

    def buffer(self, shape: tuple[int, ...]) -> Pixels:
        """Return zeros for batches: a tensor on a GPU, else an array. Raises ConfigError where memory is too small."""
        on_gpu = self.torch_device.type == "cuda"
        try:
            pixels = torch.zeros(shape, dtype=torch.uint8, device=self.torch_device if on_gpu else "cpu")
        except (RuntimeError, TypeError):  # TypeError where the size exceeds 64 bits
            raise ConfigError(f"features.batch_size: {shape[0]:,} images do not fit into memory") from None
        if not on_gpu:
            return pixels.numpy()
        # The readers write on streams of their own, which do not wait for these zeros.
        torch.cuda.current_stream(self.torch_device).synchronize()
        return pixels

    def prepare(self, image: np.ndarray, recipe: Recipe, out: Pixels) -> None:
        """Crop and resize a picture on the buffer's device."""
        if isinstance(out, torch.Tensor):
            self._preprocessor.prepare(image, recipe, out)
        else:
            prepare(image, recipe, out)

    def start(self, pixels: Pixels) -> Callable[[], Blocks]:
        """Start a batch; on the CPU, compute it. Returns a function that waits for the result."""
        parts, done = self._launched(pixels), self._event()

        def result() -> Blocks:
            if done is not None:
                done.synchronize()
            return [np.concatenate(blocks) for blocks in zip(*parts, strict=True)]

        return result

    def __call__(self, pixels: Pixels) -> Blocks:
        """Compute a batch and wait for it."""
        return self.start(pixels)()

    def _launched(self, pixels: Pixels) -> list[Blocks]:
        """Run the network over a batch, in parts. When memory runs out, the parts are halved from then on."""
        while True:
            chunk = self._chunk or len(pixels)
            try:
                return [self._run(pixels[start : start + chunk]) for start in range(0, len(pixels), chunk)]
            except (MemoryError, RuntimeError) as error:
                if chunk == 1 or not ran_out(error):
                    raise
            self._chunk = chunk // 2
            if self.torch_device.type == "cuda":
                torch.cuda.empty_cache()
            logger.warning("memory ran out: going on with %d images at a time instead of %d", self._chunk, chunk)

    def _run(self, pixels: Pixels) -> Blocks:
        """Run the network over pixels. From a GPU, the values are valid after the next event."""
        images, views = pixels.shape[:2]
        batch = pixels if isinstance(pixels, torch.Tensor) else torch.from_numpy(pixels)
        with self._mode(), self._tf32():
            batch = batch.flatten(0, 1).to(self.torch_device, non_blocking=True)
            values = scaled(batch, self._recipe, self._normalization).to(self._dtype)
            blocks = [block.float() for block in self.network(values)]
            if views > 1:
                blocks = [block.unflatten(0, (images, views)).mean(dim=1) for block in blocks]
            return [self._on_host(block) for block in blocks]

    def _on_host(self, block: torch.Tensor) -> np.ndarray:
        if block.device.type != "cuda":
            return np.asarray(block.cpu().numpy())
        # A copy to memory that is not pinned would block.
        host = torch.empty(block.shape, dtype=block.dtype, pin_memory=True)
        return np.asarray(host.copy_(block, non_blocking=True).numpy())

    def _event(self) -> torch.cuda.Event | None:
        """Return an event that occurs when a GPU has done all its work so far; None on the CPU."""
        if self.torch_device.type != "cuda":
            return None
        # Blocking: a spinning thread would take a core from the readers.
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self.torch_device))
        return event


def with_channels_last(network: nn.Module) -> nn.Module:
    """Convert a network's 4-D tensors to channels-last memory format, in place; returns the network.

    torch's `to(memory_format=...)` raises over 5-D tensors, which have no such format.
    """
    for values in itertools.chain(network.parameters(), network.buffers()):
        if values.ndim == 4:
            values.data = values.data.contiguous(memory_format=torch.channels_last)
    return network


def normalization(recipe: Recipe, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean and std of a recipe, (1, 3, 1, 1) each, on a device."""
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (recipe.mean, recipe.std))
    return mean, std


def scaled(
    pixels: torch.Tensor, recipe: Recipe, mean_and_std: tuple[torch.Tensor, torch.Tensor] | None = None
) -> torch.Tensor:
    """Normalise pixels, (n, side, side, 3) uint8, to network input: (n, 3, side, side) float32, channels last.

    mean_and_std: the recipe's `normalization` on the device, if it exists: copying it to a GPU would wait for the GPU.
    """
    mean, std = mean_and_std or normalization(recipe, pixels.device)
    values = pixels.permute(0, 3, 1, 2).float()  # a view: channels last in memory already
    return values.div_(recipe.scale).sub_(mean).div_(std)
