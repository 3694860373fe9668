"""K-Means on a GPU: every start over all points, in float32, by `lloyd`."""

from __future__ import annotations

import numpy as np
import torch

from imgcluster.backbones import tf32
from imgcluster.clustering.kmeans.lloyd import TOLERANCE, Assigned, Block, Clustering, joined, kmeans_plusplus, lloyd
from imgcluster.config import ClustersConfig
from imgcluster.features import Points, moments
from imgcluster.utils import Advance, row_slices

BLOCK_BYTES = 256 * 2**20
MEMORY_SHARE = 0.7  # of a GPU's memory, for the points: beside them are blocks, and perhaps a network


def find_gpu(points: Points) -> torch.device | None:
    """Return the current GPU if the points fit into its memory."""
    if not torch.cuda.is_available():
        return None
    device = torch.device("cuda", torch.cuda.current_device())
    memory = torch.cuda.get_device_properties(device).total_memory
    return device if points.nbytes <= MEMORY_SHARE * memory else None


def kmeans_on(
    device: torch.device, points: Points, config: ClustersConfig, advance: Advance
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels, (n,) int32, and centroids, (k, dim) float32, of the tightest of `n_init` starts.

    `advance` counts the starts.

    Raises:
        torch.OutOfMemoryError: the points and their blocks do not fit into the free memory of the GPU.
    """
    mean, variance = moments(points)
    tolerance = TOLERANCE * float(variance.mean())
    generator = np.random.RandomState(config.random_state)
    with tf32(allowed=False), torch.inference_mode():
        rows = DeviceRows(points, mean, device)

        def start() -> Clustering:
            found = lloyd(rows, rows.take(kmeans_plusplus(rows, config.k, generator)), tolerance)
            advance(1)
            return found

        best = min((start() for _ in range(config.n_init)), key=lambda found: found.score)
    return best.labels, best.centres + mean.astype(np.float32)


class DeviceRows:
    """Points less their mean, held whole on a device: `lloyd.Rows` and `lloyd.SeedRows`."""

    def __init__(self, points: Points, mean: np.ndarray, device: torch.device) -> None:
        centre = mean.astype(np.float32)
        self._rows = torch.empty((len(points), points.dim), device=device)
        for part in row_slices(len(points), points.dim, BLOCK_BYTES // 4):
            block = np.subtract(points.block(part), centre, dtype=np.float32)
            self._rows[part] = torch.from_numpy(block).to(device)

    def __len__(self) -> int:
        return len(self._rows)

    def assign(self, centres: np.ndarray) -> Assigned:
        """As in `Rows`."""
        there = self._on_device(centres)
        lengths = there.square().sum(dim=1)
        slices = row_slices(len(self), 2 * len(centres), BLOCK_BYTES)
        return joined((self._assign_block(part, there, lengths) for part in slices), centres.shape)

    def squared_distances(self, centres: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """As in `Rows`."""
        there, own = self._on_device(centres), self._on_device(labels)
        slices = row_slices(len(self), self._rows.shape[1], BLOCK_BYTES)
        return _on_host(torch.cat([(self._rows[part] - there[own[part]]).square().sum(dim=1) for part in slices]))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """As in `Rows`."""
        return _on_host(self._rows[self._on_device(rows)])

    def squared_distances_to(self, rows: np.ndarray) -> torch.Tensor:
        """Return the squared distances of all rows to some of them, (len(rows), n) float32, computed in float64."""
        some = self._rows[self._on_device(rows)].double()
        lengths = some.square().sum(dim=1)[:, None]
        parts = []
        for part in row_slices(len(self), self._rows.shape[1], BLOCK_BYTES // 2):
            block = self._rows[part].double()
            parts.append((lengths - 2 * some @ block.T + block.square().sum(dim=1)).clamp_(min=0).float())
        return torch.cat(parts, dim=1)

    def sums(self, distances: torch.Tensor) -> np.ndarray:
        """As in `SeedRows`."""
        return _on_host(distances.sum(dim=1, dtype=torch.float64))

    def cumulative(self, distances: torch.Tensor) -> np.ndarray:
        """As in `SeedRows`."""
        return np.cumsum(_on_host(distances), dtype=np.float64)

    def _assign_block(self, part: slice, centres: torch.Tensor, lengths: torch.Tensor) -> Block:
        rows = self._rows[part]
        smallest, labels = torch.addmm(lengths, rows, centres.T, alpha=-2).min(dim=1)
        # A product with ones and zeros: adding the rows up one by one has another order, and other bits, each time.
        chosen = torch.zeros((len(rows), len(centres)), device=rows.device).scatter_(1, labels[:, None], 1)
        score = float(smallest.sum(dtype=torch.float64))
        return _on_host(labels.int()), _on_host(chosen.T @ rows), score

    def _on_device(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._rows.device)


def _on_host(values: torch.Tensor) -> np.ndarray:
    return np.asarray(values.cpu().numpy())
