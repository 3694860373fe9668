"""Features of images, and their origin: weights, runtime, precision, store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from imgcluster.config import AutoRecord
from imgcluster.features.store.reader import StoredVectors
from imgcluster.images import video_starts
from imgcluster.types import Failure, ImageFile

if TYPE_CHECKING:
    from imgcluster.backbones import PrecisionCheck


@dataclass(frozen=True)
class Origin:
    """How one backbone's features were made, and from where they came. `computed` and `reused` count vectors.

    seconds: by stage, those of all threads added up. precision_check: why `precision: auto` chose this precision; None
    where the config or the network's default sets it.
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
    precision_check: PrecisionCheck | None = None


@dataclass(frozen=True)
class Features:
    """Features of the readable images of a list, in its order.

    Attributes:
        vectors: (len(images), dim) float32; (len(images), 0) if they were not gathered.
        failures: Images that could not be read, with reasons.
        origins: Provenance, one per backbone, in the order of their features within a vector.
        stored: The vectors in the store, one entry per layer, if they were not gathered.
        remarks: Notes on single readable images.
        content: Digest of the images' bytes; empty if they were not read.
        scientific: Whether the packages of the extra `scientific` decoded some of the images.
        stamps: (len(images), 2) uint64, by which a store finds the images; None if they were not read.
        auto: What `backbone: auto` chose and passed over, and why; None for a named backbone.
    """

    images: Sequence[ImageFile]
    vectors: np.ndarray
    failures: list[Failure]
    origins: list[Origin]
    notes: list[str] = field(default_factory=list)
    stored: list[StoredVectors] = field(default_factory=list)
    remarks: dict[ImageFile, str] = field(default_factory=dict)
    content: str = ""
    scientific: bool = False
    auto: AutoRecord | None = None
    stamps: np.ndarray | None = None

    @cached_property
    def starts(self) -> np.ndarray:
        """The rows at which a video begins, as `video_starts` returns them."""
        return video_starts(self.images)

    @property
    def dim(self) -> int:
        """The length of a vector, wherever it is."""
        return sum(each.dim for each in self.stored) or int(self.vectors.shape[1])

    @property
    def ids(self) -> list[str]:
        """The image ids, one for each row of `vectors`."""
        return [image.id for image in self.images]
