"""Mode `augment`: train a head on augmented images with a frozen backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from imgcluster.backbones import Blocks, Runtime
from imgcluster.learning.training.dataset import Pictures
from imgcluster.learning.training.head import Head


class Frozen:
    """A network of which nothing is learned, executed as for features: in eval mode, and by what is quickest.

    batch_size: images at a time; points_of: blocks of features, joined and prepared, (n, dim) float32.
    """

    def __init__(
        self, pictures: Pictures, runtime: Runtime, batch_size: int, points_of: Callable[[Blocks], np.ndarray]
    ) -> None:
        self._pictures = pictures
        self._runtime = runtime
        self._batch_size = batch_size
        self._points_of = points_of

    def points(self, rows: np.ndarray, epoch: int) -> np.ndarray:
        """Return what a head gets of pictures varied as in this epoch, (len(rows), dim) float32."""
        parts = []
        for pixels, batch in self._pictures.batches(rows, self._batch_size, epoch):
            blocks = self._runtime(pixels)
            parts.append(self._points_of([block[: len(batch)] for block in blocks]))
        return np.concatenate(parts)


class OnFeatures:
    """A head on a frozen network. points: (n, dim) float32 of all pictures as they are; frozen: None: all it gets."""

    def __init__(self, head: Head, points: np.ndarray, frozen: Frozen | None, batch_size: int) -> None:
        self.head = head
        self._points = points
        self._frozen = frozen
        self._batch_size = batch_size

    def trained(self) -> dict[str, nn.Parameter]:
        """Return the head's weights."""
        return dict(self.head.named_parameters())

    def varied(self, rows: np.ndarray, epoch: int) -> Iterator[tuple[Tensor, np.ndarray]]:
        """Yield the scores of varied pictures."""
        frozen = self._frozen
        points = torch.from_numpy(self._points[rows] if frozen is None else frozen.points(rows, epoch))
        self.head.train()
        for start in range(0, len(rows), self._batch_size):
            some = slice(start, start + self._batch_size)
            yield self.head(points[some]), rows[some]

    @torch.no_grad()
    def scores(self, rows: np.ndarray) -> Tensor:
        """Return the scores of pictures as they are."""
        scores: Tensor = self.head.eval()(torch.from_numpy(self._points[rows]))
        return scores
