"""The driver of an extraction on a Dask cluster: submits tasks, collects their results, retries what workers lost.

Each worker has one task at a time, sized to take a few seconds, so that a lost worker costs little. Images whose worker
ended are submitted again, the second time in halves: an image that no worker survives is isolated by bisection and
recorded as failed.
"""

from __future__ import annotations

import logging
import queue
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from concurrent.futures import Future as ReadFuture
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgcluster.errors import ImgclusterError
from imgcluster.features.engines.dask.cluster import NO_ANSWER, TIMEOUTS, Cluster
from imgcluster.features.engines.dask.protocol import Job, Outcome, TaskImages, absolute
from imgcluster.features.engines.dask.tasks import Task, TaskQueue
from imgcluster.features.engines.dask.worker import compute
from imgcluster.features.engines.local import Work
from imgcluster.features.store.layers import LayerStores
from imgcluster.features.store.store import Shard
from imgcluster.utils import Tell

if TYPE_CHECKING:
    from distributed import Future

CONCURRENT_INDEX_READS = 16  # of shards; behind a URL, reading is mostly waiting
SECONDS_BETWEEN_POLLS = 2.0
MAX_DISMISSALS = 20  # of workers in a row, without a finished task in between
MAX_FAILED_ATTEMPTS = 3  # at an image alone in its task, before it is recorded as failed
WORKER_ENDED = "the workers that computed it ended: out of memory?"
NO_MEMORY = "does not fit into the memory of a worker"
CONNECTION_ERRORS = (*NO_ANSWER, CancelledError)

logger = logging.getLogger(__name__)


class _TaskLost(Exception):
    """The scheduler no longer knows a task."""


class WorkerPool:
    """The workers of a cluster, as of the last poll. max_count: most workers seen at a time."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._next_poll = 0.0
        self._last_seen: float | None = None
        self.count = self.max_count = 0

    def poll(self) -> None:
        """Update the count, every SECONDS_BETWEEN_POLLS while there are workers.

        Raises ImgclusterError where there has been no worker for too long, OSError where the connection is lost.
        """
        now = time.monotonic()
        if self.count and now < self._next_poll:
            return
        self.count = len(self._cluster.workers())
        self.max_count = max(self.max_count, self.count)
        self._next_poll = now + SECONDS_BETWEEN_POLLS
        patience = self._cluster.settings.patience
        if self.count:
            self._last_seen = now
        elif self._last_seen is not None and now - self._last_seen > patience:
            raise ImgclusterError(
                f"engine: no worker has been there for {patience:.0f} s{self._cluster.absence()}; what was done is "
                "kept: run the same command again and it goes on from there"
            )

    def poll_next_time(self) -> None:
        """Make the next call of `poll` ask the scheduler."""
        self._next_poll = 0.0

    def reset(self) -> None:
        """Forget the workers, and begin to wait for new ones."""
        self.count, self._last_seen = 0, time.monotonic()


@dataclass
class _ReadShards:
    """A finished task and its shards, as they were read from the store."""

    task: Task
    outcome: Outcome
    shards: ReadFuture[list[Shard]]


class Dispatcher:
    """Submits the images that `work` has to do, and records the results in `work` and the store.

    devices: descriptions of the devices that computed. workers: those of the cluster.
    """

    def __init__(self, cluster: Cluster, job: Job, work: Work, store: LayerStores, advance: Tell) -> None:
        self._cluster, self._job, self._work, self._store, self._advance = cluster, job, work, store, advance
        self._tasks = TaskQueue(work.todo, cluster.settings.images_per_task)
        self._number = store.next_number
        self._in_flight: dict[str, tuple[Task, Future]] = {}
        self._index_readers = ThreadPoolExecutor(CONCURRENT_INDEX_READS, thread_name_prefix="imgcluster-admitting")
        self._reads = 0  # shards that are being read
        self._done: queue.Queue[_ReadShards | Future] = queue.Queue()
        self._dismissals = 0
        self.devices: set[str] = set()
        self.workers = WorkerPool(cluster)

    def run(self) -> None:
        """Compute all images.

        Raises ImgclusterError where no worker is left, Unsupported, and what `work.do` raises.
        """
        try:
            while self._tasks or self._in_flight or self._reads:
                try:
                    self.workers.poll()
                    self._submit()
                    self._collect()
                except (_TaskLost, *CONNECTION_ERRORS) as error:
                    if not self._is_connection_lost(error):
                        raise
                    logger.debug("reconnecting after %r", error)
                    self._reconnect()
        finally:
            self._cancel()
            self._index_readers.shutdown(cancel_futures=True)

    def _is_connection_lost(self, error: Exception) -> bool:
        """Tell whether an error is one of the connection; some come before, or after, the client has noticed itself."""
        from distributed.comm import CommClosedError

        return isinstance(error, _TaskLost | CommClosedError | CancelledError) or not self._cluster.is_reached

    def _submit(self) -> None:
        """Give each idle worker a task.

        Never more: a task that waits at a worker would count as failed when that worker ends, and would be done twice
        when the scheduler ends.
        """
        while len(self._in_flight) < self.workers.count and self._tasks:
            self._submit_task(self._tasks.next(self.workers.count))

    def _submit_task(self, task: Task) -> None:
        # Each task carries the job: as a future of its own, it would tie tasks to the worker that holds it.
        try:
            future: Future = self._cluster.connected_client.submit(
                compute,
                self._job,
                self._number,
                TaskImages(absolute([self._work.images[place] for place in task.images])),
                key=f"imgcluster-{self._job.token}-{self._number}",
                pure=False,
            )
        except CONNECTION_ERRORS:
            self._tasks.retry(task)
            raise
        self._number += 1
        self._in_flight[future.key] = task, future
        future.add_done_callback(self._done.put)

    def _collect(self) -> None:
        """Process the next finished task, or return after a while. Raises what ends the run."""
        try:
            done = self._done.get(timeout=SECONDS_BETWEEN_POLLS)
        except queue.Empty:
            return
        if isinstance(done, _ReadShards):
            self._reads -= 1
            self._record(done)
        elif done.key in self._in_flight:  # else of an earlier connection
            task, future = self._in_flight.pop(done.key)
            if (outcome := self._outcome(task, future)) is not None:
                self._settle(task, outcome)

    def _outcome(self, task: Task, future: Future) -> Outcome | None:
        """Return the outcome of a task; None where its worker ended, or does not send it: the task is queued again.

        Raises the error of the task, _TaskLost, and what Dask raises where the connection is lost; the task is queued
        again then too.
        """
        from distributed import KilledWorker

        patience = self._cluster.settings.patience
        try:
            if future.status == "finished":
                outcome: Outcome = future.result(timeout=patience)
                return outcome
            error = future.exception(timeout=patience) if future.status == "error" else None
        except KilledWorker as ended:  # the worker that held the outcome, and those that computed it again
            error = ended
        except TIMEOUTS:
            self._tasks.retry(task)
            return None
        except CONNECTION_ERRORS:
            self._tasks.retry(task)
            raise
        if not isinstance(error, KilledWorker):
            self._tasks.retry(task)
            raise error or _TaskLost
        self.workers.poll_next_time()
        self._retry(task, WORKER_ENDED, 1 + error.allowed_failures)  # the scheduler itself has retried so often
        return None

    def _settle(self, task: Task, outcome: Outcome) -> None:
        """Act on the outcome of a task. Raises the error that ends the run."""
        if outcome.error is not None:
            raise outcome.error
        if outcome.refusal is not None:
            self._tasks.retry(task)
            self._dismiss(outcome.worker, outcome.refusal)
        elif outcome.memory:
            self._retry(task, NO_MEMORY, 1)
        else:
            self._reads += 1
            reading = self._index_readers.submit(self._read_shards, outcome)
            reading.add_done_callback(lambda shards: self._done.put(_ReadShards(task, outcome, shards)))

    def _read_shards(self, outcome: Outcome) -> list[Shard]:
        """Read what a worker has put into the store. Runs in several threads."""
        return [] if outcome.shard is None else self._store.read_shards(outcome.shard)

    def _record(self, read: _ReadShards) -> None:
        """Put the images of a finished task on record. Raises the error of reading its shards."""
        places, outcome = [int(place) for place in read.task.images], read.outcome
        try:
            shards = read.shards.result()
        except BaseException:  # raised again: whatever it is, the task is not lost
            self._tasks.retry(read.task)
            raise
        keys = [] if outcome.shard is None else self._store.admit(outcome.shard, shards)
        rows = zip(places, outcome.rows.tolist(), strict=True)
        keys_of = {place: keys[row] for place, row in rows if row >= 0}
        failed = {places[row]: reason for row, reason in outcome.reasons.items()}
        self._work.take_over(keys_of, outcome.computed, failed, outcome.seconds)
        self.devices.add(outcome.device)
        self._dismissals = 0
        self._tasks.add_measurement(outcome.spent / len(places))
        failures = f", {len(self._work.failures):,} failed" if self._work.failures else ""
        self._advance(len(places), f"{self.workers.count} workers{failures}")

    def _retry(self, task: Task, reason: str, failed_attempts: int) -> None:
        """Queue a task again, in halves the second time; record an image as failed that was alone in its task."""
        task.failed_attempts += failed_attempts
        if len(task.images) == 1 and (task.failed_attempts >= MAX_FAILED_ATTEMPTS or reason == NO_MEMORY):
            if not self.devices:  # no worker has done anything: the image is not to blame
                raise ImgclusterError(
                    f"engine: no worker has done a single image: {reason}; give each of them more memory "
                    "(engine.dask.memory, or --memory-limit of `dask worker`), or start fewer"
                )
            self._work.take_over({}, 0, {int(task.images[0]): reason}, {})
            self._advance(1)
        elif len(task.images) == 1 or (task.failed_attempts == 1 and reason == WORKER_ENDED):
            self._tasks.retry(task)  # the worker may have ended for another reason
        else:
            logger.warning("%d images ended their worker; handed out again in halves", len(task.images))
            self._tasks.retry(*task.halves())

    def _dismiss(self, worker: str, refusal: str) -> None:
        """Retire a worker that cannot take part. Raises ImgclusterError where there is no other, or too many refuse."""
        if set(self._cluster.workers()) <= {worker}:
            raise ImgclusterError(f"engine: the worker {worker} {refusal}")
        self._dismissals += 1
        if self._dismissals > MAX_DISMISSALS:
            raise ImgclusterError(f"engine: one worker after the other cannot take part; the last, {worker}, {refusal}")
        logger.warning("the worker %s is left out: %s", worker, refusal)
        self._cluster.connected_client.retire_workers([worker], close_workers=True)
        self.workers.poll_next_time()

    def _reconnect(self) -> None:
        """Connect to the scheduler again, and queue the tasks in flight again."""
        self._tasks.retry(*(task for task, _ in self._in_flight.values()))
        self._in_flight.clear()
        self._cluster.reconnect()
        self.workers.reset()

    def _cancel(self) -> None:
        with suppress(*CONNECTION_ERRORS):  # then the tasks are lost anyway
            for _, future in self._in_flight.values():
                future.cancel()
        self._in_flight.clear()
