"""Where the pixels of a network's input lie in the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from imgcluster.config.recipe import Recipe
from imgcluster.images.geometry import onto_picture, windows_of
from imgcluster.images.preprocess import prepare

RECIPES = {
    "backbone": Recipe((("resize", 64), ("center_crop", 56))),
    "stage": Recipe((("center_crop", 128), ("resize", 56)), channels="bgr", resampling="pillow"),
    "squash": Recipe((("squash", 56),)),
    "letterbox": Recipe((("letterbox", 56),)),
    "twice": Recipe((("squash", 80), ("resize", 70), ("center_crop", 56))),
}


@pytest.mark.parametrize("size", [(100, 180), (181, 101), (60, 60)])
@pytest.mark.parametrize("views", ["center", "flip", "whole", "five_crops", "ten_crops"])
@pytest.mark.parametrize("name", RECIPES)
def test_a_spot_comes_back_to_where_it_was(name: str, views: str, size: tuple[int, int]) -> None:
    recipe = replace(RECIPES[name], views=views)
    if views not in ("center", "flip") and recipe.steps[-1][0] != "center_crop":
        return  # such a recipe is refused
    height, width = size
    row, column = round(height * 0.45), round(width * 0.42)
    image = np.zeros((height, width, 3), np.uint8)
    image[row - 3 : row + 4, column - 3 : column + 4] = 255
    out = np.empty((recipe.n_views, 56, 56, 3), np.uint8)
    prepare(image, recipe, out)
    windows = windows_of(recipe, height, width)
    assert len(windows) == recipe.n_views
    for view, window in zip(out[..., 0], windows, strict=True):
        if view.max() < 100:
            continue  # a corner that does not see it
        heat = onto_picture(view[None], [window], height, width)
        peak = np.argwhere(heat > 0.9 * heat.max()).mean(axis=0)
        assert np.abs(peak - (row, column)).max() < 2
    heat = onto_picture(out[..., 0], windows, height, width)
    assert np.abs(np.argwhere(heat > 0.9 * heat.max()).mean(axis=0) - (row, column)).max() < 3


def test_what_the_network_does_not_see_is_zero() -> None:
    recipe = RECIPES["backbone"]
    heat = onto_picture(np.ones((1, 7, 7)), windows_of(recipe, 64, 128), 64, 128)
    assert np.array_equal(np.flatnonzero(heat.any(axis=0)), np.arange(36, 92))
    assert np.array_equal(np.flatnonzero(heat.any(axis=1)), np.arange(4, 60))
    assert np.allclose(heat[4:60, 36:92], 1)
    padded = onto_picture(np.ones((1, 7, 7)), windows_of(RECIPES["stage"], 40, 40), 40, 40)
    assert np.allclose(padded, 1)


def test_views_go_over_into_each_other_without_an_edge() -> None:
    recipe = replace(RECIPES["backbone"], views="whole")
    maps = np.stack([np.ones((7, 7)), np.zeros((7, 7))])
    heat = onto_picture(maps, windows_of(recipe, 64, 128), 64, 128)
    assert heat.max() > 0.45
    assert np.abs(np.diff(heat, axis=1)).max() < 0.1
    assert np.abs(np.diff(heat, axis=0)).max() < 0.2
