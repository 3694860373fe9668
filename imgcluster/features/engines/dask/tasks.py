"""The images of an extraction as a queue of tasks for the workers of a cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

IMAGES_IN_FIRST_TASKS = 64  # until the time that an image takes has been measured
SECONDS_PER_TASK = 10.0
# Tasks get longer by this for each worker: driver and scheduler spend milliseconds on a task, and have to keep up with
# all workers. tests/README.md has the measurements.
SECONDS_PER_TASK_AND_WORKER = 0.2

Places = Sequence[int] | np.ndarray


@dataclass
class Task:
    """Images for one worker, by their places in the run. failed_attempts: workers that ended while computing them."""

    images: Places
    failed_attempts: int = 0

    def halves(self) -> tuple[Task, Task]:
        """Return two tasks of half the images each, with one failed attempt."""
        half = len(self.images) // 2
        return Task(self.images[:half], 1), Task(self.images[half:], 1)


class TaskQueue:
    """The images that wait for a worker, cut into tasks of about equal duration; tasks to retry come first."""

    def __init__(self, images: Places, max_images_per_task: int) -> None:
        self._images, self._next = images, 0
        self._retries: deque[Task] = deque()
        self._max_images = max_images_per_task
        self._seconds_per_image = 0.0

    def __bool__(self) -> bool:
        return bool(self._left or self._retries)

    @property
    def _left(self) -> int:
        return len(self._images) - self._next

    def retry(self, *tasks: Task) -> None:
        """Queue tasks again."""
        self._retries.extend(tasks)

    def next(self, workers: int) -> Task:
        """Remove and return the next task, where so many workers share the images."""
        if self._retries:
            return self._retries.popleft()
        size = min(self._size(max(1, workers)), self._left)
        self._next += size
        return Task(self._images[self._next - size : self._next])

    def add_measurement(self, seconds_per_image: float) -> None:
        """Note the time that an image took on its worker; recent measurements count most."""
        before = self._seconds_per_image or seconds_per_image
        self._seconds_per_image = (before + seconds_per_image) / 2

    def _size(self, workers: int) -> int:
        wanted = IMAGES_IN_FIRST_TASKS
        if self._seconds_per_image:
            wanted = int(seconds_per_task(workers) / self._seconds_per_image)
        share = max(share_of(self._left, workers), min(IMAGES_IN_FIRST_TASKS, self._max_images))
        return max(1, min(wanted, self._max_images, share))


def share_of(images: int, workers: int) -> int:
    """Return the most of the remaining images for one task: ever fewer, so that all workers end at about one time."""
    return -(-images // (2 * workers))


def seconds_per_task(workers: int) -> float:
    """Return the duration of a task at which the driver keeps up with so many workers."""
    return max(SECONDS_PER_TASK, SECONDS_PER_TASK_AND_WORKER * workers)
