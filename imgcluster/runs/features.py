"""Features of a run: read from its store, or exported to one file for other programs."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from imgcluster.config import FeaturesConfig, RunFiles
from imgcluster.errors import ConfigError, ImageError, OutputError, StoreError
from imgcluster.features import (
    Features,
    FeatureStore,
    ImageKey,
    any_there,
    features_from_file,
    import_parquet,
    join_blocks,
    known_keys,
    read_with_key,
)
from imgcluster.images import read_labels
from imgcluster.runs.finished import FinishedRun, read_run
from imgcluster.runs.listed import listed_images
from imgcluster.runs.overwriting import check_overwrites_no_run
from imgcluster.runs.places import Places
from imgcluster.runs.tables import write_rows
from imgcluster.types import ImageFile, ImagePath
from imgcluster.utils import file_sha256, fits, replacing

MEMORY_FACTOR = 2.5  # times the features' size: raw and transformed features, and what is computed from them


@dataclass(frozen=True)
class FeatureTable:
    """Features with ids and paths as in clusters.csv: vectors (len(ids), dim) float32.

    drawn: of a sample, the indices of its images among those that did not fail, (len(ids),) int64, ascending. note: on
    a sample, for the reader; empty where all images are there.
    """

    ids: list[str]
    paths: list[str]
    vectors: np.ndarray
    drawn: np.ndarray | None = None
    note: str = ""


@dataclass(frozen=True)
class FoundFeatures:
    """The features of some images of a run, found and not yet read.

    rows: of clusters.csv. drawn: as in `FeatureTable`, among `count` images. content: returns a digest of what the
    features are made of, the same as long as they are; empty where only reading them shows it. digests: returns the
    digest of each image's bytes; the images are read where no store holds it. read: returns the features, (len(rows),
    dim) float32; raises StoreError, ConfigError.
    """

    rows: list[dict[str, str]]
    drawn: np.ndarray | None
    count: int
    content: Callable[[], str]
    digests: Callable[[], list[str]]
    read: Callable[[], np.ndarray]

    @property
    def note(self) -> str:
        """A note on a sample for the reader; empty where all images are there."""
        if self.drawn is None:
            return ""
        return f"{len(self.rows):,} of {self.count:,} images, drawn: the features of all do not fit into memory"

    def table(self) -> FeatureTable:
        """Read them."""
        ids, paths = ([row[column] for row in self.rows] for column in ("id", "path"))
        return FeatureTable(ids, paths, self.read(), self.drawn, self.note)


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
    check_out(format, out, force, [run_folder])
    table = features_of_run(run_folder)
    write_features(table, format, out, force=force)
    return table


def features_of_run(run: str | Path | FinishedRun, *, sampled: int | None = None) -> FeatureTable:
    """Gather the features that a finished run clustered, in its order, without torch and without reading an image.

    sampled: as in `find_features`.
    Raises OutputError: no finished run there; StoreError: not all features are kept; ConfigError: `features.file`.
    """
    return find_features(run if isinstance(run, FinishedRun) else read_run(run), sampled=sampled).table()


def find_features(run: FinishedRun, *, sampled: int | None = None) -> FoundFeatures:
    """Find the features that a finished run clustered. Raises as `features_of_run`.

    sampled: number of images to draw, by the run's seed, where the features of all do not fit into memory; only their
    features are found. None: all images.
    """
    rows = [row for row in run.rows if row["status"] == "ok"]
    count, drawn = len(rows), None
    if sampled is not None and sampled < count and not fits(MEMORY_FACTOR * 4 * count * run.record["counts"]["dim"]):
        generator = np.random.default_rng(run.config.clusters.random_state)
        drawn = np.sort(generator.choice(count, sampled, replace=False))
        rows = [rows[place] for place in drawn.tolist()]
    return FoundFeatures(rows, drawn, count, *_found(run, rows))


def vectors_of_rows(run: FinishedRun, rows: Sequence[Mapping[str, str]]) -> np.ndarray:
    """Return the features of some rows of a run, (len(rows), dim) float32. Raises as `features_of_run`."""
    return _found(run, rows)[-1]()


def content_of_result(features: Features) -> str:
    """Return the `content` that the features of a run still in memory will have in its folder."""
    return features.content or features.origins[0].weights_sha256


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


def check_out(format: str, out: Path, force: bool, runs: Sequence[Path] = ()) -> None:
    """Raise OutputError, before any work, for an output name that does not fit the format or exists.

    Raises ConfigError as `check_overwrites_no_run`, with these runs.
    """
    if format not in FORMATS:
        raise OutputError(f"there is no format {format!r}; there are {', '.join(FORMATS)}")
    if out.suffix != f".{format}":
        raise OutputError(f"{str(out)!r}: the name of a file of the format {format} ends in .{format}")
    written = [path for path in (out, _ids_beside(format, out)) if path is not None]
    for path in written:
        check_overwrites_no_run(path, runs)
    taken = [path for path in written if path.exists()]
    if taken and not force:
        raise OutputError(f"{str(taken[0])!r} exists; overwrite it with force=True")


# Reading


def _found(
    run: FinishedRun, rows: Sequence[Mapping[str, str]]
) -> tuple[Callable[[], str], Callable[[], list[str]], Callable[[], np.ndarray]]:
    """Return functions for the `content`, the digests and the vectors of some rows of a run."""
    config, places, origins = run.config.features, run.places, run.record["features"]
    images = listed_images(places.rows(rows), places.storage)
    if config.file is not None:
        sha256 = origins[0]["weights_sha256"]
        read = partial(_from_file, images, config, sha256)
        return partial(_content_of_file, config, sha256), partial(_digests_of_files, images), read
    stores = _open_stores([places.path(folder) for origin in origins for folder in origin["stores"]], places)
    keys = _keys_in(stores, images, places)
    store = stores[0]
    return partial(store.content, keys), partial(store.digests, keys), partial(_stored, stores, keys, config)


def _content_of_file(config: FeaturesConfig, sha256: str) -> str:
    path = Path(str(config.file))
    return sha256 if path.is_file() and file_sha256(path) == sha256 else ""


def _digests_of_files(images: list[ImageFile]) -> list[str]:
    """Return the digests of images that no store knows; "" where one cannot be read."""
    return [_digest_of_file(image.path) for image in images]


def _digest_of_file(path: ImagePath) -> str:
    try:
        return read_with_key(path)[1].digest
    except ImageError:
        return ""


def _from_file(images: list[ImageFile], config: FeaturesConfig, sha256: str) -> np.ndarray:
    path = Path(str(config.file))
    vectors = features_from_file(images, path, "stop", config.file_columns).vectors
    if file_sha256(path) != sha256:
        raise ConfigError(f"features.file: {str(path)!r} has changed since the run; run its config again")
    return vectors


def _open_stores(folders: list[str], places: Places) -> list[FeatureStore]:
    """Open the stores of a run's layers; a layer that was asked for twice has one store."""
    try:
        opened = {folder: FeatureStore.reading(places.storage.place(folder)) for folder in dict.fromkeys(folders)}
    except StoreError as error:
        raise StoreError(f"{error}; {_run_again(places)}") from None
    return [opened[folder] for folder in folders]


def _keys_in(stores: list[FeatureStore], images: list[ImageFile], places: Places) -> list[ImageKey]:
    """Return a key of each image that all stores have: by its path and times, or else by its bytes."""
    paths = [image.path for image in images]
    keys = [_key(path, key, stores) for path, key in zip(paths, known_keys(paths), strict=True)]
    gone = [image.id for image, key in zip(images, keys, strict=True) if key is None]
    if gone and not any_there(paths):
        raise StoreError(places.lost(len(images)))
    if gone:
        raise StoreError(
            f"{len(gone):,} of {len(images):,} images are changed or gone since the run, or their features "
            f"deleted; the first: {gone[0]!r}; {_run_again(places)}"
        )
    return [key for key in keys if key is not None]


def _run_again(places: Places) -> str:
    return f"run the config of {str(places.run)!r} again first"


def _key(path: ImagePath, key: ImageKey | None, stores: list[FeatureStore]) -> ImageKey | None:
    if key is None or not all(store.find(key) for store in stores):
        try:
            key = read_with_key(path)[1]
        except ImageError:
            return None
    return key if all(store.find(key) for store in stores) else None


def _stored(stores: list[FeatureStore], keys: list[ImageKey], config: FeaturesConfig) -> np.ndarray:
    """Return the vectors of images from the stores of their layers, joined as for clustering."""
    return join_blocks([store.vectors(keys) for store in stores], config.block_l2, config.block_weights)


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
