"""Cropping and resizing against torchvision's own transforms on Pillow images, the published way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from imgcluster.config.backbone_table import BACKBONES
from imgcluster.config.recipe import STAGE, STEPS, VIEWS, Recipe, named_recipe, recipe_of
from imgcluster.images.geometry import CROPS, RESIZED_SIZES
from imgcluster.images.preprocess import crop_at, find_recipe, prepare

PILLOWS = replace(BACKBONES["vgg16"].recipe, resampling="pillow")  # whose pixels are those of the oracles, to the bit
SIZES = [(512, 512), (480, 640), (641, 479), (100, 75), (1, 1), (7, 1000), (512, 300), (301, 513), (2000, 20)]


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def prepared(image: np.ndarray, recipe: Recipe) -> np.ndarray:
    return views_of(image, recipe)[0]


def views_of(image: np.ndarray, recipe: Recipe) -> np.ndarray:
    out = np.zeros((recipe.n_views, recipe.side, recipe.side, 3), np.uint8)
    prepare(image, recipe, out)
    return out


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [512, 224, 33])
def test_center_crop_pads_and_cuts_as_torchvision_does(size: tuple[int, int], side: int) -> None:
    image = picture(*size)
    wanted = np.asarray(v2.CenterCrop(side)(Image.fromarray(image)))
    np.testing.assert_array_equal(crop_at(image, side), wanted)


@pytest.mark.parametrize("size", SIZES)
def test_stage_recipe_is_the_published_one_exactly(size: tuple[int, int]) -> None:
    image = picture(*size)
    bgr = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))  # what cv2.imread gives
    wanted = np.asarray(v2.Resize(448)(v2.CenterCrop(512)(bgr)))
    np.testing.assert_array_equal(prepared(image, STAGE), wanted)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_backbone_recipe_is_resize_then_crop(size: tuple[int, int], interpolation: str) -> None:
    image = picture(*size)
    resized = v2.Resize(256, v2.InterpolationMode(interpolation))(Image.fromarray(image))
    wanted = np.asarray(v2.CenterCrop(224)(resized))
    recipe = replace(BACKBONES["vgg16"].recipe, interpolation=interpolation)
    difference = prepared(image, recipe).astype(int) - wanted
    if max(size) <= 4 * min(size):
        assert np.abs(difference).max() <= {"bilinear": 1, "bicubic": 2}[interpolation]
        np.testing.assert_array_equal(prepared(image, replace(recipe, resampling="pillow")), wanted)
    else:  # rounded in another order
        assert np.abs(difference).mean() < 0.5
        assert abs(difference.mean()) < 0.02


def test_a_very_long_picture_costs_only_what_is_kept() -> None:
    strip = np.zeros((20, 200_000, 3), np.uint8)  # resized as a whole, 256 x 2,560,000 pixels: 2 GB
    assert prepared(strip, BACKBONES["vgg16"].recipe).max() == 0


def test_backbone_names_the_recipe_of_its_own_weights() -> None:
    assert find_recipe("backbone", BACKBONES["efficientnet_lite0"]).mean == (127.0, 127.0, 127.0)
    assert find_recipe("stage", BACKBONES["efficientnet_lite0"]) == STAGE


def test_vgg16_recipe_is_what_torchvision_says_its_weights_were_trained_with() -> None:
    from torchvision.models import VGG16_Weights

    published = VGG16_Weights.IMAGENET1K_V1.transforms()
    recipe = BACKBONES["vgg16"].recipe
    assert recipe.steps == (("resize", *published.resize_size), ("center_crop", *published.crop_size))
    assert (list(recipe.mean), list(recipe.std)) == (published.mean, published.std)


@pytest.mark.parametrize("size", SIZES)
def test_squash_shows_the_whole_picture_out_of_shape(size: tuple[int, int]) -> None:
    recipe = named_recipe("squash", PILLOWS)
    wanted = np.asarray(v2.Resize((224, 224))(Image.fromarray(picture(*size))))
    np.testing.assert_array_equal(prepared(picture(*size), recipe), wanted)
    assert (recipe.mean, recipe.scale) == (BACKBONES["vgg16"].recipe.mean, 255.0)


@pytest.mark.parametrize("size", SIZES)
def test_letterbox_is_timms_border_mode(size: tuple[int, int]) -> None:
    transforms = pytest.importorskip("timm.data.transforms")
    recipe = named_recipe("letterbox", PILLOWS)
    fill = [round(255 * value) for value in recipe.mean]
    theirs = v2.Compose(
        [
            transforms.ResizeKeepRatio(224, interpolation="bilinear", longest=1.0),
            transforms.CenterCropOrPad(224, fill=tuple(fill)),
        ]
    )
    if min(size) * 224 / max(size) < 0.5:
        pytest.skip("timm makes nothing of less than half a row")
    wanted = np.asarray(theirs(Image.fromarray(picture(*size))))
    np.testing.assert_array_equal(prepared(picture(*size), recipe), wanted)


def test_a_line_of_one_pixel_survives_the_letterbox() -> None:
    found = prepared(
        np.zeros((1, 5000, 3), np.uint8), named_recipe("letterbox", BACKBONES["efficientnet_lite0"].recipe)
    )
    assert (found == 0).all(axis=(1, 2)).sum() == 1
    assert found[0, 0].tolist() == [127, 127, 127]


def test_steps_written_out_are_the_named_recipes() -> None:
    trained = BACKBONES["vgg16"].recipe
    assert recipe_of([{"resize": 256}, {"center_crop": 224}, "rgb", {"normalize": "imagenet"}], trained) == trained
    assert recipe_of([{"center_crop": 512}, {"resize": 448}, "bgr"], trained) == replace(STAGE, resampling="torch")
    lite0 = BACKBONES["efficientnet_lite0"].recipe
    assert recipe_of([{"squash": 224}, {"normalize": "backbone"}], lite0) == named_recipe("squash", lite0)
    spelt = {"normalize": {"mean": [0.5, 0.4, 0.3], "std": [0.1, 0.2, 0.3]}}
    assert recipe_of([spelt, "bicubic", {"squash": 99}], trained) == Recipe(
        (("squash", 99),), mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3), interpolation="bicubic"
    )


@pytest.mark.parametrize("size", SIZES[:-1])
def test_steps_go_in_the_order_written(size: tuple[int, int]) -> None:
    steps = [{"center_crop": 300}, {"squash": 100}, {"resize": 120}, {"letterbox": 90}, {"center_crop": 64}]
    image = Image.fromarray(picture(*size))
    wanted = v2.Compose([v2.CenterCrop(300), v2.Resize((100, 100)), v2.Resize(120), v2.Resize(90), v2.CenterCrop(64)])
    np.testing.assert_array_equal(
        prepared(picture(*size), replace(recipe_of(steps, STAGE), resampling="pillow")), np.asarray(wanted(image))
    )


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([{"resize": 256}], "the pictures keep their shapes"),
        (["rgb"], "the pictures keep their shapes"),
        ([{"squash": 224}, "rgb", "bgr"], "rgb and bgr stand in it both"),
        ([{"squash": 224}, "bicubic", "bicubic"], "bicubic twice"),
        ([{"squash": 2}, {"normalize": "clip"}, {"normalize": "clip"}], "normalize stands in it twice"),
    ],
)
def test_steps_that_make_no_recipe(steps: list[Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        recipe_of(steps, STAGE)


def test_every_step_has_its_geometry() -> None:
    assert set(RESIZED_SIZES) == set(STEPS)
    assert set(CROPS) == set(VIEWS)


# --- views ---


@pytest.mark.parametrize("size", [(300, 400), (90, 60), (224, 224)])
@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_whole_is_the_middle_and_the_picture_squashed(size: tuple[int, int], channels: str) -> None:
    trained = replace(BACKBONES["efficientnet_lite0"].recipe, channels=channels)
    middle, whole = views_of(picture(*size), replace(trained, views="whole"))
    np.testing.assert_array_equal(middle, views_of(picture(*size), trained)[0])
    np.testing.assert_array_equal(whole, views_of(picture(*size), named_recipe("squash", trained))[0])


@pytest.mark.parametrize("size", SIZES)
def test_crops_are_torchvisions(size: tuple[int, int]) -> None:
    if max(size) > 4 * min(size):
        pytest.skip("of a very long picture, only what is kept is computed, and rounded in another order")
    five, ten = (replace(PILLOWS, views=views) for views in ("five_crops", "ten_crops"))
    resized = v2.Resize(256)(Image.fromarray(picture(*size)))
    wanted = np.stack([np.asarray(crop) for crop in v2.FiveCrop(224)(resized)])
    np.testing.assert_array_equal(views_of(picture(*size), five), wanted)
    np.testing.assert_array_equal(views_of(picture(*size), ten), np.concatenate([wanted, wanted[:, :, ::-1]]))


def test_flip_is_the_picture_and_its_mirror_image() -> None:
    for trained in (STAGE, BACKBONES["vgg16"].recipe):
        middle, mirrored = views_of(picture(300, 400), replace(trained, views="flip"))
        np.testing.assert_array_equal(middle, prepared(picture(300, 400), trained))
        np.testing.assert_array_equal(mirrored, middle[:, ::-1])


def test_crops_of_a_very_long_picture_are_of_its_ends() -> None:
    strip = np.zeros((20, 200_000, 3), np.uint8)
    strip[:, :1000], strip[:, -1000:] = 50, 200
    crops = views_of(strip, replace(BACKBONES["vgg16"].recipe, views="five_crops"))
    assert crops[:, 100, [5, 100]].tolist() == [[[value] * 3] * 2 for value in (50, 200, 50, 200, 0)]


def test_a_crop_larger_than_the_resized_picture_is_padded_however_long_the_picture_is() -> None:
    recipe = Recipe((("resize", 16), ("center_crop", 32)))
    strip = prepared(np.full((20, 9_000, 3), 9, np.uint8), recipe)
    assert strip[8:24].min() == 9
    assert strip[:8].max() == strip[24:].max() == 0


@pytest.mark.parametrize("size", [(2000, 300), (300, 2000), (97, 14), (14, 97)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_very_long_picture_is_resized_in_an_order_of_our_own(size: tuple[int, int], interpolation: str) -> None:
    """One side in each call, the longer one first: Pillow 13 begins with the other side than 12 where both are left."""
    image, recipe = picture(*size), replace(PILLOWS, interpolation=interpolation)
    height, width = size
    short, side, filter = min(size), 256, Image.Resampling[interpolation.upper()]
    new_height, new_width = (side if edge == short else int(side * edge / short) for edge in size)
    top, left = (round((edge - 224) * 0.5) for edge in (new_height, new_width))
    down = (0, top * height / new_height, width, (top + 224) * height / new_height)
    across = (left * width / new_width, 0, (left + 224) * width / new_width, height)
    whole = Image.fromarray(image)
    if height > width:
        wanted = whole.resize((width, 224), filter, down).resize((224, 224), filter, (across[0], 0, across[2], 224))
    else:
        wanted = whole.resize((224, height), filter, across).resize((224, 224), filter, (0, down[1], 224, down[3]))
    np.testing.assert_array_equal(prepared(image, recipe), np.asarray(wanted))
