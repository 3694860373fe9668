"""An extraction on a cluster, replayed event by event: workers, the driver that hands out tasks, and the bucket."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass, field

from imgcluster.config.engine_schema import DaskEngine
from imgcluster.features.engines.dask.tasks import IMAGES_IN_FIRST_TASKS, seconds_per_task, share_of


@dataclass(frozen=True)
class Setting:
    """What is replayed. images: None: without an end, of which so many `tasks` are looked at.

    seconds_an_image: what tasks took, by a worker that waits for nobody; each task draws one. slow: the share of
    workers that need `slowness` times as long. seconds_a_task, seconds_an_image_served: of the driver and the
    scheduler, who serve one task at a time. adapts: whether tasks have as many images as take `seconds_wanted`, or as
    long as the program wants, and `images_per_task` at most; timed_by_worker: whether by what the worker needed, or by
    how long the driver waited for it. bytes and requests a second: of each worker's network, and of the bucket for all.
    """

    workers: int
    seconds_an_image: tuple[float, ...]
    images: int | None = None
    images_per_task: int = DaskEngine().images_per_task
    adapts: bool = True
    seconds_wanted: float | None = None
    timed_by_worker: bool = True
    seconds_a_task: float = 0.0
    seconds_an_image_served: float = 0.0
    start_up: float = 0.0
    slow: float = 0.0
    slowness: float = 1.0
    image_bytes: float = 0.0
    network_bytes: float = math.inf
    bucket_bytes: float = math.inf
    bucket_requests: float = math.inf
    tasks: int = 200_000
    seed: int = 0


@dataclass
class Replay:
    """What came out: seconds and images from the first task to the last, and who was busy for how many of them."""

    setting: Setting
    seconds: float = 0.0
    images: int = 0
    tasks: int = 0
    busy: dict[str, float] = field(default_factory=lambda: {"workers": 0.0, "driver": 0.0, "bucket": 0.0})
    half: tuple[float, int] = (0.0, 0)

    @property
    def rate(self) -> float:
        """Images a second in the second half of the tasks: as it goes on once it is under way."""
        seconds, images = self.half
        return (self.images - images) / (self.seconds - seconds)

    @property
    def efficiency(self) -> float:
        """The rate over that of workers who wait for nobody."""
        each = sum(self.setting.seconds_an_image) / len(self.setting.seconds_an_image)
        return self.rate * each / self.setting.workers

    @property
    def shares(self) -> dict[str, float]:
        """The part of the time in which each was busy; of the workers, the mean."""
        of_all = {"workers": self.busy["workers"] / self.setting.workers}
        return {name: spent / self.seconds for name, spent in {**self.busy, **of_all}.items()}


def replay(setting: Setting) -> Replay:
    """Let the workers of a setting do its tasks."""
    return _Events(setting).run()


class _Events:
    def __init__(self, setting: Setting) -> None:
        self._set = setting
        self._random = random.Random(setting.seed)
        self._left = math.inf if setting.images is None else setting.images
        self._driver = self._bucket = 0.0  # when each is free again
        self._paced = 0.0
        self._result = Replay(setting)

    def run(self) -> Replay:
        setting = self._set
        slow = round(setting.slow * setting.workers)
        # When a worker asks, which one, its last task's images, when that was handed out, and the work that it was.
        asking = [(setting.start_up, worker, 0, 0.0, 0.0) for worker in range(setting.workers)]
        while asking and (setting.images is not None or self._result.tasks < setting.tasks):
            now, worker, images, started, spent = heapq.heappop(asking)
            self._result.busy["workers"] += spent
            if images:
                self._settle(now, images, started, spent)
            if self._left:
                count, handed_out = self._next_size(), max(now, self._driver)
                self._serve(now, count)
                alone = count * self._random.choice(setting.seconds_an_image)
                alone *= setting.slowness if worker < slow else 1.0
                ends = self._transferred(self._driver, count, alone)
                heapq.heappush(asking, (ends, worker, count, handed_out, alone))
        return self._result

    def _next_size(self) -> int:
        """As `TaskQueue` does it."""
        most, size = self._set.images_per_task, self._set.images_per_task
        if self._set.adapts:
            seconds = self._set.seconds_wanted or seconds_per_task(self._set.workers)
            wanted = int(seconds / self._paced) if self._paced else IMAGES_IN_FIRST_TASKS
            fair = share_of(int(self._left), self._set.workers) if self._left < math.inf else most
            size = max(1, min(wanted, most, max(fair, min(IMAGES_IN_FIRST_TASKS, most))))
        size = int(min(size, self._left))
        self._left -= size
        return size

    def _serve(self, now: float, images: int) -> None:
        """Half of a task's service, when it is handed out, and when it comes back."""
        spent = (self._set.seconds_a_task + images * self._set.seconds_an_image_served) / 2
        self._driver = max(self._driver, now) + spent
        self._result.busy["driver"] += spent

    def _settle(self, now: float, images: int, started: float, alone: float) -> None:
        self._serve(now, images)
        spent = (alone if self._set.timed_by_worker else self._driver - started) / images
        self._paced = spent if not self._paced else (self._paced + spent) / 2
        done = self._result
        done.seconds, done.images, done.tasks = self._driver, done.images + images, done.tasks + 1
        is_early = done.tasks <= self._set.tasks // 2
        if is_early if self._set.images is None else done.images <= self._set.images // 2:
            done.half = done.seconds, done.images

    def _transferred(self, start: float, images: int, alone: float) -> float:
        """Return when a task is done: its worker, its network and the bucket work at the same time."""
        setting, size = self._set, images * self._set.image_bytes
        in_bucket = max(images / setting.bucket_requests, size / setting.bucket_bytes)
        self._bucket = max(self._bucket, start) + in_bucket
        self._result.busy["bucket"] += in_bucket
        return max(start + alone, start + size / setting.network_bytes, self._bucket)
