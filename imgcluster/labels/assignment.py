"""Assign new images to the clusters of a finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgcluster.clustering import Clusterer, Placed
from imgcluster.config import ImagesConfig
from imgcluster.errors import ConfigError
from imgcluster.features import Features, check_readable, extract_features, with_stamps
from imgcluster.images import images_at, is_held, open_again, open_all_again, parts_of_files, walk_images
from imgcluster.runs import (
    NAME,
    PROBABILITY,
    cluster_cells,
    config_of,
    path_text,
    probability_cell,
    read_clusterer,
    read_record,
    recorded_names,
)
from imgcluster.types import ImageFile, TextTable
from imgcluster.utils import (
    DEFAULT_STORAGE,
    Storage,
    digest_arrays,
    installed,
    kept_file,
    kept_path,
    pack_arrays,
    unpack_arrays,
)

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("id", "path", "cluster", "distance", "runner_up", "runner_up_distance", "new", "status", "error")
PACKAGES = ("imgcluster", "numpy", "scipy", "scikit-learn")  # that place images


@dataclass(frozen=True)
class Assignment:
    """The images placed, and the failures; `placed` has a row for each of `features.images`.

    names: those of the run's clusters, by number, where it has any.
    """

    images: Sequence[ImageFile]
    features: Features
    placed: Placed
    names: Mapping[int, str] = field(default_factory=dict)

    def table(self) -> pd.DataFrame:
        """Return a row for each image: id, path, cluster, distance, runner-up, whether it is new, status and error.

        Then its cluster's name, where the run's clusters have names, and its probability, where the method has one.
        """
        import pandas as pd

        found = self.text_table()
        return pd.DataFrame(found.rows(), columns=found.columns)

    def text_table(self) -> TextTable:
        """Return the table as texts."""
        row_of = {image: row for row, image in enumerate(self.features.images)}
        reason_of = {failure.image: failure.reason for failure in self.features.failures}
        rows = [self._row(image, row_of.get(image), reason_of.get(image, "")) for image in self.images]
        more = [*([NAME] if self.names else []), *([] if self.placed.probability is None else [PROBABILITY])]
        return TextTable([*COLUMNS, *more], zip(*rows, strict=True))

    def _row(self, image: ImageFile, row: int | None, reason: str) -> list[str]:
        found, name, own = self.placed, "", np.nan
        if row is None:
            cells = ["", "", "", "", "", "failed", reason]
        else:
            nearest = found.distance[row], found.runner_up[row], found.runner_up_distance[row]
            cells = [*cluster_cells(found.labels[row], *nearest), "yes" if found.new[row] else "no", "ok", ""]
            name = self.names.get(int(found.labels[row]), "")
            own = np.nan if found.probability is None else found.probability[row]
        more = [] if found.probability is None else [probability_cell(own)]
        return [image.id, path_text(image), *cells, *([name] if self.names else []), *more]


def assign(run: str | Path, images: str | Path | Sequence[str | Path], *, show: bool = True) -> Assignment:
    """Place images, a folder, a file or a list of files, into the clusters of a run folder.

    They are seen, transformed and placed as the run's own were; features go into the run's store, and are never
    computed again. Raises ClusteringError where the run's method cannot place new images, OutputError where the folder
    holds no finished run, ConfigError where its features cannot be made again, and as `extract_features`.
    """
    folder = Path(run)
    clusterer = Clusterer(read_clusterer(folder))
    clusterer.check()
    record = read_record(folder)
    config = config_of(record, folder)
    if config.features.file is not None:
        raise ConfigError(f"{str(folder)!r} has its features from a file: those of new images cannot be made")
    storage = Storage(config.storage)
    listed = listed_images(images, storage, config.images)
    fingerprints = [str(origin["fingerprint"]) for origin in record["features"]]
    features = extract_features(listed, config.features, storage=storage, show=show, like=fingerprints)
    check_readable(features)
    _check_same(record, features, folder)
    return Assignment(listed, features, _placed(clusterer, features.vectors), recorded_names(record))


def _placed(clusterer: Clusterer, vectors: np.ndarray) -> Placed:
    """Place vectors, or read where an earlier process has placed the same ones."""
    versions = {package: installed(package) for package in PACKAGES}
    digest = digest_arrays(versions, {**clusterer.state, "new vectors": vectors})

    def read(data: bytes) -> Placed:
        found: Placed = unpack_arrays(data, (Placed,))
        if len(found.labels) != len(vectors):
            raise ValueError("not of these vectors")
        return found

    placed: Placed = kept_file(
        kept_path("placed", f"{digest}.npz"), lambda: clusterer.place(vectors), read, pack_arrays
    )
    return placed


def listed_images(
    images: str | Path | Sequence[str | Path], storage: Storage = DEFAULT_STORAGE, config: ImagesConfig | None = None
) -> Sequence[ImageFile]:
    """Return the images of a folder, a URL or an archive; one image; or those of a list, whose ids are their paths.

    config: says which frames of videos and which pages of TIFFs are images; None: no frames, first pages.
    Raises ImageError: no image, or a video where no frames are asked for.
    """
    asked = config or ImagesConfig(folder=".")
    if not isinstance(images, str | Path):
        texts = [str(path) for path in images]
        places = with_stamps(open_all_again(texts, storage))
        listed = [ImageFile(text, place) for text, place in zip(texts, places, strict=True)]
        return parts_of_files(listed, asked.video, asked.pages)
    if is_held(str(images)):
        return images_at(str(images), storage)
    place = Path(images)
    if place.is_dir():
        return walk_images(place, asked.video, asked.pages)
    return parts_of_files([ImageFile(place.name, open_again(str(place), storage))], asked.video, asked.pages)


def _check_same(record: dict[str, Any], features: Features, folder: Path) -> None:
    """Refuse features of other numbers than the run's, as after a fallback, with other weights or another precision."""
    for origin, theirs in zip(features.origins, record["features"], strict=False):
        if origin.fingerprint != theirs["fingerprint"]:
            raise ConfigError(
                f"these features are of {origin.backbone} in {origin.precision} by {origin.runtime}, those of "
                f"{str(folder)!r} of {theirs['backbone']} in {theirs['precision']} by {theirs['runtime']}, or of other "
                "weights: run its config again here"
            )
