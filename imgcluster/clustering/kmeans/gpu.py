"""K-Means on a GPU: all starts on all points, float32, by the rules of `lloyd`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from imgcluster.clustering.kmeans.lloyd import (
    MAX_ITERATIONS,
    TOLERANCE,
    Assigned,
    Block,
    Clustering,
    Step,
    Steps,
    joined,
    lloyd,
)
from imgcluster.config import ClustersConfig
from imgcluster.features import Points, moments
from imgcluster.utils import row_slices

BLOCK_BYTES = 256 * 2**20
MEMORY_SHARE = 0.7  # of a GPU's memory, for the points: beside them are blocks, and perhaps a network


def find_gpu(points: Points) -> torch.device | None:
    """Return the GPU that the points fit on, if there is one."""
    if not torch.cuda.is_available():
        return None
    device = torch.device("cuda", torch.cuda.current_device())
    memory = torch.cuda.get_device_properties(device).total_memory
    return device if points.nbytes <= MEMORY_SHARE * memory else None


def kmeans_on(
    device: torch.device, points: Points, config: ClustersConfig, steps: Steps
) -> tuple[np.ndarray, np.ndarray]:
    """Run K-Means from `n_init` starts and keep the tightest: labels, (n,) int32, and centroids, (k, dim) float32.

    Raises torch.OutOfMemoryError.
    """
    mean, variance = moments(points)
    generator = np.random.RandomState(config.random_state)
    best: Clustering | None = None
    with _full_float32(), torch.inference_mode():
        rows = DeviceRows(points, mean, device)
        for _ in range(config.n_init):
            steps.begin(config.k + MAX_ITERATIONS)
            seeds = rows.take(rows.seeds(config.k, generator, steps.step))
            found = lloyd(rows, seeds, TOLERANCE * float(variance.mean()), steps.step)
            best = found if best is None or found.score < best.score else best
        steps.end()
    assert best is not None  # noqa: S101 (n_init is at least 1)
    return best.labels, best.centres + mean.astype(np.float32)


class DeviceRows:
    """Points less their mean, on a device as a whole."""

    def __init__(self, points: Points, mean: np.ndarray, device: torch.device) -> None:
        centre = mean.astype(np.float32)
        self._rows = torch.empty((len(points), points.dim), device=device)
        for part in row_slices(len(points), points.dim, BLOCK_BYTES // 4):
            block = np.subtract(points.block(part), centre, dtype=np.float32)
            self._rows[part] = torch.from_numpy(block).to(device)

    def assign(self, centres: np.ndarray) -> Assigned:
        """Find the nearest centre, (k, dim) float32, of each row; of equally near ones the first."""
        there = torch.from_numpy(centres).to(self._rows.device)
        lengths = there.square().sum(dim=1)
        slices = row_slices(len(self._rows), 2 * len(centres), BLOCK_BYTES)
        return joined((self._assign_block(part, there, lengths) for part in slices), centres.shape)

    def squared_distances(self, centres: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the squared distance of each row to the centre of its label, (n,) float32, exactly 0 for the same."""
        there = torch.from_numpy(centres).to(self._rows.device)
        own = torch.from_numpy(labels).to(self._rows.device)
        slices = row_slices(len(self._rows), self._rows.shape[1], BLOCK_BYTES)
        return _on_host(torch.cat([(self._rows[part] - there[own[part]]).square().sum(dim=1) for part in slices]))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows of these numbers, (len(rows), dim) float32."""
        return _on_host(self._rows[torch.from_numpy(np.ascontiguousarray(rows)).to(self._rows.device)])

    def seeds(self, n_clusters: int, generator: np.random.RandomState, step: Step) -> np.ndarray:
        """Draw the numbers of `n_clusters` rows, (n_clusters,) int64, by the greedy k-means++ of scikit-learn.

        Arthur and Vassilvitskii, k-means++: the advantages of careful seeding, SODA 2007, page 1027; the greedy
        choice among some candidates is in its last section. The same numbers are drawn as by scikit-learn.
        """
        trials = 2 + int(np.log(n_clusters))
        chosen = [int(generator.random_sample() * len(self._rows))]
        nearest = self._squared_distances_to(np.array(chosen))[0]
        step()
        for _ in range(1, n_clusters):
            sums = np.cumsum(_on_host(nearest), dtype=np.float64)
            drawn = np.searchsorted(sums, generator.uniform(size=trials) * sums[-1])
            candidates = np.minimum(drawn, len(self._rows) - 1)
            distances = torch.minimum(nearest, self._squared_distances_to(candidates))
            best = int(distances.sum(dim=1, dtype=torch.float64).argmin())
            chosen.append(int(candidates[best]))
            nearest = distances[best]
            step()
        return np.array(chosen)

    def _assign_block(self, part: slice, centres: torch.Tensor, lengths: torch.Tensor) -> Block:
        rows = self._rows[part]
        smallest, labels = torch.addmm(lengths, rows, centres.T, alpha=-2).min(dim=1)
        # A product with ones and zeros: adding the rows up one by one has another order, and other bits, each time.
        chosen = torch.zeros((len(rows), len(centres)), device=rows.device).scatter_(1, labels[:, None], 1)
        score = float(smallest.sum(dtype=torch.float64))
        return _on_host(labels.int()), _on_host(chosen.T @ rows), score

    def _squared_distances_to(self, chosen: np.ndarray) -> torch.Tensor:
        """Return the squared distances of all rows to some of them, (len(chosen), n) float32, reckoned in float64."""
        some = self._rows[torch.from_numpy(chosen).to(self._rows.device)].double()
        lengths = some.square().sum(dim=1)[:, None]
        parts = []
        for part in row_slices(len(self._rows), self._rows.shape[1], BLOCK_BYTES // 2):
            rows = self._rows[part].double()
            parts.append((lengths - 2 * some @ rows.T + rows.square().sum(dim=1)).clamp_(min=0).float())
        return torch.cat(parts, dim=1)


def _on_host(values: torch.Tensor) -> np.ndarray:
    return np.asarray(values.cpu().numpy())


@contextmanager
def _full_float32() -> Iterator[None]:
    """Keep the GPU from rounding float32 to the ten bits of TF32 in matrix products."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
