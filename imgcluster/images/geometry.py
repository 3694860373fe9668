"""Where crops and resized pictures lie: sizes after a step, crop windows with their padding, boxes in the picture.

Pixels are computed from it on the CPU (`preprocess`) and on a GPU (`preprocess_gpu`), and heat maps of the network's
input are laid back over the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from imgcluster.config import Recipe

Place = tuple[float, float]  # of a crop: the shares of the free rows above it and of the free columns left of it

MIDDLE: Place = (0.5, 0.5)
CORNERS: tuple[Place, ...] = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
# The crops of each of `config.recipe.VIEWS`. Mirror images of them follow, or the whole picture.
CROPS: dict[str, tuple[Place, ...]] = {
    "center": (MIDDLE,),
    "flip": (MIDDLE,),
    "whole": (MIDDLE,),
    "five_crops": (*CORNERS, MIDDLE),
    "ten_crops": (*CORNERS, MIDDLE),
}
MIRRORED_VIEWS = ("flip", "ten_crops")
WHOLE_VIEW = "whole"

MAX_ASPECT_RATIO = 4  # of pictures that are resized as a whole before they are cropped
MIN_EDGE_WEIGHT = 1e-3  # of a view's outermost pixels: not 0, as no other view may show them


def _shorter_side_to(side: int, height: int, width: int) -> tuple[int, int]:
    short = min(height, width)
    new_height, new_width = (side if size == short else int(side * size / short) for size in (height, width))
    return new_height, new_width


def _longer_side_to(side: int, height: int, width: int) -> tuple[int, int]:
    new_height, new_width = (max(1, round(side * size / max(height, width))) for size in (height, width))
    return new_height, new_width


# The height and width that a picture is resized to, by step; `CROPPING` steps then cut or pad it to a square.
RESIZED_SIZES: dict[str, Callable[[int, int, int], tuple[int, int]]] = {
    "resize": _shorter_side_to,
    "squash": lambda side, height, width: (side, side),
    "letterbox": _longer_side_to,
    "center_crop": lambda side, height, width: (height, width),
}
CROPPING = ("letterbox", "center_crop")


def is_very_long(height: int, width: int) -> bool:
    """Tell whether so much of a picture is cropped away that the rest should not be resized first."""
    return max(height, width) > MAX_ASPECT_RATIO * min(height, width)


def crop_start(size: int, side: int, share: float) -> int:
    """Return the first row or column of a crop of `side` pixels; negative where the picture is smaller and is padded.

    Rounds as torchvision's CenterCrop does: of an odd padding the top and the left get the smaller half.
    """
    return round((size - side) * share) if size >= side else -((side - size) // 2)


def crop_slices(size: int, side: int, share: float) -> tuple[slice, slice]:
    """Return which of a picture's `size` rows or columns a crop of `side` takes, and where they lie in the crop."""
    start = crop_start(size, side, share)
    before, length = max(0, -start), min(size, side)
    return slice(start + before, start + before + length), slice(before, before + length)


@dataclass(frozen=True)
class Window:
    """The part of a picture that a view shows, in pixels of the picture; it may reach beyond it, where it is padded.

    mirrored: whether left and right are exchanged in the view.
    """

    top: float
    left: float
    height: float
    width: float
    mirrored: bool = False


@dataclass(frozen=True)
class _Frame:
    """A picture between two steps: its rows and columns, and how many of the original's pixels each of them spans.

    top, left: where its first row and column lie in the original.
    """

    rows: int
    columns: int
    down: float = 1.0
    across: float = 1.0
    top: float = 0.0
    left: float = 0.0

    def after(self, step: str, side: int, place: Place = MIDDLE) -> _Frame:
        rows, columns = RESIZED_SIZES[step](side, self.rows, self.columns)
        down, across = self.down * (self.rows / rows), self.across * (self.columns / columns)
        if step not in CROPPING:
            return _Frame(rows, columns, down, across, self.top, self.left)
        top = self.top + crop_start(rows, side, place[0]) * down
        left = self.left + crop_start(columns, side, place[1]) * across
        return _Frame(side, side, down, across, top, left)

    @property
    def window(self) -> Window:
        return Window(self.top, self.left, self.rows * self.down, self.columns * self.across)


def windows_of(recipe: Recipe, height: int, width: int) -> list[Window]:
    """Return what each view of a picture of this size shows, in the order in which `preprocess.prepare` makes them."""
    *steps, last = recipe.steps
    frame = _Frame(height, width)
    for step in steps:
        frame = frame.after(*step)
    crops = [frame.after(*last, place).window for place in CROPS[recipe.views]]
    mirrored = [replace(crop, mirrored=True) for crop in crops] if recipe.views in MIRRORED_VIEWS else []
    whole = [Window(0, 0, height, width)] if recipe.views == WHOLE_VIEW else []
    return [*crops, *mirrored, *whole]


def onto_picture(maps: np.ndarray, windows: Sequence[Window], height: int, width: int) -> np.ndarray:
    """Lay heat maps, (views, rows, columns), over their windows in a picture, interpolated bilinearly.

    Returns:
        (height, width) float32; 0 where no view shows the pixel, and the weighted mean where several do. A view's
        weight falls towards its edges, which would be visible otherwise.
    """
    total, weights = np.zeros((2, height, width), np.float32)
    for values, window in zip(maps, windows, strict=True):
        cells = values[:, ::-1] if window.mirrored else values
        down, weights_down = _bilinear(height, window.top, window.height, cells.shape[0])
        across, weights_across = _bilinear(width, window.left, window.width, cells.shape[1])
        weight = np.outer(weights_down, weights_across)
        total += weight * (down @ cells.astype(np.float32) @ across.T)
        weights += weight
    return np.asarray(total / np.where(weights > 0, weights, 1))


def _bilinear(size: int, start: float, extent: float, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of each cell in each pixel, (size, cells) float32, and the weight of each pixel, (size,).

    The weight rises from nearly 0 at the edge of the window to nearly 1 in its middle; it is 0 outside.
    """
    places = (np.arange(size) + 0.5 - start) / extent
    at = np.clip(places * cells - 0.5, 0, cells - 1)
    lower = np.floor(at).astype(int)
    upper = np.minimum(lower + 1, cells - 1)
    shares = np.zeros((size, cells), np.float32)
    rows = np.arange(size)
    shares[rows, lower] = 1 - (at - lower)
    shares[rows, upper] += at - lower
    inside = (places > 0) & (places < 1)
    return shares, np.where(inside, 2 * np.minimum(places, 1 - places) + MIN_EDGE_WEIGHT, 0).astype(np.float32)
