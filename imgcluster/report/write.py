"""Write the report of a run: the page, its data and its thumbnails, in the folder `report` of the run."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from imgcluster.config import RunFiles
from imgcluster.errors import ConfigError, OutputError
from imgcluster.evaluation import Scores, score_labels
from imgcluster.features import any_there
from imgcluster.report.cluster_names import Guess
from imgcluster.report.gather import Earlier, Facts, gather
from imgcluster.report.page import Page, config_text, neighbour_chunks, page_data, render_page
from imgcluster.report.thumbnails import make_thumbnails
from imgcluster.runs import FinishedRun, RunResult, listed_paths, read_report_record, read_run
from imgcluster.types import ImagePath
from imgcluster.utils import parse_json, write_whole

ASSETS = ("report.css", "report.js")
PLOTLY = "plotly.min.js"
FORMAT = 1

logger = logging.getLogger(__name__)


def write_report(
    run: str | Path | RunResult,
    *,
    map: str | None = None,
    truth: str | Path | None = None,
    vectors: np.ndarray | None = None,
    show: bool = True,
) -> Path:
    """Write the report of a finished run into its folder, or write it anew; returns its page, report/index.html.

    run: its folder, or what `imgcluster.run` returned; then no file of the run is read, and no network runs to guess
    names. map: how all images are laid out in two dimensions: pca, tsne or umap; None: as the last time, at first pca.
    truth: known labels to compare with, a CSV or a folder with a subfolder for each label; None: that of the last time.
    Other clusters forget both. vectors: the run's features, (n, dim) float32, where they are at hand.
    Raises OutputError: no finished run there, a disk that fails, or none of the images is there any more; ConfigError:
    no such map, a truth that cannot be compared.
    """
    report_with_facts(run, map=map, truth=truth, vectors=vectors, show=show)
    return (run.folder if isinstance(run, RunResult) else Path(run)) / RunFiles.REPORT / RunFiles.PAGE


def report_with_facts(
    run: str | Path | RunResult,
    *,
    map: str | None = None,
    truth: str | Path | None = None,
    vectors: np.ndarray | None = None,
    show: bool = True,
) -> Facts:
    """Write the report of a run as `write_report` does, and return what it shows."""
    finished = read_run(run)
    home = finished.folder / RunFiles.REPORT
    is_asked_for = not isinstance(run, RunResult)
    try:
        home.mkdir(exist_ok=True)
        with FileLock(home / RunFiles.LOCK).acquire(timeout=0):
            return _write(finished, _Request(map, Path(truth) if truth else None, vectors, is_asked_for, show))
    except Timeout:
        raise OutputError(f"{str(home)!r} is being written by another process; wait for it to end") from None
    except OSError as error:
        raise OutputError(f"{str(home)!r} cannot be written: {error.strerror or error}") from None


def discard_report(run: Path) -> None:
    """Remove the report of a run, where there is one that `write_report` has written."""
    if (run / RunFiles.REPORT / ASSETS[-1]).is_file():
        shutil.rmtree(run / RunFiles.REPORT, ignore_errors=True)


@dataclass(frozen=True)
class _Request:
    """What a report is to have, as `write_report` takes it. run_network: whether a network may run to guess names."""

    map: str | None
    truth: Path | None
    vectors: np.ndarray | None
    run_network: bool
    show: bool


def _write(run: FinishedRun, request: _Request) -> Facts:
    """Write all files of a report, the page last; returns what it shows. Raises as `write_report`, and OSError."""
    home = run.folder / RunFiles.REPORT
    former = read_report_record(run.folder, run.clusters_sha256)
    kind = request.map or str(former.get("map", "pca"))
    facts = gather(
        run,
        vectors=request.vectors,
        map_kind=kind,
        run_network=request.run_network,
        show=request.show,
        earlier=Earlier(_guesses_in(former), str(former.get("words", "")), home / RunFiles.REPORT_GEOMETRY),
    )
    if run.config.outputs.names_from is not None and facts.guesses.reason:
        logger.warning("%s", facts.guesses.reason)
    paths = listed_paths([run.places.image(path) for path in facts.paths], run.places.storage)
    _check_there(facts, paths)
    scores, truth = _scores(run.folder, request.truth, former.get("truth"))
    # From here on the page would be of other data than it was written for.
    (home / RunFiles.PAGE).unlink(missing_ok=True)
    (home / RunFiles.REPORT_RECORD).unlink(missing_ok=True)
    thumbnails = make_thumbnails(paths, home / "t", run.config.images.reading, show=request.show)
    page = Page(facts, thumbnails, _explained(run), scores, kind, _charts(home, scores is not None))
    _write_parts(home, page)
    write_whole(home / RunFiles.PAGE, render_page(page).encode())
    record = json.dumps(_record(facts, kind, truth), indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(home / RunFiles.REPORT_RECORD, record.encode())
    return facts


def _guesses_in(record: Mapping[str, Any]) -> dict[int, Guess | None]:
    """Return the names that a report of the same clusters has guessed; none of one that named all clusters."""
    with suppress(KeyError, TypeError, ValueError, AttributeError):  # it is damaged
        named = {int(number): Guess(each["name"], float(each["share"])) for number, each in record["names"].items()}
        return {**dict.fromkeys(map(int, record["unsure"])), **named}
    return {}


def _check_there(facts: Facts, paths: Sequence[ImagePath]) -> None:
    """Refuse to replace a good report by one without pictures."""
    fine = [paths[row] for row in facts.fine]
    if fine and facts.run.config.features.file is None and not any_there(fine):
        raise OutputError(facts.run.places.lost(len(fine)))


def _scores(folder: Path, asked: Path | None, former: Any) -> tuple[Scores | None, Path | None]:
    """Compare with the truth that was given, or else with that of the last time, if it still fits."""
    truth = asked or (Path(former) if isinstance(former, str) else None)
    if truth is None:
        return None, None
    try:
        return score_labels(folder, truth, out=folder / RunFiles.REPORT / "truth"), truth.resolve()
    except ConfigError as error:
        if asked:
            raise
        logger.warning("the report has no scores any more: %s", error)
        return None, None


def _explained(run: FinishedRun) -> list[dict[str, Any]]:
    """Return the list of pictures that `explain` has made of these clusters; remove those of others."""
    home = run.folder / RunFiles.REPORT
    with suppress(OSError, ValueError, KeyError, TypeError):
        record = parse_json((home / RunFiles.EXPLANATIONS_LIST).read_bytes())
        if record["clusters_sha256"] == run.clusters_sha256:
            return [each for each in record["pictures"] if (home / each["file"]).is_file()]
    (home / RunFiles.EXPLANATIONS_LIST).unlink(missing_ok=True)
    shutil.rmtree(home / RunFiles.EXPLANATIONS, ignore_errors=True)
    return []


def _write_parts(home: Path, page: Page) -> None:
    """Write what the page loads, before the page itself."""
    assets = resources.files("imgcluster.report") / "assets"
    for name in ASSETS:
        write_whole(home / name, (assets / name).read_bytes())
    _copy_plotly(home)
    write_whole(home / RunFiles.REPORT_CONFIG, config_text(page.facts.run).encode())
    _write_script(home / "data.js", "imgclusterData", page_data(page))
    shutil.rmtree(home / "near", ignore_errors=True)
    (home / "near").mkdir()
    for number, chunk in enumerate(neighbour_chunks(page.facts)):
        _write_script(home / "near" / f"{number}.js", f"imgclusterNear{number}", chunk)


def _charts(home: Path, scored: bool) -> list[str]:
    """Return the charts for the page, and remove others."""
    sweep = home.parent / RunFiles.SWEEP / RunFiles.SWEEP_CHART
    if sweep.is_file():
        write_whole(home / RunFiles.SWEEP_CHART, sweep.read_bytes())
    else:
        (home / RunFiles.SWEEP_CHART).unlink(missing_ok=True)
    if not scored:
        shutil.rmtree(home / "truth", ignore_errors=True)
    return [name for name in (RunFiles.SWEEP_CHART, "truth/confusion.svg") if (home / name).is_file()]


def _copy_plotly(home: Path) -> None:
    """Copy plotly beside the page: the page must not download it, and a newer version may draw differently."""
    source = resources.files("plotly") / "package_data" / PLOTLY
    data = source.read_bytes()
    place = home / PLOTLY
    if not place.is_file() or place.stat().st_size != len(data):
        write_whole(place, data)


def _write_script(path: Path, name: str, value: Any) -> None:
    """Write data as a script that sets a variable: a page opened from a file cannot load JSON."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    write_whole(path, f"window.{name}={text};\n".encode())


def _record(facts: Facts, kind: str, truth: Path | None) -> dict[str, Any]:
    silhouette = None if facts.scores is None or np.isnan(facts.scores.silhouette) else facts.scores.silhouette
    guesses = facts.guesses.by_cluster
    return {
        "format": FORMAT,
        "clusters_sha256": facts.run.clusters_sha256,
        "map": kind,
        "truth": None if truth is None else str(truth),
        "silhouette": silhouette,
        "sampled": len(facts.looked) if len(facts.looked) < len(facts.fine) else None,
        "names": {str(number): {"name": each.name, "share": each.share} for number, each in guesses.items() if each},
        **({"words": facts.guesses.words} if facts.guesses.words else {}),
        "unsure": [number for number, each in guesses.items() if each is None],
    }
