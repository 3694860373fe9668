"""Perceptual distances: what a loss must keep to, and what the command says."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import vgg16

import imgcluster
from imgcluster.backbones.perceptual import DISTANCES, LAYERS, PerceptualLoss, distances_and_scale, image_distances
from imgcluster.config.fields import BUNDLED
from imgcluster.errors import ConfigError, ImageError
from tests.conftest import Command, write_picture

LITE0 = "efficientnet_lite0"
STAGE = Path("data/stage/test")


def pixels(count: int = 2, height: int = 64, width: int = 80, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def frame(number: int) -> torch.Tensor:
    picture = cv2.imread(str(STAGE / f"{number:04d}.jpg"))[..., ::-1].copy()
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("distance", DISTANCES)
def test_nothing_is_nearer_than_itself_and_both_ways_are_as_far(distance: str) -> None:
    loss = PerceptualLoss(LITE0, distance=distance, reduction="none")
    x, y = pixels(seed=1), pixels(seed=2)
    assert loss(x, x).tolist() == [0, 0]
    there, back = loss(x, y), loss(y, x)
    assert (there > 0).all()
    torch.testing.assert_close(there, back, rtol=0, atol=0)
    assert there.shape == (2,)
    torch.testing.assert_close(PerceptualLoss(LITE0, distance=distance)(x, y), there.mean())


@pytest.mark.parametrize("distance", DISTANCES)
def test_the_gradient_reaches_both_inputs_and_no_weight(distance: str) -> None:
    loss = PerceptualLoss("alexnet", ["relu1", "relu3"], distance, weights="random")
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    x, y = pixels(seed=1).requires_grad_(), pixels(seed=2).requires_grad_()
    loss.train()
    loss(x, y).backward()
    for each in (x, y):
        assert each.grad is not None
        assert each.grad.abs().sum() > 0
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in loss.parameters())
    assert all(torch.equal(value, before[name]) for name, value in loss.state_dict().items())
    loss(x, x.detach()).backward()
    assert torch.isfinite(x.grad).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("distance", ["l2", "l1"])
def test_a_blurred_picture_is_nearer_than_another_one(distance: str) -> None:
    loss = PerceptualLoss(LITE0, distance=distance)
    original, other = frame(20), frame(130)
    blurred = nn.functional.avg_pool2d(nn.functional.pad(original, (2, 2, 2, 2), mode="reflect"), 5, stride=1)
    assert 0 < float(loss(original, blurred)) < float(loss(original, other))


def test_it_is_the_mean_squared_difference_of_the_named_layers() -> None:
    torch.manual_seed(0)
    own = vgg16(weights=None).eval()
    loss = PerceptualLoss("vgg16", {"relu1_2": 0.25, "relu3_3": 2}, weights="random")
    loss._features._network.load_state_dict(  # type: ignore[union-attr]
        {name: own.state_dict()[name.removeprefix("body.body.")] for name in loss._features._network.state_dict()}  # type: ignore[union-attr]
    )
    x, y = pixels(), pixels(seed=5)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    wanted = 0.0
    with torch.no_grad():
        for weight, depth in ((0.25, 4), (2, 16)):
            here, there = (own.features[:depth]((each - mean) / std) for each in (x, y))
            wanted += weight * float(((here - there) ** 2).mean())
    assert float(loss(x, y)) == pytest.approx(wanted, rel=1e-4)


def test_gram_matrices_are_those_of_the_paper() -> None:
    here, there = torch.rand(2, 5, 4, 3), torch.rand(2, 5, 4, 3)
    found = DISTANCES["gram"](here, there)
    for number in range(2):
        gram = [
            np.einsum("chw,dhw->cd", each[number], each[number]) / (5 * 4 * 3) for each in (here.numpy(), there.numpy())
        ]
        assert float(found[number]) == pytest.approx(((gram[0] - gram[1]) ** 2).sum(), rel=1e-5)


def test_texture_is_the_same_wherever_it_lies() -> None:
    loss = PerceptualLoss(LITE0, ["_blocks.0._swish"], "gram")
    plain = PerceptualLoss(LITE0, ["_blocks.0._swish"], "l2")
    x = pixels(1, 64, 64)
    moved = x.roll(32, dims=3)
    other = x * 0.5
    assert float(loss(x, moved)) < 0.05 * float(loss(x, other))
    assert float(plain(x, moved)) > 0.05 * float(plain(x, other))


def test_any_size_and_lower_precision() -> None:
    loss = PerceptualLoss(LITE0)
    for size in ((32, 32), (33, 71), (97, 40)):
        assert float(loss(pixels(1, *size), pixels(1, *size, seed=3))) > 0
    x, y = pixels(), pixels(seed=2)
    with torch.autocast("cpu", torch.bfloat16):
        low = loss(x, y)
    assert low.dtype == torch.float32
    assert float(low) == pytest.approx(float(loss(x, y)), rel=0.1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PerceptualLoss("vgg61"), "vgg61"),
        (lambda: PerceptualLoss(LITE0, distance="l3"), "there is no 'l3'; allowed: l2, l1, gram"),
        (lambda: PerceptualLoss(LITE0, reduction="sum"), "there is no 'sum'; allowed: mean, none"),
        (lambda: PerceptualLoss(LITE0, []), "layers: none"),
        (lambda: PerceptualLoss(LITE0, ["relu9_9"]), "relu9_9"),
        (lambda: PerceptualLoss("resnet18", weights="random"), "resnet18 has no usual ones here"),
        (lambda: PerceptualLoss(LITE0)(pixels(1), pixels(2)), "found 1 x 3 x 64 x 80 and 2 x 3 x 64 x 80"),
        (lambda: PerceptualLoss(LITE0)(pixels(1, 31, 99), pixels(1, 31, 99)), "32 x 32 at least"),
        (lambda: PerceptualLoss(LITE0, ["logits"], "gram")(pixels(), pixels()), "gram is for maps"),
    ],
)
def test_what_cannot_be_done_is_told(make: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()  # type: ignore[operator]


@pytest.mark.slow
def test_the_usual_layers_are_there() -> None:
    for backbone, layers in LAYERS.items():
        weights = "imagenet" if backbone in BUNDLED else "random"
        assert list(PerceptualLoss(backbone, weights=weights).layers) == list(layers)


# Files.


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders: a in both the same, b in two sizes, c in one alone."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3)).astype(np.uint8)
    write_picture(tmp_path / "one" / "a.png", noise)
    write_picture(tmp_path / "two" / "a.png", noise)
    write_picture(tmp_path / "one" / "b.png", noise)
    write_picture(tmp_path / "two" / "b.png", cv2.resize(noise, (192, 128)))
    write_picture(tmp_path / "two" / "c.png", noise)
    return tmp_path / "one", tmp_path / "two"


def test_folders_are_compared_by_name(folders: tuple[Path, Path]) -> None:
    found = image_distances(*folders, backbone=LITE0)
    assert list(found) == ["a.png", "b.png"]
    assert found["a.png"] == 0 < found["b.png"]
    assert image_distances(folders[0] / "a.png", folders[1] / "b.png", backbone=LITE0) == {
        "a.png": pytest.approx(found["b.png"])
    }


def test_the_command_prints_them_and_their_mean(folders: tuple[Path, Path], command: Command) -> None:
    result = command("distance", *folders, "--backbone", LITE0)
    assert (result.returncode, result.stderr) == (0, "")
    found = image_distances(*folders, backbone=LITE0)
    lines = result.stdout.splitlines()
    assert lines[:3] == [
        f"{0:>12.6g}  a.png",
        f"{found['b.png']:>12.6g}  b.png",
        f"{found['b.png'] / 2:>12.6g}  mean of 2",
    ]
    assert lines[3] == "for scale, a.png to itself, changed:"
    assert [line.split(maxsplit=1)[1] for line in lines[4:]] == ["saved as JPEG, quality 75", "upside down"]


def test_a_picture_saved_as_jpeg_is_nearer_to_itself_than_upside_down(folders: tuple[Path, Path]) -> None:
    rows, columns = np.mgrid[:64, :96]
    write_picture(folders[0] / "a.png", np.stack([4 * rows, 2 * columns, rows + columns], axis=2).astype(np.uint8))
    found, scale = distances_and_scale(folders[0] / "a.png", folders[0] / "b.png", (LITE0, None, "l2", "imagenet"))
    near, far = scale.values()
    assert 0 < 2 * near < far
    assert found == image_distances(folders[0] / "a.png", folders[0] / "b.png", backbone=LITE0)


def test_without_the_weights_the_stand_in_is_said(folders: tuple[Path, Path], command: Command) -> None:
    result = command("distance", folders[0] / "a.png", folders[1] / "b.png")
    assert result.returncode == 0
    assert "FALLBACK: vgg16 weights are not available; using efficientnet_lite0 instead" in result.stderr
    refused = command("distance", folders[0] / "a.png", folders[1] / "b.png", "--layers", "relu1_2=1,relu2_2=0.5")
    assert refused.returncode == 1
    assert "no ImageNet weights for vgg16" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("one", "two/a.png"), "two images or two folders are compared"),
        (("one/a.png", "two/gone.png"), "gone.png: no such file"),
        (("one", "empty"), "no image"),
        (("one/a.png", "two/a.png", "--layers", "relu=x"), "--layers: 'relu=x'"),
        (("one/a.png", "two/a.png", "--distance", "l9"), "there is no 'l9'"),
    ],
)
def test_wrong_files_are_told(
    folders: tuple[Path, Path], command: Command, arguments: tuple[str, ...], words: str
) -> None:
    (folders[0].parent / "empty").mkdir()
    result = command("distance", *arguments, "--backbone", LITE0)
    assert result.returncode == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_it_is_public() -> None:
    assert imgcluster.PerceptualLoss is PerceptualLoss
    assert imgcluster.image_distances is image_distances
    with pytest.raises(ImageError, match="broken"):
        image_distances("broken", "broken", backbone=LITE0)
