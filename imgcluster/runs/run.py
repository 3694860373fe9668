"""What a run has found, in memory: its config, images, features and clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imgcluster.config import Config
from imgcluster.features import Features
from imgcluster.types import Clusters, Hierarchy, ImageFile, Template


@dataclass(frozen=True)
class RunResult:
    """All that a run has found. `template` is None where no CSV names the images.

    seconds: time of each step. notes, left_out, files: as a `Listing` has them. record: run.json, once it is written.
    """

    config: Config
    images: Sequence[ImageFile]
    template: Template | None
    features: Features
    clusters: Clusters
    seconds: dict[str, float] = field(default_factory=dict)
    made_in: Path | None = None
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, int | dict[str, int]] = field(default_factory=dict)
    files: int | None = None
    record: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def hierarchy(self) -> Hierarchy | None:
        """Coarser and finer clusters around these, where `clusters.hierarchy` asks for them."""
        return self.clusters.hierarchy

    @property
    def folder(self) -> Path:
        """The run folder; of one behind a URL, the folder of this machine in which it was made."""
        return self.made_in or Path(self.config.outputs.folder)
