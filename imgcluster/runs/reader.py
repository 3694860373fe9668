"""Read run.json, clusters.csv and report.json of a finished run."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

from imgcluster.config import RunFiles
from imgcluster.errors import OutputError
from imgcluster.utils import parse_json

_COLUMNS = ("id", "path", "cluster", "distance", "status")
_CLUSTER = re.compile("-?[0-9]{1,9}")
_NUMBER = re.compile(r"(-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?)?")
_KINDS: dict[str, type] = {
    **dict.fromkeys(("config", "counts", "seconds", "versions"), dict),
    **dict.fromkeys(("features", "cluster_sizes", "notes", "failures"), list),
}


def read_record(run_folder: Path) -> dict[str, Any]:
    """Return run.json of a finished run. Raises OutputError: none there, damaged, not finished."""
    try:
        return finished_record((run_folder / RunFiles.RECORD).read_bytes(), str(run_folder))
    except OSError as error:
        raise OutputError(f"{str(run_folder)!r} is not a run folder ({RunFiles.RECORD}: {error.strerror})") from None


def finished_record(data: bytes, folder: str) -> dict[str, Any]:
    """Return what run.json of a finished run says. Raises OutputError: damaged, not finished."""
    try:
        record = parse_json(data)
        finished = record["status"] == "done"
        if finished and not all(isinstance(record.get(key, kind()), kind) for key, kind in _KINDS.items()):
            raise ValueError("another kind of value")
        if finished and "config" not in record:
            raise ValueError("nothing to know the run by")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise OutputError(
            f"{f'{folder}/{RunFiles.RECORD}'!r} is damaged; run the config again with force=True"
        ) from None
    if not finished:
        raise OutputError(f"the run in {folder!r} is not finished; run its config again")
    return dict(record)


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


def _is_row(row: dict[str, str]) -> bool:
    if any(row.get(column) is None for column in _COLUMNS):
        return False
    if row["status"] == "failed":
        return True
    numbers = (row["distance"], row.get("probability") or "")
    return bool(_CLUSTER.fullmatch(row["cluster"])) and all(map(_NUMBER.fullmatch, numbers))


def _damaged_table(path: Path) -> OutputError:
    return OutputError(f"{str(path)!r} is damaged; run the config again with force=True")
