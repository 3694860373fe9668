"""Reproducible augmentation: torchvision's transforms by name, with a seed per image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from imgcluster.errors import ConfigError

# By name: torchvision's `v2` and the side of the pictures -> the transform.
AUGMENTATIONS: dict[str, Callable[[Any, int], Any]] = {
    "flip": lambda v2, side: v2.RandomHorizontalFlip(),
    "vflip": lambda v2, side: v2.RandomVerticalFlip(),
    "crop": lambda v2, side: v2.RandomResizedCrop(side, scale=(0.6, 1.0), antialias=True),
    "rotate": lambda v2, side: v2.RandomRotation(15, interpolation=v2.InterpolationMode.BILINEAR),
    "shift": lambda v2, side: v2.RandomAffine(0, translate=(0.1, 0.1)),
    "color": lambda v2, side: v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3),
    "grey": lambda v2, side: v2.RandomGrayscale(0.2),
    "blur": lambda v2, side: v2.GaussianBlur(9, sigma=(0.1, 2.0)),
    "erase": lambda v2, side: v2.RandomErasing(0.5, scale=(0.02, 0.2), value=127),
}


def check_augmentation(names: Iterable[str]) -> None:
    """Raise ConfigError where there is no such step."""
    for name in names:
        if name not in AUGMENTATIONS:
            raise ConfigError(f"augment: there is no {name!r}; allowed: {', '.join(AUGMENTATIONS)}, or none")


class Augmentation:
    """Steps of AUGMENTATIONS, one after the other, for pictures of side x side.

    random_state: with the number of the epoch and of the picture, it says how a picture is varied.
    """

    def __init__(self, names: Sequence[str], side: int, random_state: int) -> None:
        from torchvision.transforms import v2

        self._steps = v2.Compose([AUGMENTATIONS[name](v2, side) for name in names]) if names else None
        self._random_state = random_state

    def vary(self, pixels: Any, channels: str, epoch: int, numbers: Sequence[int]) -> None:
        """Change pictures in place: (n, n_views, side, side, 3) uint8, whose channels are `rgb` or `bgr`.

        An array of numpy or a tensor; all views of a picture are varied alike. Not to be called by two threads at a
        time: torchvision draws from torch's own generator, whose state is put back afterwards.
        """
        import torch

        if self._steps is None:
            return
        batch = pixels if isinstance(pixels, torch.Tensor) else torch.from_numpy(pixels)
        with torch.random.fork_rng(devices=[]):
            for views, number in zip(batch, numbers, strict=False):
                torch.default_generator.manual_seed(seed_of(self._random_state, epoch, number))
                rgb = views.flip(-1) if channels == "bgr" else views
                varied = self._steps(rgb.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
                views.copy_(varied.flip(-1) if channels == "bgr" else varied)


def seed_of(*numbers: int) -> int:
    """Return a seed that any other numbers would not give."""
    return int(np.random.SeedSequence(list(numbers)).generate_state(1, np.uint64)[0] >> np.uint64(1))
