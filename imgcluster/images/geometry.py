"""Map heat from the network's square input back to the original image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from imgcluster.config import Recipe
from imgcluster.images.preprocess import CROPS, MIDDLE, MIRRORED, WHOLE, crop_start, shorter_side_to

LEAST_SHARE = 1e-3  # of a view at its very edge: more than nothing, where it is the only one


@dataclass(frozen=True)
class Window:
    """The part of a picture that a square shows, in pixels of the picture; it may reach beyond it, where it is padded.

    mirrored: whether left and right are exchanged in the square.
    """

    top: float
    left: float
    height: float
    width: float
    mirrored: bool = False


@dataclass(frozen=True)
class _Stage:
    """A picture on its way: rows x columns now, each (down, across) pixels of the original, from (top, left) on."""

    rows: int
    columns: int
    down: float = 1.0
    across: float = 1.0
    top: float = 0.0
    left: float = 0.0


def windows_of(recipe: Recipe, height: int, width: int) -> list[Window]:
    """Return what each view of a picture of this size shows, in the order in which `preprocess.prepare` makes them."""
    *steps, last = recipe.steps
    stage = _Stage(height, width)
    for name, side in steps:
        stage = _STEPS[name](stage, side, MIDDLE)
    name, side = last
    crops = [_window(_STEPS[name](stage, side, place)) for place in CROPS[recipe.views]]
    mirrored = [replace(crop, mirrored=True) for crop in crops] if recipe.views in MIRRORED else []
    whole = [Window(0, 0, height, width)] if recipe.views == WHOLE else []
    return [*crops, *mirrored, *whole]


def onto_picture(maps: np.ndarray, windows: Sequence[Window], height: int, width: int) -> np.ndarray:
    """Lay maps, (views, rows, columns), over their windows, bilinear between the middles of the cells.

    (height, width) float32; 0 where no view sees anything. Where several do, it is their mean, in which a view counts
    less towards its edges, so that it has no visible ones.
    """
    total, shares = np.zeros((2, height, width), np.float32)
    for values, window in zip(maps, windows, strict=True):
        cells = values[:, ::-1] if window.mirrored else values
        down, down_share = _bilinear(height, window.top, window.height, cells.shape[0])
        across, across_share = _bilinear(width, window.left, window.width, cells.shape[1])
        share = np.outer(down_share, across_share)
        total += share * (down @ cells.astype(np.float32) @ across.T)
        shares += share
    return np.asarray(total / np.where(shares > 0, shares, 1))


def _bilinear(size: int, start: float, extent: float, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how much of each cell is in each pixel, (size, cells) float32, and how much the pixel counts, (size,).

    From the edge of the window to its middle a pixel counts from nearly 0 to nearly 1; outside it has nothing.
    """
    places = (np.arange(size) + 0.5 - start) / extent
    at = np.clip(places * cells - 0.5, 0, cells - 1)
    lower = np.floor(at).astype(int)
    upper = np.minimum(lower + 1, cells - 1)
    weights = np.zeros((size, cells), np.float32)
    rows = np.arange(size)
    weights[rows, lower] = 1 - (at - lower)
    weights[rows, upper] += at - lower
    inside = (places > 0) & (places < 1)
    return weights, np.where(inside, 2 * np.minimum(places, 1 - places) + LEAST_SHARE, 0).astype(np.float32)


def _window(stage: _Stage) -> Window:
    return Window(stage.top, stage.left, stage.rows * stage.down, stage.columns * stage.across)


def _resized(stage: _Stage, rows: int, columns: int) -> _Stage:
    down, across = stage.down * stage.rows / rows, stage.across * stage.columns / columns
    return replace(stage, rows=rows, columns=columns, down=down, across=across)


def _resize(stage: _Stage, side: int, place: tuple[float, float]) -> _Stage:
    return _resized(stage, *shorter_side_to(side, stage.rows, stage.columns))


def _squash(stage: _Stage, side: int, place: tuple[float, float]) -> _Stage:
    return _resized(stage, side, side)


def _letterbox(stage: _Stage, side: int, place: tuple[float, float]) -> _Stage:
    long = max(stage.rows, stage.columns)
    rows, columns = (max(1, round(side * size / long)) for size in (stage.rows, stage.columns))
    fitted = _resized(stage, rows, columns)
    return _cut(fitted, side, -((side - rows) // 2), -((side - columns) // 2))


def _crop(stage: _Stage, side: int, place: tuple[float, float]) -> _Stage:
    top, left = (
        crop_start(max(size, side), side, share) - max(0, (side - size) // 2)
        for size, share in zip((stage.rows, stage.columns), place, strict=True)
    )
    return _cut(stage, side, top, left)


def _cut(stage: _Stage, side: int, top: int, left: int) -> _Stage:
    """Take side x side pixels from (top, left) on; what lies before the picture is negative."""
    return replace(
        stage,
        rows=side,
        columns=side,
        top=stage.top + top * stage.down,
        left=stage.left + left * stage.across,
    )


_STEPS: dict[str, Callable[[_Stage, int, tuple[float, float]], _Stage]] = {
    "resize": _resize,
    "squash": _squash,
    "letterbox": _letterbox,
    "center_crop": _crop,
}
