"""A finished run at a glance: its clusters with their sizes, names and typical images."""

from __future__ import annotations

import heapq
import math
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgcluster.config import RunFiles
from imgcluster.errors import ConfigError, OutputError
from imgcluster.runs.cluster_names import recorded_names
from imgcluster.runs.reader import read_record, read_report_record, read_rows
from imgcluster.types import NOISE

if TYPE_CHECKING:
    from imgcluster.config import AutoRecord


@dataclass(frozen=True)
class Group:
    """Images that belong together: a cluster, by its number, or `noise` or `failed`.

    name: the one that is known; suggested: {"name", "share"}, the report's guess where none is. typical: ids, the
    nearest to the centroid first; of noise and failed images the first ones.
    """

    label: str
    size: int
    share: float
    typical: list[str]
    name: str | None = None
    suggested: dict[str, Any] | None = None


@dataclass(frozen=True)
class Overview:
    """What `show` tells of a run.

    auto: what `backbone: auto` chose and passed over. silhouette: where a report has it. report: its page, where there
    is one.
    """

    run: str
    finished: str
    images: int
    backbones: list[str]
    fallbacks: list[dict[str, str]]
    auto: AutoRecord | None
    silhouette: float | None
    clusters: list[Group]
    others: list[Group] = field(default_factory=list)
    report: str | None = None


def run_overview(run: str | Path, *, typical: int = 3) -> Overview:
    """Look at a finished run, with so many typical ids of each cluster. Raises OutputError: no finished run there."""
    if typical < 0:
        raise ConfigError(f"typical: {typical}; allowed: whole numbers >= 0")
    folder = Path(run)
    record, rows = read_record(folder), read_rows(folder)
    report = read_report_record(folder)
    images = _by_label(rows)
    numbers = sorted({label for label in images if isinstance(label, int)} - {NOISE})
    names = recorded_names(record)
    origins = [origin for origin in record.get("features", ()) if isinstance(origin, dict)]
    page = folder / RunFiles.REPORT / RunFiles.PAGE

    def group(word: str, label: int | str) -> Group:
        found = images.get(label, [])
        nearest = [id for _, _, id in heapq.nsmallest(typical, found)]
        return Group(word, len(found), len(found) / max(1, len(rows)), nearest)

    return Overview(
        run=str(run),
        finished=str(record.get("finished", "")),
        images=len(rows),
        backbones=[_backbone(origin) for origin in origins],
        fallbacks=[origin["fallback"] for origin in origins if origin.get("fallback")],
        auto=_auto(record.get("auto_backbone")),
        silhouette=_number(report.get("silhouette")),
        clusters=[
            replace(
                group(str(number), number),
                name=names.get(number),
                suggested=None if number in names else _guess(report, number),
            )
            for number in numbers
        ],
        others=[group(word, label) for label, word in ((NOISE, "noise"), ("failed", "failed")) if label in images],
        report=str(page) if page.is_file() else None,
    )


def report_page(run: str | Path) -> Path:
    """Return the page of a run's report. Raises OutputError: there is none."""
    page = Path(run) / RunFiles.REPORT / RunFiles.PAGE
    if not page.is_file():
        raise OutputError(f"{str(run)!r} has no report; python -m imgcluster report {shlex.quote(str(run))} makes it")
    return page


def _by_label(rows: Sequence[Mapping[str, str]]) -> dict[int | str, list[tuple[float, int, str]]]:
    """Return distance, place and id of the images of each cluster, and of those that failed."""
    found: dict[int | str, list[tuple[float, int, str]]] = {}
    for place, row in enumerate(rows):
        label = "failed" if row["status"] == "failed" else int(row["cluster"])
        found.setdefault(label, []).append((_distance(row["distance"]), place, row["id"]))
    return found


def _distance(text: str) -> float:
    with suppress(ValueError):
        return float(text)
    return math.inf


def _guess(report: Mapping[str, Any], number: int) -> dict[str, Any] | None:
    names = report.get("names")
    guess = names.get(str(number)) if isinstance(names, dict) else None
    if not isinstance(guess, dict) or not isinstance(guess.get("name"), str):
        return None
    return {"name": guess["name"], "share": _number(guess.get("share"))}


def _auto(found: Any) -> AutoRecord | None:
    """Return the record of `backbone: auto`; None where a run has none, or a damaged one."""
    with suppress(TypeError, KeyError, AttributeError):
        passed = [{**_entry(each), "kind": str(each["kind"])} for each in found["passed_over"]]
        return {**found, **_entry(found), "passed_over": passed}
    return None


def _entry(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"backbone": [str(name) for name in found["backbone"]], "why": str(found["why"])}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _backbone(origin: Mapping[str, Any]) -> str:
    if origin.get("runtime") == "file":
        return f"{origin.get('weights_file')}, {origin.get('dim')}-d"
    return f"{origin.get('backbone')} {origin.get('layer')}, {origin.get('dim')}-d, {origin.get('weights')}"
