"""Values of layers against passes written by hand, and against what torchvision's and timm's own networks compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import DenseNet, VisionTransformer
from torchvision.models.feature_extraction import create_feature_extractor

from imgcluster.backbones.build import capture
from imgcluster.backbones.layers import layers_of
from imgcluster.backbones.networks import empty_network, network_with
from imgcluster.backbones.select import find_backbone
from imgcluster.backbones.weights.load import Weights

# Convolutions in each block: Simonyan & Zisserman 2015, table 1, columns D and E.
CONVOLUTIONS = {
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
    "vgg16_bn": (2, 2, 3, 3, 3),
    "vgg19_bn": (2, 2, 4, 4, 4),
}


def network(name: str) -> nn.Module:
    """A network as the package builds it, with values that leave no layer trivial: no zeros, no ones."""
    model = network_with(find_backbone(name), Weights("random", None, ""))
    generator = torch.Generator().manual_seed(1)
    for key, values in model.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        if key.endswith("running_var"):
            values.uniform_(0.5, 1.5, generator=generator)
        elif values.ndim < 2:  # biases, BatchNorm's means and factors, scales of layers
            values.add_(torch.randn(values.shape, generator=generator), alpha=0.1)
        elif not values.any():  # the head of a ViT
            values.normal_(0, 0.02, generator=generator)
    return model


def pictures(side: int) -> Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def assert_same(found: Tensor, wanted: Tensor, layer: str, tolerance: float = 1e-6) -> None:
    assert found.shape == wanted.shape, layer
    largest = wanted.abs().max().item()
    assert 0 < largest < 1e6, layer
    assert not torch.equal(wanted[0], wanted[1]), layer  # two pictures
    off = (found - wanted).abs().max().item()
    assert off <= tolerance * largest, layer


# ---- passes written by hand


def filled(name: str) -> nn.Module:
    """A network as the package builds it for weights from a file, with values that are quick to come by."""
    model = empty_network(find_backbone(name))
    state: dict[str, Tensor] = {}
    noise = torch.randn(1_000_003, generator=torch.Generator().manual_seed(1))
    for key, values in model.state_dict().items():
        repeated = noise.roll(7919 * len(state)).repeat(values.numel() // len(noise) + 1)
        new = repeated[: values.numel()].reshape(values.shape)
        if key.endswith("running_var"):
            state[key] = new.abs_().add_(0.5)
        else:
            state[key] = new.mul_((2 / values[0].numel()) ** 0.5 if values.ndim > 1 else 0.3)
    model.load_state_dict(state, assign=True)
    return model


def in_order(model: nn.Module) -> Iterator[Tensor]:
    """Weights and biases one after the other, as the layers come."""
    return (values for key, values in model.state_dict().items() if not key.endswith("num_batches_tracked"))


def vgg_by_hand(model: nn.Module, blocks: tuple[int, ...], norm: bool, x: Tensor) -> dict[str, Tensor]:
    values, found = in_order(model), {}
    for block, convolutions in enumerate(blocks, start=1):
        for number in range(1, convolutions + 1):
            x = found[f"conv{block}_{number}"] = functional.conv2d(x, next(values), next(values), padding=1)
            if norm:
                weight, bias, mean, variance = (next(values) for _ in range(4))
                x = found[f"bn{block}_{number}"] = functional.batch_norm(x, mean, variance, weight, bias, eps=1e-5)
            x = found[f"relu{block}_{number}"] = found[f"block{block}_conv{number}"] = functional.relu(x)
        x = found[f"pool{block}"] = found[f"block{block}_pool"] = functional.max_pool2d(x, kernel_size=2, stride=2)
    found["avgpool"] = functional.adaptive_avg_pool2d(x, (7, 7))
    x = found["flatten"] = found["avgpool"].flatten(1)
    x = found["fc6"] = functional.linear(x, next(values), next(values))
    x = found["relu6"] = found["drop6"] = found["fc1"] = functional.relu(x)  # nothing is dropped outside training
    x = found["fc7"] = functional.linear(x, next(values), next(values))
    x = found["relu7"] = found["drop7"] = found["fc2"] = functional.relu(x)
    x = found["fc8"] = found["logits"] = functional.linear(x, next(values), next(values))
    found["predictions"] = functional.softmax(x, dim=1)
    assert not list(values)
    return found


def alexnet_by_hand(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    values, found = in_order(model), {}
    for number, (stride, padding) in enumerate([(4, 2), (1, 2), (1, 1), (1, 1), (1, 1)], start=1):
        x = found[f"conv{number}"] = functional.conv2d(x, next(values), next(values), stride, padding)
        x = found[f"relu{number}"] = functional.relu(x)
        if number in {1, 2, 5}:
            x = found[f"pool{number}"] = functional.max_pool2d(x, kernel_size=3, stride=2)
    found["avgpool"] = functional.adaptive_avg_pool2d(x, (6, 6))
    x = found["flatten"] = found["drop5"] = found["avgpool"].flatten(1)
    x = found["fc6"] = functional.linear(x, next(values), next(values))
    x = found["relu6"] = found["drop6"] = found["fc1"] = functional.relu(x)
    x = found["fc7"] = functional.linear(x, next(values), next(values))
    x = found["relu7"] = found["fc2"] = functional.relu(x)
    x = found["fc8"] = found["logits"] = functional.linear(x, next(values), next(values))
    found["predictions"] = functional.softmax(x, dim=1)
    assert not list(values)
    return found


@pytest.mark.parametrize("name", [*CONVOLUTIONS, "alexnet"])
@torch.no_grad()
def test_every_layer_in_one_pass_is_what_a_pass_by_hand_gives(name: str) -> None:
    model, x = filled(name), pictures(64)
    blocks = CONVOLUTIONS.get(name)
    wanted = vgg_by_hand(model, blocks, name.endswith("bn"), x) if blocks else alexnet_by_hand(model, x)
    assert set(layers_of(model).aliases) <= set(wanted)
    for (layer, values), found in zip(wanted.items(), capture(model, list(wanted), name)(x), strict=True):
        assert_same(found, values, layer)
        if layer.startswith(("conv", "bn", "fc6", "fc7")):
            assert found.min() < 0, layer  # no ReLU has worked in its place


# ---- torchvision's and timm's own


def outputs_of_modules(model: nn.Module, layers: list[str], x: Tensor) -> dict[str, Tensor]:
    """What modules give the first time they are called, copied before anything can overwrite it."""
    copies: dict[str, Tensor] = {}

    def keep(layer: str) -> Callable[..., None]:
        def hook(module: nn.Module, given: object, gave: Tensor) -> None:
            copies.setdefault(layer, gave.clone())

        return hook

    handles = [model.get_submodule(layer).register_forward_hook(keep(layer)) for layer in layers]
    copies["logits"] = model(x)
    for handle in handles:
        handle.remove()
    return copies


@pytest.mark.parametrize(
    ("name", "side", "modules", "steps"),
    [
        ("resnet18", 64, ["layer1.0.relu", "layer4.1.bn1", "layer4.1.bn2", "layer4"], ["layer4.1.add"]),
        ("densenet121", 64, ["features.pool0", "features.denseblock2.denselayer3.norm1", "classifier"], ["flatten"]),
        ("mobilenet_v3_small", 64, ["features.0", "features.4.block.2", "classifier.0"], ["flatten"]),
        ("efficientnet_b0", 64, ["features.2.0.block.1", "features.4", "avgpool"], ["features.2.1.add"]),
        ("vit_b_32", 224, ["conv_proj", "encoder.layers.encoder_layer_3"], ["getitem_5"]),
    ],
)
@torch.no_grad()
def test_layers_of_torchvision_are_those_of_its_own_network(
    name: str, side: int, modules: list[str], steps: list[str]
) -> None:
    model, x = network(name), pictures(side)
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, weights=None).eval()
    theirs.load_state_dict(model.state_dict(), assign=True)
    wanted = outputs_of_modules(theirs, modules, x)
    for step in steps:
        wanted |= create_feature_extractor(theirs, [step], suppress_diff_warning=True)(x)
    for (layer, values), found in zip(wanted.items(), capture(model, list(wanted), name)(x), strict=True):
        assert_same(found, values, layer, 1e-5)


@pytest.mark.parametrize(
    ("name", "side", "modules", "last"),
    [
        ("resnet18", 64, ["layer2.0.bn1", "layer3.1.bn2"], "layer4.1.act2"),
        ("vit_tiny_patch16_224", 224, ["blocks.3.mlp.fc1", "blocks.7"], "norm"),
        ("mobilenetv3_small_050", 64, ["blocks.2.0.bn1", "blocks.4.1"], "blocks"),
        ("convnext_atto", 64, ["stages.1.blocks.1.mlp.act", "stages.2.downsample"], "norm_pre"),
        ("mobilevit_xxs", 64, ["stages.1.1.conv1_1x1.bn", "stages.3.1.transformer.1.mlp.fc1"], "final_conv"),
    ],
)
@torch.no_grad()
def test_layers_of_timm_are_those_of_its_own_network(name: str, side: int, modules: list[str], last: str) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    model, x = network(f"timm:{name}"), pictures(side)
    theirs = timm.create_model(name, pretrained=False).eval()
    theirs.load_state_dict(model.state_dict())
    wanted = outputs_of_modules(theirs, modules, x)
    wanted[last] = theirs.forward_features(x)
    wanted["pre_logits"] = theirs.forward_head(wanted[last].clone(), pre_logits=True)
    for (layer, values), found in zip(wanted.items(), capture(model, list(wanted), name)(x), strict=True):
        assert_same(found, values, layer, 1e-5)


# ---- together and alone


class Residual(nn.Module):
    """Adds to what a module gave in place, and ends with no module."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x)
        y += x
        return y


class Branching(nn.Module):
    """Looks at its values, so that it cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.block, self.head = nn.Conv2d(3, 4, 3), Residual(), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(self.conv(x)).mean((2, 3))
        y: Tensor = self.head(x * 2 if x.sum() > 0 else x)
        return y


@pytest.mark.parametrize(
    ("make", "traced", "layers"),
    [
        (lambda: network("resnet18"), True, ["layer4.1.bn1", "layer4.1.relu", "logits"]),
        (Branching, False, ["conv", "head", "block.norm"]),
    ],
    ids=["traced", "hooked"],
)
@torch.no_grad()
def test_layers_together_equal_each_alone_in_any_order(
    make: Callable[[], nn.Module], traced: bool, layers: list[str]
) -> None:
    torch.manual_seed(1)
    model, x = make().eval(), pictures(64)
    assert layers_of(model).traced == traced
    alone = {layer: capture(model, [layer], "it")(x)[0] for layer in layers}
    first, second, third = layers
    for together in ([first, second, third], [third, first, second, first], [second, second, third, first]):
        for layer, found in zip(together, capture(model, together, "it")(x), strict=True):
            assert_same(found, alone[layer], layer)


# ---- what is asked for by a module's name


SMALL_DENSENET = {"growth_rate": 4, "block_config": (1, 1), "num_init_features": 8}
SMALL_VIT = {"image_size": 64, "patch_size": 32, "num_layers": 1, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 8}


@pytest.mark.parametrize(
    ("make", "layer"),
    [
        (lambda: DenseNet(**SMALL_DENSENET), "features.norm5"),  # a function works in its place, no module
        (Branching, "block.norm"),
        (Branching, "block"),
        (lambda: VisionTransformer(**SMALL_VIT), "encoder.layers.encoder_layer_0.ln_1"),
        (lambda: VisionTransformer(**SMALL_VIT), "encoder.layers.encoder_layer_0.ln_2"),
    ],
    ids=[
        "overwritten by a function",
        "overwritten by an operator",
        "block",
        "number 1 at the end",
        "number 2 at the end",
    ],
)
@torch.no_grad()
def test_a_module_gives_what_a_hook_on_it_sees(make: Callable[[], nn.Module], layer: str) -> None:
    torch.manual_seed(1)
    model, x = make().eval(), pictures(64)
    wanted = outputs_of_modules(model, [layer], x)[layer]
    found, _ = capture(model, [layer, "logits"], "it")(x)
    assert_same(found, wanted, layer)
