"""Bad weights: files that somebody was sent, that broke on their way, or that belong to another network."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from safetensors.torch import save

from tests.support.bad_input import CONFIG, case

GROUP = "weights"
OWN = CONFIG.replace("efficientnet_lite0", "squeezenet1_1, weights: {file}, fallback: null, runtime: torch")
PUBLISHED = CONFIG.replace("efficientnet_lite0", "squeezenet1_1, fallback: {fallback}, runtime: torch")
IN_THE_CACHE = Path("torch", "hub", "checkpoints", "squeezenet1_1-b8a52dc0.pth")
NOWHERE = {"TORCH_HOME": "torch", "IMGCLUSTER_WEIGHTS_MIRROR": "http://127.0.0.1:9"}
MARKER = "executed"
FIRST = "features.0.bias"
HUGE = 1 << 31

State = dict[str, torch.Tensor]


@cache
def good() -> State:
    """Return weights that the network takes."""
    torch.manual_seed(0)
    return torchvision.models.squeezenet1_1(weights=None).state_dict()


def saved(found: object, *, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(found, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


class Bomb:
    """What calls `os.system` when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {MARKER}",)


def was_not_executed(own: Path) -> None:
    assert not (own / MARKER).exists(), "something in the file was executed"


def with_value(value: float) -> State:
    return {**good(), FIRST: torch.full_like(good()[FIRST], value)}


def as_type(dtype: torch.dtype) -> State:
    return {key: value.to(dtype) if value.is_floating_point() else value for key, value in good().items()}


def as_integers() -> State:
    """As a quantised network has them, whose scales are elsewhere."""
    return {key: (value * 127).round().to(torch.int8) for key, value in good().items()}


def module() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(2, 2))


def script() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(module()), buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def zip_bomb() -> bytes:
    """Two megabytes that unpack to two gigabytes of a pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/version", b"3\n")
        with archive.open("archive/data.pkl", "w", force_zip64=True) as file:
            file.write(b"\x80\x02")
            for _ in range(HUGE >> 26):
                file.write(b"0" * (1 << 26))
    return buffer.getvalue()


def recompressed() -> bytes:
    """What is left of a checkpoint that was unpacked and packed again by another program."""
    with zipfile.ZipFile(io.BytesIO(saved(good()))) as archive:
        return zipped({name: archive.read(name) for name in archive.namelist()}, zipfile.ZIP_DEFLATED)


def larger_than_it_is() -> bytes:
    """A tensor of a million million values, all of them the same four bytes."""
    return saved({**good(), "more": torch.zeros(1).expand(10**6, 10**6)})


def safetensors(header: dict[str, Any] | bytes, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def floats(shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}


def nearly_whole(data: bytes) -> bytes:
    return data[: len(data) - 100]


def overwritten(data: bytes) -> bytes:
    """A block of zeros in its middle, as a disk leaves it that broke."""
    middle = len(data) // 2
    return data[:middle] + bytes(4096) + data[middle + 4096 :]


def stripes() -> State:
    """The same shapes in another order of memory, as `channels_last` leaves them."""
    return {
        key: value.to(memory_format=torch.channels_last) if value.dim() == 4 else value for key, value in good().items()
    }


HTML = b"<!DOCTYPE html>\n<html><head><title>Google Drive - Virus scan warning</title></head></html>\n"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4" * 64 + b"\nsize 5000000\n"
MORE_THAN_TENSORS = "holds more than tensors, or is damaged; nothing was executed; convert it to .safetensors"
BROKEN = "damaged or incomplete"
NO_SAFETENSORS = "damaged, incomplete, or no safetensors file"
TWO = {"a": floats([2], 0, 8), "b": floats([2], 4, 12)}

# By name: the file's, what is in it, and what is said of it.
REFUSED: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "a pickle that calls os.system": ("w.pth", lambda: saved(Bomb()), MORE_THAN_TENSORS),
    "one among the weights": ("w.pt", lambda: saved({**good(), "epoch": Bomb()}), MORE_THAN_TENSORS),
    "one in torch's older format": ("w.pth", lambda: saved({"fc": Bomb()}, zipped=False), MORE_THAN_TENSORS),
    "one that pickle itself wrote": ("w.pt", lambda: pickle.dumps({"fc": Bomb()}), MORE_THAN_TENSORS),
    "a pickled module": ("w.pth", lambda: saved(module()), MORE_THAN_TENSORS),
    "a pickled array of numpy's objects": ("w.pt", lambda: pickle.dumps(np.array([Bomb()])), MORE_THAN_TENSORS),
    "a program of TorchScript": ("w.pt", script, "TorchScript program, not a state dict"),
    "a zip that unpacks to 2 GB": ("w.pth", zip_bomb, "compressed by another program"),
    "a checkpoint zipped again": ("w.pth", recompressed, "compressed by another program"),
    "a document in a zip": (
        "w.pth",
        lambda: zipped({"word/document.xml": b"<w:t>weights</w:t>"}),
        "not one that torch",
    ),
    "an empty zip": ("w.pth", lambda: zipped({}), "a ZIP archive, not a PyTorch file"),
    "a tensor larger than its file": (
        "w.pth",
        larger_than_it_is,
        "more has 1,000,000,000,000 values, more than the file holds",
    ),
    "weights cut after a tenth": ("w.pth", lambda: (data := saved(good()))[: len(data) // 10], BROKEN),
    "weights without their last 100 bytes": ("w.pth", lambda: nearly_whole(saved(good())), BROKEN),
    "the older format, cut": ("w.pth", lambda: nearly_whole(saved(good(), zipped=False)), BROKEN),
    "the older format, a disk's zeros within": (
        "w.pth",
        lambda: saved(good(), zipped=False)[:9000] + bytes(99),
        MORE_THAN_TENSORS,
    ),
    "a disk's zeros within the weights": (
        "w.pth",
        lambda: overwritten(saved(good())),
        "damaged, or saved without checksums: that of archive/data/[0-9]+ in it is wrong; save it again",
    ),
    "an empty file of weights": ("w.pth", lambda: b"", "the file is empty"),
    "a file of zeros": ("w.pth", lambda: bytes(5_000_000), "all zeros, not a PyTorch file"),
    "a web page in the place of weights": (
        "w.pth",
        lambda: HTML,
        "an HTML page, not a PyTorch file; its download failed",
    ),
    "a pointer of Git LFS": ("w.pth", lambda: POINTER, "a Git LFS pointer, not a PyTorch file; run git lfs pull"),
    "safetensors called .pth": (
        "w.pth",
        lambda: save(good()),
        "safetensors, not a PyTorch file; its name must end in .safetensors",
    ),
    "NaN within the weights": ("w.pth", lambda: saved(with_value(np.nan)), f"{FIRST} holds values that are not finite"),
    "infinity within the weights": ("w.pth", lambda: saved(with_value(np.inf)), "not finite"),
    "weights of another network": (
        "w.pth",
        lambda: saved({f"backbone.{key}": value for key, value in good().items()}),
        "do not fit SqueezeNet: [0-9]+ missing",
    ),
    "weights with a key less": ("w.pth", lambda: saved(dict(list(good().items())[1:])), "1 missing"),
    "weights with a key more": ("w.pth", lambda: saved({**good(), "head.bias": torch.zeros(3)}), "1 unexpected"),
    "weights of five classes": (
        "w.pth",
        lambda: saved(
            {**good(), "classifier.1.weight": torch.zeros(5, 512, 1, 1), "classifier.1.bias": torch.zeros(5)}
        ),
        r"2 of another shape \(classifier.1.weight found \(5, 512, 1, 1\) needed \(1000, 512, 1, 1\)",
    ),
    "weights quantised to int8": (
        "w.pth",
        lambda: saved(as_integers()),
        r"\(features.0.weight found int8 needed float32",
    ),
    "complex weights": (
        "w.pth",
        lambda: saved(as_type(torch.complex64)),
        r"\(features.0.weight found complex64 needed float32",
    ),
    "sparse weights": (
        "w.pth",
        lambda: saved({**good(), "classifier.1.bias": torch.zeros(1000).to_sparse()}),
        "'classifier.1.bias' is Tensor, no plain",
    ),
    "only a list of tensors": ("w.pth", lambda: saved(list(good().values())), "no state dict in it, but list"),
    "only the state of an optimizer": (
        "w.pth",
        lambda: saved({"state": {}, "param_groups": [{"lr": 0.1}]}),
        "not a state dict: 'state' is dict",
    ),
    "safetensors that is empty": ("w.safetensors", lambda: b"", NO_SAFETENSORS),
    "safetensors with a header of 2**60 bytes": (
        "w.safetensors",
        lambda: safetensors({}, b"", 1 << 60),
        NO_SAFETENSORS,
    ),
    "safetensors with tensors that overlap": ("w.safetensors", lambda: safetensors(TWO, bytes(12)), NO_SAFETENSORS),
    "safetensors with a tensor beyond its end": (
        "w.safetensors",
        lambda: safetensors({"a": floats([1 << 40], 0, 1 << 42)}, bytes(8)),
        NO_SAFETENSORS,
    ),
    "safetensors with a header that is no JSON": ("w.safetensors", lambda: safetensors(b"{'a': 1}"), NO_SAFETENSORS),
    "safetensors nested ten thousand deep": (
        "w.safetensors",
        lambda: safetensors(b'{"a":' * 10_000 + b"}" * 10_000),
        NO_SAFETENSORS,
    ),
    "safetensors, cut": ("w.safetensors", lambda: nearly_whole(save(good())), NO_SAFETENSORS),
    "safetensors with more at its end": ("w.safetensors", lambda: save(good()) + bytes(8), NO_SAFETENSORS),
    "a .pth called .safetensors": ("w.safetensors", lambda: saved(good()), "a ZIP archive, not a safetensors file"),
    "a web page called .safetensors": ("w.safetensors", lambda: HTML, "an HTML page, not a safetensors file; its"),
}
TAKEN: dict[str, tuple[str, Callable[[], bytes]]] = {
    "weights of 16 bits": ("w.pth", lambda: saved(as_type(torch.float16))),
    "weights of bfloat16": ("w.safetensors", lambda: save(as_type(torch.bfloat16))),
    "weights of 64 bits": ("w.pth", lambda: saved(as_type(torch.float64))),
    "weights in another order of memory": ("w.pth", lambda: saved(stripes())),
    "weights of DataParallel": ("w.pth", lambda: saved({f"module.{key}": value for key, value in good().items()})),
    "weights in a checkpoint of training": (
        "w.pt",
        lambda: saved({"epoch": 3, "optimizer": {"lr": 0.1}, "model": good()}),
    ),
}


def _given(name: str, file: str, data: Callable[[], bytes], says: str, exit_code: int) -> None:
    @case(name, GROUP, says, exit_code=exit_code, also=was_not_executed)
    def _(own: Path) -> None:
        (own / file).write_bytes(data())
        (own / "config.yaml").write_text(OWN.replace("{file}", file))


for _name, (_file, _data, _says) in REFUSED.items():
    _given(_name, _file, _data, f"weights {_file}: .*{_says}", 1)
for _name, (_file, _data) in TAKEN.items():
    _given(_name, _file, _data, "written +out/submission.csv", 0)

# By name: what the config says, what is made in the folder, and what is said of it.
PLACES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "weights of HDF5, for another framework": (
        "w.h5",
        Path.touch,
        r"found 'w\.h5', allowed: .* a path ending in \.pth",
    ),
    "weights that are not there, but nearly": (
        "wieghts.pth",
        lambda path: path.with_name("weights.pth").touch(),
        r"no such file, and neither imagenet nor random; did you mean weights\.pth\?",
    ),
    "a folder called w.pth": ("w.pth", Path.mkdir, "a folder, not a file"),
    "a FIFO called w.pth": ("w.pth", os.mkfifo, "no file, nor a link to one"),
    "a link to /dev/zero called w.pth": (
        "w.pth",
        lambda path: path.symlink_to("/dev/zero"),
        "no file, nor a link to one",
    ),
    "a link that leads to itself, called w.pth": (
        "w.pth",
        lambda path: path.symlink_to("w.pth"),
        "no file, nor a link to one",
    ),
    "weights that one may not read": (
        "w.pth",
        lambda path: (path.write_bytes(saved(good())), path.chmod(0)),
        "weights w.pth: Permission denied",
    ),
}


def _placed(name: str, file: str, make: Callable[[Path], object], says: str) -> None:
    @case(name, GROUP, says, exit_code=1)
    def _(own: Path) -> None:
        make(own / file)
        (own / "config.yaml").write_text(OWN.replace("{file}", file))


for _name, (_file, _make, _says) in PLACES.items():
    _placed(_name, _file, _make, _says)


def published(own: Path, fallback: str) -> Path:
    """Ask for published weights, of which a former download is in the cache; return its place."""
    (own / "config.yaml").write_text(PUBLISHED.replace("{fallback}", fallback))
    (own / IN_THE_CACHE).parent.mkdir(parents=True)
    return own / IN_THE_CACHE


@case(
    "a download in the cache that broke off",
    GROUP,
    "no ImageNet weights for .* put it at",
    exit_code=1,
    environment=NOWHERE,
)
def _(own: Path) -> None:
    published(own, "null").write_bytes(saved(good())[:100_000])


@case("the same, with a network to fall back to", GROUP, "damaged, or another file.*\n.*FALLBACK", environment=NOWHERE)
def _(own: Path) -> None:
    published(own, "efficientnet_lite0").write_bytes(bytes(100_000))


@case("a bomb in the cache of downloads", GROUP, "no ImageNet", exit_code=1, environment=NOWHERE, also=was_not_executed)
def _(own: Path) -> None:
    published(own, "null").write_bytes(saved(Bomb()))


@case("a cache of downloads that is a file", GROUP, "no ImageNet weights", exit_code=1, environment=NOWHERE)
def _(own: Path) -> None:
    published(own, "null")
    shutil.rmtree(own / "torch")
    (own / "torch").touch()


@case("digests of weights that are damaged", GROUP, "written", environment={"IMGCLUSTER_CACHE": "cache"})
def _(own: Path) -> None:
    (own / "w.pth").write_bytes(saved(good()))
    (own / "config.yaml").write_text(OWN.replace("{file}", "w.pth"))
    (own / "cache").mkdir()
    (own / "cache" / "digests.json").write_text(f'{{"{own}/w.pth": [["sha256", {"[" * 5000}')
