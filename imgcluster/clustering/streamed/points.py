"""Points of a store in lazy Dask blocks, each read by the worker that needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from imgcluster.errors import ClusteringError, ConfigError, ImgclusterError
from imgcluster.features import Part, State, StoredVectors, apply_transform, read_block
from imgcluster.utils import install_command

if TYPE_CHECKING:
    import dask.array
    from distributed import Client

BLOCK_BYTES = 64 * 2**20
CANCELLED = ("CancelledError", "FutureCancelledError", "FuturesCancelledError", "CommClosedError")
NO_STEPS: State = {"steps": np.empty(0, np.str_)}

Reading = Callable[[], np.ndarray]


@dataclass(frozen=True)
class StreamedPoints:
    """Vectors of a store behind fitted transform steps, read and transformed block by block.

    Block i begins at image i * block_rows, whatever shards its images lie in: results joined in the order of the blocks
    depend on the images alone, not on shards or workers.
    """

    stored: StoredVectors
    block_rows: int
    state: State

    @classmethod
    def of(cls, stored: StoredVectors, beside: int) -> StreamedPoints:
        """Cut a store into blocks of `BLOCK_BYTES`; `beside`: bytes of intermediate results per row."""
        return cls(stored, max(1, BLOCK_BYTES // (4 * stored.dim + beside)), NO_STEPS)

    def __len__(self) -> int:
        return self.stored.count

    @property
    def dim(self) -> int:
        """Number of values of a point behind the steps."""
        sizes = [len(self.state[key]) for key in self.state if key.endswith("_components")]
        return sizes[-1] if sizes else self.stored.dim

    def behind(self, name: str, fitted: State) -> StreamedPoints:
        """Return the points behind one more fitted step."""
        names = [*self.state["steps"].tolist(), name]
        named = {f"{len(names) - 1}_{key}": value for key, value in fitted.items()}
        return replace(self, state={**self.state, "steps": np.array(names, np.str_), **named})

    def before_steps(self) -> StreamedPoints:
        """Return the points as they are in the store."""
        return replace(self, state=NO_STEPS)

    def map(self, work: Callable[..., Any], *shared: Any, blocks_each: int = 1) -> list[Any]:
        """Return the delayed results of `work(blocks, *shared)` for every `blocks_each` blocks, in their order.

        `blocks` is an iterator that reads one block, (m, dim) float32, at a time.
        """
        import dask

        readings = [self._reading(rows) for rows in self._slices()]
        values = (self.state, *shared)
        sent = [dask.delayed(value, traverse=False, pure=False) for value in values]
        starts = range(0, len(readings), blocks_each)
        return [
            dask.delayed(partial(_on_blocks, work, readings[start : start + blocks_each]), pure=False)(*sent)
            for start in starts
        ]

    def array(self, mean: np.ndarray, factor: float) -> dask.array.Array:
        """Return (points - mean) * factor as a lazy array, (n, dim) float32; mean: (dim,) float32."""
        import dask.array

        rows = [part.stop - part.start for part in self._slices()]
        blocks = self.map(_scaled, mean, np.float32(factor))
        arrays = [
            dask.array.from_delayed(block, (count, self.dim), np.float32)
            for block, count in zip(blocks, rows, strict=True)
        ]
        return dask.array.concatenate(arrays)

    def take(self, places: np.ndarray) -> np.ndarray:
        """Read the points at these places, (len(places), dim) float32, on this machine.

        Raises:
            StoreError: a shard is gone or damaged.
        """
        return apply_transform(self.stored.take(places), self.state)

    def _slices(self) -> list[slice]:
        return [slice(start, min(start + self.block_rows, len(self))) for start in range(0, len(self), self.block_rows)]

    def _reading(self, rows: slice) -> Reading:
        parts: list[Part] = self.stored.parts(np.arange(rows.start, rows.stop))
        return partial(read_block, parts, rows.stop - rows.start, self.stored.dim)


@contextmanager
def computing(client: Client | None) -> Iterator[None]:
    """Let Dask compute on the cluster of a client, or in threads of this machine without one.

    Raises:
        ConfigError: Dask is not installed.
        ClusteringError: workers died repeatedly, most likely out of memory, or the cluster is gone.
    """
    with ExitStack() as exits:
        try:
            import dask

            if client is None:  # one thread in each product: the same bits whatever the number of cores
                exits.enter_context(threadpool_limits(1, user_api="blas"))
            exits.enter_context(dask.config.set(scheduler="threads" if client is None else client))
        except ImportError:
            raise ConfigError(f"clusters.backend: dask is not installed; {install_command('dask')}") from None
        try:
            yield
        except Exception as error:
            if isinstance(error, ImgclusterError) or client is None or not (why := _lost(error, client)):
                raise
            raise ClusteringError(f"clusters.backend: dask: {why}; all features are in the store") from None


def _lost(error: Exception, client: Client) -> str:
    """Explain an error that comes from the loss of workers or of the cluster; empty for any other error."""
    kind = type(error).__name__  # of distributed, which need not be there
    if kind == "KilledWorker":
        return (
            "workers ended one after the other, most likely for lack of memory; give each more of it "
            "(engine.dask.memory, dask worker --memory-limit), or let there be fewer"
        )
    if client.status != "running" or kind in CANCELLED:
        return f"the connection to the cluster is lost ({kind}); run the config again"
    return ""


def _on_blocks(
    work: Callable[..., Any],
    readings: Sequence[Reading],
    state: State,
    *shared: Any,
) -> Any:
    """Run `work` over blocks on a worker."""
    try:
        return work((apply_transform(read(), state) for read in readings), *shared)
    except ImgclusterError as error:
        told = type(error)(*error.args)
    raise told  # without what it came of: an error of aiohttp's cannot be sent, and ours would arrive as its repr


def _scaled(blocks: Iterator[np.ndarray], mean: np.ndarray, factor: np.float32) -> np.ndarray:
    scaled = np.subtract(next(blocks), mean, dtype=np.float32)
    scaled *= factor
    return np.asarray(scaled)
