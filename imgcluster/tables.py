"""The small values that pass between the steps of a run: images, features, clusters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imgcluster.sources import ImagePath

if TYPE_CHECKING:
    import pandas as pd

    from imgcluster.config import Config
    from imgcluster.stored import StoredVectors


NOISE = -1  # the cluster of images that are in none


@dataclass(frozen=True)
class ImageFile:
    """One image to be clustered: the text that names it in the CSVs, and where it lies."""

    id: str
    path: ImagePath


@dataclass(frozen=True)
class Failure:
    """An image that could not become features, and why."""

    image: ImageFile
    reason: str


def by_reason(failures: Iterable[Failure]) -> dict[str, list[Failure]]:
    """Return failures by their reasons, the commonest reason first."""
    found: dict[str, list[Failure]] = {}
    for failure in failures:
        found.setdefault(failure.reason, []).append(failure)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


@dataclass(frozen=True)
class Origin:
    """How one backbone's features were made, and from where they came. `computed` and `reused` count vectors.

    seconds: by stage, those of all threads added up.
    """

    backbone: str
    layer: str
    dim: int
    pooling: str
    weights: str
    weights_file: str | None
    weights_sha256: str
    licence: str
    fallback: dict[str, str] | None
    device: str
    precision: str
    runtime: str
    fingerprint: str
    stores: list[str]
    computed: int
    reused: int
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Features:
    """Features of the readable images, in the order of the list they came from: vectors, (len(images), dim) float32.

    origins: one for each backbone, in the order in which their features stand in a vector. stored: where each layer's
    are, where they were not gathered; `vectors` is (len(images), 0) then. remarks: of readable images, what a person
    should know about them. content: a digest of the bytes of these images; empty where nobody has read them.
    """

    images: list[ImageFile]
    vectors: np.ndarray
    failures: list[Failure]
    origins: list[Origin]
    notes: list[str] = field(default_factory=list)
    stored: list[StoredVectors] = field(default_factory=list)
    remarks: dict[ImageFile, str] = field(default_factory=dict)
    content: str = ""

    @property
    def dim(self) -> int:
        """The length of a vector, wherever it is."""
        return sum(each.dim for each in self.stored) or int(self.vectors.shape[1])

    @property
    def ids(self) -> list[str]:
        """The image ids, one for each row of `vectors`."""
        return [image.id for image in self.images]


@dataclass(frozen=True)
class Clusters:
    """One cluster for each row of the features it was made from.

    labels, runner_up: (n,) int; distance, runner_up_distance: (n,) float, Euclidean, in the transformed space.
    With a single cluster there is no runner-up: -1 and infinity. Of noise the label is -1, the distance not a number,
    and the runner-up its nearest cluster. sizes: (k,) int, by number; a number that no cluster has gets 0.
    names: of numbers, where labels known before were words. probabilities: (n, k) float64, where they were asked for.
    are_labels: whether the numbers are labels known before, to be written as they are.
    """

    labels: np.ndarray
    distance: np.ndarray
    runner_up: np.ndarray
    runner_up_distance: np.ndarray
    sizes: np.ndarray
    state: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    probabilities: np.ndarray | None = None
    are_labels: bool = False


@dataclass(frozen=True)
class Template:
    """The CSV that names the images, as text: every cell of it a str."""

    path: Path | str
    frame: pd.DataFrame
    id_column: str

    @cached_property
    def ids(self) -> list[str]:
        """The image ids, in the order of the rows."""
        return list(self.frame[self.id_column])

    def place(self, row: int) -> str:
        """Where a row stands, for messages. Rows are counted from 1, the header not among them."""
        return f"{self.path} row {row + 1}"


@dataclass(frozen=True)
class Run:
    """All that a run has found, and the seconds each step took. `template` is None where no CSV names the images.

    notes, left_out: what a person should know of the list of images, and how many were passed over, by the reason.
    """

    config: Config
    images: list[ImageFile]
    template: Template | None
    features: Features
    clusters: Clusters
    seconds: dict[str, float] = field(default_factory=dict)
    to_html: Callable[[Run], str] | None = field(default=None, repr=False, compare=False)
    made_in: Path | None = None
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, int | dict[str, int]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The run folder; of one behind a URL, the folder of this machine in which it was made."""
        return self.made_in or Path(self.config.outputs.folder)

    def _repr_html_(self) -> str | None:
        """What a notebook shows of it: the clusters, where whoever made the run has said how."""
        return None if self.to_html is None else self.to_html(self)
