"""The messages between the driver of an extraction on a cluster and the workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from imgcluster._version import __version__
from imgcluster.backbones import Choice, Plan
from imgcluster.config import FeaturesConfig
from imgcluster.images import decoders_by_ending
from imgcluster.types import ImageFile, ImagePath
from imgcluster.utils import Place


@dataclass(frozen=True)
class Job:
    """What all tasks of an extraction share. token: identifies it; a worker keeps the network of the last one.

    config: by which a worker chooses its device, as on one machine. store: an absolute path, or a URL with the options
    of its file system. sample: an image that a worker must be able to read. is_here: whether the driver has started the
    workers itself, named by their numbers. plan: None while the workers are asked for theirs. stored: rows in the store
    before the extraction. is_measuring: whether images are measured as they are read. decoders: of files that need an
    extra, by their endings, as the driver has them.
    """

    token: str
    choice: Choice
    config: FeaturesConfig
    store: Place
    sample: ImagePath | None
    is_here: bool
    plan: Plan | None = None
    stored: int = 0
    is_measuring: bool = False
    on_error: str = "record"
    release: str = __version__
    decoders: dict[str, str] = field(default_factory=decoders_by_ending)


@dataclass(frozen=True)
class Greeting:
    """A worker's answer when it is asked to take part. refusal: why it cannot. shapes: those of `plan`, by layer."""

    release: str
    versions: dict[str, str]
    refusal: str | None = None
    plan: Plan | None = None
    shapes: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """The result of a task. shard: its name in each layer's store; None where no image has features.

    rows: (n_images,) int32, the row of each image in the shard, -1 of those that failed. computed: images that went
    through the network. reasons: why images failed, by their index in the task. seconds: time of each stage; spent: of
    the whole task. refusal: why `worker` cannot take part. memory: whether the worker ran out of it. error: that ends
    the run.
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
    error: Exception | None = None


class TaskImages:
    """The images of a task, as an object that Dask passes on as it is: it searches lists for futures, item by item."""

    def __init__(self, images: list[ImageFile]) -> None:
        self.images = images


def absolute(images: Sequence[ImageFile]) -> list[ImageFile]:
    """Return images with absolute paths, for processes with another working directory."""
    return [replace(image, path=image.path.absolute()) for image in images]
