"""Load the state dict of a backbone: found or downloaded, checked, read without executing code, and fitted."""

from __future__ import annotations

import difflib
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgcluster.backbones.weights.locate import find_pretrained, sha256_of
from imgcluster.config import Backbone
from imgcluster.errors import WeightsError, one_line
from imgcluster.images import head_of, kind_of
from imgcluster.utils import first_few

if TYPE_CHECKING:
    import torch

RANDOM_SEED = 0
NO_WEIGHTS = "none"
SUFFIXES = (".safetensors", ".pth", ".pt")
MOST_SPREAD = 2**30  # bytes: a tensor may have more values than its file, as `expand` makes them, up to this

_WRAPPERS = ("state_dict", "model_state_dict", "model")  # keys under which training scripts keep the state dict
_REMEDIES = {
    "a Git LFS pointer": "; run git lfs pull",
    "an HTML page": "; its download failed",
    "safetensors": "; its name must end in .safetensors",
}

# Published files are older than some of torchvision's names; its own loaders rename as they load.
_RENAMED = (
    (r"(\.denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2"),
    (r"(\.encoder_layer_\d+\.mlp)\.linear_1\.", r"\1.0."),
    (r"(\.encoder_layer_\d+\.mlp)\.linear_2\.", r"\1.3."),
)


@dataclass(frozen=True)
class Weights:
    """Values for a backbone: "imagenet", "random", "none" or a path; their file; what tells them from others."""

    source: str
    path: Path | None
    sha256: str


# ---- find


def find_weights(backbone: Backbone, spec: str, *, progress: bool = True, download: bool = True) -> Weights:
    """The weights that `spec` (features.weights) means for `backbone`, downloaded where need be and allowed.

    A backbone without weights has none whether pretrained or random ones are asked for; a file is an error.
    WeightsUnavailable: they cannot be had. WeightsError: they are there and cannot be used.
    """
    if not backbone.has_weights:
        if spec not in ("imagenet", "random", NO_WEIGHTS):
            raise WeightsError(f"weights {spec}: {backbone.name} has no weights; remove features.weights")
        return Weights(NO_WEIGHTS, None, backbone.weights)
    if spec == "random":
        return Weights(spec, None, f"random-{RANDOM_SEED}")
    path = find_pretrained(backbone, progress, download) if spec == "imagenet" else _own_file(spec)
    return Weights(spec, path, sha256_of(path))


def _own_file(spec: str) -> Path:
    path = Path(spec).expanduser()
    if path.is_dir():
        raise WeightsError(f"weights {spec}: a folder, not a file")
    if os.path.lexists(path) and not path.is_file():
        raise WeightsError(f"weights {spec}: no file, nor a link to one")
    if not path.is_file():
        near = difflib.get_close_matches(path.name, ["imagenet", "random", *_names_beside(path)], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise WeightsError(f"weights {spec}: no such file, and neither imagenet nor random{hint}")
    if path.suffix.lower() not in SUFFIXES:
        raise WeightsError(f"weights {spec}: the name must end in one of {', '.join(SUFFIXES)}")
    return path


def _names_beside(path: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in path.parent.iterdir() if entry.suffix.lower() in SUFFIXES)
    except OSError:
        return []


# ---- read


def load_state_dict(weights: Weights) -> dict[str, torch.Tensor]:
    """The tensors of the file, all finite, by the names the network has for them. Nothing in the file is executed."""
    if weights.path is None:
        raise ValueError("random weights have no file to load")
    read = _read_safetensors if weights.path.suffix.lower() == ".safetensors" else _read_torch
    state = _state_dict_in(read(weights.path), weights.path)
    _check_finite(state, weights.path)
    return state


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        kind = kind_of(_head_of(path))
        if kind not in (None, "safetensors"):
            raise WeightsError(f"weights {path}: {kind}, not a safetensors file{_remedy(kind)}") from error
        raise WeightsError(f"weights {path}: damaged, incomplete, or no safetensors file ({error})") from error


def _read_torch(path: Path) -> Any:
    import pickle

    import torch

    is_zip = _check_head(path)
    if is_zip:
        _check_zip(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they advise whoever calls torch.load; ours are the errors below
            # Files in the older format, as VGG16's, cannot be mapped.
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"weights {path}: holds more than tensors, or is damaged; nothing was executed; convert it to .safetensors"
        ) from error
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to ask for
        raise WeightsError(f"weights {path}: {_damage(error)}") from error


def _check_head(path: Path) -> bool:
    """Whether the file is torch's zip format. Neither that nor a pickle: WeightsError with how it begins."""
    head = _head_of(path)
    if not head:
        raise WeightsError(f"weights {path}: the file is empty")
    if not head.startswith((b"PK\x03\x04", b"\x80")):
        if kind := kind_of(head):
            raise WeightsError(f"weights {path}: {kind}, not a PyTorch file{_remedy(kind)}")
        raise WeightsError(f"weights {path}: not a PyTorch file, it begins with {head[:32]!r}")
    return head.startswith(b"PK")


def _head_of(path: Path) -> bytes:
    try:
        return head_of(path)
    except OSError as error:
        raise WeightsError(f"weights {path}: {error.strerror or error}") from error


def _remedy(kind: str | None) -> str:
    return _REMEDIES.get(kind or "", "")


def _check_zip(path: Path) -> None:
    """Raise WeightsError for a zip that torch has not saved so: it maps what lies there, and looks at no checksum."""
    from zipfile import ZIP_STORED, ZipFile

    try:
        with ZipFile(path) as archive:
            members = archive.infolist()
            names = {member.filename.rpartition("/")[2] for member in members}
            is_stored = all(member.compress_type == ZIP_STORED for member in members)
            broken = archive.testzip() if is_stored else None
    except Exception as error:  # zipfile raises whatever the damaged bytes happen to make it do
        raise WeightsError(f"weights {path}: {_damage(error)}") from error
    problems = {
        "a zip archive, but not one that torch has saved": "data.pkl" not in names,
        "a TorchScript program, not a state dict": "constants.pkl" in names,
        "compressed by another program than torch; unpack it, and save its state dict again": not is_stored,
        f"damaged, or saved without checksums: that of {broken} in it is wrong; save it again": broken is not None,
    }
    if wrong := [problem for problem, holds in problems.items() if holds]:
        raise WeightsError(f"weights {path}: {wrong[0]}")


def _damage(error: Exception) -> str:
    return f"damaged or incomplete ({one_line(error)[:100]})"


def _state_dict_in(found: Any, path: Path) -> dict[str, torch.Tensor]:
    """The state dict itself, out of what training scripts and DataParallel wrap around it."""
    import torch

    if isinstance(found, Mapping):
        found = next((found[key] for key in _WRAPPERS if isinstance(found.get(key), Mapping)), found)
    if not isinstance(found, Mapping) or not found:
        raise WeightsError(f"weights {path}: no state dict in it, but {type(found).__name__}")
    for key, value in found.items():
        if not (isinstance(key, str) and isinstance(value, torch.Tensor) and value.layout == torch.strided):
            raise WeightsError(f"weights {path}: not a state dict: {key!r} is {type(value).__name__}, no plain tensor")
        if value.numel() * value.element_size() > max(value.untyped_storage().nbytes(), MOST_SPREAD):
            raise WeightsError(f"weights {path}: {key} has {value.numel():,} values, more than the file holds of it")
    prefix = "module." if all(key.startswith("module.") for key in found) else ""
    return {key.removeprefix(prefix): value.detach() for key, value in found.items()}


def _check_finite(state: dict[str, torch.Tensor], path: Path) -> None:
    for key, value in state.items():
        if value.is_floating_point() and value.numel() and not _is_finite(value):
            raise WeightsError(f"weights {path}: {key} holds values that are not finite (NaN or infinity)")


def _is_finite(tensor: torch.Tensor) -> bool:
    # NaN and infinity both reach the extremes; isfinite() would allocate as much as the tensor again.
    extremes = (tensor if tensor.element_size() > 1 else tensor.float()).aminmax()
    return bool(extremes.min.isfinite() and extremes.max.isfinite())


# ---- fit


def fit(model: torch.nn.Module, weights: Weights) -> None:
    """Give the model these weights, every one of them; WeightsError names what does not fit. Random: left as built.

    The model may be on the meta device: tensors take their place rather than being copied into it.
    """
    if weights.path is None:
        return
    needed = _tensors(model)
    found = _renamed(load_state_dict(weights), needed)
    _fill_counters(found, needed)
    if problems := _misfits(found, needed):
        raise WeightsError(f"weights {weights.path}: do not fit {type(model).__name__}: {'; '.join(problems)}")
    values = model.state_dict()  # keeps the versions of its modules, without which MNASNet takes no values
    values.update({key: _like(found[key], needed[key]) for key in needed})
    model.load_state_dict(values, assign=True)


def _tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    import torch

    return {key: value for key, value in model.state_dict().items() if isinstance(value, torch.Tensor)}


def _renamed(found: dict[str, torch.Tensor], needed: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors, those of older names under the names the model has for them."""
    return {key if key in needed else _newer_name(key): value for key, value in found.items()}


def _newer_name(key: str) -> str:
    for old, new in _RENAMED:
        key = re.sub(old, new, key)
    return key


def _fill_counters(found: dict[str, torch.Tensor], needed: dict[str, torch.Tensor]) -> None:
    """BatchNorm's num_batches_tracked: weights older than it lack it, and only training reads it."""
    import torch

    for key in needed:
        if key.endswith("num_batches_tracked") and key not in found:
            found[key] = torch.zeros((), dtype=torch.long)


def _misfits(found: dict[str, torch.Tensor], needed: dict[str, torch.Tensor]) -> list[str]:
    """One phrase for each kind of difference."""
    kinds = {
        "missing": [key for key in needed if key not in found],
        "unexpected": [key for key in found if key not in needed],
        "of another shape": [
            f"{key} found {tuple(found[key].shape)} needed {tuple(value.shape)}"
            for key, value in needed.items()
            if key in found and found[key].shape != value.shape
        ],
        "of another type": [
            f"{key} found {_type(found[key])} needed {_type(value)}"
            for key, value in needed.items()
            if key in found and value.is_floating_point() and not found[key].is_floating_point()
        ],
    }
    return [f"{len(names)} {kind} ({first_few(names, show=str)})" for kind, names in kinds.items() if names]


def _type(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _like(value: torch.Tensor, needed: torch.Tensor) -> torch.Tensor:
    """The value with the dtype and on the device that the model was built with (fp16 files are common)."""
    device = value.device if needed.is_meta else needed.device
    return value.to(device=device, dtype=needed.dtype)
