"""Contents of a run's files: clusters.csv, clusterer.npz, run.json, submission."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from itertools import count
from typing import Any

import numpy as np

from imgcluster.config import Config, RunFiles
from imgcluster.images import decoders_used
from imgcluster.runs.cluster_names import NAMES, known_names
from imgcluster.runs.folder import RunFolder, Writer
from imgcluster.runs.hierarchy import hierarchy_text
from imgcluster.runs.listed import SHARED_RANGE
from imgcluster.runs.places import STARTED_IN, way_to_start
from imgcluster.runs.run import RunResult
from imgcluster.runs.segments import COLUMNS as SEGMENT_COLUMNS
from imgcluster.runs.segments import segments_of
from imgcluster.runs.submission import make_submission
from imgcluster.runs.tables import rows_of, write_rows
from imgcluster.types import ARE_LABELS, ChosenNumber, ImageFile, Source, by_reason
from imgcluster.utils import installed, is_url

COLUMNS = ("id", "path", "cluster", "distance", "runner_up", "runner_up_distance", "status", "error")
NAME, NOTE, PROBABILITY = "name", "note", "probability"
# More digits would show the last bits of float32 sums, which differ between library versions.
DISTANCE_FORMAT = "{:.6g}"
PROBABILITY_FORMAT = "{:.4f}"
IMAGES_FILES = {"csv": RunFiles.IMAGES, "parquet": RunFiles.IMAGES_PARQUET}  # by outputs.images
PACKAGES = (
    *("imgcluster", "torch", "torchvision", "openvino", "opencv-python"),
    *("pillow", "numpy", "scikit-learn", "pandas"),
)


def output_names(config: Config) -> list[str]:
    """Return the names of the files that a run with this config writes into its folder."""
    submission = config.outputs.submission
    page = [f"{RunFiles.REPORT}/{RunFiles.PAGE}"] if config.outputs.report else []
    tables = [RunFiles.CLUSTERS, *([] if config.images.video is None else [RunFiles.SEGMENTS])]
    tables += [RunFiles.HIERARCHY] if config.clusters.has_hierarchy else []
    tables.append(IMAGES_FILES[config.outputs.images])
    return [*([submission] if submission else []), *tables, RunFiles.CLUSTERER, RunFiles.RECORD, *page]


def write_outputs(folder: RunFolder, run: RunResult) -> dict[str, Any]:
    """Write submission, clusters, clusterer and record into an open run folder; returns the record.

    Raises OutputError.
    """
    arrays: dict[str, Any] = {**run.clusters.state}
    files: dict[str, Writer] = {
        RunFiles.CLUSTERS: _csv_writer(clusters_rows(run)),
        RunFiles.CLUSTERER: lambda file: np.savez(file, **arrays),
    }
    if run.config.images.video is not None:
        files[RunFiles.SEGMENTS] = _csv_writer(segments_rows(run))
    if run.config.clusters.has_hierarchy:
        failed = {failure.image for failure in run.features.failures}
        text = hierarchy_text(run.hierarchy, (image in failed for image in run.images))
        files[RunFiles.HIERARCHY] = lambda file: file.write(text.encode())
    if run.config.outputs.submission:
        files = {run.config.outputs.submission: _csv_writer(rows_of(make_submission(run))), **files}
    return folder.write(files, run_record(run))


def clusters_rows(run: RunResult) -> Iterator[Sequence[str]]:
    """Yield clusters.csv: the header, and a row for each image in the order of the list; failed ones with reasons.

    Columns `name` and `note` come last, where any cluster has a name or any image a note, so that the other columns
    keep their positions, and after these `probability`, where it is known. Notes do not go into `error`: a text there
    means that the image failed.
    """
    found, notes = run.clusters, run.features.remarks
    names = known_names(run.config, found.names)
    sure = found.probability
    yield (*COLUMNS, *([NAME] if names else []), *([NOTE] if notes else []), *([] if sure is None else [PROBABILITY]))
    reason_of = {failure.image: failure.reason for failure in run.features.failures}
    rows = count()  # those of the features are in the order of the list
    for image in run.images:
        if image in reason_of:
            cells, name, own = ("", "", "", "", "failed", reason_of[image]), "", np.nan
        else:
            row = next(rows)
            nearest = found.distance[row], found.runner_up[row], found.runner_up_distance[row]
            cells = (*cluster_cells(found.labels[row], *nearest), "ok", "")
            name, own = names.get(int(found.labels[row]), ""), np.nan if sure is None else sure[row]
        more = [*([name] if names else []), *([notes.get(image, "")] if notes else [])]
        more += [] if sure is None else [probability_cell(own)]
        yield (image.id, path_text(image), *cells, *more)


def segments_rows(run: RunResult) -> Iterator[Sequence[str]]:
    """Yield segments.csv: the header, and a row for each segment of a video; noise is cluster -1."""
    yield SEGMENT_COLUMNS
    failed = {failure.image for failure in run.features.failures}
    labels = iter(run.clusters.labels.tolist())
    clusters = [None if image in failed else next(labels) for image in run.images]
    for segment in segments_of(run.images, clusters):
        yield segment.video, segment.start, segment.end, str(segment.cluster)


def run_record(run: RunResult) -> dict[str, Any]:
    """Return run.json without status and config: provenance, counts, sizes, notes, timings and failures."""
    features, clusters = run.features, run.clusters
    return {
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "counts": {
            **({} if run.files is None else {"files": run.files}),
            "images": len(run.images),
            "clustered": len(features.images),
            "failed": len(features.failures),
            "dim": features.dim,
        },
        "features": [asdict(origin) for origin in features.origins],
        **({} if features.auto is None else {"auto_backbone": dict(features.auto)}),
        "cluster_sizes": clusters.sizes.tolist(),
        **({} if clusters.chosen is None else {"chosen": _chosen(clusters.chosen)}),
        ARE_LABELS: clusters.are_labels,
        NAMES: {str(number): name for number, name in known_names(run.config, clusters.names).items()},
        **({} if run.config.images.shared_percentiles is None else {SHARED_RANGE: run.config.images.reading.limits}),
        "left_out": run.left_out,
        "notes": [*run.notes, *features.notes, *clusters.notes],
        "seconds": {step: round(spent, 3) for step, spent in run.seconds.items()},
        "failures": [
            {"id": failure.image.id, "path": path_text(failure.image), "reason": failure.reason}
            for failure in features.failures
        ],
        "failed_by_reason": {reason: len(group) for reason, group in by_reason(features.failures).items()},
        STARTED_IN: None if is_url(run.config.outputs.folder) else way_to_start(run.folder),
        "versions": _versions(run),
    }


def _chosen(number: ChosenNumber) -> dict[str, Any]:
    """Return how a number of clusters was chosen: the good answers, the best first, and the scores of all."""
    modularity = [{"n_clusters": k, "modularity": round(score, 6)} for k, score in sorted(number.scores.items())]
    return {"n_clusters": number.n_clusters, "runners_up": number.runners_up, "tried": modularity}


def _versions(run: RunResult) -> dict[str, str]:
    """Return the versions on which results depend; those of optional decoders where they were needed."""
    common = {package: installed(package) for package in PACKAGES}
    optional = {} if run.config.features.file else decoders_used(run.images, scientific=run.features.scientific)
    return {"python": platform.python_version(), **common, **optional}


def cluster_cells(label: int, distance: float, runner_up: int, runner_up_distance: float) -> tuple[str, str, str, str]:
    """Return the cells of an image's cluster and of the next nearest one; runner_up: -1 where there is none."""
    own = str(label), "" if np.isnan(distance) else DISTANCE_FORMAT.format(distance)
    return (*own, str(runner_up), DISTANCE_FORMAT.format(runner_up_distance)) if runner_up >= 0 else (*own, "", "")


def probability_cell(probability: float) -> str:
    """Return the cell of how sure an image's cluster is; empty for NaN."""
    return "" if np.isnan(probability) else PROBABILITY_FORMAT.format(probability)


def path_text(image: ImageFile) -> str:
    """Return the path of an image for the tables; bytes that are not UTF-8 as `\\udcNN`."""
    path = image.path
    text = str(path) if isinstance(path, Source) else path.as_posix()
    return text.encode("utf-8", "backslashreplace").decode()


def _csv_writer(rows: Iterable[Iterable[Any]]) -> Writer:
    return lambda file: write_rows(lambda line: file.write(line.encode()), rows)
