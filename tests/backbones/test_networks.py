"""Backbones by name: the table against torchvision, timm's, the names of the older tool, and the list of all."""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import re
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torchvision.models import get_model_weights

from imgcluster import extract
from imgcluster.backbones.build import capture
from imgcluster.backbones.layers import layers_of
from imgcluster.backbones.listing import list_models
from imgcluster.backbones.networks import class_names, empty_network, network_with, random_network
from imgcluster.backbones.pooling import pool
from imgcluster.backbones.select import find_backbone
from imgcluster.backbones.timm_networks import match_timm
from imgcluster.backbones.weights.load import Weights, find_weights
from imgcluster.backbones.weights.locate import are_here
from imgcluster.cli.format.backbones import MAX_COLUMNS, models_table
from imgcluster.cli.main import main
from imgcluster.config.backbone_table import BACKBONES, OLD_NAMES, REFUSED, Backbone
from imgcluster.config.fields import BUNDLED
from imgcluster.errors import ConfigError, WeightsError, WeightsUnavailable
from tests.conftest import Command
from tests.support.explained import photograph
from tests.support.make_backbones import TABLE, efficientnet_lite_row, torchvision_row

OURS = [name for name, row in BACKBONES.items() if row.source == "torchvision"]
TINY = "timm:test_resnet.r160_in1k"

# The models of the older tool, with the length of the vectors it wrote.
OLDER_TOOL = {
    "inception_v1": 1024,
    "inception_v3": 2048,
    "inception_v4": 1536,
    "inception_resnet_v2": 1536,
    "resnet_v1_50": 2048,
    "resnet_v1_101": 2048,
    "resnet_v1_152": 2048,
    "resnet_v2_50": 2048,
    "resnet_v2_101": 2048,
    "resnet_v2_152": 2048,
    "vgg_16": 1000,
    "vgg_19": 1000,
    "mobilenet_v1": 1024,
    "nasnet_large": 4032,
    "pnasnet_large": 4320,
    "alexnet": 4096,
}


def meta_dim(backbone: Backbone) -> int:
    """The length of a backbone's vectors, by a forward pass that computes no values."""
    network = capture(empty_network(backbone), [backbone.default_layer], backbone.name)
    side = backbone.recipe.side
    (output,) = network(torch.empty(1, 3, side, side, device="meta"))
    return pool(output, "auto", backbone.default_layer).shape[1]


# ---- the table


def test_table_has_every_classification_network_of_torchvision() -> None:
    assert set(torchvision.models.list_models(module=torchvision.models)) <= set(OURS)


@pytest.mark.parametrize("name", sorted({*OURS} & {*torchvision.models.list_models(module=torchvision.models)}))
def test_table_agrees_with_torchvision(name: str) -> None:
    with TABLE.open(encoding="utf-8", newline="") as file:
        written = next(row for row in csv.DictReader(file) if row["name"] == name)
    del written["dim"]
    assert written == {key: str(value) for key, value in torchvision_row(name).items()}


@pytest.mark.parametrize("name", BUNDLED)
def test_table_has_the_installed_networks(name: str) -> None:
    row, written = BACKBONES[name], efficientnet_lite_row(name)
    assert [str(written[key]) for key in ("resize", "crop")] == [str(pixels) for _, pixels in row.recipe.steps]
    assert row.bf16_from == int(written["bf16_from"])
    assert (row.file, row.sha256, row.megabytes) == (written["file"], written["sha256"], written["megabytes"])
    assert meta_dim(row) == row.dim == 1280
    assert are_here(row)


@pytest.mark.parametrize("name", BUNDLED)
def test_installed_weights_know_photographs(name: str) -> None:
    pictures = [photograph("cat", 300), photograph("coffee", 300)]
    shares = extract(pictures, name, layers="predictions", device="cpu", show=False)
    cat, coffee = (class_names()[row] for row in shares.argmax(axis=1))
    assert cat in {"tiger cat", "Egyptian cat", "tabby"}
    assert coffee == "espresso"


@pytest.mark.parametrize("name", ["alexnet", "googlenet", "squeezenet1_1", "vgg11", "vit_b_32", "swin_t", "resnet18"])
def test_dims(name: str) -> None:
    assert meta_dim(BACKBONES[name]) == BACKBONES[name].dim


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if number % 8 else [])
        for number, name in enumerate(sorted(BACKBONES))
    ],
)
def test_network_has_its_default_layer(name: str) -> None:
    model = empty_network(BACKBONES[name])
    assert all(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
    assert layers_of(model).find(BACKBONES[name].default_layer, name)


@pytest.mark.parametrize("name", ["vgg16", "efficientnet_lite0"])
def test_first_two_are_what_they_were(name: str) -> None:
    row = BACKBONES[name]
    known = {"vgg16": ("fc6", 4096, 64, 0), "efficientnet_lite0": ("avgpool", 1280, 64, 12)}
    assert (row.default_layer, row.dim, len(row.sha256), row.bf16_from) == known[name]
    assert (row.recipe.steps, row.recipe.channels) == ((("resize", 256), ("center_crop", 224)), "rgb")


def test_weights_that_are_not_for_everybody_say_so() -> None:
    assert {name for name in OURS if BACKBONES[name].licence != "BSD-3-Clause"} == {"regnet_y_128gf", "vit_h_14"}


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_of_google_scale_their_input(name: str) -> None:
    assert (
        empty_network(BACKBONES[name]).transform_input is True
    )  # else their weights see other values than in training


def test_a_network_of_google_is_built_as_torchvision_does_for_its_weights() -> None:
    from torchvision.models import get_model

    published = get_model_weights("googlenet")["IMAGENET1K_V1"]
    ours = random_network(BACKBONES["googlenet"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(published), "get_state_dict", lambda *args, **kwargs: ours.state_dict())
        theirs = get_model("googlenet", weights=published).eval()
    pixels = torch.rand(1, 3, 299, 299, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(ours(pixels), theirs(pixels))


# ---- weights that torchvision renames as it loads them


def as_published(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The names in the files, which are older than torchvision's."""
    older = (
        (r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2"),
        (r"mlp\.0\.", "mlp.linear_1."),
        (r"mlp\.3\.", "mlp.linear_2."),
    )
    return {functools.reduce(lambda name, pair: re.sub(*pair, name), older, key): value for key, value in state.items()}


@pytest.mark.parametrize("name", ["densenet121", "vit_b_32", "mnasnet0_5"])
def test_published_files_with_older_names_fit(name: str, tmp_path: Path) -> None:
    expected = random_network(BACKBONES[name]).state_dict()
    published = as_published(expected)
    assert (set(published) != set(expected)) == (name != "mnasnet0_5")
    torch.save(published, tmp_path / "w.pth")
    model = network_with(BACKBONES[name], Weights("w", tmp_path / "w.pth", ""))
    torch.testing.assert_close(dict(model.state_dict()), dict(expected), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["resnet18", TINY])
def test_checkpoint_of_another_architecture_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 4).state_dict(), tmp_path / "other.pth")
    with pytest.raises(WeightsError) as caught:
        network_with(find_backbone(name), Weights("w", tmp_path / "other.pth", ""))
    assert re.fullmatch(
        rf"weights {tmp_path}/other\.pth: do not fit ResNet: \d+ missing \(.*, …\); 2 unexpected \(weight, bias\)",
        str(caught.value),
    )


@pytest.mark.parametrize("name", ["resnet18", TINY])
def test_checkpoint_with_nan_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    state = random_network(find_backbone(name)).state_dict()
    state["layer1.0.bn1.weight"][0] = torch.nan
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(WeightsError, match=r"nan\.pth: layer1\.0\.bn1\.weight holds values that are not finite"):
        network_with(find_backbone(name), Weights("w", tmp_path / "nan.pth", ""))


# ---- timm


@pytest.mark.parametrize(
    ("name", "dim", "crop", "licence"),
    [
        ("timm:vit_small_patch14_dinov2.lvd142m", 384, 518, "Apache-2.0"),
        ("timm:vit_base_patch32_clip_224.openai", 768, 224, "Apache-2.0"),
        ("timm:convnext_atto.d2_in1k", 320, 224, "Apache-2.0"),
        ("timm:vgg11.tv_in1k", 4096, 224, "BSD-3-Clause"),  # cannot be traced
        ("timm:swin_tiny_patch4_window7_224.ms_in1k", 768, 224, "MIT"),
    ],
)
def test_networks_of_timm(name: str, dim: int, crop: int, licence: str) -> None:
    backbone = find_backbone(name)
    assert (backbone.name, backbone.recipe.side, backbone.licence) == (name, crop, licence)
    assert meta_dim(backbone) == dim
    assert [row.dim for row in list_models(name) if row.name == name] == [dim]


def test_recipe_of_timm_is_what_its_own_transform_does() -> None:
    from timm.data import create_transform, resolve_data_config

    for name in ("resnet50.a1_in1k", "vit_base_patch32_clip_224.openai", "inception_v4.tf_in1k"):
        import timm

        recipe = find_backbone(f"timm:{name}").recipe
        theirs = create_transform(**resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg(name).to_dict()))
        resize, crop, _, normalize = theirs.transforms
        assert (("resize", resize.size), ("center_crop", crop.size[0])) == recipe.steps
        assert resize.interpolation.value == recipe.interpolation
        torch.testing.assert_close(torch.as_tensor(normalize.mean), torch.tensor(recipe.mean))
        torch.testing.assert_close(torch.as_tensor(normalize.std), torch.tensor(recipe.std))


def test_name_without_a_tag_has_the_default_weights() -> None:
    assert find_backbone("timm:test_resnet").name == TINY


@pytest.mark.parametrize("name", ["timm:resnet5O", "timm:resnet50.a1_in2k"])
def test_name_that_timm_lacks_has_its_nearest(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"timm has no network '{name[5:]}'; near it: timm:resnet5"):
        find_backbone(name)


def test_without_timm_the_command_that_brings_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r'needs the package timm .*; pip install "imgcluster\[timm\]"$'):
        find_backbone(TINY)
    (row,) = list_models("pnasnet_large")
    assert (row.stands_for, row.dim, row.here) == ("timm:pnasnet5large.tf_in1k", 4320, None)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A server that answers as the Hugging Face hub does, with the files of one folder."""

    class Handler(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            path = Path(self.translate_path(self.path))
            if path.is_file():
                self.send_header("ETag", f'"{hashlib.sha256(path.read_bytes()).hexdigest()}"')
                self.send_header("X-Repo-Commit", "0" * 40)
            super().end_headers()

        def log_message(self, *args: object) -> None:
            pass

    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield folder
        server.shutdown()


def publish(hub: Path, backbone: Backbone) -> dict[str, torch.Tensor]:
    state = random_network(backbone).state_dict()
    folder = hub / backbone.weights / "resolve" / "main"
    folder.mkdir(parents=True)
    save_file(state, folder / backbone.file)
    return state


def test_weights_of_timm_are_downloaded_once_and_checked(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = find_backbone(TINY)
    expected = publish(hub, backbone)
    assert [row.here for row in list_models(TINY)] == [False]
    weights = find_weights(backbone, "imagenet", progress=False)
    assert weights.path is not None
    torch.testing.assert_close(dict(network_with(backbone, weights).state_dict()), dict(expected), rtol=0, atol=0)
    assert [row.here for row in list_models(TINY)] == [True]
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert find_weights(backbone, "imagenet", progress=False) == weights
    with weights.path.open("r+b") as file:
        file.write(b"\0")
    with pytest.raises(WeightsUnavailable, match=r"cannot download http://127\.0\.0\.1:9/"):
        find_weights(backbone, "imagenet", progress=False)
    with pytest.raises(WeightsUnavailable, match=r"no download allowed: .* is damaged, or another file: sha256 "):
        find_weights(backbone, "imagenet", progress=False, download=False)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (TINY, r"cannot download http://127\.0\.0\.1:9/timm/test_resnet\.r160_in1k/resolve/main/model\.safetensors: "),
        ("resnet_v2_152", r"none are published by timm$"),
    ],
)
def test_weights_of_timm_that_cannot_be_had(name: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(WeightsUnavailable, match=said):
        find_weights(find_backbone(name), "imagenet", progress=False)


# ---- the names of the older tool


@pytest.mark.parametrize("name", OLDER_TOOL)
def test_old_name_has_the_vectors_of_the_older_tool(name: str) -> None:
    backbone = find_backbone(name)
    dim = _timm_dim(backbone) if backbone.source == "timm" else meta_dim(backbone)
    assert dim == backbone.dim == OLDER_TOOL[name]


def _timm_dim(backbone: Backbone) -> int:
    """By timm's own names for the two halves of a forward pass: tracing these networks takes up to ten seconds each."""
    model, side = empty_network(backbone), backbone.recipe.side
    tokens = model.forward_features(torch.empty(1, 3, side, side, device="meta"))
    return model.forward_head(tokens, pre_logits=True).shape[1]


def test_every_model_of_the_older_tool_is_known_or_refused() -> None:
    assert set(OLD_NAMES) < set(OLDER_TOOL)
    assert set(REFUSED) == {"inception_v2", "nasnet_mobile"}


@pytest.mark.parametrize(("name", "nearest"), [("inception_v2", "inception_v3"), ("nasnet_mobile", "nasnet_large")])
def test_what_nobody_offers_is_refused_with_the_nearest(
    name: str, nearest: str, config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=f"'{name}': nobody offers its weights; the nearest are {nearest}"):
        find_backbone(name)
    assert main(["check", str(config_file), "--set", f"features.backbone={name}"]) == 1
    assert f"found '{name}': nobody offers its weights; the nearest are {nearest}" in capsys.readouterr().err


def test_vector_of_an_old_name_in_a_run(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["features.backbone=mobilenet_v1", "features.weights=random", "features.device=cpu"]
    overrides = [part for setting in settings for part in ("--set", setting)]
    assert main(["extract", str(config_file), "--quiet", *overrides]) == 0
    assert "timm:mobilenetv1_100.ra4_e3600_r224_in1k" in capsys.readouterr().out


# ---- the list


def test_list_has_every_name_but_those_of_timm() -> None:
    assert [row.name for row in list_models()] == [*BACKBONES, *OLD_NAMES]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("vgg16", ["vgg16", "vgg16_bn"]),
        ("vgg?6", ["vgg16"]),
        ("lite", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]),
        ("resnet_v1", ["resnet_v1_50", "resnet_v1_101", "resnet_v1_152"]),
        ("timm:test_resnet", [TINY]),
        ("nothing like it", []),
    ],
)
def test_list_by_pattern(pattern: str, names: list[str]) -> None:
    assert [row.name for row in list_models(pattern)] == names


def test_list_says_which_weights_are_here() -> None:
    file = Path(torch.hub.get_dir()) / "checkpoints" / BACKBONES["shufflenet_v2_x0_5"].file
    assert [row.here for row in list_models("shufflenet_v2_x0_5")] == [False]
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(1000))
    assert [row.here for row in list_models("shufflenet_v2_x0_5")] == [False]  # broken off on the way
    file.write_bytes(bytes(round(5.282 * 2**20)))
    assert [row.here for row in list_models("shufflenet_v2_x0_5")] == [True]
    assert [row.here for row in list_models("lite0")] == [True]


def test_table_for_the_terminal() -> None:
    lines = models_table(list_models("vgg_16")).splitlines()
    assert lines == [
        "name                 dim   px   MB  downloaded  licence",
        "vgg_16 = vgg16 fc8  1000  224  528  no          BSD-3-Clause",
    ]


def test_table_fits_a_terminal() -> None:
    rows = list_models("timm:")
    assert len(rows) > 1000
    assert max(map(len, models_table(rows).splitlines())) <= MAX_COLUMNS


def test_pictures_that_are_no_squares_are_not_listed() -> None:
    assert all(row.recipe.side for row in match_timm("timm:*"))


def test_models_command(command: Command) -> None:
    listed = command("models", "--json", "resnet18")
    assert json.loads(listed.stdout) == [
        {
            "name": "resnet18",
            "stands_for": None,
            "source": "torchvision",
            "dim": 512,
            "px": 224,
            "megabytes": 44.7,
            "here": False,
            "licence": "BSD-3-Clause",
        }
    ]
    nothing = command("models", "resnet19")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr == "imgcluster: no backbone is called 'resnet19'; did you mean 'resnet18'?\n"
    strange = command("models", "qqqqqqqq")
    assert strange.stderr == (
        "imgcluster: no backbone is called 'qqqqqqqq'; list all: imgcluster models "
        "(timm networks are not listed; use timm:NAME, e.g. timm:vit_small_patch14_dinov2.lvd142m)\n"
    )


def test_config_errors_need_neither_torch_nor_timm(command: Command, config_file: Path) -> None:
    code = (
        "import sys; from imgcluster.cli.main import main; "
        f"main(['check', {str(config_file)!r}, '--set', 'features.backbone=resnet5O']); "
        "sys.exit(bool({'torch', 'timm', 'torchvision'} & set(sys.modules)))"
    )
    import subprocess

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "did you mean 'resnet50'?" in result.stderr
    assert result.returncode == 0
