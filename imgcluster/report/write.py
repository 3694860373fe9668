"""The report of a run, written: the page, its data and its pictures, in the folder `report` of the run."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from imgcluster.errors import ConfigError, OutputError
from imgcluster.evaluation import Scores, score_labels
from imgcluster.features import any_there
from imgcluster.report.gather import Facts, gather
from imgcluster.report.page import config_text, neighbour_chunks, page_data, render_page
from imgcluster.report.thumbnails import make_thumbnails
from imgcluster.runs import (
    EXPLAINED,
    EXPLANATIONS,
    PAGE,
    REPORT,
    REPORT_LOCK,
    REPORT_RECORD,
    clusters_digest,
    listed_paths,
    read_record,
    read_report_record,
)
from imgcluster.types import ImagePath
from imgcluster.utils import write_whole

ASSETS = ("report.css", "report.js")
PLOTLY = "plotly.min.js"
FORMAT = 1

logger = logging.getLogger(__name__)


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
    known labels to compare with, a CSV or a folder with a subfolder for each label; None: that of the last time. Other
    clusters forget both. vectors: the run's features, (n, dim) float32, where they are at hand.
    Raises OutputError: no finished run there, a disk that fails, or none of the images is there any more; ConfigError:
    no such map, a truth that cannot be compared.
    """
    folder = Path(run)
    read_record(folder)
    home = folder / REPORT
    try:
        home.mkdir(exist_ok=True)
        with FileLock(home / REPORT_LOCK).acquire(timeout=0):
            _write(folder, map, Path(truth) if truth else None, vectors, show)
    except Timeout:
        raise OutputError(f"{str(home)!r} is being written by another process; wait for it to end") from None
    except OSError as error:
        raise OutputError(f"{str(home)!r} cannot be written: {error.strerror or error}") from None
    return home / PAGE


def discard_report(run: Path) -> None:
    """Remove the report of a run, where there is one that `write_report` has written."""
    if (run / REPORT / ASSETS[-1]).is_file():
        shutil.rmtree(run / REPORT, ignore_errors=True)


def _write(folder: Path, kind: str | None, truth: Path | None, vectors: np.ndarray | None, show: bool) -> None:
    """Write all files of a report, the page last. Raises as `write_report`, and OSError."""
    home = folder / REPORT
    former = read_report_record(folder)
    kind = kind or str(former.get("map", "pca"))
    facts = gather(folder, vectors=vectors, map_kind=kind)
    paths = listed_paths(list(map(facts.where.image, facts.paths)), facts.where.storage)
    _check_there(facts, paths)
    scores, truth = _scores(folder, truth, former.get("truth"))
    # From here on the page would be of other data than it was written for.
    (home / PAGE).unlink(missing_ok=True)
    (home / REPORT_RECORD).unlink(missing_ok=True)
    thumbnails = make_thumbnails(paths, home / "t", show=show)
    explained = _explained(folder)
    _write_parts(home, facts, thumbnails, explained)
    charts = _charts(home, scores is not None)
    write_whole(home / PAGE, render_page(facts, thumbnails, scores, explained, kind, charts).encode())
    record = json.dumps(_record(facts, kind, truth), indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(home / REPORT_RECORD, record.encode())


def _check_there(facts: Facts, paths: Sequence[ImagePath]) -> None:
    """Refuse to put a report without a picture in the place of a good one."""
    fine = [paths[row] for row in facts.fine]
    if fine and facts.config.features.file is None and not any_there(fine):
        raise OutputError(facts.where.lost(len(fine)))


def _scores(folder: Path, asked: Path | None, former: Any) -> tuple[Scores | None, Path | None]:
    """Compare with the truth that is asked for, or else, where it still fits, with that of the last time."""
    truth = asked or (Path(former) if isinstance(former, str) else None)
    if truth is None:
        return None, None
    try:
        return score_labels(folder, truth, out=folder / REPORT / "truth"), truth.resolve()
    except ConfigError as error:
        if asked:
            raise
        logger.warning("the report has no scores any more: %s", error)
        return None, None


def _explained(folder: Path) -> list[dict[str, Any]]:
    """Return the pictures that `explain` has made of these clusters; those of others are removed."""
    home = folder / REPORT
    with suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads((home / EXPLAINED).read_bytes())
        if record["clusters_sha256"] == clusters_digest(folder):
            return [each for each in record["pictures"] if (home / each["file"]).is_file()]
    (home / EXPLAINED).unlink(missing_ok=True)
    shutil.rmtree(home / EXPLANATIONS, ignore_errors=True)
    return []


def _write_parts(home: Path, facts: Facts, thumbnails: list[str | None], explained: list[dict[str, Any]]) -> None:
    """Write all that the page loads, before the page itself."""
    assets = resources.files("imgcluster.report") / "assets"
    for name in ASSETS:
        write_whole(home / name, (assets / name).read_bytes())
    _copy_plotly(home)
    write_whole(home / "config.yaml", config_text(facts).encode())
    _write_script(home / "data.js", "imgclusterData", page_data(facts, thumbnails, explained))
    shutil.rmtree(home / "near", ignore_errors=True)
    (home / "near").mkdir()
    for number, chunk in enumerate(neighbour_chunks(facts)):
        _write_script(home / "near" / f"{number}.js", f"imgclusterNear{number}", chunk)


def _charts(home: Path, scored: bool) -> list[str]:
    """Return the charts that the page shows, and remove those that it does not."""
    sweep = home.parent / "sweep" / "sweep.svg"
    if sweep.is_file():
        write_whole(home / "sweep.svg", sweep.read_bytes())
    else:
        (home / "sweep.svg").unlink(missing_ok=True)
    if not scored:
        shutil.rmtree(home / "truth", ignore_errors=True)
    return [name for name in ("sweep.svg", "truth/confusion.svg") if (home / name).is_file()]


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


def _record(facts: Facts, kind: str, truth: Path | None) -> dict[str, Any]:
    silhouette = None if facts.scores is None or np.isnan(facts.scores.silhouette) else facts.scores.silhouette
    guesses = facts.guesses.by_cluster
    return {
        "format": FORMAT,
        "clusters_sha256": clusters_digest(facts.folder),
        "map": kind,
        "truth": None if truth is None else str(truth),
        "silhouette": silhouette,
        "sampled": len(facts.looked) if len(facts.looked) < len(facts.fine) else None,
        "names": {str(number): {"name": each.name, "share": each.share} for number, each in guesses.items()},
    }
