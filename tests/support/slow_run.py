"""A run that takes a while, to be interrupted, and how far it has come."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.conftest import write_pictures, write_template
from tests.support.warm import Running


def slow_config(tmp_path: Path, count: int = 60) -> Path:
    write_pictures(tmp_path / "many", range(count))
    write_template(tmp_path / "many.csv", range(count))
    path = tmp_path / "many.yaml"
    path.write_text(
        "images: {folder: many, ids: many.csv}\n"
        "features: {backbone: efficientnet_lite0, views: ten_crops, runtime: openvino, batch_size: 1, store: store}\n"
        "clusters: {n_clusters: 3}\noutputs: {folder: out}\n"
    )
    return path


def stored(folder: Path) -> int:
    """Images with a row in a shard that counts; a kill in the middle of joining shards leaves some twice."""
    return len(
        {row[0] for path in folder.glob("efficient*/index-*.json") for row in json.loads(path.read_text())["images"]}
    )


def shards(store: Path) -> int:
    return len(list(store.glob("efficient*/index-*.json")))


def wait_for_shards(process: Running, store: Path, least: int) -> None:
    deadline = time.monotonic() + 120
    while process.poll() is None and shards(store) < least:
        assert time.monotonic() < deadline
        time.sleep(0.005)
