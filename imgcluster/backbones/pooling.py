"""Pooling of feature maps and tokens to one vector per image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from imgcluster.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

GEM_POWER = 3.0
GEM_LEAST = 1e-6
RMAC_SCALES = 3
RMAC_OVERLAP = 0.4
SPP_GRIDS = (1, 2, 4)


def pool(values: Tensor, pooling: str, layer: str) -> Tensor:
    """Pool a layer's output to (n, dim), dim depending on the pooling; a vector, (n, dim), stays as it is.

    A map is (n, channels, height, width); tokens are (n, tokens, channels), the class token first. `auto` averages a
    map and takes the class token. Raises ConfigError where the pooling has no meaning for such an output.
    """
    kind = KINDS.get(values.ndim)
    if kind is None:
        raise ConfigError(f"features.layer: {layer!r} gives {values.ndim} dimensions; 2, 3 or 4 can be pooled")
    if kind == "vector":
        return values
    poolings = POOLINGS[kind]
    if pooling not in poolings:
        raise ConfigError(
            f"features.pooling: {pooling!r} has no meaning for {layer!r}, which gives {WORDS[kind]}; "
            f"allowed: {', '.join(poolings)}"
        )
    return poolings[pooling](values)


def join(blocks: list[Tensor], l2: bool, weights: Sequence[float] | None) -> Tensor:
    """Join the features of several layers, (n, dim) each, as `transforms.join_blocks` does, with gradients."""
    import torch

    if l2:
        blocks = [torch.nn.functional.normalize(block) for block in blocks]
    if weights is not None and len(weights) == len(blocks):
        blocks = [block * factor for block, factor in zip(blocks, weights, strict=True)]
    return torch.cat(blocks, dim=1)


def gem(values: Tensor) -> Tensor:
    """Generalised mean with p = 3 (Radenović, Tolias & Chum 2019, "Fine-tuning CNN Image Retrieval", equation 3)."""
    return values.clamp(min=GEM_LEAST).pow(GEM_POWER).mean(dim=(2, 3)).pow(1 / GEM_POWER)


def rmac(values: Tensor) -> Tensor:
    """Sum of L2-normalised maxima over square regions at three scales (Tolias, Sicre & Jégou 2016, section 3.2).

    Without the paper's PCA, which would have to be learnt.
    """
    from torch.nn.functional import normalize

    parts = [normalize(values[:, :, y, x].amax(dim=(2, 3))) for y, x in rmac_regions(*values.shape[2:])]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return normalize(total)


def rmac_regions(height: int, width: int) -> list[tuple[slice, slice]]:
    """Return the regions of R-MAC: at scale l, squares of side 2 min(h, w) / (l + 1), about 40 % over each other."""
    regions = []
    short = min(height, width)
    extra = _regions_along_the_longer_side(height, width)
    for scale in range(1, RMAC_SCALES + 1):
        side = max(1, 2 * short // (scale + 1))
        rows = scale + (extra if height > width else 0)
        columns = scale + (extra if width > height else 0)
        regions += [
            (slice(top, top + side), slice(left, left + side))
            for top in _starts(height, side, rows)
            for left in _starts(width, side, columns)
        ]
    return regions


def _regions_along_the_longer_side(height: int, width: int) -> int:
    """Return how many more regions the longer side needs for neighbours to overlap by the paper's 40 %, or nearly."""
    short, long = sorted((height, width))
    if short == long:
        return 0
    steps = range(1, 7)
    return min(steps, key=lambda step: abs((short - (long - short) / step) / short - RMAC_OVERLAP))


def _starts(size: int, side: int, count: int) -> list[int]:
    room = size - side
    return sorted({room * index // max(1, count - 1) for index in range(count)})


def spp(values: Tensor) -> Tensor:
    """Maxima over grids of 1, 4 and 16 cells, one after the other (He et al. 2015, "Spatial Pyramid Pooling", 2.2)."""
    import torch
    from torch.nn.functional import adaptive_max_pool2d

    return torch.cat([adaptive_max_pool2d(values, grid).flatten(1) for grid in SPP_GRIDS], dim=1)


def _mean_token(values: Tensor) -> Tensor:
    return values[:, 1:].mean(dim=1) if values.shape[1] > 1 else values[:, 0]


KINDS = {2: "vector", 3: "tokens", 4: "map"}
WORDS = {"tokens": "tokens", "map": "a map"}

Pooling = Callable[["Tensor"], "Tensor"]

POOLINGS: dict[str, dict[str, Pooling]] = {
    "map": {
        "auto": lambda values: values.mean(dim=(2, 3)),
        "avg": lambda values: values.mean(dim=(2, 3)),
        "max": lambda values: values.amax(dim=(2, 3)),
        "gem": gem,
        "rmac": rmac,
        "spp": spp,
        "flatten": lambda values: values.flatten(1),
    },
    "tokens": {
        "auto": lambda values: values[:, 0],
        "cls": lambda values: values[:, 0],
        "mean": _mean_token,
        "flatten": lambda values: values.flatten(1),
    },
}
