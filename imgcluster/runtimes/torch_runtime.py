"""The network executed by torch, on the CPU or on one GPU."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from imgcluster.errors import ConfigError
from imgcluster.recipes import Recipe
from imgcluster.runtimes.hardware import DTYPES, describe
from imgcluster.runtimes.runtime import Blocks

logger = logging.getLogger(__name__)

# Images at a time. On the CPU more of them gain nothing, and the last batch is filled up to this number.
LARGE_SIDE = 320
BATCH_SIZES = {("cpu", True): 4, ("cpu", False): 16, ("cuda", True): 64, ("cuda", False): 256}


def auto_batch_size(device: torch.device, recipe: Recipe) -> int:
    """Return the number of images to compute at a time, all their views together."""
    return max(1, BATCH_SIZES[device.type, recipe.side >= LARGE_SIDE] // recipe.n_views)


class TorchRuntime:
    """A network of torch, (n, 3, side, side) -> a list of (n, dim), one for each layer.

    It is moved to the device and to the number format, unless it is there and somebody else's: `moved=False`.
    """

    name = "torch"
    depth = 1

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        device: torch.device,
        precision: str,
        *,
        moved: bool = True,
    ) -> None:
        self.device = describe(device)
        self.torch_device = device
        self._dtype = DTYPES[precision]
        self._recipe = recipe
        self.network = network.to(device, self._dtype).to(memory_format=torch.channels_last) if moved else network
        self._chunk: int | None = None
        # Tensors made in inference mode cannot be trained with: a module of somebody else's may keep one.
        self._mode = torch.inference_mode if moved else torch.no_grad
        if device.type == "cuda" and moved:  # TF32 keeps 10 bits of what was asked for in full
            torch.backends.cudnn.allow_tf32 = precision == "tf32"
            torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"

    def compile(self) -> None:
        """Let torch compile the network when it is first called; it takes a C++ compiler, and a minute or so."""
        self.network.compile(dynamic=False)

    def buffer(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return an array of uint8 for batches, in memory from which the device copies quickly."""
        try:
            return torch.zeros(shape, dtype=torch.uint8, pin_memory=self.torch_device.type == "cuda").numpy()
        except RuntimeError:
            raise ConfigError(f"features.batch_size: {shape[0]:,} images do not fit into memory") from None

    def start(self, pixels: np.ndarray) -> Callable[[], Blocks]:
        """Compute a batch, at once: torch uses all cores for it."""
        blocks = self(pixels)
        return lambda: blocks

    def __call__(self, pixels: np.ndarray) -> Blocks:
        """Compute the features of a batch. When the memory runs out, goes on with half as many at a time."""
        while True:
            chunk = self._chunk or len(pixels)
            try:
                parts = [self._run(pixels[start : start + chunk]) for start in range(0, len(pixels), chunk)]
                return [np.concatenate(blocks) for blocks in zip(*parts, strict=True)]
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if chunk == 1 or not _is_out_of_memory(error):
                    raise
            self._chunk = chunk // 2
            if self.torch_device.type == "cuda":
                torch.cuda.empty_cache()
            logger.warning("memory ran out: going on with %d images at a time instead of %d", self._chunk, chunk)

    def _run(self, pixels: np.ndarray) -> list[np.ndarray]:
        images, views = pixels.shape[:2]
        with self._mode():
            batch = torch.from_numpy(pixels).flatten(0, 1).to(self.torch_device, non_blocking=True)
            blocks = [block.float() for block in self.network(scaled(batch, self._recipe).to(self._dtype))]
            if views > 1:
                blocks = [block.unflatten(0, (images, views)).mean(dim=1) for block in blocks]
            return [np.asarray(block.cpu().numpy()) for block in blocks]


def scaled(pixels: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Return pixels, (n, side, side, 3) uint8, as a network takes them: (n, 3, side, side) float32, channels last."""
    mean, std = (torch.tensor(values, device=pixels.device).view(1, 3, 1, 1) for values in (recipe.mean, recipe.std))
    values = pixels.permute(0, 3, 1, 2).float()  # a view: channels last in memory already
    return values.div_(recipe.scale).sub_(mean).div_(std)


def _is_out_of_memory(error: BaseException) -> bool:
    """Tell memory that ran out from other errors: on the CPU, torch has only words for it."""
    told = any(words in str(error) for words in ("not enough memory", "can't allocate memory"))
    return told or isinstance(error, torch.OutOfMemoryError | MemoryError)
