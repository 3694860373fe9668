"""Finished runs without a network: images are bytes, and their clusters are given."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgcluster.runs.tables import write_rows
from imgcluster.runs.writer import path_text
from imgcluster.types import ImageFile

COLUMNS = ("id", "path", "cluster", "distance", "runner_up", "runner_up_distance", "status", "error")
MTIME = 1_600_000_000_123_456_789


def make_run(
    root: Path,
    images: Mapping[str, tuple[str, bytes | None]],
    *,
    links: Mapping[str, tuple[str, str]] | None = None,
    names: Mapping[str, str] | None = None,
    **record: Any,
) -> Path:
    """Write images below `root/images` and a run of them in `root/run`; returns the run folder.

    images: by path, the cluster, or `failed`, and the bytes, None: no file. links: the same, and what the link says.
    """
    for name, (_, data) in images.items():
        if data is not None:
            path = root / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            os.utime(path, ns=(MTIME, MTIME))
    for name, (_, text) in (links or {}).items():
        (root / "images" / name).symlink_to(text)
    clusters = {name: cluster for name, (cluster, _) in {**images, **(links or {})}.items()}
    write_run(root / "run", root / "images", clusters, names=names, **record)
    return root / "run"


def write_run(run: Path, images: Path, clusters: Mapping[str, str], *, names: object = None, **record: Any) -> None:
    run.mkdir(exist_ok=True)
    config = {"images": {"folder": str(images)}, "outputs": {"folder": str(run), "names": names}}
    rows = [_row(name, images / name, cluster, place) for place, (name, cluster) in enumerate(clusters.items())]
    with (run / "clusters.csv").open("w", newline="", encoding="utf-8") as file:
        write_rows(file.write, [COLUMNS, *rows])
    (run / "run.json").write_text(json.dumps({"status": "done", "config": config, **record}))


def _row(name: str, path: Path, cluster: str, place: int) -> list[str]:
    id = os.fsencode(name).decode("utf-8", "backslashreplace")
    text = path_text(ImageFile(id, path))
    if cluster == "failed":
        return [id, text, "", "", "", "", "failed", "cannot be decoded"]
    return [id, text, cluster, "" if cluster == "-1" else str(100 - place), "", "", "ok", ""]


def snapshot(root: Path) -> dict[str, tuple[object, ...]]:
    """Return all that lies below a folder: links by what they say, files by bytes, time and permissions."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        if path.is_symlink():
            found[str(path.relative_to(root))] = ("link", str(path.readlink()))
        elif path.is_file():
            found[str(path.relative_to(root))] = (path.read_bytes(), status.st_mtime_ns, status.st_mode)
        else:
            found[str(path.relative_to(root))] = ("folder",)
    return found
