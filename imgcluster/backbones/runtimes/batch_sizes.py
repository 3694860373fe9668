"""Automatic batch sizes of torch, by the device and its free memory."""

from __future__ import annotations

from imgcluster.backbones.runtimes.devices import free_memory, is_gpu
from imgcluster.config import Recipe

# Most images per batch. On the CPU more gain nothing, and the last batch is padded to this number.
LARGE_SIDE = 320  # pixels
BATCH_SIZES = {(False, True): 4, (False, False): 16, (True, True): 64, (True, False): 256}  # is a GPU, large side

# Memory of an image in a network as large as VGG: 64 channels of the input's size, for a convolution's input, its
# output and its workspace.
CHANNELS, TENSORS = 64, 3
BYTES = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2}  # of a value


def auto_batch_size(device: str, recipe: Recipe, precision: str) -> int:
    """Return the number of images per batch, each with all its views."""
    most = max(1, BATCH_SIZES[is_gpu(device), recipe.side >= LARGE_SIDE] // recipe.n_views)
    free = free_memory(device)
    return most if free is None else batch_size_within(free, most, recipe, precision)


def batch_size_within(free: int, most: int, recipe: Recipe, precision: str) -> int:
    """Halve the number of images until their estimated memory fits into half of the free bytes; return 1 at least."""
    image = recipe.n_views * recipe.side**2 * CHANNELS * TENSORS * BYTES[precision]
    while most > 1 and most * image > free // 2:
        most //= 2
    return most
