"""The weights of the catalogue on this machine: where they lie, and whether they were checked."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace
from pathlib import Path

from imgcluster.backbones.auto import CANDIDATES, candidate_megabytes
from imgcluster.backbones.clip_networks import CLIP_MEGABYTES, CLIP_NETWORKS
from imgcluster.backbones.clip_networks import PREFIX as CLIP_PREFIX
from imgcluster.backbones.select import check_fit, find_backbone
from imgcluster.backbones.timm_networks import PREFIX, match_timm
from imgcluster.backbones.weights.load import Weights, find_weights
from imgcluster.backbones.weights.locate import (
    are_good,
    are_here,
    cached_repositories,
    damage_of,
    place_of,
    published_sha256,
)
from imgcluster.backbones.weights.reach import forget_unreached
from imgcluster.config import BACKBONES, BUNDLED, Backbone, FeaturesConfig
from imgcluster.errors import ConfigError, WeightsError, WeightsUnavailable
from imgcluster.utils import file_sha256, known_sha256

CHECKED, NOT_CHECKED, DAMAGED, MISSING, NOT_NEEDED = "checked", "not checked", "damaged", "missing", "not needed"


@dataclass(frozen=True)
class WeightsRow:
    """The pretrained weights of a backbone. state: checked (its sha256 is right), not checked, damaged or missing.

    path: where they are, or will be; None where only a download tells. megabytes: None where that is unknown. Of a
    backbone without weights the state is `not needed`, and there is no path.
    """

    name: str
    megabytes: float | None
    state: str
    licence: str
    path: Path | None

    @property
    def is_good(self) -> bool:
        """Whether they are here, and their sha256 is right."""
        return self.state == CHECKED


def list_weights(pattern: str = "", *, check: bool = False) -> list[WeightsRow]:
    """Return the weights of the backbones that match a pattern; without one, those here and those of `backbone: auto`.

    check: read the files that were not checked since they last changed.
    """
    return [describe_weights(backbone, check) for backbone in _backbones(pattern)]


def get_weights(name: str, *, show: bool = True) -> WeightsRow:
    """Download the weights of a backbone, if they are not here or damaged, and check them.

    Raises:
        ConfigError: There is no such backbone.
        WeightsUnavailable: They cannot be downloaded.
        WeightsError: They are those of another network, which no digest tells.
    """
    backbone = find_backbone(name)
    forget_unreached()
    check_fit(backbone, find_weights(backbone, "imagenet", progress=show))
    return describe_weights(backbone, check=True)


def _backbones(pattern: str) -> list[Backbone]:
    if pattern.startswith(PREFIX):
        return match_timm(pattern if set(pattern) & set("*?[") else f"{PREFIX}*{pattern.removeprefix(PREFIX)}*")
    if pattern.startswith(CLIP_PREFIX):
        return [find_backbone(name) for name in CLIP_NETWORKS if fnmatch.fnmatchcase(name, f"{pattern}*")]
    if pattern:
        glob = pattern if set(pattern) & set("*?[") else f"*{pattern}*"
        return [BACKBONES[name] for name in fnmatch.filter(BACKBONES, glob)]
    names = [name for candidate in CANDIDATES for name in candidate.backbones]
    names += [name for name, backbone in BACKBONES.items() if are_here(backbone)]
    names += [f"{PREFIX}{name}" for name in cached_repositories("timm")]
    names += CLIP_NETWORKS
    found: dict[str, Backbone] = {}
    for name in names:
        try:
            backbone = find_backbone(name)
        except ConfigError:  # its package is not installed, or does not know it
            continue
        found.setdefault(backbone.name.partition("@")[0], backbone)
    return [backbone for backbone in found.values() if backbone.has_weights]


def describe_weights(backbone: Backbone, check: bool) -> WeightsRow:
    """Return the row of a backbone. check: read the file, unless it was checked since it last changed."""
    if not backbone.has_weights:
        return WeightsRow(backbone.name, 0.0, NOT_NEEDED, backbone.licence, None)
    path = place_of(backbone)
    size = None if path is None or not path.is_file() else path.stat().st_size / 2**20
    megabytes = size or backbone.megabytes or candidate_megabytes(backbone) or CLIP_MEGABYTES.get(backbone.name)
    row = WeightsRow(backbone.name, megabytes, MISSING, backbone.licence, path)
    if path is None or size is None:
        return row
    if not are_here(backbone):
        return replace(row, state=DAMAGED)
    published = published_sha256(backbone, path)
    try:
        found = file_sha256(path) if check else known_sha256(path)
    except OSError as error:
        raise WeightsError(f"weights {path}: {error.strerror or error}") from None
    if found is None or not published:
        return replace(row, state=NOT_CHECKED)
    return replace(row, state=CHECKED if found.startswith(published) else DAMAGED)


def find_clip_weights(backbone: Backbone, max_bytes: float, *, show: bool) -> Weights:
    """Return the weights of a network of CLIP, downloaded where need be, and no more than so many bytes.

    Raises WeightsUnavailable.
    """
    megabytes = CLIP_MEGABYTES[backbone.name]
    if not are_good(backbone) and megabytes * 2**20 > max_bytes:
        raise WeightsUnavailable(
            f"weights of {backbone.name} are not on this machine, and {megabytes:.0f} MB to download are more than "
            f"features.download allows; get them: imgcluster weights get {backbone.name}"
        )
    return find_weights(backbone, "imagenet", progress=show)


def missing_weights(config: FeaturesConfig) -> list[str]:
    """Return a line for each backbone of a config whose pretrained weights are not on this machine, or damaged.

    Raises:
        WeightsUnavailable: Nothing can be used instead, and they cannot be downloaded.
        WeightsError: They are those of another network.
    """
    if config.weights != "imagenet" or config.file is not None:
        return []
    lines = []
    for row in map(find_backbone, config.backbones):
        falls_back = config.fallback is not None and config.fallback != row.name
        is_good, can_download = are_good(row), config.max_download_bytes > 0 and row.name not in BUNDLED
        if config.auto is not None and not is_good and can_download:
            continue  # the lines about the choice say it
        if can_download and not is_good:
            what = "a run downloads them" + (f", or uses {config.fallback} if it cannot" if falls_back else "")
        elif not is_good and falls_back:
            what = f"a run uses {config.fallback} instead"
        else:
            check_fit(row, find_weights(row, "imagenet", progress=False, download=False))
            continue
        size = "" if row.megabytes is None else f" ({row.megabytes:.0f} MB)"
        state = "damaged" if damage_of(row) else "not on this machine"
        lines.append(f"weights of {row.name}{size} are {state}; {what}")
    return lines
