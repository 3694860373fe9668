"""images.csv of a run: a row for every image, with all that is known of it; or the same as images.parquet."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from imgcluster.config import RunFiles
from imgcluster.errors import OutputError, StoreError
from imgcluster.features import MEASURE_COLUMNS, import_parquet, stored_measures
from imgcluster.images import MEASURES
from imgcluster.runs.cluster_names import known_names
from imgcluster.runs.run import RunResult
from imgcluster.runs.tables import write_rows
from imgcluster.runs.writer import DISTANCE_FORMAT, IMAGES_FILES, PROBABILITY_FORMAT, path_text
from imgcluster.utils import Storage, replacing

TEXT, WHOLE, NUMBER = "string", "int64", "float64"  # as pyarrow calls them
# The columns and their types; a cell is empty (null in Parquet) where nothing is known.
COLUMNS: dict[str, str] = {
    **dict.fromkeys(("id", "path", "status", "error"), TEXT),
    "cluster": WHOLE,
    "name": TEXT,
    **dict.fromkeys(("distance", "margin", "silhouette", "probability", "outlier_score"), NUMBER),
    "near_duplicate_group": WHOLE,
    **dict.fromkeys(("width", "height", "bytes"), WHOLE),
    "format": TEXT,
    **dict.fromkeys(MEASURES, NUMBER),
}
FORMATS = {"probability": PROBABILITY_FORMAT, **dict.fromkeys(MEASURES, "{:.5g}")}
ROWS_AT_A_TIME = 20_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageScores:
    """What neighbours tell of the images of a run.

    silhouette, outlier_score: (n,) float64, of all rows of the run; NaN where unknown. duplicates: rows of images with
    nearly the same features, group by group.
    """

    silhouette: np.ndarray
    outlier_score: np.ndarray
    duplicates: Sequence[Sequence[int]]


def write_images_table(run: RunResult, scores: ImageScores | None) -> Path:
    """Write images.csv, or images.parquet, into the folder of a run; returns its path.

    scores: None: the columns that it fills stay empty. Raises OutputError, and ConfigError where pyarrow is missing.
    """
    name = IMAGES_FILES[run.config.outputs.images]
    columns = _columns(run, scores)
    try:
        with replacing(run.folder / name) as file:
            (_write_csv if name == RunFiles.IMAGES else _write_parquet)(_parts(run, columns), file)
    except OSError as error:
        raise OutputError(f"{str(run.folder / name)!r} cannot be written: {error.strerror}") from None
    return run.folder / name


Columns = Mapping[str, np.ndarray | Sequence[str]]


def _columns(run: RunResult, scores: ImageScores | None) -> Columns:
    """Return the columns, n values each but for id and path; empty texts and NaN where nothing is known."""
    n, fine, found = len(run.images), _fine(run), run.clusters
    names, reasons = known_names(run.config, found.names), {each.image: each.reason for each in run.features.failures}
    labels, errors = np.full(n, np.nan), [""] * n
    labels[fine] = found.labels
    is_fine = np.zeros(n, bool)
    is_fine[fine] = True
    for row in np.flatnonzero(~is_fine).tolist():
        errors[row] = reasons.get(run.images[row], "")
    with np.errstate(invalid="ignore"):
        margin = np.where(found.runner_up >= 0, 1 - found.distance / found.runner_up_distance, np.nan)
    return {
        "status": ["ok" if each else "failed" for each in is_fine.tolist()],
        "error": errors,
        "cluster": labels,
        "name": ["" if np.isnan(label) else names.get(int(label), "") for label in labels.tolist()],
        "distance": _spread(found.distance, fine, n),
        "margin": _spread(margin, fine, n),
        "probability": _spread(found.probability, fine, n),
        "silhouette": np.full(n, np.nan) if scores is None else scores.silhouette,
        "outlier_score": np.full(n, np.nan) if scores is None else scores.outlier_score,
        "near_duplicate_group": _groups(n, () if scores is None else scores.duplicates),
        **_measures(run, n, fine),
    }


def _fine(run: RunResult) -> np.ndarray:
    """Return the rows of the images that did not fail, (m,) int64."""
    if not run.features.failures:
        return np.arange(len(run.images))
    failed = {failure.image for failure in run.features.failures}
    return np.flatnonzero([image not in failed for image in run.images])


def _spread(values: np.ndarray | None, rows: np.ndarray, n: int) -> np.ndarray:
    """Return (n,) float64 with values in some rows, NaN in the others."""
    whole = np.full(n, np.nan)
    if values is not None:
        whole[rows] = values
    return whole


def _measures(run: RunResult, n: int, fine: np.ndarray) -> dict[str, Any]:
    """Return the columns of measures: of what the store has of the images, which are not read for it."""
    values: dict[str, Any] = {name: np.full(n, np.nan) for name in MEASURE_COLUMNS} | {"format": [""] * n}
    if run.features.stamps is None:
        return values
    root = Storage(run.config.storage).place(run.config.features.store)
    try:
        records, found = stored_measures(root, run.config.features.reading, run.features.stamps, MEASURE_COLUMNS)
    except StoreError as error:
        logger.warning("the table of images has no measures: %s", error)
        return values
    for name in MEASURE_COLUMNS:
        if name == "format":
            for row, text in zip(fine.tolist(), records[name].tolist(), strict=True):
                values[name][row] = text.decode()
        else:
            values[name][fine[found]] = records[name][found]
    values["bytes"][values["bytes"] == 0] = np.nan  # a frame has none of its own
    return values


def _groups(n: int, duplicates: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the group of near-duplicates of each image, from 1, (n,) float64; NaN for an image in none."""
    groups = np.full(n, np.nan)
    for number, rows in enumerate(duplicates, 1):
        groups[list(rows)] = number
    return groups


def _parts(run: RunResult, columns: Columns) -> Iterator[dict[str, np.ndarray | Sequence[str]]]:
    """Yield the columns of some rows at a time, in the order of COLUMNS."""
    for start in range(0, len(run.images), ROWS_AT_A_TIME):
        part = slice(start, start + ROWS_AT_A_TIME)
        images = run.images[part]
        own = {"id": [image.id for image in images], "path": [path_text(image) for image in images]}
        yield own | {name: columns[name][part] for name in COLUMNS if name not in own}


def _write_csv(parts: Iterator[dict[str, np.ndarray | Sequence[str]]], file: IO[bytes]) -> None:
    def write(rows: Iterable[Iterable[str]]) -> None:
        write_rows(lambda line: file.write(line.encode()), rows)

    write([COLUMNS])
    for part in parts:
        write(zip(*(_cells(name, values) for name, values in part.items()), strict=True))


def _cells(name: str, values: np.ndarray | Sequence[str]) -> list[str]:
    if not isinstance(values, np.ndarray):
        return list(values)
    form = "{:.0f}" if COLUMNS[name] == WHOLE else FORMATS.get(name, DISTANCE_FORMAT)
    return ["" if np.isnan(value) else form.format(value) for value in values.tolist()]


def _write_parquet(parts: Iterator[dict[str, np.ndarray | Sequence[str]]], file: IO[bytes]) -> None:
    parquet = import_parquet()
    import pyarrow as pa

    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items()])
    with parquet.ParquetWriter(file, schema) as writer:
        for part in parts:
            arrays = [pa.array(_nullable(values), from_pandas=True) for values in part.values()]
            table = pa.Table.from_arrays(arrays, list(part))
            writer.write_table(table.cast(schema))


def _nullable(values: np.ndarray | Sequence[str]) -> Any:
    return values if isinstance(values, np.ndarray) else [text or None for text in values]
