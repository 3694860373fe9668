"""Heat maps over pictures, and grids of them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import imgcluster
from imgcluster.errors import ImageError
from imgcluster.explain.heatmap import standardized, tiled


def test_a_dead_channel_is_grey_and_the_grid_has_sixteen_in_a_row() -> None:
    channels = np.zeros((18, 2, 3), np.float32)
    channels[17] = [[0, 0, 0], [0, 0, 100]]
    with np.errstate(all="raise"):
        cells = standardized(channels)
    assert (cells[:17] == 128).all()
    assert cells[17].max() == 255
    grid = tiled(cells)
    assert grid.shape == (4, 48)
    assert np.array_equal(grid[2:, 3:6], cells[17])
    assert (grid[2:, 6:] == 0).all()


def test_the_overlay_is_jet_at_two_fifths() -> None:
    image = np.full((2, 3, 3), 100, np.uint8)
    heat = np.array([[0, 0.5, 1], [0, 0, 0]], np.float32)
    laid = imgcluster.overlay(image, heat)
    assert isinstance(laid, Image.Image)
    assert laid.size == (3, 2)
    blue, green, red = (np.asarray(laid)[0, at].tolist() for at in range(3))
    assert blue == [60, 60, 111]  # 0.6 * 100 + 0.4 * (0, 0, 128)
    assert red == [111, 60, 60]
    assert green[1] == 162
    assert np.asarray(imgcluster.overlay(Image.fromarray(image), heat)).tolist() == np.asarray(laid).tolist()


def test_heat_of_another_picture_is_refused() -> None:
    with pytest.raises(ImageError, match=r"heat of \(2, 2\) is not of this picture, which is \(2, 3\)"):
        imgcluster.overlay(np.zeros((2, 3, 3), np.uint8), np.zeros((2, 2)))
