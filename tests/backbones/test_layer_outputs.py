"""What is captured of a network: `predictions`, layers that a function would overwrite, pictures of other sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from imgcluster.backbones.build import build_extractor, capture, check_size
from imgcluster.backbones.layer_outputs import cut
from imgcluster.backbones.layers import check_layers, layers_of
from imgcluster.backbones.networks import empty_network, random_network
from imgcluster.backbones.select import Choice, find_backbone
from imgcluster.backbones.weights.load import Weights
from imgcluster.cli.main import main
from imgcluster.config.backbone_table import BACKBONES
from imgcluster.errors import ConfigError


def pixels(side: int = 64) -> torch.Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))


# ---- predictions


@pytest.mark.parametrize("name", ["squeezenet1_1", "efficientnet_lite0", "timm:test_vit.r160_in1k"])
def test_predictions_are_the_softmax_of_what_the_network_gives(name: str) -> None:
    backbone = find_backbone(name)
    model = random_network(backbone)
    with torch.no_grad():
        predictions, logits = capture(model, ["predictions", "logits"], name)(pixels(160))
        torch.testing.assert_close(logits, model(pixels(160)))
    torch.testing.assert_close(predictions, logits.softmax(1))
    torch.testing.assert_close(predictions.sum(1), torch.ones_like(predictions.sum(1)))


@pytest.mark.parametrize("name", ["timm:vit_small_patch14_dinov2.lvd142m", "timm:crossvit_9_240.in1k"])
def test_networks_without_the_scores_of_classes_have_no_predictions(name: str) -> None:
    assert not {"logits", "predictions"} & set(layers_of(empty_network(find_backbone(name))).aliases)
    with pytest.raises(ConfigError, match="has no layer 'predictions'"):
        check_layers(find_backbone(name), ["predictions"])


def test_predictions_are_no_step() -> None:
    known = layers_of(empty_network(BACKBONES["resnet18"]))
    assert known.find("predictions", "resnet18") == known.find(-1, "resnet18") == "fc"
    assert [known.is_predictions(layer) for layer in ("predictions", "logits", "fc", -1)] == [True, False, False, False]


def test_predictions_are_listed_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layers", "vgg16"]) == 0
    logits, predictions = capsys.readouterr().out.splitlines()[-2:]
    assert logits.split() == ["classifier.6", "1000", "logits", "fc8"]
    assert predictions.split() == ["predictions", "1000"]


# ---- in place


class Overwriting(nn.Module):
    """Overwrites what its layers give: with a function, or, where it cannot be traced, with an operator."""

    def __init__(self, branching: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.branching = branching

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        if self.branching and x.sum() > 1e9:
            return x
        if self.branching:
            x += 1
        x = self.second(torch.nn.functional.relu(x, inplace=True))
        return torch.nn.functional.relu(x, inplace=True)


@pytest.mark.parametrize("branching", [False, True])
def test_what_works_in_place_does_not_overwrite_what_was_captured(branching: bool) -> None:
    torch.manual_seed(0)
    model = Overwriting(branching).eval()
    assert layers_of(model).traced is not branching
    with torch.no_grad():
        first, second = capture(model, ["first", "second"], "overwriting")(pixels())
        torch.testing.assert_close(first, model.first(pixels()), rtol=0, atol=0)
        torch.testing.assert_close(second, model.second((first + branching).relu()))
    assert first.min() < 0


# ---- raw


def test_without_a_pooling_outputs_stay_as_they_are() -> None:
    row = BACKBONES["resnet18"]
    layers = ("layer1", "flatten")
    choice = Choice(row, layers, "auto", row.recipe, Weights("random", None, ""))
    map_, vector = build_extractor(replace(choice, pooling=None))(pixels())
    assert (map_.shape, vector.shape) == ((2, 64, 16, 16), (2, 512))
    averaged, same = build_extractor(choice)(pixels())
    torch.testing.assert_close(averaged, map_.mean((2, 3)))
    torch.testing.assert_close(same, vector)


# ---- sizes


@pytest.mark.parametrize(
    ("name", "side", "reason"),
    [
        ("vit_b_16", 448, "Wrong image height! Expected 224 but got 448!"),
        ("vgg11", 16, "Given input size.*Output size is too small"),
        ("maxvit_t", 256, "shape .* is invalid for input of size 262144"),
        ("timm:test_vit.r160_in1k", 200, ".*should be divisible by patch size.*"),
        ("resnet18", 10**10, "Storage size calculation overflowed .*"),
    ],
)
def test_a_size_that_a_network_cannot_take_is_told_in_one_line(name: str, side: int, reason: str) -> None:
    own = find_backbone(name).recipe.side
    sizes = f"{name} takes pictures of {own} x {own}, not of {side} x {side}"
    with pytest.raises(ConfigError, match=rf"\Afeatures\.preprocess: {sizes} \({reason}\)\Z"):
        check_size(find_backbone(name), side)


@pytest.mark.parametrize(("name", "side"), [("vgg11", 448), ("vgg11", 32), ("swin_t", 300), ("vit_b_16", 224)])
def test_a_size_that_a_network_can_take_passes(name: str, side: int) -> None:
    check_size(BACKBONES[name], side)


def test_what_lies_behind_the_layers_asked_for_need_not_take_a_size() -> None:
    check_size(BACKBONES["vgg11"], 16, ["relu4_2"])
    with pytest.raises(ConfigError, match="vgg11 takes pictures of 224 x 224, not of 16 x 16"):
        check_size(BACKBONES["vgg11"], 16, ["relu4_2", "pool5"])


class Picky(nn.Module):
    """Takes pictures of 224 x 224 alone, and has more than a line to say about it, or nothing at all."""

    def __init__(self, said: str) -> None:
        super().__init__()
        self.said = said

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-1] != 224:
            raise IndexError(self.said)
        return x


@pytest.mark.parametrize(
    ("said", "told"), [("\nshapes\nand more", "shapes"), ("", "IndexError"), ("x" * 999, "x" * 200)]
)
def test_whatever_a_network_says_about_a_size_is_one_line(
    said: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgcluster.backbones.build.empty_network", lambda row: Picky(said))
    with pytest.raises(ConfigError, match=rf"not of 100 x 100 \({told}\)\Z"):
        check_size(BACKBONES["resnet18"], 100)


def test_a_network_that_needs_values_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcluster.backbones.build.empty_network", lambda row: Overwriting(True).to("meta"))
    check_size(BACKBONES["resnet18"], 100)


@pytest.fixture(scope="module")
def operator_of_the_cpu() -> Iterator[Any]:
    """An operator without a kernel for the meta device, as packages with kernels of their own have them."""
    library = torch.library.Library("imgcluster_tests", "DEF")  # it goes with the object
    library.define("same(Tensor x) -> Tensor")
    library.impl("same", torch.clone, "CPU")
    yield torch.ops.imgcluster_tests.same
    library._destroy()


@pytest.mark.parametrize("sizes", ["all", "others"])
def test_an_operator_that_is_missing_is_no_wrong_size(
    operator_of_the_cpu: Any, sizes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lacking(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return operator_of_the_cpu(x) if sizes == "all" or x.shape[-1] != 224 else x

    monkeypatch.setattr("imgcluster.backbones.build.empty_network", lambda row: Lacking())
    with pytest.raises(NotImplementedError, match="same"):
        Lacking()(torch.empty(1, 3, 100, 100, device="meta"))
    check_size(BACKBONES["resnet18"], 100)


@pytest.mark.parametrize("error", [AssertionError, ValueError, IndexError, KeyError, ZeroDivisionError, RuntimeError])
def test_errors_that_networks_raise_over_a_size(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcluster.backbones.build.empty_network", lambda row: Raising(error("odd")))
    with pytest.raises(ConfigError, match=r"not of 100 x 100 \('?odd'?\)\Z"):
        check_size(BACKBONES["resnet18"], 100)


@pytest.mark.parametrize("error", [NotImplementedError, TypeError, AttributeError])
def test_errors_that_say_nothing_of_a_size(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcluster.backbones.build.empty_network", lambda row: Raising(error("odd")))
    check_size(BACKBONES["resnet18"], 100)


def test_other_errors_of_a_network_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcluster.backbones.build.empty_network", lambda row: Raising(ImportError("kernels")))
    with pytest.raises(ImportError, match="kernels"):
        check_size(BACKBONES["resnet18"], 100)


class Raising(nn.Module):
    """Takes pictures of 224 x 224 alone, and raises an error of others."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-1] != 224:
            raise self.error
        return x


def test_its_own_size_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcluster.backbones.build.empty_network", lambda row: pytest.fail("a network was built"))
    check_size(BACKBONES["vit_b_16"], 224)


@pytest.mark.parametrize(
    ("side", "said"),
    [
        (
            "448",
            "vit_b_16 takes pictures of 224 x 224, not of 448 x 448 (Wrong image height! Expected 224 but got 448!)",
        ),
        ("0", "the side of the pictures must be a whole number of pixels >= 1, found 0"),
        ("-3", "the side of the pictures must be a whole number of pixels >= 1, found -3"),
    ],
)
def test_listing_for_another_size(side: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layers", "vit_b_16", "--size", side]) == 1
    assert capsys.readouterr().err == f"imgcluster: {said}\n"


class Branching(nn.Module):
    """Nobody can trace it; behind its map it works in place."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.early = nn.Conv2d(3, 4, 3, padding=1)
        self.late = nn.Conv2d(4, 5, 3, padding=1)
        self.head = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.early(x)
        if x.sum() > 1e9:
            return x
        x = self.late(x)
        x += 1
        return self.head((x * x).mean(dim=(2, 3)))


class Straight(Branching):
    """The same, to be traced."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.late(self.early(x))
        x = x.add_(1)  # of `x += 1`, tracing makes a sum
        return self.head((x * x).mean(dim=(2, 3)))


@pytest.mark.parametrize("kind", [Branching, Straight])
def test_gradients_begin_where_the_network_is_cut(kind: type[Branching]) -> None:
    pixels = torch.rand(2, 3, 6, 6)
    model = kind().eval()
    place, scores = cut(model, "late", ["head"], "own")(pixels)
    (found,) = torch.autograd.grad(scores[:, 1].sum(), place)
    values = model.late(model.early(pixels)).detach()
    assert torch.equal(place.detach(), values)
    # d/dv of head[1] . mean((v + 1)^2) is 2 (v + 1) head[1] / 36
    expected = 2 * (values + 1) * model.head.weight[1].view(1, 5, 1, 1).detach() / 36
    assert torch.allclose(found, expected, atol=1e-7)
    assert place.grad_fn is None
