"""Near-duplicates, strangest images and neighbours of many images, against scikit-learn's search by brute force."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from unittest.mock import patch

import numpy as np
from sklearn.neighbors import NearestNeighbors

from imgcluster.clustering import find_similar
from imgcluster.utils import row_slices
from tests.benchmarks.clock import seconds
from tests.benchmarks.rows import Row

DIM, LATENT, HIDDEN = 1280, 24, 96
COUNTS = {False: (2_000, 100_000, 1_000_000), True: (2_000, 12_000)}  # by --quick
NEIGHBOURS = 5
CHECKED = 1_000
PLAIN = 2_000  # rows that scikit-learn is asked for; its time grows with them
CLUSTERS, COPIES = 200, 0.05
BLOCK = 8192


def neighbors(quick: bool) -> Iterator[Row]:
    """CPU seconds and recall, of features like those behind a ReLU, in a file; a million take 5 GB and minutes."""
    with TemporaryDirectory() as own, patch.dict(os.environ, IMGCLUSTER_CACHE=own):
        for count in COUNTS[quick]:
            path = Path(own) / "vectors.npy"
            _write(path, count)
            yield from _compared(np.load(path, mmap_mode="r"))


def _compared(vectors: np.ndarray) -> Iterator[Row]:
    count, title = len(vectors), f"{len(vectors):,} x {DIM}"
    start = process_time()
    wall = seconds(lambda: find_similar(vectors, nearest=NEIGHBOURS))
    ours = process_time() - start
    found = find_similar(vectors, nearest=NEIGHBOURS)  # kept, where they are many
    if count <= max(COUNTS[True]) or count == COUNTS[False][1]:
        index = NearestNeighbors(algorithm="brute").fit(np.array(vectors))
        start = process_time()
        index.kneighbors(vectors[:PLAIN], NEIGHBOURS + 1)
        theirs = (process_time() - start) * count / min(PLAIN, count)
        yield Row("neighbors", f"{title}: CPU s", f"{ours:.1f}", f"{theirs:.1f}", f"{ours / theirs:.2f}", "<= 0.1")
    else:
        yield Row("neighbors", f"{title}: s", f"{wall:.0f}", aim="<= 1200")
    rows = np.sort(np.random.default_rng(1).permutation(count)[:CHECKED])
    last = _cosines_of_the_last(vectors, rows)
    recall = float((found.similarity[rows] >= last[:, None] - 1e-6).mean())
    yield Row("neighbors", f"{title}: recall of {NEIGHBOURS}", f"{recall:.4f}", aim=">= 0.99")


def _cosines_of_the_last(vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The cosine of each row's last neighbour, (len(rows),)."""
    best = np.full((len(rows), NEIGHBOURS), -2.0)
    own = _unit(vectors[rows])
    for part in row_slices(len(vectors), DIM, 64 * 2**20):
        cosines = own @ _unit(vectors[part]).T
        inside = np.flatnonzero((rows >= part.start) & (rows < part.stop))
        cosines[inside, rows[inside] - part.start] = -2
        best = np.sort(np.concatenate([best, cosines], axis=1), axis=1)[:, -NEIGHBOURS:]
    return np.asarray(best[:, 0])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30))


def _write(path: Path, count: int) -> None:
    """Clustered points of `LATENT` dimensions behind a random network, one in twenty nearly that before it."""
    generator = np.random.default_rng(0)
    centres = 1.2 * generator.standard_normal((CLUSTERS, LATENT), np.float32)
    spreads = generator.uniform(0.2, 1, (CLUSTERS, 1)).astype(np.float32)
    first = generator.standard_normal((LATENT, HIDDEN), np.float32) / LATENT**0.5
    second = generator.standard_normal((HIDDEN, DIM), np.float32) / HIDDEN**0.5
    vectors = np.lib.format.open_memmap(path, "w+", np.float32, (count, DIM))
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        of = generator.integers(CLUSTERS, size=size)
        latent = centres[of] + spreads[of] * generator.standard_normal((size, LATENT), np.float32)
        block = np.maximum(np.maximum(latent @ first, 0) @ second - 0.3, 0)
        block += 0.05 * np.abs(generator.standard_normal(block.shape, np.float32)) * (block > 0)
        copies = 1 + np.flatnonzero(generator.random(size - 1) < COPIES)
        block[copies] = block[copies - 1] * (1 + 0.01 * generator.standard_normal((len(copies), DIM), np.float32))
        vectors[start : start + size] = block
