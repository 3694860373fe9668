"""A finished run as a model to explain: its networks, its transform and its centroids."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imgcluster.backbones import Choice, find_backbone, find_devices, find_weights, join
from imgcluster.clustering import centroid_distances, used_numbers
from imgcluster.config import FeaturesConfig, RunFiles
from imgcluster.errors import ClusteringError, ConfigError, ImageError, OutputError
from imgcluster.explain.gradcam import ForwardPass, GradCam
from imgcluster.explain.targets import margins, transformed
from imgcluster.images import find_recipe
from imgcluster.runs import FinishedRun, Places, listed_paths, read_run
from imgcluster.types import NOISE, ImagePath

MAX_NAMES_IN_MESSAGE = 3


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
    def margin(self) -> float:
        """How much farther the runner-up is than the own cluster; the most borderline image has the smallest."""
        return self.runner_up_distance - self.distance

    @property
    def is_noise(self) -> bool:
        """Whether it is in no cluster."""
        return self.cluster == NOISE


@dataclass(frozen=True)
class RunPass:
    """Outputs of a run's networks for n pictures, and the points, (n, dim), after the transform."""

    networks: list[ForwardPass]
    points: Tensor


class ExplainedRun:
    """A finished run, opened to explain why its images are in their clusters.

    Raises OutputError: no finished run there; ConfigError: its features came from a file; ClusteringError: a transform
    without gradients; WeightsError and WeightsUnavailable where its weights are no longer what they were.
    """

    def __init__(self, folder: Path) -> None:
        run = read_run(folder)
        self.folder, self.record, self.config = folder, run.record, run.config
        self.names, self.places, self.clusters_sha256 = run.names, run.places, run.clusters_sha256
        if self.config.features.file is not None:
            raise ConfigError(f"{str(folder)!r} has its features from a file: no network can be asked about them")
        self.images = _read_images(run)
        self._state = run.clusterer
        if "umap" in self._state["steps"]:
            raise ClusteringError("clusters.transform: umap cannot be followed back to the pictures")

    @cached_property
    def device(self) -> torch.device:
        """The first device of the run's config. Raises ConfigError where it is not here."""
        return torch.device(find_devices(self.config.features.device)[0])

    @property
    def choices(self) -> list[Choice]:
        """The networks of the run with layers, weights and preprocessing; after a fallback those that were used."""
        return [_choice(origin, self.config.features, self.places) for origin in self.record["features"]]

    @cached_property
    def networks(self) -> list[GradCam]:
        """The networks, built when they are first needed."""
        return [GradCam(choice, self.device) for choice in self.choices]

    @property
    def is_random(self) -> bool:
        """Whether a network of the run has random weights."""
        return any(origin["weights"] == "random" for origin in self.record["features"])

    def has(self, id: str) -> bool:
        """Say whether the run has an image of this id."""
        return any(image.id == id for image in self.images)

    def image(self, id: str) -> RunImage:
        """Return an image by its id. Raises ImageError with the ids near it: none of that name, or one that failed."""
        found = next((image for image in self.images if image.id == id), None)
        if found is None:
            near = difflib.get_close_matches(id, [image.id for image in self.images], MAX_NAMES_IN_MESSAGE, 0.5)
            hint = f"; near it: {', '.join(map(repr, near))}" if near else ""
            raise ImageError(f"{str(self.folder)!r} has no image {id!r}{hint}")
        if found.cluster is None:
            raise ImageError(f"image {id!r} is in no cluster: it failed: {found.error}")
        return found

    def forward(self, images: Sequence[np.ndarray]) -> RunPass:
        """Run all networks and the transform on pictures, (height, width, 3) RGB uint8 each."""
        passes = [network.forward(images) for network in self.networks]
        blocks = [output for each in passes for output in each.outputs]
        features = self.config.features
        return RunPass(passes, transformed(join(blocks, features.block_l2, features.block_weights), self._state))

    def heat_maps(
        self, passed: RunPass, images: Sequence[np.ndarray], own: Sequence[int], against: Sequence[int | None]
    ) -> list[np.ndarray]:
        """Return for each picture what makes `margins` large: (height, width) float32, of any sign."""
        score = margins(passed.points, self._centroids, own, against)
        by_network = [
            network.heat_maps(each, score, images) for network, each in zip(self.networks, passed.networks, strict=True)
        ]
        return [np.asarray(sum(maps), np.float32) for maps in zip(*by_network, strict=True)]

    def nearest(self, points: Tensor) -> list[list[int]]:
        """Return the clusters of each point, the nearest first; those that no image is in are left out."""
        numbers = used_numbers(self._state["centroids"])
        distances = centroid_distances(points.detach().cpu().numpy(), self._state["centroids"][numbers])
        return [numbers[order].tolist() for order in distances.argsort(axis=1, kind="stable")]

    @property
    def clusters(self) -> list[int]:
        """The numbers of the clusters that images are in."""
        return [int(number) for number in used_numbers(self._state["centroids"])]

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
    recipe = find_recipe("backbone" if fallback else config.preprocess, backbone, config.views, config.reading)
    return Choice(backbone, asked or (backbone.default_layer,), origin["pooling"], recipe, weights, origin["fallback"])


def _read_images(run: FinishedRun) -> list[RunImage]:
    try:
        rows = run.places.rows(run.rows)
        places = listed_paths([row["path"] for row in rows], run.places.storage)
        return [_image(number, row, place) for number, (row, place) in enumerate(zip(rows, places, strict=True))]
    except (KeyError, ValueError):
        raise OutputError(
            f"{str(run.folder / RunFiles.CLUSTERS)!r} is damaged; run its config again with force=True"
        ) from None


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
