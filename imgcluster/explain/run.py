"""The eyes of a finished run: its networks, as they were, with its transform and its centroids behind them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imgcluster.backbones import Choice, find_backbone, find_devices, find_weights, join
from imgcluster.clustering import Clusterer
from imgcluster.config import Config, FeaturesConfig
from imgcluster.errors import ClusteringError, ConfigError, ImageError, OutputError
from imgcluster.explain.gradcam import Eye, Sight
from imgcluster.explain.targets import margins, transformed
from imgcluster.images import find_recipe
from imgcluster.runs import CLUSTERS, Places, config_of, listed_paths, places_of, read_record, read_rows, recorded_names
from imgcluster.types import NOISE, ImagePath

NAMED = 3


@dataclass(frozen=True)
class RunImage:
    """A row of clusters.csv, its number counted from 0.

    cluster: None where the image failed, -1 for noise. runner_up: None where there is none. Distances are Euclidean,
    infinite or not a number where there are none.
    """

    row: int
    id: str
    path: ImagePath
    cluster: int | None
    distance: float
    runner_up: int | None
    runner_up_distance: float
    error: str

    @property
    def doubt(self) -> float:
        """How much farther the runner-up is than the own cluster: the least of it is the most borderline."""
        return self.runner_up_distance - self.distance


class ExplainedRun:
    """A finished run, opened to be asked why its images are where they are.

    Raises OutputError: no finished run there; ConfigError: its features came from a file; ClusteringError: a transform
    that knows of no other images; WeightsError and WeightsUnavailable where its weights are no longer what they were.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = read_record(folder)
        self.config: Config = config_of(self.record, folder)
        if self.config.features.file is not None:
            raise ConfigError(f"{str(folder)!r} has its features from a file: no network can be asked about them")
        self.names = recorded_names(self.record)
        self.places = places_of(folder, self.record)
        self.images = _read_images(folder, self.places)
        self._state = Clusterer.load(folder).state
        if "umap" in self._state["steps"]:
            raise ClusteringError("clusters.transform: umap cannot be followed back to the pictures")
        self._eyes: list[Eye] | None = None
        self._device: torch.device | None = None

    @property
    def device(self) -> torch.device:
        """The first device of the run's config. Raises ConfigError where it is not here."""
        if self._device is None:
            self._device = find_devices(self.config.features.device)[0]
        return self._device

    @property
    def choices(self) -> list[Choice]:
        """The networks of the run, after a fallback those that it fell back to."""
        return [_choice(origin, self.config.features, self.places) for origin in self.record["features"]]

    @property
    def eyes(self) -> list[Eye]:
        """The networks, built when they are first asked for."""
        if self._eyes is None:
            self._eyes = [Eye(choice, self.device) for choice in self.choices]
        return self._eyes

    @property
    def is_random(self) -> bool:
        """Whether a network of the run has learnt nothing."""
        return any(origin["weights"] == "random" for origin in self.record["features"])

    def has(self, id: str) -> bool:
        """Say whether the run has an image of this id."""
        return any(image.id == id for image in self.images)

    def image(self, id: str) -> RunImage:
        """Return an image by its id. Raises ImageError with the ids near it: none of that name, or one that failed."""
        found = next((image for image in self.images if image.id == id), None)
        if found is None:
            near = difflib.get_close_matches(id, [image.id for image in self.images], NAMED, 0.5)
            hint = f"; near it: {', '.join(map(repr, near))}" if near else ""
            raise ImageError(f"{str(self.folder)!r} has no image {id!r}{hint}")
        if found.cluster is None:
            raise ImageError(f"image {id!r} is in no cluster: it failed: {found.error}")
        return found

    def look(self, images: Sequence[np.ndarray]) -> tuple[list[Sight], Tensor]:
        """Look at pictures with all eyes; returns what each saw, and the points, (n, dim), after the transform."""
        sights = [eye.look(images) for eye in self.eyes]
        blocks = [output for sight in sights for output in sight.outputs]
        features = self.config.features
        return sights, transformed(join(blocks, features.block_l2, features.block_weights), self._state)

    def heat(
        self,
        seen: tuple[list[Sight], Tensor],
        images: Sequence[np.ndarray],
        own: Sequence[int],
        against: Sequence[int | None],
    ) -> list[np.ndarray]:
        """Return for each picture where it has what makes `margins` large: (height, width) float32, of any sign."""
        sights, points = seen
        score = margins(points, self._centroids, own, against)
        by_eye = [eye.heat(sight, score, images) for eye, sight in zip(self.eyes, sights, strict=True)]
        return [np.asarray(sum(heats), np.float32) for heats in zip(*by_eye, strict=True)]

    def nearest(self, points: Tensor) -> list[list[int]]:
        """Return the clusters of each point, the nearest first; those that no image is in are left out."""
        numbers = [int(number) for number in self.clusters]
        distances = torch.cdist(points.detach(), self._centroids[numbers])
        return [[numbers[at] for at in row] for row in distances.argsort(dim=1).tolist()]

    @property
    def clusters(self) -> list[int]:
        """The numbers of the clusters that images are in."""
        inhabited = np.isfinite(self._state["centroids"]).all(axis=1)
        return [int(number) for number in np.flatnonzero(inhabited)]

    @property
    def _centroids(self) -> Tensor:
        return torch.as_tensor(self._state["centroids"], dtype=torch.float32, device=self.device)


def _choice(origin: dict[str, Any], config: FeaturesConfig, places: Places) -> Choice:
    backbone = find_backbone(origin["backbone"])
    fallback = origin["fallback"] if backbone.name not in config.backbones else None
    spec = "imagenet" if fallback else places.path(str(origin["weights"]))
    weights = find_weights(backbone, spec, progress=False)
    if weights.sha256 != origin["weights_sha256"]:
        raise ConfigError(f"the weights of {backbone.name} are not those of the run any more: run its config again")
    asked = () if fallback else config.layers_of(backbone.name)
    recipe = find_recipe("backbone" if fallback else config.preprocess, backbone, config.views)
    return Choice(backbone, asked or (backbone.default_layer,), origin["pooling"], recipe, weights, origin["fallback"])


def _read_images(folder: Path, where: Places) -> list[RunImage]:
    try:
        rows = where.rows(read_rows(folder))
        places = listed_paths([row["path"] for row in rows], where.storage)
        return [_image(number, row, place) for number, (row, place) in enumerate(zip(rows, places, strict=True))]
    except (KeyError, ValueError):
        raise OutputError(f"{str(folder / CLUSTERS)!r} is damaged; run its config again with --force") from None


def _image(number: int, row: dict[str, str], place: ImagePath) -> RunImage:
    return RunImage(
        row=number,
        id=row["id"],
        path=place,
        cluster=int(row["cluster"]) if row["cluster"] else None,
        distance=float(row["distance"] or "nan"),
        runner_up=int(row["runner_up"]) if row["runner_up"] else None,
        runner_up_distance=float(row["runner_up_distance"] or "inf"),
        error=row["error"],
    )


def is_noise(image: RunImage) -> bool:
    """Say whether an image is in no cluster."""
    return image.cluster == NOISE
