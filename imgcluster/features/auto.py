"""The choice of `backbone: auto`, kept in the feature store: the same config finds the same network again."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from imgcluster.backbones import choose_auto
from imgcluster.config import AutoRecord, Config, FeaturesConfig
from imgcluster.features.store.backend import files_of
from imgcluster.utils import Place, Storage, fingerprint_of, parse_json


def settled(config: Config, *, show: bool = True, download: bool = True) -> Config:
    """Return the config with the backbone of `backbone: auto` chosen; unchanged where it names one.

    download: False only asks servers whether they have the weights; a run takes another network if a download breaks.
    """
    root = Storage(config.storage).place(config.features.store)
    return config.model_copy(update={"features": settled_features(config.features, root, show=show, download=download)})


def settled_features(
    config: FeaturesConfig, root: Place, *, show: bool = True, download: bool = True
) -> FeaturesConfig:
    """Return the section with the backbone of `backbone: auto` chosen. root: the folder of the stores."""
    if not config.needs_choice or config.file is not None:
        return config
    return choose_auto(config, kept=_read(config, root), progress=show, download=download)


def keep_choice(config: FeaturesConfig, root: Place) -> None:
    """Keep a choice beside the features. Where it cannot be written, the next run chooses anew."""
    if config.auto is None or config.auto == _read(config, root):
        return
    with suppress(OSError):
        if isinstance(root, Path):
            root.mkdir(parents=True, exist_ok=True)
        files_of(root).write(_name(config), [json.dumps(dict(config.auto), indent=2).encode()])


def _read(config: FeaturesConfig, root: Place) -> AutoRecord | None:
    with suppress(OSError, ValueError):
        found = parse_json(files_of(root).read(_name(config)))
        passed = found.get("passed_over") if isinstance(found, dict) else None
        if isinstance(passed, list) and all(isinstance(each, dict) for each in passed):
            return dict(found)
    return None


def _name(config: FeaturesConfig) -> str:
    """Return the file's name, a digest of the keys on which a choice depends, but for the largest download."""
    keys = ("weights", "preprocess", "views", "device", "runtime")
    values = config.model_dump(mode="json", include=set(keys))
    return f"auto-{fingerprint_of(values)}.json"
