"""Features of a run: read from its store, or exported to one file for other programs."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from imgcluster.config import FeaturesConfig, RunFiles
from imgcluster.errors import ConfigError, ImageError, OutputError, StoreError
from imgcluster.features import (
    FeatureStore,
    ImageKey,
    any_there,
    features_from_file,
    import_parquet,
    join_blocks,
    known_key,
    read_with_key,
)
from imgcluster.images import read_labels
from imgcluster.runs.finished import FinishedRun, read_run
from imgcluster.runs.places import Places
from imgcluster.runs.reader import listed_images
from imgcluster.runs.writer import write_rows
from imgcluster.types import ImageFile, ImagePath
from imgcluster.utils import file_sha256, fits, replacing

MEMORY_FACTOR = 2.5  # times the features' size: raw and transformed features, and what is computed from them


@dataclass(frozen=True)
class FeatureTable:
    """Features with ids and paths as in clusters.csv: vectors (len(ids), dim) float32.

    drawn: of a sample, the indices of its images among the `count` that did not fail, (len(ids),) int64, ascending.
    """

    ids: list[str]
    paths: list[str]
    vectors: np.ndarray
    drawn: np.ndarray | None = None
    count: int = 0

    @property
    def note(self) -> str:
        """A note on a sample for the reader; empty where all images are there."""
        if self.drawn is None:
            return ""
        return f"{len(self.ids):,} of {self.count:,} images, drawn: the features of all do not fit into memory"


@dataclass(frozen=True)
class Format:
    """Writer of a format, and the line of Python that reads it, with `{out}` for the quoted file name."""

    write: Callable[[FeatureTable, IO[bytes]], object]
    loader: str


def export_features(run_folder: Path, format: str, out: Path, *, force: bool = False) -> FeatureTable:
    """Write the features of a finished run into one file, in the order of the run, without failed images.

    Returns what was written. Raises OutputError: no finished run there, `out` exists and no `force`, a suffix that is
    not the format's; StoreError where the store no longer has an image's vector.
    """
    check_out(format, out, force)
    table = features_of_run(run_folder)
    write_features(table, format, out, force=force)
    return table


def features_of_run(run: str | Path | FinishedRun, *, sampled: int | None = None) -> FeatureTable:
    """Gather the features that a finished run clustered, in its order, without torch and without reading an image.

    sampled: number of images to draw, by the run's seed, where the features of all do not fit into memory; only their
    features are read. None: all images.
    Raises OutputError: no finished run there; StoreError: not all features are kept; ConfigError: `features.file`.
    """
    run = run if isinstance(run, FinishedRun) else read_run(run)
    rows = [row for row in run.rows if row["status"] == "ok"]
    count, drawn = len(rows), None
    if sampled is not None and sampled < count and not fits(MEMORY_FACTOR * 4 * count * run.record["counts"]["dim"]):
        generator = np.random.default_rng(run.config.clusters.random_state)
        drawn = np.sort(generator.choice(count, sampled, replace=False))
        rows = [rows[place] for place in drawn.tolist()]
    vectors = vectors_of_rows(run, rows)
    return FeatureTable([row["id"] for row in rows], [row["path"] for row in rows], vectors, drawn, count)


def vectors_of_rows(run: FinishedRun, rows: Sequence[Mapping[str, str]]) -> np.ndarray:
    """Return the features of some rows of a run, (len(rows), dim) float32. Raises as `features_of_run`."""
    config, places, origins = run.config.features, run.places, run.record["features"]
    images = listed_images(places.rows(rows), places.storage)
    if config.file is not None:
        return _from_file(images, config, origins[0]["weights_sha256"])
    stores = [places.path(folder) for origin in origins for folder in origin["stores"]]
    return _stored(images, stores, config, places)


def labels_of_run(run_folder: Path, ids: Sequence[str]) -> np.ndarray:
    """Return the clusters of some images of a finished run, (len(ids),) int64; -1 for noise."""
    known = read_labels(run_folder / RunFiles.CLUSTERS, str(run_folder), label_column="cluster")
    return np.array([int(known[id]) for id in ids])


def write_features(table: FeatureTable, format: str, out: Path, *, force: bool = False) -> None:
    """Write a table of features in one of FORMATS, atomically. Raises OutputError as `export_features`."""
    check_out(format, out, force)
    out.parent.mkdir(parents=True, exist_ok=True)
    writers = {out: FORMATS[format].write}
    if ids := _ids_beside(format, out):
        writers[ids] = _write_ids
    for path, write in writers.items():
        with replacing(path) as file:
            write(table, file)


def loader(format: str, out: Path) -> str:
    """Return the line of Python that loads such a file into `ids` and `vectors`; a pkl into `vectors` by path."""
    return FORMATS[format].loader.format(out=repr(str(out)), ids=repr(str(_ids_beside(format, out))))


def check_out(format: str, out: Path, force: bool) -> None:
    """Raise OutputError, before any work, for an output name that does not fit the format or exists."""
    if format not in FORMATS:
        raise OutputError(f"there is no format {format!r}; there are {', '.join(FORMATS)}")
    if out.suffix != f".{format}":
        raise OutputError(f"{str(out)!r}: the name of a file of the format {format} ends in .{format}")
    taken = [path for path in (out, _ids_beside(format, out)) if path is not None and path.exists()]
    if taken and not force:
        raise OutputError(f"{str(taken[0])!r} exists; overwrite it with force=True")


# Reading


def _from_file(images: list[ImageFile], config: FeaturesConfig, sha256: str) -> np.ndarray:
    path = Path(str(config.file))
    vectors = features_from_file(images, path, "stop", config.file_columns).vectors
    if file_sha256(path) != sha256:
        raise ConfigError(f"features.file: {str(path)!r} has changed since the run; run its config again")
    return vectors


def _stored(images: list[ImageFile], folders: list[str], config: FeaturesConfig, places: Places) -> np.ndarray:
    """Return the vectors of images from the stores of their layers, joined as for clustering."""
    again = f"run the config of {str(places.run)!r} again, and then the export"
    try:
        stores = {folder: FeatureStore.reading(places.storage.place(folder)) for folder in folders}
    except StoreError as error:
        raise StoreError(f"{error}; {again}") from None
    keys = [_key(image.path, list(stores.values())) for image in images]
    gone = [image.id for image, key in zip(images, keys, strict=True) if key is None]
    if gone and not any_there([image.path for image in images]):
        raise StoreError(places.lost(len(images)))
    if gone:
        raise StoreError(
            f"{len(gone):,} of {len(images):,} images are changed or gone since the run, or their features "
            f"deleted; the first: {gone[0]!r}; {again}"
        )
    found = [key for key in keys if key is not None]
    return join_blocks([stores[folder].vectors(found) for folder in folders], config.block_l2, config.block_weights)


def _key(path: ImagePath, stores: list[FeatureStore]) -> ImageKey | None:
    """Return a key of an image that all stores have: from its path and times, or else from its bytes."""
    key = known_key(path)
    if key is None or not all(store.find(key) for store in stores):
        try:
            key = read_with_key(path)[1]
        except ImageError:
            return None
    return key if all(store.find(key) for store in stores) else None


# Formats


def _write_npz(table: FeatureTable, file: IO[bytes]) -> None:
    np.savez(file, ids=np.array(table.ids, np.str_), vectors=table.vectors)


def _write_npy(table: FeatureTable, file: IO[bytes]) -> None:
    np.save(file, table.vectors, allow_pickle=False)


def _write_ids(table: FeatureTable, file: IO[bytes]) -> None:
    _write_csv_rows(file, ["id", "path"], zip(table.ids, table.paths, strict=True))


def _write_csv(table: FeatureTable, file: IO[bytes]) -> None:
    # As text, a float32 has the fewest digits that restore it; a Python float would have 17.
    rows = ([id, *vector.astype(str)] for id, vector in zip(table.ids, table.vectors, strict=True))
    _write_csv_rows(file, ["id", *(f"f{column:04d}" for column in range(table.vectors.shape[1]))], rows)


def _write_csv_rows(file: IO[bytes], header: list[str], rows: Iterable[Iterable[Any]]) -> None:
    write_rows(lambda line: file.write(line.encode()), [header])
    write_rows(lambda line: file.write(line.encode()), rows)


def _write_parquet(table: FeatureTable, file: IO[bytes]) -> None:
    parquet = import_parquet()
    import pyarrow as pa

    vectors = pa.FixedSizeListArray.from_arrays(pa.array(table.vectors.ravel()), table.vectors.shape[1])
    parquet.write_table(pa.table({"id": table.ids, "path": table.paths, "vector": vectors}), file)


def _write_safetensors(table: FeatureTable, file: IO[bytes]) -> None:
    from safetensors.numpy import save

    vectors = np.ascontiguousarray(table.vectors)
    file.write(save({"vectors": vectors}, metadata={"ids": json.dumps(table.ids), "paths": json.dumps(table.paths)}))


def _write_pkl(table: FeatureTable, file: IO[bytes]) -> None:
    # Protocol 4: Python 3.4 and later read it. A copy of each row: a view would bring all rows along.
    vectors = {path: vector.copy() for path, vector in zip(table.paths, table.vectors, strict=True)}
    pickle.dump(vectors, file, protocol=4)


FORMATS = {
    "npz": Format(_write_npz, "import numpy; file = numpy.load({out}); ids, vectors = file['ids'], file['vectors']"),
    "npy": Format(
        _write_npy,
        "import numpy, pandas; vectors = numpy.load({out}); "
        "ids = pandas.read_csv({ids}, dtype=str, keep_default_na=False)['id']",
    ),
    "parquet": Format(
        _write_parquet,
        "import numpy, pandas; table = pandas.read_parquet({out}); "
        "ids, vectors = table['id'], numpy.stack(table['vector'])",
    ),
    "csv": Format(
        _write_csv,
        "import pandas; table = pandas.read_csv({out}, dtype={{'id': str}}, keep_default_na=False).set_index('id'); "
        "ids, vectors = table.index, table.to_numpy('float32')",
    ),
    "safetensors": Format(
        _write_safetensors,
        "import json, safetensors; file = safetensors.safe_open({out}, 'numpy'); "
        "ids, vectors = json.loads(file.metadata()['ids']), file.get_tensor('vectors')",
    ),
    "pkl": Format(
        _write_pkl,
        "import pickle; vectors = pickle.load(open({out}, 'rb'))  # by path; a pickle can run code: trust its maker",
    ),
}


def _ids_beside(format: str, out: Path) -> Path | None:
    """Return the CSV of ids beside a file that cannot hold them."""
    return out.with_suffix(".csv") if format == "npy" else None
