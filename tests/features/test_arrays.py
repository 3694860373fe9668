"""Pictures a program holds: every kind of them, the layers asked for, somebody's own module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import imgcluster
from imgcluster.config.loader import FeaturesConfig
from imgcluster.config.recipe import Recipe
from imgcluster.errors import ConfigError, ImageError, WeightsUnavailable
from imgcluster.features.arrays import run_over
from imgcluster.features.extraction import extract_features
from imgcluster.images.convert import to_rgb
from imgcluster.images.listing import walk_images
from imgcluster.images.preprocess import prepare
from tests.conftest import write_pictures

LITE0: dict[str, Any] = {"backbone": "efficientnet_lite0", "precision": "fp32", "batch_size": 4}


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    write_pictures(tmp_path / "pictures", range(6))
    return sorted((tmp_path / "pictures").iterdir())


def extract(images: Any, **keys: Any) -> Any:
    own = {"precision": "auto"} if isinstance(keys.get("backbone"), nn.Module) else {}
    return imgcluster.extract(images, **{**LITE0, **own, **keys})


def test_it_gives_what_a_run_gives(paths: list[Path], tmp_path: Path) -> None:
    config = FeaturesConfig(**LITE0, store=str(tmp_path / "s"))
    wanted = extract_features(walk_images(paths[0].parent), config, show=False).vectors
    np.testing.assert_array_equal(extract(paths), wanted)
    np.testing.assert_array_equal(extract(paths[0].parent), wanted)
    assert wanted.shape == (6, 1280)


def test_every_kind_of_picture_gives_the_same(paths: list[Path]) -> None:
    wanted = extract(paths)
    pixels = np.stack([imgcluster.read_image(path) for path in paths])
    tensors = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    kinds = {
        "text": [str(path) for path in paths],
        "array": pixels,
        "arrays": list(pixels),
        "floats": pixels / 255.0,
        "deep": pixels.astype(np.uint16) * 257,
        "tensor": tensors,
        "tensors of floats": list(tensors / 255),
        "PIL": [Image.fromarray(each) for each in pixels],
        "mixed": [paths[0], Image.fromarray(pixels[1]), *pixels[2:4], *tensors[4:]],
        "opaque": np.concatenate([pixels, np.full((*pixels.shape[:3], 1), 255, np.uint8)], axis=-1),
    }
    for kind, images in kinds.items():
        np.testing.assert_array_equal(extract(images), wanted, err_msg=kind)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (8, 8, 3), (8, 8, 4)])
def test_one_picture_is_one_row(shape: tuple[int, ...]) -> None:
    picture = np.full(shape, 99, np.uint8)
    alone = extract(picture)
    assert alone.shape == (1, 1280)
    np.testing.assert_array_equal(alone, extract([picture]))
    np.testing.assert_array_equal(alone, extract(Image.fromarray(picture.squeeze())))


def test_grey_pictures_as_scikit_learn_has_them(paths: list[Path]) -> None:
    assert extract(np.zeros((5, 8, 8), np.uint8)).shape == (5, 1280)


def test_one_layer_is_a_matrix_and_several_are_a_dict(paths: list[Path]) -> None:
    found = extract(paths, layers=["avgpool", "logits", -1], output="torch")
    assert {name: (type(block), tuple(block.shape)) for name, block in found.items()} == {
        "avgpool": (torch.Tensor, (6, 1280)),
        "logits": (torch.Tensor, (6, 1000)),
        -1: (torch.Tensor, (6, 1000)),
    }
    np.testing.assert_array_equal(extract(paths, layers="logits"), found["logits"].numpy())
    np.testing.assert_array_equal(extract(paths), found["avgpool"].numpy())


def test_without_pooling_a_map_stays_a_map(paths: list[Path]) -> None:
    maps = extract(paths[:2], layers="_blocks.4.add", pooling=None)
    assert maps.ndim == 4
    np.testing.assert_allclose(maps.mean((2, 3)), extract(paths[:2], layers="_blocks.4.add"), rtol=1e-4, atol=1e-5)


def test_batches_do_not_change_the_order(paths: list[Path]) -> None:
    many = [paths[index % 6] for index in (5, 0, 3, 3, 1, 2, 4, 0, 5)]
    wanted = extract(paths)[[5, 0, 3, 3, 1, 2, 4, 0, 5]]
    for batch_size in (1, 2, 4, 100):
        np.testing.assert_allclose(extract(many, batch_size=batch_size), wanted, rtol=1e-4, atol=1e-5)


def test_a_picture_that_cannot_be_read_is_named_or_nan(paths: list[Path]) -> None:
    paths[4].write_bytes(b"broken")
    with pytest.raises(ImageError, match=rf"^image 4 \('.*{paths[4].name}'\): a text file, not an image"):
        extract(paths)
    found = extract(paths, on_error="nan")
    assert np.isnan(found).any(axis=1).tolist() == [row == 4 for row in range(6)]
    np.testing.assert_array_equal(found[[0, 5]], extract([paths[0], paths[5]]))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([], "there are no images"),
        (7, "int is not images"),
        ([7], "image 0: a int is not a picture"),
        (np.zeros((2, 3, 4, 5), np.uint8), r"image 0: the shape \(3, 4, 5\) is none of a picture"),
        ([np.zeros((0, 4), np.uint8)], r"image 0: the shape \(0, 4, 1\) is none"),
        ([np.full((4, 4), 2.0)], "floats are taken from 0 to 1, and these go from 2 to 2"),
        ([np.full((4, 4), np.nan)], "floats are taken from 0 to 1"),
        ([np.zeros((4, 4), np.int64)], "int64 is not a format of pictures"),
        (["no/such.jpg"], r"image 0 \('no/such.jpg'\): no such file"),
    ],
)
def test_what_is_no_picture(images: Any, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        extract(images)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"backbone": "vgg61"}, "features.backbone: found 'vgg61'"),
        ({"layers": "fc6"}, "efficientnet_lite0 has no layer 'fc6'"),
        ({"pooling": "sum"}, "features.pooling: found 'sum'"),
        ({"batch_size": 0}, "features.batch_size: found 0"),
        ({"preprocess": [{"resize": 9}]}, "the pictures keep their shapes"),
        ({"layers": []}, "layers: an empty list"),
        ({"backbone": ["efficientnet_lite0", "alexnet"]}, "backbone: one name, or a module of your own"),
        ({"on_error": "nam"}, "on_error: allowed: raise, nan"),
        ({"output": "tf"}, "output: allowed: numpy, torch"),
    ],
)
def test_wrong_keywords_are_told_as_in_a_config(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        extract(np.zeros((8, 8), np.uint8), **keys)


def test_no_other_backbone_stands_in() -> None:
    with pytest.raises(WeightsUnavailable):
        imgcluster.extract(np.zeros((8, 8), np.uint8))


# --- pictures of PIL ---


def test_pil_pictures_follow_the_rules_of_files() -> None:
    clear = Image.new("RGBA", (2, 2), (10, 20, 30, 0))
    assert (to_rgb(clear) == 255).all()
    palette = Image.new("P", (2, 2), 0)
    palette.info["transparency"] = 0
    assert (to_rgb(palette) == 255).all()
    assert to_rgb(Image.new("LA", (1, 1), (8, 255)))[0, 0].tolist() == [8, 8, 8]
    assert to_rgb(Image.fromarray(np.full((1, 1), 257 * 77, np.uint16)))[0, 0].tolist() == [77] * 3
    assert to_rgb(Image.new("I", (1, 1), 257 * 77))[0, 0].tolist() == [77] * 3
    ramp = Image.fromarray(np.array([[0.0, 5.0, 10.0]], np.float32))
    assert to_rgb(ramp)[0, :, 0].tolist() == [0, 128, 255]
    turned = Image.new("RGB", (3, 2))
    turned.getexif()[0x0112] = 6
    assert to_rgb(turned).shape == (3, 2, 3)
    assert to_rgb(Image.new("1", (1, 1), 1))[0, 0].tolist() == [255] * 3
    assert to_rgb(Image.new("CMYK", (1, 1), (0, 0, 0, 255)))[0, 0].tolist() == [0, 0, 0]


# --- somebody's own module ---


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.9)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.drop(self.relu(self.conv(values)))


STEPS = [{"squash": 16}, {"normalize": "imagenet"}]


def test_a_module_of_ones_own_is_read_and_left_as_it_was(paths: list[Path]) -> None:
    model = Tiny().train()
    model.conv.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = extract(paths, backbone=model, layers=["conv", "drop"], preprocess=STEPS)
    assert {name: block.shape for name, block in found.items()} == {"conv": (6, 4), "drop": (6, 4)}
    assert (model.training, model.conv.training, model.drop.training, model.relu.inplace) == (True, False, True, True)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    pixels = np.stack([np.asarray(Image.fromarray(imgcluster.read_image(path)).resize((16, 16), 2)) for path in paths])
    values = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        wanted = model.conv((values - mean) / std)
    # Resized here by Pillow, and there by torch: to pixels that differ by 1 of 255 at most.
    np.testing.assert_allclose(found["conv"], wanted.mean((2, 3)), atol=2e-3)
    np.testing.assert_allclose(found["drop"], wanted.relu().mean((2, 3)), atol=2e-3)


def test_a_module_of_ones_own_says_what_it_needs() -> None:
    picture = np.zeros((8, 8), np.uint8)
    with pytest.raises(ConfigError, match="preprocess: say how pixels become the input of Tiny"):
        extract(picture, backbone=Tiny(), layers="conv")
    with pytest.raises(ConfigError, match="layers: your own module has no default layer"):
        extract(picture, backbone=Tiny(), preprocess=STEPS)
    with pytest.raises(ConfigError, match="such as"):
        extract(picture, backbone=Tiny(), layers="conv", preprocess=[{"squash": 9}, {"normalize": "backbone"}])
    with pytest.raises(ConfigError, match="views: five_crops needs a recipe that ends with center_crop"):
        extract(picture, backbone=Tiny(), layers="conv", preprocess=STEPS, views="five_crops")
    for keys in ({"weights": "x.pth"}, {"precision": "bf16"}, {"device": "cpu"}):
        with pytest.raises(ConfigError, match="your own module runs where it is, as it is"):
            imgcluster.extract(picture, Tiny(), "conv", preprocess=STEPS, **keys)
    with pytest.raises(ConfigError, match=r"torch.float64 cannot be run; make it .float\(\)"):
        extract(picture, backbone=Tiny().double(), layers="conv", preprocess=STEPS)


def test_a_network_of_timm_says_itself_how_it_sees() -> None:
    timm = pytest.importorskip("timm")
    model = timm.create_model("test_resnet", pretrained=False)
    found = extract(np.full((99, 200, 3), 9, np.uint8), backbone=model, layers="layer4")
    spelt = [{"resize": 160}, {"center_crop": 160}, "bicubic", {"normalize": "inception"}]
    config = model.pretrained_cfg
    assert (config["input_size"][-1], config["mean"][0]) == (160, 0.5)
    spelt[0] = {"resize": int(160 / config["crop_pct"])}
    again = extract(np.full((99, 200, 3), 9, np.uint8), backbone=model, layers="layer4", preprocess=spelt)
    np.testing.assert_allclose(found, again, rtol=1e-5)


class Caching(Tiny):
    """Keeps a tensor from one forward pass to the next, as networks with rotary embeddings do."""

    def __init__(self) -> None:
        super().__init__()
        self.scale: torch.Tensor | None = None

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        self.scale = self.conv.weight.new_ones(1) * 2 if self.scale is None else self.scale
        return super().forward(values) * self.scale


def test_a_module_of_ones_own_can_be_trained_afterwards() -> None:
    model = Caching()
    extract(np.zeros((8, 8), np.uint8), backbone=model, layers="drop", preprocess=STEPS)
    model(torch.rand(1, 3, 16, 16)).sum().backward()
    assert model.conv.weight.grad is not None


class Counting:
    """A runtime that counts the batches in flight; the features of a picture are its first value."""

    depth, device, most, now = 3, "none", 0, 0

    def buffer(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape, np.uint8)

    prepare = staticmethod(prepare)

    def start(self, pixels: np.ndarray) -> Any:
        self.now += 1
        self.most = max(self.most, self.now)

        def result() -> list[np.ndarray]:
            self.now -= 1
            return [pixels[:, 0, 0, 0, :1].astype(np.float32)]

        return result


def test_as_many_batches_are_in_flight_as_the_runtime_takes() -> None:
    runtime = Counting()
    shades = [np.full((4, 4), shade, np.uint8) for shade in range(20)]
    (found,) = run_over(shades, runtime, Recipe((("squash", 2),)), 2)  # type: ignore[arg-type]
    assert found.ravel().tolist() == list(range(20))
    assert (runtime.most, runtime.now) == (3, 0)


def test_pictures_of_pillow_raise_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    extract([Image.new("RGB", (300, 300)), Image.new("RGBA", (30, 500))])
    assert not [warning for warning in recwarn if "writable" in str(warning.message)]
