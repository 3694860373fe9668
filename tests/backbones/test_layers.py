"""Layers by every name they go by, several in one pass, and what pooling makes of maps and tokens."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from imgcluster.backbones.build import capture
from imgcluster.backbones.layers import _tracer, layers_of
from imgcluster.backbones.networks import _prepared
from imgcluster.backbones.pooling import gem, pool, rmac, rmac_regions, spp
from imgcluster.cli.main import main
from imgcluster.config.loader import FeaturesConfig
from imgcluster.errors import ConfigError
from imgcluster.features import extraction as features_module
from imgcluster.features.extraction import extract_features
from imgcluster.images.listing import walk_images

# Convolutions and pools block by block, as the papers and torchvision's sources give them: features.N.
CONVOLUTIONS = {
    "vgg16": [[0, 2], [5, 7], [10, 12, 14], [17, 19, 21], [24, 26, 28]],
    "vgg19": [[0, 2], [5, 7], [10, 12, 14, 16], [19, 21, 23, 25], [28, 30, 32, 34]],
    "vgg16_bn": [[0, 3], [7, 10], [14, 17, 20], [24, 27, 30], [34, 37, 40]],
}
POOLS = {"vgg16": [4, 9, 16, 23, 30], "vgg19": [4, 9, 18, 27, 36], "vgg16_bn": [6, 13, 23, 33, 43]}


def network(name: str) -> nn.Module:
    """A torchvision network with small weights; ReLUs work in place, as they come."""
    torch.manual_seed(1)
    return torchvision.models.get_model(name, weights=None).eval()


def on_meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return torchvision.models.get_model(name, weights=None).eval()


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_vgg_names_are_the_tables(name: str) -> None:
    aliases = layers_of(on_meta(name)).aliases
    for block, indices in enumerate(CONVOLUTIONS[name], start=1):
        for number, index in enumerate(indices, start=1):
            relu = index + (2 if name.endswith("bn") else 1)
            assert aliases[f"conv{block}_{number}"] == f"features.{index}"
            assert aliases[f"relu{block}_{number}"] == f"features.{relu}"
            assert aliases[f"block{block}_conv{number}"] == f"features.{relu}"  # Keras's include the ReLU
            if name.endswith("bn"):
                assert aliases[f"bn{block}_{number}"] == f"features.{index + 1}"
        assert aliases[f"pool{block}"] == aliases[f"block{block}_pool"] == f"features.{POOLS[name][block - 1]}"
    classifier = ["fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"]
    assert [aliases[layer] for layer in classifier] == [f"classifier.{index}" for index in range(7)]
    assert (aliases["fc1"], aliases["fc2"], aliases["logits"]) == ("classifier.1", "classifier.4", "classifier.6")
    assert f"conv5_{len(CONVOLUTIONS[name][4]) + 1}" not in aliases


def test_alexnet_names() -> None:
    aliases = layers_of(on_meta("alexnet")).aliases
    wanted = {
        "conv1": 0,
        "relu1": 1,
        "pool1": 2,
        "conv2": 3,
        "conv3": 6,
        "conv4": 8,
        "conv5": 10,
        "relu5": 11,
        "pool5": 12,
    }
    assert {layer: aliases[layer] for layer in wanted} == {k: f"features.{v}" for k, v in wanted.items()}
    assert (aliases["fc6"], aliases["fc7"], aliases["fc8"]) == ("classifier.1", "classifier.4", "classifier.6")


# One layer in front of an in-place ReLU, the ReLU, and one behind: the first must keep what the second overwrites.
@pytest.mark.parametrize(
    ("name", "before", "relu"),
    [
        ("vgg16", "fc6", "relu6"),
        ("vgg19", "conv5_4", "relu5_4"),
        ("vgg16_bn", "bn5_3", "relu5_3"),
        ("alexnet", "conv5", "relu5"),
        ("resnet18", "layer4.1.bn1", "layer4.1.relu"),
    ],
)
def test_an_in_place_relu_does_not_overwrite_what_was_captured(name: str, before: str, relu: str) -> None:
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        earlier, later = capture(_prepared(network(name)), [before, relu], name)(pixels)
    assert earlier.min() < 0
    torch.testing.assert_close(earlier.clamp(min=0), later, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        ("resnet18", ["layer1.0.relu", "layer3.1.add", "avgpool", "fc"]),
        ("densenet121", ["features.pool0", "features.norm5", "flatten"]),
        ("mobilenet_v3_small", ["features.4", "avgpool", "classifier.0"]),
        ("convnext_tiny", ["features.1.0.add", "avgpool"]),
        ("vit_b_16", ["encoder.layers.encoder_layer_3.add_1", "getitem_5", "heads.head"]),
    ],
)
def test_node_names_give_what_torchvision_gives(name: str, nodes: list[str]) -> None:
    model = _prepared(network(name))
    pixels = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = capture(model, nodes, name)(pixels)
        for node, output in zip(nodes, found, strict=True):  # each alone: torchvision's are overwritten in place
            wanted = create_feature_extractor(model, [node], suppress_diff_warning=True)(pixels)[node]
            torch.testing.assert_close(output, wanted, rtol=0, atol=1e-6)


def test_negative_indices_count_from_the_end() -> None:
    known = layers_of(on_meta("resnet18"))
    assert known.find(-1, "resnet18") == known.find("logits", "resnet18") == "fc"
    assert known.find(-2, "resnet18") == known.find("-2", "resnet18") == "flatten"
    with pytest.raises(ConfigError, match="resnet18 has no layer '-1000'"):
        known.find(-1000, "resnet18")


def test_a_wrong_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"resnet18 has no layer 'layer4.1.rleu'; near it: layer4.1.relu"):
        layers_of(on_meta("resnet18")).find("layer4.1.rleu", "resnet18")


class Branching(nn.Module):
    """Looks at its values, so that it cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.thirds = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        if x.sum() > 0:
            x = x * 2
        x = self.second(x)
        self.thirds += 1
        return self.third(x)


def test_a_network_that_cannot_be_traced_has_its_modules_for_layers() -> None:
    model = Branching().eval()
    assert layers_of(model).nodes == ["first", "second", "third"]
    x = torch.rand(3, 4)
    with torch.no_grad():
        second, first = capture(model, ["second", "first"], "branching")(x)
        assert model.thirds == 0  # nothing behind the deepest layer asked for is run
        torch.testing.assert_close(first, model.first(x))
        assert second.shape == (3, 4)
        (third,) = capture(model, ["logits"], "branching")(x)
        torch.testing.assert_close(third, model(x))
    assert not model.first._forward_hooks


def test_pooling_of_maps() -> None:
    values = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    array = values.numpy()
    expected = {
        "auto": array.mean((2, 3)),
        "avg": array.mean((2, 3)),
        "max": array.max((2, 3)),
        "gem": (array**3).mean((2, 3)) ** (1 / 3),
        "flatten": array.reshape(2, -1),
    }
    for pooling, wanted in expected.items():
        np.testing.assert_allclose(pool(values, pooling, "x").numpy(), wanted, rtol=1e-5, err_msg=pooling)
    assert gem(-values).isfinite().all()


def test_spatial_pyramid_pooling() -> None:
    values = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert spp(values).tolist() == [[15.0, 5, 7, 13, 15, *range(16)]]


def test_rmac_of_a_square_map_by_hand() -> None:
    values = torch.rand(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    regions = [(0, 0, 6)]  # one of side 6, four of side 4, nine of side 3
    regions += [(y, x, 4) for y in (0, 2) for x in (0, 2)]
    regions += [(y, x, 3) for y in (0, 1, 3) for x in (0, 1, 3)]
    total = np.zeros(4)
    for y, x, side in regions:
        part = values[0, :, y : y + side, x : x + side].amax((1, 2)).numpy()
        total += part / np.linalg.norm(part)
    np.testing.assert_allclose(rmac(values)[0].numpy(), total / np.linalg.norm(total), rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (7, 7), (14, 20), (40, 3)])
def test_rmac_regions_lie_inside_the_map(size: tuple[int, int]) -> None:
    for y, x in rmac_regions(*size):
        assert 0 <= y.start < y.stop <= size[0]
        assert 0 <= x.start < x.stop <= size[1]


def test_pooling_of_tokens() -> None:
    values = torch.rand(2, 5, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pool(values, "auto", "x"), values[:, 0])
    torch.testing.assert_close(pool(values, "cls", "x"), values[:, 0])
    torch.testing.assert_close(pool(values, "mean", "x"), values[:, 1:].mean(1))
    assert pool(values, "flatten", "x").shape == (2, 15)


def test_pooling_without_a_meaning_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'cls' has no meaning for 'relu5', which gives a map; allowed"):
        pool(torch.rand(1, 2, 3, 3), "cls", "relu5")
    with pytest.raises(ConfigError, match="'gem' has no meaning for 'block', which gives tokens"):
        pool(torch.rand(1, 2, 3), "gem", "block")
    assert pool(torch.rand(1, 2), "gem", "fc").shape == (1, 2)


def config(store: Path, **keys: object) -> FeaturesConfig:
    return FeaturesConfig(backbone="efficientnet_lite0", batch_size=4, precision="fp32", store=store, **keys)


@pytest.mark.slow
def test_layers_together_equal_each_alone(tmp_path: Path, pictures: Path) -> None:
    images = walk_images(pictures)
    layers = ("_blocks.4.add", "avgpool", "logits")
    together = extract_features(images, config(tmp_path / "a", layer=layers), show=False)
    alone = [extract_features(images, config(tmp_path / "b", layer=layer), show=False).vectors for layer in layers]
    assert [block.shape[1] for block in alone][1:] == [1280, 1000]
    np.testing.assert_allclose(together.vectors, np.concatenate(alone, axis=1), atol=1e-6)
    assert together.origins[0].layer == "_blocks.4.add+avgpool+logits"


def test_a_layer_that_was_computed_is_not_computed_again(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = walk_images(pictures)
    extract_features(images, config(tmp_path / "s", layer=("avgpool", "logits")), show=False)
    monkeypatch.setattr(features_module, "build_runtime", lambda *_: pytest.fail("a network was built"))
    found = extract_features(images, config(tmp_path / "s", layer=("logits",)), show=False)
    assert (found.origins[0].computed, found.vectors.shape) == (0, (12, 1000))


def test_blocks_are_normalised_and_weighted_on_request(tmp_path: Path, pictures: Path) -> None:
    images = walk_images(pictures)[:4]
    keys = {"layer": ("avgpool", "logits"), "block_l2": True, "block_weights": (2.0, 0.5)}
    found = extract_features(images, config(tmp_path / "s", **keys), show=False).vectors
    lengths = [np.linalg.norm(found[:, :1280], axis=1), np.linalg.norm(found[:, 1280:], axis=1)]
    np.testing.assert_allclose(lengths, [[2.0] * 4, [0.5] * 4], rtol=1e-5)
    with pytest.raises(ConfigError, match=r"features.block_weights: 2 factors for 1 layers"):
        extract_features(images, config(tmp_path / "s", block_weights=(1.0, 1.0)), show=False)


def test_the_same_layer_twice_is_stored_once(tmp_path: Path, pictures: Path) -> None:
    found = extract_features(
        walk_images(pictures)[:4], config(tmp_path / "s", layer=("avgpool", "avgpool")), show=False
    )
    np.testing.assert_array_equal(found.vectors[:, :1280], found.vectors[:, 1280:])
    assert len(list((tmp_path / "s").glob("efficient*"))) == 1


def test_layers_are_listed_with_names_and_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layers", "vgg16", "--size", "448"]) == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert lines["features.29"] == ["512", "x", "28", "x", "28", "relu5_3", "block5_conv3"]
    assert lines["classifier.0"] == ["4096", "fc6"]
    assert lines["classifier.6"] == ["1000", "logits", "fc8"]
    assert main(["layers", "efficientnet_lite0", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"name": "_avg_pooling", "aliases": ["avgpool"], "shape": [1280, 1, 1]} in rows
    assert main(["layers", "vgg61"]) == 1
    assert "there is no backbone 'vgg61'; near it: vgg19, vgg16, vgg13" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["vit_b_16", "convnext_tiny", "swin_v2_t", "efficientnet_b0"])
def test_our_tracer_sees_the_nodes_that_torchvision_names(name: str) -> None:
    """Its settings are torchvision's defaults, which no public function returns: modules of its own are whole nodes."""
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None).eval()
    tracer = _tracer()
    tracer.trace(model)
    assert list(tracer.node_to_qualname.values()) == get_graph_node_names(model, suppress_diff_warning=True)[1]
