"""Cropping and resizing against torchvision's own transforms on Pillow images, the published way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from imgcluster.catalog import BACKBONES
from imgcluster.preprocess import center_crop, find_recipe, prepare
from imgcluster.recipes import RECIPES, Recipe

SIZES = [(512, 512), (480, 640), (641, 479), (100, 75), (1, 1), (7, 1000), (512, 300), (301, 513), (2000, 20)]


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def prepared(image: np.ndarray, recipe: Recipe) -> np.ndarray:
    out = np.zeros((recipe.crop, recipe.crop, 3), np.uint8)
    prepare(image, recipe, out)
    return out


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [512, 224, 33])
def test_center_crop_pads_and_cuts_as_torchvision_does(size: tuple[int, int], side: int) -> None:
    image = picture(*size)
    wanted = np.asarray(v2.CenterCrop(side)(Image.fromarray(image)))
    np.testing.assert_array_equal(center_crop(image, side), wanted)


@pytest.mark.parametrize("size", SIZES)
def test_stage_recipe_is_the_published_one_exactly(size: tuple[int, int]) -> None:
    image = picture(*size)
    bgr = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))  # what cv2.imread gives
    wanted = np.asarray(v2.Resize(448)(v2.CenterCrop(512)(bgr)))
    np.testing.assert_array_equal(prepared(image, RECIPES["stage"]), wanted)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_backbone_recipe_is_resize_then_crop(size: tuple[int, int], interpolation: str) -> None:
    image = picture(*size)
    resized = v2.Resize(256, v2.InterpolationMode(interpolation))(Image.fromarray(image))
    wanted = np.asarray(v2.CenterCrop(224)(resized))
    recipe = replace(BACKBONES["vgg16"].recipe, interpolation=interpolation)
    difference = prepared(image, recipe).astype(int) - wanted
    if max(size) <= 4 * min(size):
        assert not difference.any()
    else:  # rounded in another order
        assert np.abs(difference).mean() < 0.5
        assert abs(difference.mean()) < 0.02


def test_a_very_long_picture_costs_only_what_is_kept() -> None:
    strip = np.zeros((20, 200_000, 3), np.uint8)  # resized as a whole, 256 x 2,560,000 pixels: 2 GB
    assert prepared(strip, BACKBONES["vgg16"].recipe).max() == 0


def test_backbone_names_the_recipe_of_its_own_weights() -> None:
    assert find_recipe("backbone", BACKBONES["efficientnet_lite0"]).mean == (127.0, 127.0, 127.0)
    assert find_recipe("stage", BACKBONES["efficientnet_lite0"]) is RECIPES["stage"]


def test_vgg16_recipe_is_what_torchvision_says_its_weights_were_trained_with() -> None:
    from torchvision.models import VGG16_Weights

    published = VGG16_Weights.IMAGENET1K_V1.transforms()
    recipe = BACKBONES["vgg16"].recipe
    assert [recipe.resize] == published.resize_size
    assert [recipe.crop] == published.crop_size
    assert (list(recipe.mean), list(recipe.std)) == (published.mean, published.std)
