"""Networks of timm: the default layer gives timm's own vector, and the table of all families has no fault."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from imgcluster.backbones.build import capture
from imgcluster.backbones.layers import layers_of
from imgcluster.backbones.listing import list_models
from imgcluster.backbones.networks import empty_network, network_with
from imgcluster.backbones.runtimes.torch_runtime import TorchRuntime, with_channels_last
from imgcluster.backbones.select import find_backbone
from imgcluster.backbones.timm_networks import corrections
from imgcluster.backbones.weights.load import find_weights
from imgcluster.errors import ConfigError
from imgcluster.explain.gradcam import GradCam

timm = pytest.importorskip("timm", reason="timm is not installed")

from tests.support.timm_families import CPU, SAME, UNTRIED, VERSIONS, compared, read_table, vectors  # noqa: E402

# Several classes of tokens, several heads, lists of features, BatchNorm or an MLP before the classifier.
HARD = (
    "crossvit_tiny_240",
    "deit_tiny_distilled_patch16_224",
    "efficientvim_m1",
    "repvit_m1",
    "test_vit",
)


@pytest.mark.parametrize("name", [HARD[0], *(pytest.param(name, marks=pytest.mark.slow) for name in HARD[1:])])
def test_the_default_vector_is_timms_own(name: str) -> None:
    choice, network, pixels, wanted = vectors(name)
    found = TorchRuntime(network, choice.recipe, CPU, "fp32")(pixels)[0]
    assert compared(found, wanted) == SAME
    assert {row.dim for row in list_models(f"timm:{name}.*")} <= {wanted.shape[1]}


def test_a_side_in_the_name_resamples_position_embeddings_and_leaves_the_rest(tmp_path: Path) -> None:
    whole = timm.create_model("test_vit.r160_in1k", pretrained=False).eval()
    save_file(whole.state_dict(), tmp_path / "vit.safetensors")
    row = find_backbone("timm:test_vit@96")
    assert (row.name, row.recipe.side) == ("timm:test_vit.r160_in1k@96", 96)
    small = network_with(row, find_weights(row, str(tmp_path / "vit.safetensors")))
    assert small.pos_embed.shape[1] == (96 // 16) ** 2 + 1
    assert torch.equal(small.blocks[0].attn.qkv.weight, whole.blocks[0].attn.qkv.weight)
    assert small(torch.zeros(1, 3, 96, 96)).shape == (1, 1000)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("timm:test_resnet@96", "takes pictures of any size; leave out @96"),
        ("timm:test_vit@0", "timm has no network 'test_vit@0'"),
        ("timm:test_vit@big", "timm has no network 'test_vit@big'"),
    ],
)
def test_a_side_that_no_network_has(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        find_backbone(name)


def test_it_stands_among_the_layers_and_moves_no_number() -> None:
    model = empty_network(find_backbone("timm:deit_tiny_distilled_patch16_224"))
    known = layers_of(model)
    assert known.nodes[-5:] == ["pre_logits", "head", "head_dist", "add_1", "truediv"]
    assert known.find(-5, "deit") == "head_drop_1"
    scores, vector = capture(model, ["logits", "pre_logits"], "deit")(torch.empty(1, 3, 224, 224, device="meta"))
    assert (scores.shape, vector.shape) == ((1, 1000), (1, 192))


def test_a_network_without_a_head_gives_what_its_last_step_does() -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pretrained_cfg, self.num_classes = {"classifier": "head"}, 0
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.conv(pixels))

    known = layers_of(Encoder().eval())
    assert known.find("pre_logits", "encoder") == "relu"


@pytest.mark.parametrize(
    ("name", "layer", "corrected"),
    [
        ("timm:crossvit_tiny_240", "pre_logits", True),
        ("timm:crossvit_9_240.in1k", "pre_logits", True),
        ("timm:crossvit_tiny_240", "head_drop", False),
        ("timm:deit_tiny_distilled_patch16_224.fb_in1k", "pre_logits", True),
        ("timm:deit_tiny_patch16_224.fb_in1k", "pre_logits", False),
        ("timm:efficientvit_m0.r224_in1k", "pre_logits", True),
        ("timm:efficientvit_b0.r224_in1k", "pre_logits", False),
        ("timm:test_resnet.r160_in1k", "pre_logits", False),
        ("resnet18", "flatten", False),
    ],
)
def test_where_the_vector_was_another_one_so_is_the_fingerprint(name: str, layer: str, corrected: bool) -> None:
    assert corrections(find_backbone(name), layer) == ({"vector": "forward_head"} if corrected else {})


@pytest.mark.slow
def test_swin_runs_on_torch_and_is_explained() -> None:
    choice, network, pixels, wanted = vectors("swin_tiny_patch4_window7_224")
    assert compared(TorchRuntime(network, choice.recipe, CPU, "fp32")(pixels[:1])[0], wanted[:1]) == SAME
    network, picture = GradCam(choice, CPU), np.ascontiguousarray(pixels[0, 0])
    passed = network.forward([picture])
    (heat,) = network.heat_maps(passed, passed.outputs[0][:, 0], [picture])
    assert heat.shape == picture.shape[:2]
    assert heat.any()


def test_channels_last_is_for_four_dimensions() -> None:
    network = nn.Conv2d(3, 4, 3)
    network.register_buffer("mask", torch.zeros(1, 2, 3, 4, 5))
    mask, weight = network.mask.stride(), network.weight.clone()
    assert with_channels_last(network) is network
    assert network.weight.is_contiguous(memory_format=torch.channels_last)
    assert network.mask.stride() == mask
    torch.testing.assert_close(network.weight, weight, rtol=0, atol=0)


def test_a_network_that_computes_while_it_is_built_has_layers_without_weights() -> None:
    model = empty_network(find_backbone("timm:vit_small_patch16_rope_mixed_224"))
    assert {values.device.type for values in model.parameters()} == {"meta"}


def test_the_table_has_every_family_and_no_fault() -> None:
    rows = read_table()
    if rows[0].versions.startswith(VERSIONS.partition(" torch")[0]):
        assert [row.family for row in rows] == sorted(timm.list_modules())
    judged = [row for row in rows if row.torch not in ("", UNTRIED)]
    assert len(judged) > len(rows) * 3 / 4
    faults = [row for row in judged if row.torch != SAME or row.bits not in ("", SAME)]
    assert [(row.network, row.torch, row.bits) for row in faults] == []
