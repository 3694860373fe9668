"""From a backbone's name, be it the table's, timm's or an old one, to its row."""

from __future__ import annotations

import difflib
from dataclasses import replace

from imgcluster.backbones.timm_networks import PREFIX, find_timm
from imgcluster.config import BACKBONES, OLD_NAMES, REFUSED, Backbone, known_elsewhere
from imgcluster.errors import ConfigError


def find_backbone(name: str) -> Backbone:
    """Return the row a name stands for; an old name's has the layer and the dim of the older tool.

    Raises ConfigError where there is no such network, with the nearest names, or where timm is not installed.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    if name.startswith(PREFIX):
        return find_timm(name)
    if name in OLD_NAMES:
        old = OLD_NAMES[name]
        row = find_backbone(old.backbone)
        return replace(row, default_layer=old.layer or row.default_layer, dim=old.dim)
    names = [*BACKBONES, *OLD_NAMES]
    meant, near = known_elsewhere(name, names), difflib.get_close_matches(name, names, 3)
    hint = f"; did you mean {meant}?" if meant else f"; near it: {', '.join(near)}" if near else ""
    reason = f"{name!r}: {REFUSED[name]}" if name in REFUSED else f"there is no backbone {name!r}{hint}"
    raise ConfigError(f"features.backbone: {reason}")
