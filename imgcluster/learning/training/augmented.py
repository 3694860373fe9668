"""Mode `augment`: train a head on augmented images with a frozen backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from imgcluster.learning.training.head import Head

PointsOf = Callable[[np.ndarray, int], np.ndarray]  # rows and an epoch -> (len(rows), dim) float32


class OnFeatures:
    """A head on a frozen network.

    points: (n, dim) float32 of all pictures as they are. varied_points: returns those of pictures as they are varied in
    an epoch; None: they are not varied.
    """

    def __init__(self, head: Head, points: np.ndarray, varied_points: PointsOf | None, batch_size: int) -> None:
        self.head = head
        self._points = points
        self._varied_points = varied_points
        self._batch_size = batch_size

    def trained(self) -> dict[str, nn.Parameter]:
        """Return the head's weights."""
        return dict(self.head.named_parameters())

    def varied(self, rows: np.ndarray, epoch: int) -> Iterator[tuple[Tensor, np.ndarray]]:
        """Yield the scores of varied pictures."""
        points = torch.from_numpy(self._varied_points(rows, epoch) if self._varied_points else self._points[rows])
        self.head.train()
        for start in range(0, len(rows), self._batch_size):
            some = slice(start, start + self._batch_size)
            yield self.head(points[some]), rows[some]

    @torch.no_grad()
    def scores(self, rows: np.ndarray) -> Tensor:
        """Return the scores of pictures as they are."""
        scores: Tensor = self.head.eval()(torch.from_numpy(self._points[rows]))
        return scores
