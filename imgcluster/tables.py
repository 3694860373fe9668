"""The small values that pass between the steps of a run: images, features, clusters."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ImageFile:
    """One image to be clustered: the text that names it in the CSVs, and where it lies."""

    id: str
    path: Path


@dataclass(frozen=True)
class Failure:
    """An image that could not become features, and why."""

    image: ImageFile
    reason: str


@dataclass(frozen=True)
class Features:
    """Features of the readable images, in the order of the list they came from.

    vectors: (len(images), dim) float32. `info` says how they were made (backbone, layer, weights, device, ...).
    """

    images: list[ImageFile]
    vectors: np.ndarray
    failures: list[Failure] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        """The image ids, one for each row of `vectors`."""
        return [image.id for image in self.images]


@dataclass(frozen=True)
class Clusters:
    """One cluster for each row of the features it was made from.

    labels, runner_up: (n,) int; distance, runner_up_distance: (n,) float, Euclidean, in the transformed space.
    With a single cluster there is no runner-up: -1 and infinity.
    """

    labels: np.ndarray
    distance: np.ndarray
    runner_up: np.ndarray
    runner_up_distance: np.ndarray
    sizes: np.ndarray
    state: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
