"""Read run.json, clusters.csv and report.json of a finished run."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

from imgcluster.config import Config, RunFiles, config_as_used, config_from_dict
from imgcluster.errors import OutputError
from imgcluster.images import open_all_again
from imgcluster.runs.places import places_of
from imgcluster.runs.remote import finished_record
from imgcluster.types import ImageFile, ImagePath
from imgcluster.utils import DEFAULT_STORAGE, Storage, parse_json

_COLUMNS = ("id", "path", "cluster", "distance", "status")
_CLUSTER = re.compile("-?[0-9]{1,9}")
_DISTANCE = re.compile(r"(-?[0-9][0-9.e+-]*)?")


def read_record(run_folder: Path) -> dict[str, Any]:
    """Return run.json of a finished run. Raises OutputError: none there, damaged, not finished."""
    try:
        return finished_record((run_folder / RunFiles.RECORD).read_bytes(), str(run_folder))
    except OSError as error:
        raise OutputError(f"{str(run_folder)!r} is no run folder ({RunFiles.RECORD}: {error.strerror})") from None


def read_rows(run_folder: Path) -> list[dict[str, str]]:
    """Return the rows of clusters.csv of a run, in its order, as text. Raises OutputError: not there, damaged."""
    path = run_folder / RunFiles.CLUSTERS
    return rows_in(read_bytes(path), path, read_record(run_folder))


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file of a run. Raises OutputError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise OutputError(f"{str(path)!r}: {error.strerror}; run the config again with force=True") from None


def rows_in(data: bytes, path: Path, record: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the rows of a clusters.csv as text, as many as the record counts images. Raises OutputError: damaged."""
    try:
        rows = list(csv.DictReader(StringIO(data.decode(), newline="")))
    except (ValueError, csv.Error):
        raise _damaged_table(path) from None
    wanted = record.get("counts", {}).get("images", len(rows))
    if len(rows) != wanted or not all(_is_row(row) for row in rows):
        raise _damaged_table(path)
    return rows


def clusters_digest(run_folder: Path) -> str:
    """Return the sha256 of a run's clusters.csv: reports and explanations of other clusters have another."""
    return hashlib.sha256((run_folder / RunFiles.CLUSTERS).read_bytes()).hexdigest()


def read_report_record(run_folder: Path, clusters_sha256: str | None = None) -> dict[str, Any]:
    """Return report.json of a run; nothing where there is none that can be read, or it is of other clusters.

    clusters_sha256: the digest of clusters.csv, where it is known.
    """
    with suppress(OSError, ValueError):
        record = parse_json((run_folder / RunFiles.REPORT / RunFiles.REPORT_RECORD).read_bytes())
        digest = clusters_sha256 or clusters_digest(run_folder)
        if isinstance(record, dict) and record.get("clusters_sha256") == digest:
            return record
    return {}


def config_of(record: dict[str, Any], run_folder: Path) -> Config:
    """Return the config that repeats a run, from its run.json.

    Its paths are resolved from where the run was started. After a fallback it names the network that was used.
    """
    there = config_from_dict(places_of(run_folder, record).config(record["config"]))
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


def _is_row(row: dict[str, str]) -> bool:
    if any(row.get(column) is None for column in _COLUMNS):
        return False
    return row["status"] == "failed" or bool(
        _CLUSTER.fullmatch(row["cluster"]) and _DISTANCE.fullmatch(row["distance"])
    )


def _damaged_table(path: Path) -> OutputError:
    return OutputError(f"{str(path)!r} is damaged; run the config again with force=True")
