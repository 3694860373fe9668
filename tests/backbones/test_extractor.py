"""The extractor as a module of torch: backbones by name, modules of the user's own, gradients, what is left behind."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

from imgcluster.backbones.extractor import FeatureExtractor
from imgcluster.backbones.networks import random_network
from imgcluster.backbones.pooling import gem
from imgcluster.config.backbone_table import BACKBONES
from imgcluster.errors import ConfigError, WeightsError, WeightsUnavailable

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def pixels(side: int = 64) -> torch.Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    """Three ways to overwrite what a layer gave: a module, an operator, and a function."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)
        self.last = nn.Conv2d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.act(self.norm(self.conv(x)))
        out = self.last(out)
        out += x
        return functional.relu(out, inplace=True)


class Own(nn.Module):
    """A small network with a bit of everything: it branches on values, so that nobody could trace it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3, stride=2), nn.ReLU6(inplace=True))
        self.blocks = nn.ModuleList([Block(), Block()])
        self.shared = self.alias = nn.Conv2d(4, 4, 1)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.drop = nn.Dropout(0.5)
        self.unused = nn.Linear(2, 2)
        self.head = nn.Linear(4, 5)
        self.fail = False

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = self.shared(self.shared(x))
        if self.fail or x.sum() > 1e9:
            raise RuntimeError("on request")
        tokens = x.flatten(2).transpose(1, 2)
        tokens, _ = self.attention(tokens, tokens, tokens)
        return {"scores": self.head(self.drop(tokens.mean(1)))}


@pytest.fixture
def own() -> Own:
    """In a mixture of modes, as in fine-tuning: the network trains, its second block does not."""
    torch.manual_seed(0)
    model = Own().train()
    model.blocks[1].eval()
    model.blocks[0].norm.eval()
    model.stem[1].weight.requires_grad_(False)
    model.shared.register_forward_hook(lambda module, inputs, output: output * 2)
    return model


def by_hand(model: Own, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What its layers give in eval mode, without anything in place."""

    def batch_norm(norm: nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
        return functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)

    found: dict[str, torch.Tensor] = {}
    found["stem.1"] = functional.conv2d(x.relu(), model.stem[1].weight, model.stem[1].bias, stride=2)
    found["stem"] = x = found["stem.1"].clamp(0, 6)
    for index, block in enumerate(model.blocks):
        name = f"blocks.{index}"
        found[f"{name}.conv"] = functional.conv2d(x, block.conv.weight, block.conv.bias, padding=1)
        found[f"{name}.norm"] = batch_norm(block.norm, found[f"{name}.conv"])
        found[f"{name}.act"] = found[f"{name}.norm"].relu()
        found[f"{name}.last"] = functional.conv2d(found[f"{name}.act"], block.last.weight, block.last.bias)
        found[name] = x = (found[f"{name}.last"] + x).relu()
    for _ in range(2):
        x = 2 * functional.conv2d(x, model.shared.weight, model.shared.bias)
    return {**found, "shared": x, "alias": x}


def state_of(model: nn.Module) -> Any:
    """Everything of a module that a forward pass could have changed."""
    return [
        (
            name,
            id(module),
            module.training,
            getattr(module, "inplace", None),
            list(module._forward_hooks.items()),
            list(module._forward_pre_hooks.items()),
            sorted(vars(module)),
            [(key, id(p), p.requires_grad, p._version) for key, p in module.named_parameters(recurse=False)],
            [(key, id(b), b._version) for key, b in module.named_buffers(recurse=False)],
        )
        for name, module in model.named_modules()
    ]


# ---- a module of the user's own


@pytest.mark.parametrize("gradients", [False, True])
def test_layers_of_an_own_module_are_those_of_eval_mode(own: Own, gradients: bool) -> None:
    x = pixels() - 0.5  # below 0, where a ReLU in place would show
    wanted = by_hand(own, x)
    layers = sorted(wanted)
    before, x_before = state_of(own), x.clone()
    found = FeatureExtractor(own, layers, gradients=gradients)(x)
    assert list(found) == layers
    for layer in layers:
        torch.testing.assert_close(found[layer], wanted[layer], msg=lambda text, layer=layer: f"{layer}: {text}")
    assert found["blocks.1.last"].min() < 0 < found["blocks.1.last"].max()
    assert state_of(own) == before
    torch.testing.assert_close(x, x_before, rtol=0, atol=0)


def test_an_own_module_is_as_it_was_after_an_error(own: Own) -> None:
    own.fail = True
    before = state_of(own)
    extractor = FeatureExtractor(own, "stem")
    with pytest.raises(RuntimeError, match="on request"):
        extractor(pixels())
    assert state_of(own) == before
    own.fail = False
    assert extractor(pixels())["stem"].shape == (2, 4, 31, 31)


def test_modes_change_without_calling_train() -> None:
    class Merging(nn.Linear):
        def train(self, mode: bool = True) -> Merging:
            raise AssertionError("its weights would be merged")

    model = nn.Sequential(Merging(3, 3), nn.Dropout(1.0))
    extractor = FeatureExtractor(model, [-1, ""])
    found = extractor.eval().train()(torch.rand(2, 3))
    assert found[-1].abs().min() > 0
    torch.testing.assert_close(found[-1], found[""])
    assert [module.training for module in model.modules()] == [True] * 3


def test_the_extractors_mode_is_its_own(own: Own) -> None:
    before = state_of(own)
    parent = nn.Sequential(FeatureExtractor(own, "stem"))
    assert parent.eval()[0].training is False
    assert parent.train()[0].training is True
    assert state_of(own) == before


def test_negative_numbers_count_the_innermost_modules(own: Own) -> None:
    innermost = [name for name, module in own.named_modules() if not list(module.children())]
    asked = [-innermost[::-1].index(name) - 1 for name in ("blocks.1.last", "head", "drop")]
    found = FeatureExtractor(own, asked)(pixels())
    assert list(found) == asked
    assert [tuple(output.shape) for output in found.values()] == [(2, 4, 31, 31), (2, 5), (2, 4)]
    with pytest.raises(ConfigError, match=f"Own has no module '{-len(innermost) - 1}'"):
        FeatureExtractor(own, -len(innermost) - 1)


def test_a_number_that_is_a_name_is_the_name() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    x = torch.rand(2, 3, 4)
    assert FeatureExtractor(model, [1, "0"])(x)["0"].shape == (2, 12)
    torch.testing.assert_close(FeatureExtractor(model, 1)(x)[1], model(x))
    torch.testing.assert_close(FeatureExtractor(model[1], -1)(x.flatten(1))[-1], model(x))


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("blocks.1.nrom", r"layers: Own has no module 'blocks\.1\.nrom'; near it: blocks\.1\.norm, .*"),
        ("unused", "layers: 'unused' of Own gives nothing: the forward pass does not call it"),
        ("blocks", "layers: 'blocks' of Own gives nothing: the forward pass does not call it"),
        ("attention", "layers: 'attention' of Own gives a tuple, not a tensor; take a module inside of it"),
        ("", "layers: '' of Own gives a dict, not a tensor; take a module inside of it"),
        ([], "layers: an empty list; name one layer at least"),
        (None, "layers: Own has no default layer; name one, or a list of them; near it: .*, head"),
    ],
)
def test_a_layer_that_cannot_be_had_is_told_in_one_line(own: Own, layer: Any, said: str) -> None:
    before = state_of(own)
    with pytest.raises(ConfigError, match=rf"\A{said}\Z"):
        FeatureExtractor(own, layer)(pixels())
    assert state_of(own) == before


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_torchscript_cannot_be_watched() -> None:
    model = nn.Sequential(torch.jit.script(nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True))), nn.Linear(3, 2))
    with pytest.raises(ConfigError, match=r"layers: '0\.1' of Sequential is TorchScript and cannot be watched"):
        FeatureExtractor(model, "0.1")
    assert FeatureExtractor(model, "1")(torch.rand(2, 3))["1"].shape == (2, 2)


def test_gradients_of_an_own_module(own: Own) -> None:
    x = pixels().requires_grad_()
    FeatureExtractor(own, ["stem", "blocks.0.last"], gradients=True)(x)["blocks.0.last"].sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0
    weights = {name for name, p in own.named_parameters() if p.grad is not None}
    inside = ["conv.weight", "conv.bias", "norm.weight", "norm.bias", "last.weight", "last.bias"]
    assert weights == {"stem.1.bias", *(f"blocks.0.{name}" for name in inside)}  # stem.1.weight is frozen


def test_gradients_are_right() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 2), nn.Tanh(), Block()).double()
    extractor = FeatureExtractor(model, ["0", "2.last", "2"], gradients=True)
    x = torch.rand(1, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: tuple(extractor(x).values()), x, fast_mode=True)


def test_an_own_module_moves_along_and_counts(own: Own) -> None:
    extractor = FeatureExtractor(own, "stem", normalize=True)
    assert list(map(id, extractor.parameters())) == list(map(id, own.parameters()))
    assert len(extractor.state_dict()) == len(own.state_dict())
    extractor.to(torch.float64)
    assert own.head.weight.dtype == torch.float64
    assert extractor(pixels().double())["stem"].dtype == torch.float64


def test_values_for_an_own_module_are_scaled_on_request() -> None:
    x = pixels()
    torch.testing.assert_close(FeatureExtractor(nn.Identity(), "")(x)[""], x, rtol=0, atol=0)
    torch.testing.assert_close(FeatureExtractor(nn.Identity(), "", normalize=True)(x)[""], (x - MEAN) / STD)


def test_own_module_after_leaving(own: Own) -> None:
    with FeatureExtractor(own, "stem") as extractor:
        extractor(pixels())
    kept = weakref.ref(own.head)
    own.head = nn.Linear(1, 1)
    assert kept() is None
    assert (list(extractor.parameters()), extractor.state_dict()) == ([], {})
    with pytest.raises(ConfigError, match=r"\Athe extractor is closed; make another one\Z"):
        extractor(pixels())


# ---- a backbone by name


def test_layers_of_a_backbone_are_those_of_its_network() -> None:
    model = random_network(BACKBONES["resnet18"])
    extractor = FeatureExtractor("resnet18", ["predictions", "layer1", -2, "layer1.1.bn2"], weights="random")
    found = extractor(pixels())
    assert list(found) == ["predictions", "layer1", -2, "layer1.1.bn2"]
    with torch.no_grad():
        x = (pixels() - MEAN) / STD
        torch.testing.assert_close(found["predictions"], model(x).softmax(1))
        before = model.layer1[0](model.maxpool(model.relu(model.bn1(model.conv1(x)))))
        torch.testing.assert_close(found["layer1"], model.layer1[1](before))
        torch.testing.assert_close((found["layer1.1.bn2"] + before).relu(), found["layer1"])
        torch.testing.assert_close(model.fc(found[-2]).softmax(1), found["predictions"])


def test_default_layer_and_pooling() -> None:
    assert list(FeatureExtractor("squeezenet1_1", weights="random")(pixels())) == ["classifier.0"]
    pooled = FeatureExtractor("squeezenet1_1", ["features.2", "logits"], weights="random", pooling="gem")(pixels())
    raw = FeatureExtractor("squeezenet1_1", ("features.2", "logits"), weights="random")(pixels())
    torch.testing.assert_close(pooled["features.2"], gem(raw["features.2"]))
    torch.testing.assert_close(pooled["logits"], raw["logits"])
    with pytest.raises(ConfigError, match=r"'cls' has no meaning for 'features\.2', which gives a map"):
        FeatureExtractor("squeezenet1_1", "features.2", weights="random", pooling="cls")(pixels())


def test_values_are_scaled_as_the_recipe_says(monkeypatch: pytest.MonkeyPatch) -> None:
    model, row = random_network(BACKBONES["resnet18"]), BACKBONES["resnet18"]
    recipe = replace(row.recipe, channels="bgr", scale=2.0, mean=(10.0, 20.0, 30.0), std=(40.0, 50.0, 60.0))
    monkeypatch.setattr("imgcluster.backbones.extractor.find_backbone", lambda name: replace(row, recipe=recipe))
    blue_green_red = pixels()[:, [2, 1, 0]] * 255
    wanted = (blue_green_red / 2 - torch.tensor(recipe.mean).view(1, 3, 1, 1)) / torch.tensor(recipe.std).view(
        1, 3, 1, 1
    )
    scaled = FeatureExtractor("resnet18", "conv1", weights="random")(pixels())["conv1"]
    as_given = FeatureExtractor("resnet18", "conv1", weights="random", normalize=False)(pixels())["conv1"]
    with torch.no_grad():
        torch.testing.assert_close(scaled, model.conv1(wanted))
        torch.testing.assert_close(as_given, model.conv1(pixels()))


@pytest.mark.parametrize(
    ("name", "layers", "side"),
    [
        ("squeezenet1_1", ["features.3", "classifier.0"], 48),
        ("timm:test_vit.r160_in1k", ["blocks.0", "pre_logits"], 160),
    ],
)
def test_gradients_reach_the_pixels_and_not_the_weights(name: str, layers: list[str], side: int) -> None:
    extractor = FeatureExtractor(name, layers, weights="random", gradients=True)
    x = pixels(side).requires_grad_()
    for layer in layers:
        (gradient,) = torch.autograd.grad(extractor(x)[layer].square().sum(), x)
        assert gradient.abs().max() > 0
    extractor(x)[layers[-1]].sum().backward()
    assert len(list(extractor.parameters())) > 0
    assert all(p.grad is None and not p.requires_grad for p in extractor.parameters())
    with torch.no_grad():
        assert not extractor(x)[layers[0]].requires_grad  # whoever calls may still say no


def test_without_gradients_outputs_can_train_something_else() -> None:
    found = FeatureExtractor("squeezenet1_1", "logits", weights="random")(pixels().requires_grad_())["logits"]
    assert not found.requires_grad
    head = nn.Linear(1000, 2)
    head(found).sum().backward()
    assert head.weight.grad is not None


def test_features_do_not_depend_on_the_mode() -> None:
    extractor = FeatureExtractor("squeezenet1_1", "logits", weights="random")  # behind a dropout
    evaluated = extractor.eval()(pixels())["logits"]
    torch.testing.assert_close(nn.Sequential(extractor).train()[0](pixels())["logits"], evaluated, rtol=0, atol=0)


def test_nothing_behind_the_deepest_layer_is_there() -> None:
    names = [name for name, _ in FeatureExtractor("resnet18", "layer1", weights="random").named_parameters()]
    assert any("layer1.1" in name for name in names)
    assert not any("layer2" in name or "fc" in name for name in names)


def test_backbone_after_leaving() -> None:
    with FeatureExtractor("resnet18", weights="random") as extractor:
        extractor(pixels())
        kept = [weakref.ref(p) for p in extractor.parameters()]
    assert len(kept) == 60
    assert all(parameter() is None for parameter in kept)
    with pytest.raises(ConfigError, match="the extractor is closed"):
        extractor(pixels())


def test_state_can_be_taken_and_given() -> None:
    first, second = (FeatureExtractor("squeezenet1_1", "features.2", weights="random") for _ in range(2))
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.zero_()
    assert second(pixels())["features.2"].abs().max() == 0
    second.load_state_dict(first.state_dict())
    torch.testing.assert_close(second(pixels()), first(pixels()))


def test_weights_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(5)
    model = torchvision.models.squeezenet1_1().eval()
    torch.save(model.state_dict(), tmp_path / "own.pth")
    found = FeatureExtractor("squeezenet1_1", "logits", weights=tmp_path / "own.pth")(pixels())["logits"]
    with torch.no_grad():
        torch.testing.assert_close(found, model((pixels() - MEAN) / STD))


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"backbone": "resnet19"}, ConfigError, "there is no backbone 'resnet19'; near it: .*resnet18"),
        ({"layers": "layer5"}, ConfigError, "resnet18 has no layer 'layer5'; near it: .*"),  # before any download
        ({"layers": "layer4"}, WeightsUnavailable, "cannot download"),
        ({"weights": "no.pth"}, WeightsError, "weights no.pth: no such file"),
        ({"pooling": "sum"}, ConfigError, r"\Apooling: there is no 'sum'; allowed: auto, avg, max, .*, cls, mean\Z"),
        ({"backbone": nn.Identity(), "layers": "", "weights": "random"}, ConfigError, "weights: 'random' is for"),
    ],
)
def test_what_cannot_be_built_is_told(arguments: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        FeatureExtractor(**{"backbone": "resnet18", **arguments})


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), r"\(1, 3, 8, 8\) of uint8"),
        (torch.zeros(1, 1, 8, 8), r"\(1, 1, 8, 8\) of float32"),
        (torch.zeros(3, 8, 8), r"\(3, 8, 8\) of float32"),
    ],
)
def test_pixels_of_another_form_are_refused(values: torch.Tensor, found: str) -> None:
    allowed = r"allowed: \(n, 3, height, width\) of floats from 0 to 1"
    with pytest.raises(ConfigError, match=rf"\Apixels: found {found}; {allowed}\Z"):
        FeatureExtractor(nn.Identity(), "", normalize=True)(values)
