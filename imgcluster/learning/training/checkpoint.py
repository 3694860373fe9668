"""Checkpoints of training, in one file that is never partly written."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from imgcluster.errors import OutputError
from imgcluster.learning.model import CHECKPOINT
from imgcluster.utils import remove_temporary, write_whole

logger = logging.getLogger(__name__)

KEY = "imgcluster"
FORMAT = "1"
PARAMETER, MOMENT, SCORES = "parameter:", "adam:", "best_scores"


@dataclass
class Progress:
    """Where training stands: the round, the last epoch that is done, the best one and its scores of images held back.

    tensors: what was learned until then, and the moments of Adam; none before the first epoch.
    """

    round: str
    epoch: int = 0
    best_epoch: int = 0
    best_loss: float | None = None
    best_scores: np.ndarray | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)

    def begin(self, name: str) -> None:
        """Begin another round, from the beginning."""
        self.round, self.epoch, self.tensors = name, 0, {}

    def keep(self, parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
        """Take over what is learned now."""
        self.tensors = {f"{PARAMETER}{name}": value.detach() for name, value in parameters.items()}
        for name, value in parameters.items():
            moments = optimizer.state[value]
            self.tensors |= {f"{MOMENT}{name}:{key}": moment.detach() for key, moment in moments.items()}

    def restore(self, parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
        """Give parameters and the optimizer the values that they had, if there are any."""
        if not self.tensors:
            return
        with torch.no_grad():
            for name, value in parameters.items():
                value.copy_(self.tensors[f"{PARAMETER}{name}"])
                place = f"{MOMENT}{name}:"
                moments = {key: moment for key, moment in self.tensors.items() if key.startswith(place)}
                optimizer.state[value] = {
                    key.removeprefix(place): moment.clone() if moment.ndim == 0 else moment.to(value.device, copy=True)
                    for key, moment in moments.items()
                }


class Checkpoint:
    """The file of a training in a folder. request: all that shapes the training; another one's file does not count."""

    def __init__(self, folder: Path, request: str) -> None:
        self._path = folder / CHECKPOINT
        self._request = request

    def load(self) -> Progress | None:
        """Return what a killed process has left; None where there is nothing that can be gone on with, and says so."""
        from safetensors import safe_open

        if not self._path.exists():
            return None
        try:
            with safe_open(self._path, "pt") as file:
                told = json.loads(file.metadata()[KEY])
                if (told.pop("format"), told.pop("request")) != (FORMAT, self._request):
                    logger.warning("%s is of other labels, features or settings: training starts over", self._path)
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            scores = tensors.pop(SCORES, None)
            return Progress(**told, best_scores=None if scores is None else scores.numpy(), tensors=tensors)
        except Exception as error:  # damaged bytes make safetensors and json raise all kinds
            logger.warning("%s is damaged (%s): training starts over", self._path, error)
            return None

    def save(self, progress: Progress) -> None:
        """Write how far training has come. Raises OutputError where the disk fails."""
        from safetensors.torch import save

        told = {key: value for key, value in vars(progress).items() if key not in ("tensors", "best_scores")}
        text = json.dumps({"format": FORMAT, "request": self._request, **told})
        tensors = {name: value.contiguous() for name, value in progress.tensors.items()}
        if progress.best_scores is not None:
            tensors[SCORES] = torch.from_numpy(progress.best_scores)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            remove_temporary(self._path.parent, [CHECKPOINT])
            write_whole(self._path, save(tensors, {KEY: text}))
        except OSError as error:
            raise OutputError(f"{str(self._path)!r} cannot be written: {error.strerror or error}") from None
