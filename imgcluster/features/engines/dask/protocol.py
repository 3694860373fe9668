"""What the driver of a cluster and its workers tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imgcluster._version import __version__
from imgcluster.backbones import Choice, Plan
from imgcluster.config import FeaturesConfig
from imgcluster.types import ImageFile, ImagePath


@dataclass(frozen=True)
class Job:
    """What all tasks of an extraction have in common. token: tells it from others, for what a worker keeps of it.

    config: chooses what executes the network on a worker, as it does on one machine. store: an absolute path, or a URL.
    sample: one of the images, which a worker has to see as the driver does. is_here: whether the workers are processes
    that the driver has started, and named by their numbers. stored: how many rows the store has before.
    """

    token: str
    choice: Choice
    config: FeaturesConfig
    store: str
    storage: Mapping[str, Mapping[str, Any]]
    on_error: str
    sample: ImagePath | None
    is_here: bool
    plan: Plan | None = None
    stored: int = 0
    release: str = __version__


@dataclass(frozen=True)
class Greeting:
    """What a worker is. refusal: why it cannot take part."""

    release: str
    versions: dict[str, str]
    refusal: str | None = None
    plan: Plan | None = None
    shapes: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What became of the images of a task. shard: the name of what was put into each layer's store, None: nothing.

    rows: (n_images,) int32, the row of each image in it, -1 of those that failed. computed: how many the network has
    seen. reasons: of the images that failed, by their place. seconds: of each stage; spent: of all. refusal: why the
    `worker` cannot take part; memory: the images did not fit into it; error: kind and words of what ends the run.
    """

    shard: str | None = None
    rows: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    computed: int = 0
    reasons: dict[int, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    spent: float = 0.0
    device: str = ""
    refusal: str | None = None
    worker: str = ""
    memory: bool = False
    error: tuple[str, str] | None = None


class Handful:
    """Images on their way to a worker, as one thing: Dask would look through a list of them one by one."""

    def __init__(self, images: list[ImageFile]) -> None:
        self.images = images
