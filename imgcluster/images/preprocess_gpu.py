"""Crop and resize on the GPU that runs the network; each reader thread has its own CUDA stream."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from imgcluster.config import Recipe
from imgcluster.images.geometry import CROPS, MIRRORED_VIEWS, RESIZED_SIZES, crop_slices, is_very_long
from imgcluster.images.preprocess import prepare, resizes_here

MAX_PIXELS = 2**24  # of a picture: 192 MiB in float32, for each reader
MAX_SHRINKING = 32  # source pixels per pixel: CUDA's kernels have shared memory for about 45 (bicubic)
WHITE = 255


class GpuPreprocessor:
    """`preprocess.prepare` into tensors on a GPU.

    Resized values may differ from the CPU's, where torch has integer weights for uint8, and float32 weights here: by 1
    of 255 in less than a hundredth of a photograph's values and a tenth of those of noise; by 2 only in noise, in less
    than one value of five thousand.
    Very large and very long pictures are prepared on the CPU, and so is a picture for which GPU memory is lacking.
    """

    def __init__(self) -> None:
        self._own = threading.local()  # a thread's stream, the event at its end, and its memory for copies

    def prepare(self, image: np.ndarray, recipe: Recipe, out: Tensor) -> None:
        """Crop and resize an RGB uint8 picture into `out`, (n_views, side, side, 3) uint8; returns when done."""
        with self._stream(out.device):
            if not (_is_for_device(image, recipe) and self._resize_there(image, recipe, out)):
                staging = self._staging(out.shape, out.device)
                prepare(image, recipe, staging.numpy())
                out.copy_(staging, non_blocking=True)

    def _resize_there(self, image: np.ndarray, recipe: Recipe, out: Tensor) -> bool:
        staging = self._staging(image.shape, out.device)
        np.copyto(staging.numpy(), image)
        try:
            picture = staging.to(out.device, non_blocking=True)
            _crop_into(out, _resized(picture, _resized_size(image, recipe), recipe.interpolation), recipe)
        except torch.OutOfMemoryError:
            return False
        return True

    @contextmanager
    def _stream(self, device: torch.device) -> Iterator[None]:
        """Run the block on the thread's own stream, and wait for the stream at the end.

        The stream's priority is high: a picture is little work, and must not wait for the network's queue. Waiting
        blocks the thread, since spinning would take a core from decoding.
        """
        if device.type != "cuda":
            yield
            return
        own = self._own
        if not hasattr(own, "stream"):
            own.stream = torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]
            own.done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(own.stream):
            try:
                yield
            finally:
                own.done.record(own.stream)
                own.done.synchronize()

    def _staging(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """Return the thread's own CPU memory, pinned for a GPU, which copies it directly."""
        size = int(np.prod(shape))
        if not hasattr(self._own, "staging") or self._own.staging.numel() < size:
            self._own.staging = torch.empty(size, dtype=torch.uint8, pin_memory=device.type == "cuda")
        staging: Tensor = self._own.staging
        return staging[:size].view(shape)


def _is_for_device(image: np.ndarray, recipe: Recipe) -> bool:
    if not resizes_here(recipe):
        return False
    height, width = image.shape[:2]
    if height * width > MAX_PIXELS or (recipe.steps[0][0] == "resize" and is_very_long(height, width)):
        return False
    sizes = zip((height, width), _resized_size(image, recipe), strict=True)
    return all(before <= MAX_SHRINKING * after for before, after in sizes)


def _resized_size(image: np.ndarray, recipe: Recipe) -> tuple[int, int]:
    name, side = recipe.steps[0]
    return RESIZED_SIZES[name](side, *image.shape[:2])


def _resized(picture: Tensor, size: tuple[int, int], interpolation: str) -> Tensor:
    """Resize (height, width, 3) uint8, horizontally and then vertically, rounded to uint8 after each as on the CPU.

    Resizing both ways at once changes a sixth of a photograph's values. Bicubic overshoots uint8 in between.
    """
    values = picture.permute(2, 0, 1)[None].to(torch.float32, memory_format=torch.contiguous_format)
    for target in ((len(picture), size[1]), size):
        if values.shape[2:] != target:
            values = interpolate(values, target, mode=interpolation, antialias=True)
            values = values.add_(0.5).clamp_(0, WHITE).floor_()
    return values.to(torch.uint8)[0].permute(1, 2, 0)


def _crop_into(out: Tensor, picture: Tensor, recipe: Recipe) -> None:
    """Write the views of a resized picture, (height, width, 3) uint8, to `out`; pad small ones with black."""
    places = CROPS[recipe.views]
    ours = picture.flip(2) if recipe.channels == "bgr" else picture
    if min(picture.shape[:2]) < recipe.side:
        out.zero_()
    for view, place in zip(out, places, strict=False):
        (rows, down), (columns, across) = (
            crop_slices(size, recipe.side, share) for size, share in zip(picture.shape[:2], place, strict=True)
        )
        view[down, across] = ours[rows, columns]
    if recipe.views in MIRRORED_VIEWS:
        out[len(places) :] = out[: len(places)].flip(2)
