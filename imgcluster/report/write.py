"""The report of a run, written: the page, its data and its pictures, in the folder `report` of the run."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from imgcluster.errors import OutputError
from imgcluster.files import write_whole
from imgcluster.outputs.write import CLUSTERS
from imgcluster.report.gather import Facts, gather
from imgcluster.report.page import neighbour_chunks, page_data, render_page
from imgcluster.report.thumbnails import make_thumbnails
from imgcluster.runs import read_record
from imgcluster.scoring import Scores, score_labels

REPORT = "report"
PAGE, RECORD = "index.html", "report.json"
ASSETS = ("report.css", "report.js")
PLOTLY = "plotly.min.js"
LOCK = ".lock"
FORMAT = 1
EXPLAINED = "explain.json"


def write_report(
    run: str | Path,
    *,
    map: str | None = None,
    truth: str | Path | None = None,
    vectors: np.ndarray | None = None,
    show: bool = True,
) -> Path:
    """Write the report of a finished run into its folder, or write it anew; returns its page, report/index.html.

    map: how all images are laid out in two dimensions: pca, tsne or umap; None: as the last time, at first pca. truth:
    a CSV of known labels to compare with; None: that of the last time. vectors: the run's features, (n, dim) float32,
    where they are at hand. Raises OutputError: no finished run there, or a disk that fails; ConfigError: no such map, a
    truth that cannot be compared.
    """
    folder = Path(run)
    read_record(folder)
    home = folder / REPORT
    former = _former(home)
    kind = map or former.get("map", "pca")
    known = Path(truth) if truth else _still_there(former.get("truth"))
    facts = gather(folder, vectors=vectors, map_kind=kind)
    try:
        home.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{str(home)!r} cannot be written: {error.strerror or error}") from None
    with _locked(home):
        _write(home, facts, kind, known, show)
    return home / PAGE


def _write(home: Path, facts: Facts, kind: str, known: Path | None, show: bool) -> None:
    """Write all files of a report, the page last. Raises as `write_report`."""
    folder = facts.folder
    try:
        scores = score_labels(folder, known, out=home / "truth") if known else None
        thumbnails = make_thumbnails([facts.image(row).path for row in range(len(facts.ids))], home / "t", show=show)
        explained = _explained(folder, home)
        _write_parts(home, facts, thumbnails, scores, explained)
        _write_json(home / RECORD, _report_record(facts, kind, known))
        write_whole(home / PAGE, render_page(facts, thumbnails, scores, explained, kind, _charts(home)).encode())
    except OSError as error:
        raise OutputError(f"{str(home)!r} cannot be written: {error.strerror or error}") from None


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Let one process at a time write a report."""
    lock = FileLock(home / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise OutputError(f"{str(home)!r} is being written by another process; wait for it to end") from None
    except OSError as error:
        raise OutputError(f"{str(home)!r} cannot be written: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()


def discard_report(run: Path) -> None:
    """Remove the report of a run, where there is one that `write_report` has written."""
    if _former(run / REPORT):
        shutil.rmtree(run / REPORT, ignore_errors=True)


def _former(home: Path) -> dict[str, Any]:
    """Return the record of the report that is there; none where it cannot be read."""
    with suppress(OSError, ValueError):
        record = json.loads((home / RECORD).read_bytes())
        if isinstance(record, dict):
            return record
    return {}


def _still_there(truth: Any) -> Path | None:
    return Path(truth) if isinstance(truth, str) and Path(truth).is_file() else None


def _explained(folder: Path, home: Path) -> list[dict[str, Any]]:
    """Return the pictures that `explain` has made of these clusters; those of others are removed."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads((home / EXPLAINED).read_bytes())
        if record["clusters_sha256"] == hashlib.sha256((folder / CLUSTERS).read_bytes()).hexdigest():
            return [each for each in record["pictures"] if (home / each["file"]).is_file()]
    (home / EXPLAINED).unlink(missing_ok=True)
    shutil.rmtree(home / "explain", ignore_errors=True)
    return []


def _write_parts(
    home: Path, facts: Facts, thumbnails: list[str | None], scores: Scores | None, explained: list[dict[str, Any]]
) -> None:
    """Write all that the page loads, before the page itself."""
    import yaml

    assets = resources.files("imgcluster.report") / "assets"
    for name in ASSETS:
        write_whole(home / name, (assets / name).read_bytes())
    _copy_plotly(home)
    config = yaml.safe_dump(facts.config.resolved(), sort_keys=False, allow_unicode=True)
    write_whole(home / "config.yaml", config.encode())
    _write_script(home / "data.js", "imgclusterData", page_data(facts, thumbnails, explained))
    shutil.rmtree(home / "near", ignore_errors=True)
    (home / "near").mkdir()
    for number, chunk in enumerate(neighbour_chunks(facts)):
        _write_script(home / "near" / f"{number}.js", f"imgclusterNear{number}", chunk)
    if not scores:
        shutil.rmtree(home / "truth", ignore_errors=True)
    sweep = facts.folder / "sweep" / "sweep.svg"
    if sweep.is_file():
        write_whole(home / "sweep.svg", sweep.read_bytes())
    else:
        (home / "sweep.svg").unlink(missing_ok=True)


def _copy_plotly(home: Path) -> None:
    """Copy the charts' library: a page must not fetch it, and a newer one may draw otherwise."""
    source = resources.files("plotly") / "package_data" / PLOTLY
    data = source.read_bytes()
    place = home / PLOTLY
    if not place.is_file() or place.stat().st_size != len(data):
        write_whole(place, data)


def _write_script(path: Path, name: str, value: Any) -> None:
    """Write data as a script that sets a variable: a page that is opened from a file may load no other kind."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    write_whole(path, f"window.{name}={text};\n".encode())


def _write_json(path: Path, value: Any) -> None:
    write_whole(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).encode())


def _report_record(facts: Facts, kind: str, truth: Path | None) -> dict[str, Any]:
    silhouette = None if facts.scores is None or np.isnan(facts.scores.silhouette) else facts.scores.silhouette
    guesses = facts.guesses.by_cluster
    return {
        "format": FORMAT,
        "map": kind,
        "truth": None if truth is None else str(truth),
        "silhouette": silhouette,
        "names": {str(number): {"name": each.name, "share": each.share} for number, each in guesses.items()},
    }


def _charts(home: Path) -> list[str]:
    return [name for name in ("sweep.svg", "truth/confusion.svg") if (home / name).is_file()]
