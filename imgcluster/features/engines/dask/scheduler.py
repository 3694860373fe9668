"""A run's images handed out to the workers of a cluster, a task each, and what comes back put on record.

Each worker has one task at a time, of as many images as it is thought to need a few seconds for, so that little is lost
with it. Images whose worker has died are handed out again; the second time in halves, so that one that no worker
survives is found, and recorded as a failure.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from imgcluster import errors
from imgcluster.backbones import Unsupported
from imgcluster.errors import ImgclusterError
from imgcluster.features.engines.dask.cluster import Cluster
from imgcluster.features.engines.dask.protocol import Handful, Job, Outcome
from imgcluster.features.engines.dask.worker import compute
from imgcluster.features.engines.local import Work
from imgcluster.features.store.layers import LayerStores
from imgcluster.features.store.store import Shard
from imgcluster.types import ImageFile
from imgcluster.utils import Tell

if TYPE_CHECKING:
    from distributed import Future

FIRST_TASK = 64  # images, as long as nobody knows how long one takes
SECONDS_A_TASK = 10.0  # of a worker, so that little is lost with it
# And of each task so many more for each worker: the driver and the scheduler need milliseconds for a task, and have to
# keep up with all workers. tests/README.md has the figures.
SECONDS_FOR_EACH_WORKER = 0.2
ADMITTING = 16  # shards whose index is read at a time: behind a URL that is to wait
SECONDS_BETWEEN_LOOKS = 2.0
DISMISSALS = 20  # of workers, without any task that was done
DEATHS = 3  # of workers with this image alone, until it is blamed
ENDED = "the workers that computed it ended: out of memory?"
NO_MEMORY = "does not fit into the memory of a worker"

logger = logging.getLogger(__name__)


class _Lost(Exception):
    """The scheduler does not know a task any more."""


@dataclass
class _Part:
    """Images of one task. deaths: how many workers have ended at it, or at the larger one that it was cut from."""

    images: list[ImageFile]
    deaths: int = 0


@dataclass
class _Admitted:
    """A task that is done, and its shards as they were read from the store, or what went wrong with that."""

    part: _Part
    outcome: Outcome
    shards: list[Shard]
    error: BaseException | None = None


@dataclass
class _Round:
    """What is under way on one connection to the scheduler: what comes late from another one is nobody's."""

    futures: dict[str, tuple[_Part, Any]] = field(default_factory=dict)


class Dispatcher:
    """Hands out the images that `work` has to do, and takes what comes back."""

    def __init__(self, cluster: Cluster, job: Job, work: Work, store: LayerStores, advance: Tell) -> None:
        self._cluster, self._job, self._work, self._store, self._advance = cluster, job, work, store, advance
        self._images = deque(work.todo)
        self._again: deque[_Part] = deque()
        self._round = _Round()
        self._ended: queue.Queue[_Admitted | Future] = queue.Queue()
        self._admitting = ThreadPoolExecutor(ADMITTING, thread_name_prefix="imgcluster-admitting")
        self._to_admit = 0
        self._number = store.next_number
        self._workers: dict[str, int] = {}
        self._looked = self._seen = 0.0
        self._seconds_an_image = 0.0
        self._dismissed = 0
        self.devices: set[str] = set()
        self.n_workers = 0

    def run(self) -> None:
        """Compute all. Raises what `work.do` raises, Unsupported, and ImgclusterError where no worker is left."""
        from distributed.comm import CommClosedError

        try:
            while self._images or self._again or self._round.futures or self._to_admit:
                try:
                    self._look()
                    self._hand_out()
                    self._take_one()
                except (ImgclusterError, Unsupported):
                    raise
                except (_Lost, CommClosedError, CancelledError):  # also before, or after, the client has noticed
                    self._begin_again()
                except Exception:  # of a connection: Dask has many
                    if self._cluster.is_reached:
                        raise
                    self._begin_again()
        finally:
            self._cancel()
            self._admitting.shutdown(cancel_futures=True)

    def _look(self) -> None:
        """See now and then who is there. Raises OSError where the scheduler is not."""
        now = time.monotonic()
        if now - self._looked < SECONDS_BETWEEN_LOOKS and self._workers:
            return
        self._workers, self._looked = self._cluster.workers(), now
        self.n_workers = max(self.n_workers, len(self._workers))
        if self._workers:
            self._seen = now
        elif self._seen and now - self._seen > self._cluster.settings.patience:
            waited = f"{self._cluster.settings.patience:.0f} s{self._cluster.absence()}"
            raise ImgclusterError(
                f"engine: no worker has been there for {waited}; what was done is kept: run the same command again and "
                "it goes on from there"
            )

    def _hand_out(self) -> None:
        # One each: what waits at a worker would be blamed where that dies, and done twice where the scheduler does.
        while len(self._round.futures) < len(self._workers) and (self._images or self._again):
            self._submit(self._again.popleft() if self._again else self._next_part())

    def _next_part(self) -> _Part:
        most, tasks = self._cluster.settings.images_per_task, max(1, len(self._workers))
        wanted = seconds_a_task(tasks)
        size = FIRST_TASK if not self._seconds_an_image else int(wanted / self._seconds_an_image)
        size = max(1, min(size, most, max(share_of(len(self._images), tasks), min(FIRST_TASK, most))))
        return _Part([self._images.popleft() for _ in range(min(size, len(self._images)))])

    def _submit(self, part: _Part) -> None:
        # The job goes along with each task: as a result of its own, it would have them wait at the worker that has it.
        future: Future = self._cluster.client.submit(
            compute,
            self._job,
            self._number,
            Handful(absolute(part.images)),
            key=f"imgcluster-{self._job.token}-{self._number}",
            pure=False,
        )
        self._number += 1
        self._round.futures[future.key] = part, future
        future.add_done_callback(self._ended.put)

    def _take_one(self) -> None:
        """Take the next task that has ended, or nothing after a while. Raises what ends the run."""
        try:
            future = self._ended.get(timeout=SECONDS_BETWEEN_LOOKS)
        except queue.Empty:
            return
        if isinstance(future, _Admitted):
            self._to_admit -= 1
            self._record(future)
            return
        if future.key not in self._round.futures:
            return
        part, _ = self._round.futures.pop(future.key)
        if future.status == "finished":
            self._settle(part, self._result(part, future))
        elif future.status == "error":
            self._settle_error(part, future.exception())
        else:  # the scheduler has forgotten it
            self._again.append(part)
            raise _Lost

    def _result(self, part: _Part, future: Future) -> Outcome | None:
        """Return what a task has returned; None where its worker has died with it, and the images go out again.

        Raises what Dask raises where the connection is lost; the images go out again then too.
        """
        from distributed import KilledWorker

        try:
            outcome: Outcome = future.result(timeout=self._cluster.settings.patience)
        except KilledWorker as error:  # what was there was lost, and so was who made it again
            self._settle_error(part, error)
            return None
        except (TimeoutError, asyncio.TimeoutError):  # to Python 3.10 two
            self._again.append(part)
            return None
        except Exception:
            self._again.append(part)
            raise
        return outcome

    def _settle(self, part: _Part, outcome: Outcome | None) -> None:
        if outcome is None:
            return
        if outcome.error is not None:
            kind, words = outcome.error
            raise Unsupported(words) if kind == Unsupported.__name__ else getattr(errors, kind)(words)
        if outcome.refusal is not None:
            self._again.append(part)
            self._dismiss(outcome.worker, outcome.refusal)
            return
        if outcome.memory:
            self._blame(part, NO_MEMORY, 1)
            return
        self._to_admit += 1
        self._admitting.submit(self._admit, part, outcome)

    def _admit(self, part: _Part, outcome: Outcome) -> None:
        """Read what a worker has put into the store. Called by several threads."""
        try:
            shards = [] if outcome.shard is None else self._store.read_shards(outcome.shard)
            self._ended.put(_Admitted(part, outcome, shards))
        except BaseException as error:
            self._ended.put(_Admitted(part, outcome, [], error))

    def _record(self, admitted: _Admitted) -> None:
        part, outcome = admitted.part, admitted.outcome
        if admitted.error is not None:
            raise admitted.error
        keys = [] if outcome.shard is None else self._store.admit(outcome.shard, admitted.shards)
        rows = zip(part.images, outcome.rows.tolist(), strict=True)
        self._work.take_keys({image: keys[row] for image, row in rows if row >= 0}, outcome.computed)
        failed = {part.images[row]: reason for row, reason in outcome.reasons.items()}
        self._work.take_failures(failed, outcome.seconds)
        self.devices.add(outcome.device)
        self._dismissed = 0
        self._pace(outcome.spent / len(part.images))
        so_far = f", {len(self._work.failures):,} failed" if self._work.failures else ""
        self._advance(len(part.images), f"{len(self._workers)} workers{so_far}")

    def _pace(self, spent: float) -> None:
        """Note what an image has taken on its worker: how long the driver waits for it, it may have kept it waiting."""
        self._seconds_an_image = (self._seconds_an_image + spent) / 2 if self._seconds_an_image else spent

    def _settle_error(self, part: _Part, error: BaseException | None) -> None:
        from distributed import KilledWorker

        if not isinstance(error, KilledWorker):
            self._again.append(part)
            raise error or _Lost
        self._looked = 0.0
        self._blame(part, ENDED, 1 + error.allowed_failures)  # so often has the scheduler tried by itself

    def _blame(self, part: _Part, reason: str, deaths: int) -> None:
        """Hand images out again, smaller each time; one that is alone and ends workers again and again has failed."""
        part.deaths += deaths
        if len(part.images) == 1 and (part.deaths >= DEATHS or reason == NO_MEMORY):
            if not self.devices:  # then it is not this image that is at fault
                raise ImgclusterError(
                    f"engine: no worker has done a single image: {reason}; give each of them more memory "
                    "(engine.dask.memory, or --memory-limit of `dask worker`), or start fewer"
                )
            self._work.take_failures({part.images[0]: reason}, {})
            self._advance(1)
        elif len(part.images) == 1 or (part.deaths == 1 and reason == ENDED):  # it may have been anything
            self._again.append(part)
        else:
            half = len(part.images) // 2
            logger.warning("%d images ended their worker; handed out again in halves", len(part.images))
            self._again.extend((_Part(part.images[:half], 1), _Part(part.images[half:], 1)))

    def _dismiss(self, worker: str, refusal: str) -> None:
        """Send a worker away that cannot take part. Raises ImgclusterError where no other is there."""
        if set(self._cluster.workers()) <= {worker}:
            raise ImgclusterError(f"engine: the worker {worker} {refusal}")
        self._dismissed += 1
        if self._dismissed > DISMISSALS:
            raise ImgclusterError(f"engine: one worker after the other cannot take part; the last, {worker}, {refusal}")
        logger.warning("the worker %s is left out: %s", worker, refusal)
        self._cluster.client.retire_workers([worker], close_workers=True)
        self._looked = 0.0

    def _begin_again(self) -> None:
        """Go on over a new connection: what was under way is handed out again."""
        lost = [part for part, _ in self._round.futures.values()]
        self._round = _Round()
        self._again.extend(lost)
        self._cluster.reconnect()
        self._looked, self._seen, self._workers = 0.0, time.monotonic(), {}

    def _cancel(self) -> None:
        for _, future in self._round.futures.values():
            future.cancel()
        self._round.futures.clear()


def share_of(images: int, workers: int) -> int:
    """Return how many of the images that are left one task may have: ever fewer, so that all end at about one time."""
    return -(-images // (2 * workers))


def seconds_a_task(workers: int) -> float:
    """Return how long a worker is to be at a task where there are so many of them."""
    return max(SECONDS_A_TASK, SECONDS_FOR_EACH_WORKER * workers)


def absolute(images: Sequence[ImageFile]) -> list[ImageFile]:
    """Return images with paths that mean the same in another process's folder."""
    return [replace(image, path=image.path.absolute()) for image in images]
