"""The leading eigenvectors of a graph, by subspace iteration."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from imgcluster.clustering.graph import Graph
from imgcluster.utils import Advance, in_order

MAX_DENSE_SIZE = 1000  # points; up to so many, LAPACK finds the eigenvectors of the dense matrix
TOLERANCE = 1e-3  # the norm of A x - λ x, of vectors of the length 1
MAX_ROUNDS = 30
DEGREE = 10
GUARD_SHARE, MIN_GUARDS = 5, 8  # vectors iterated beside the wanted ones: a fifth as many, at least eight
COLUMNS_AT_ONCE = 16
START_OF_DAMPED = 0.3  # the upper end of the damped interval before the first eigenvalues are known

Work = Callable[[slice], object]


def leading(
    graph: Graph, count: int, *, advance: Advance = lambda _: None, tolerance: float = TOLERANCE
) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest eigenvalues, (count,), and eigenvectors, (n, count), of the graph scaled by its degrees.

    Of D^-1/2 W D^-1/2: Ng, Jordan and Weiss, On Spectral Clustering, 2001. The same graph gives the same bits for any
    number of threads. `advance` counts the rounds of large graphs.
    """
    import scipy.sparse as sp

    size = graph.shape[0]
    count = min(count, size)
    degrees = np.asarray(graph.sum(axis=1)).ravel()
    scale = sp.diags(1 / np.sqrt(degrees))
    scaled = (scale @ graph @ scale).tocsr()
    block = count + max(MIN_GUARDS, count // GUARD_SHARE)
    with threadpool_limits(1, user_api="blas"):
        if size <= MAX_DENSE_SIZE or block >= size:
            values, vectors = _dense(scaled, count)
        else:
            smallest = 2 / degrees.max() - 1  # no eigenvalue is smaller, since each point has a link to itself
            iteration = _SubspaceIteration(scaled.astype(np.float32), block, smallest)
            values, vectors = iteration.run(count, tolerance, advance)
    return values, vectors


def _dense(scaled: Graph, count: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.linalg import eigh

    size = scaled.shape[0]
    values, vectors = eigh(scaled.toarray(), subset_by_index=[size - count, size - 1])
    order = np.argsort(-values, kind="stable")
    return values[order], vectors[:, order]


class _SubspaceIteration:
    """Subspace iteration with a Chebyshev filter: Zhou, Saad, Tiago and Chelikowsky, J. Comput. Phys. 219, 2006.

    A block of vectors finds equal eigenvalues, as of a graph in several parts, which Lanczos' single vector misses. The
    filter is applied to a few columns at a time, so that little is held beside the block.
    """

    def __init__(self, matrix: Graph, block: int, smallest: float) -> None:
        self._matrix, self._smallest = matrix, smallest
        # A fixed start, for the same bits each time.
        self._vectors = np.random.default_rng(0).standard_normal((block, matrix.shape[0]), dtype=np.float32).T
        self._slices = [slice(at, min(at + COLUMNS_AT_ONCE, block)) for at in range(0, block, COLUMNS_AT_ONCE)]
        self._damped_to = START_OF_DAMPED

    def run(self, count: int, tolerance: float, advance: Advance) -> tuple[np.ndarray, np.ndarray]:
        """Iterate until the first `count` vectors are accurate, `MAX_ROUNDS` times at most."""
        for _ in range(MAX_ROUNDS):
            self._each(self._filter)
            values = self._rotate()
            self._damped_to = float(values[-1])
            advance(1)
            if self._largest_residual(values, count) < tolerance:
                break
        return values[:count], self._vectors[:, :count]

    def _each(self, work: Work) -> None:
        deque(in_order(work, self._slices), maxlen=0)

    def _product(self, part: slice) -> np.ndarray:
        return np.asarray(self._matrix @ np.ascontiguousarray(self._vectors[:, part]))

    def _filter(self, part: slice) -> None:
        """Multiply columns by the Chebyshev polynomial that is at most 1 on [smallest, damped_to] and grows above."""
        centre, half = (
            np.float32(it / 2) for it in (self._damped_to + self._smallest, self._damped_to - self._smallest)
        )
        before = np.ascontiguousarray(self._vectors[:, part])
        now = (self._matrix @ before - centre * before) / half
        for _ in range(DEGREE - 1):
            later = self._matrix @ now
            later -= centre * now
            later *= 2 / half
            later -= before
            before, now = now, later
        self._vectors[:, part] = now / np.abs(now).max(axis=0)

    def _rotate(self) -> np.ndarray:
        """Turn the block to the best approximations of eigenvectors in its span (Rayleigh and Ritz)."""
        from scipy.linalg import eigh, qr

        self._vectors = qr(self._vectors, mode="economic", overwrite_a=True, check_finite=False)[0]
        columns = self._vectors.shape[1]
        projected = np.empty((columns, columns))

        def fill(part: slice) -> None:
            projected[:, part] = self._vectors.T @ self._product(part)

        self._each(fill)
        values, turn = eigh((projected + projected.T) / 2)
        self._vectors = (turn[:, ::-1].T.astype(np.float32) @ self._vectors.T).T
        return np.asarray(values[::-1])

    def _largest_residual(self, values: np.ndarray, count: int) -> float:
        def residuals(part: slice) -> np.ndarray:
            difference = self._product(part) - self._vectors[:, part] * values[part].astype(np.float32)
            return np.asarray(np.linalg.norm(difference, axis=0))

        return float(np.concatenate(list(in_order(residuals, self._slices)))[:count].max())
