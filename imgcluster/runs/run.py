"""A finished run: its config, images, features and clusters, and the seconds each step took."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from imgcluster.config import Config
from imgcluster.features import Features
from imgcluster.types import Clusters, ImageFile, Template


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
