"""The config and the images that run.json and clusters.csv of a finished run name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imgcluster.config import Config, config_as_used, config_from_dict
from imgcluster.images import open_all_again
from imgcluster.runs.places import places_of
from imgcluster.types import ImageFile, ImagePath
from imgcluster.utils import DEFAULT_STORAGE, Storage

SHARED_RANGE = "shared_range"  # in run.json: the limits of `images.range: shared`; null: no image gave any


def config_of(record: dict[str, Any], run_folder: Path) -> Config:
    """Return the config that repeats a run, from its run.json.

    Its paths are resolved from where the run was started. After a fallback it names the network that was used.
    """
    there = config_from_dict(places_of(run_folder, record).config(record["config"]))
    if (limits := record.get(SHARED_RANGE)) is not None:
        there = there.with_limits((float(limits[0]), float(limits[1])))
    return config_as_used(there, record.get("features", []))


def listed_path(text: str, storage: Storage = DEFAULT_STORAGE) -> ImagePath:
    """Return the path for its text in clusters.csv, where bytes that are not UTF-8 are `\\udcNN`."""
    return listed_paths([text], storage)[0]


def listed_paths(texts: Sequence[str], storage: Storage = DEFAULT_STORAGE) -> list[ImagePath]:
    """Return the paths for their texts in clusters.csv; an archive with several of them is opened once."""
    there = [os.path.exists(text) for text in texts]
    elsewhere = [_unescaped(text) for text, here in zip(texts, there, strict=True) if not here]
    others = iter(open_all_again(elsewhere, storage))
    return [Path(text) if here else next(others) for text, here in zip(texts, there, strict=True)]


def _unescaped(text: str) -> str:
    return re.sub(r"\\u(dc[89a-f][0-9a-f])", lambda code: chr(int(code[1], 16)), text)


def listed_images(rows: Sequence[Mapping[str, str]], storage: Storage = DEFAULT_STORAGE) -> list[ImageFile]:
    """Return the images of rows from `Places.rows`, with their stamps, without reading them."""
    from imgcluster.features import with_stamps  # which needs OpenCV

    places = with_stamps(listed_paths([row["path"] for row in rows], storage))
    return [ImageFile(row["id"], place) for row, place in zip(rows, places, strict=True)]
