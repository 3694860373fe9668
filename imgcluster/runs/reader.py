"""The record of a finished run, as others read it."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from imgcluster.config import Config, config_as_used, config_from_dict
from imgcluster.errors import OutputError
from imgcluster.images import open_all_again
from imgcluster.runs.places import places_of
from imgcluster.runs.remote import RECORD, finished_record
from imgcluster.runs.writer import CLUSTERS
from imgcluster.types import ImageFile, ImagePath
from imgcluster.utils import DEFAULT_STORAGE, Storage

# What lies in the folder of a run's report, as all who write there and read there call it.
REPORT, PAGE, REPORT_RECORD, REPORT_LOCK = "report", "index.html", "report.json", ".lock"
EXPLANATIONS, EXPLAINED = "explain", "explain.json"
_COLUMNS = ("id", "path", "cluster", "distance", "status")
_CLUSTER = re.compile("-?[0-9]{1,9}")
_DISTANCE = re.compile(r"(-?[0-9][0-9.e+-]*)?")


def read_record(run_folder: Path) -> dict[str, Any]:
    """Return what run.json of a finished run says. Raises OutputError: none there, damaged, not finished."""
    try:
        return finished_record((run_folder / RECORD).read_bytes(), str(run_folder))
    except OSError as error:
        raise OutputError(f"{str(run_folder)!r} is no run folder ({RECORD}: {error.strerror})") from None


def read_rows(run_folder: Path) -> list[dict[str, str]]:
    """Return the rows of clusters.csv of a run, in its order, as text. Raises OutputError: not there, damaged."""
    path = run_folder / CLUSTERS
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise OutputError(f"{str(path)!r}: {error.strerror}; run the config again with --force") from None
    except (ValueError, csv.Error):
        raise _damaged_table(path) from None
    wanted = read_record(run_folder).get("counts", {}).get("images", len(rows))
    if len(rows) != wanted or not all(_is_row(row) for row in rows):
        raise _damaged_table(path)
    return rows


def clusters_digest(run_folder: Path) -> str:
    """Return the sha256 of a run's clusters.csv, by which what was made of other clusters is known."""
    return hashlib.sha256((run_folder / CLUSTERS).read_bytes()).hexdigest()


def read_report_record(run_folder: Path) -> dict[str, Any]:
    """Return report.json of a run; nothing where there is none that can be read, or it is of other clusters."""
    with suppress(OSError, ValueError):
        record = json.loads((run_folder / REPORT / REPORT_RECORD).read_bytes())
        if isinstance(record, dict) and record.get("clusters_sha256") == clusters_digest(run_folder):
            return record
    return {}


def config_of(record: dict[str, Any], run_folder: Path) -> Config:
    """Return the config that gives a run again, of what run.json says.

    Its paths lead to where they led when the run was started, wherever this process is. After a fallback it names the
    network that was used, not the one that was asked for.
    """
    there = config_from_dict(places_of(run_folder, record).config(record["config"]))
    return config_as_used(there, record.get("features", []))


def listed_path(text: str, storage: Storage = DEFAULT_STORAGE) -> ImagePath:
    """Return the place that clusters.csv writes so: bytes that are no UTF-8 stand there as `\\udcNN`."""
    return listed_paths([text], storage)[0]


def listed_paths(texts: Sequence[str], storage: Storage = DEFAULT_STORAGE) -> list[ImagePath]:
    """Return the places that clusters.csv writes so; an archive that holds several of them is asked once."""
    there = [os.path.exists(text) for text in texts]  # noqa: PTH110 (Path.exists raises for a name that is too long)
    elsewhere = [_unescaped(text) for text, here in zip(texts, there, strict=True) if not here]
    others = iter(open_all_again(elsewhere, storage))
    return [Path(text) if here else next(others) for text, here in zip(texts, there, strict=True)]


def _unescaped(text: str) -> str:
    return re.sub(r"\\u(dc[89a-f][0-9a-f])", lambda code: chr(int(code[1], 16)), text)


def listed_images(rows: Sequence[Mapping[str, str]], storage: Storage = DEFAULT_STORAGE) -> list[ImageFile]:
    """Return the images of rows, as `Places.rows` has them, with what is known of each without reading it."""
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
    return OutputError(f"{str(path)!r} is damaged; run the config again with --force")
