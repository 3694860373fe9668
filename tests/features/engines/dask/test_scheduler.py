"""The driver of an extraction on a cluster, without processes: what is tried again, what is recorded, what ends it."""

from __future__ import annotations

import asyncio
import os
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from distributed import KilledWorker
from distributed.comm import CommClosedError

from imgcluster.config.engine_schema import DaskEngine
from imgcluster.errors import ConfigError, ImgclusterError
from imgcluster.features.engines.dask import cluster as cluster_module
from imgcluster.features.engines.dask.cluster import Cluster
from imgcluster.features.engines.dask.protocol import Outcome, TaskImages
from imgcluster.features.engines.dask.scheduler import Dispatcher
from imgcluster.features.engines.dask.tasks import IMAGES_IN_FIRST_TASKS, TaskQueue, seconds_per_task
from imgcluster.types import Failure, ImageFile

IMAGES = [ImageFile(f"{number}", Path(f"{number}.jpg")) for number in range(10)]


def computed(images: list[ImageFile]) -> Outcome:
    return Outcome(",".join(image.id for image in images), np.arange(len(images), dtype=np.int32), len(images))


Answer = Callable[[list[ImageFile]], Outcome]


class ScriptedFuture:
    """A task that has ended already."""

    def __init__(self, key: str, images: list[ImageFile], answer: Answer, status: str) -> None:
        self.key, self.status, self._images, self._answer = key, status, images, answer

    def add_done_callback(self, call: Callable[[Any], None]) -> None:
        call(self)

    def result(self, timeout: float) -> Outcome:
        return self._answer(self._images)

    def exception(self, timeout: float) -> BaseException | None:
        try:
            self._answer(self._images)
        except (KilledWorker, ValueError) as error:
            return error
        return None

    def cancel(self) -> None:
        pass


class ScriptedCluster:
    """A cluster, and its client, on which a test says what each task does; the tasks after those end well."""

    def __init__(self, *answers: tuple[str, Answer], workers: int = 1) -> None:
        self.settings = DaskEngine(images_per_task=4, patience=5)
        self.is_reached = True
        self.reconnections = 0
        self.retired: list[str] = []
        self._answers, self._workers = deque(answers), workers

    def workers(self) -> dict[str, int]:
        return {f"tcp://{number}": 1 for number in range(self._workers)}

    def reconnect(self) -> None:
        self.reconnections += 1
        self.is_reached = True

    @property
    def connected_client(self) -> ScriptedCluster:
        return self

    def submit(
        self, function: object, job: object, number: int, task: TaskImages, *, key: str, pure: bool
    ) -> ScriptedFuture:
        status, answer = self._answers.popleft() if self._answers else ("finished", computed)
        return ScriptedFuture(key, task.images, answer, status)

    def retire_workers(self, workers: list[str], *, close_workers: bool) -> None:
        self.retired += workers


class Record:
    """What is done, in the place of the state of the extraction and of the store."""

    images = IMAGES
    todo = range(len(IMAGES))
    next_number = 0

    def __init__(self, read_shards: Callable[[str], list[str]] | None = None) -> None:
        self.done: Counter[str] = Counter()
        self.failures: dict[int, Failure] = {}
        self.read_shards = read_shards or (lambda name: name.split(","))

    def admit(self, name: str, shards: list[str]) -> list[str]:
        return shards

    def take_over(
        self, keys: dict[int, str], computed: int, reasons: dict[int, str], seconds: dict[str, float]
    ) -> None:
        assert all(Path(key).stem == IMAGES[place].id for place, key in keys.items())
        self.done.update(IMAGES[place].id for place in keys)
        self.failures.update({place: Failure(IMAGES[place], reason) for place, reason in reasons.items()})


def dispatched(cluster: ScriptedCluster, record: Record) -> Record:
    job = SimpleNamespace(**dict.fromkeys(["token"], "0a1b2c"))
    driver: Any = Dispatcher
    driver(cluster, job, record, record, lambda count, text="": None).run()
    return record


def raising(error: BaseException) -> Answer:
    def answer(images: list[ImageFile]) -> Outcome:
        raise error

    return answer


def all_once(record: Record) -> bool:
    return record.done == {image.id: 1 for image in IMAGES} and not record.failures


@pytest.mark.parametrize("workers", [1, 3])
def test_every_image_is_computed_once(workers: int) -> None:
    assert all_once(dispatched(ScriptedCluster(workers=workers), Record()))


@pytest.mark.parametrize("error", [OSError("reset"), CommClosedError("reset"), CancelledError("lost")])
def test_a_connection_that_is_lost_is_made_again(error: Exception) -> None:
    cluster = ScriptedCluster()

    def lose(images: list[ImageFile]) -> Outcome:
        cluster.is_reached = False
        raise error

    cluster._answers.append(("finished", lose))
    assert all_once(dispatched(cluster, Record()))
    assert cluster.reconnections == 1


@pytest.mark.parametrize("status", ["lost", "cancelled"])
def test_a_task_that_the_scheduler_has_forgotten_is_submitted_again(status: str) -> None:
    cluster = ScriptedCluster((status, computed))
    assert all_once(dispatched(cluster, Record()))
    assert cluster.reconnections == 1


def test_a_result_that_does_not_come_in_time_is_computed_again() -> None:
    cluster = ScriptedCluster(("finished", raising(TimeoutError())), ("error", raising(asyncio.TimeoutError())))
    assert all_once(dispatched(cluster, Record()))
    assert cluster.reconnections == 0


@pytest.mark.parametrize("step", ["result", "error", "shards"])
def test_an_error_of_ours_ends_the_run_also_where_the_scheduler_is_lost(step: str) -> None:
    """It is not taken for one of the connection, which would hide it and do the work again."""
    unreadable: Any = raising(KeyError("ours"))
    record = Record(unreadable if step == "shards" else None)
    cluster = ScriptedCluster()

    def wrong(images: list[ImageFile]) -> Outcome:
        cluster.is_reached = False
        if step == "shards":
            return computed(images)
        raise ValueError("ours")

    cluster._answers.append(("error" if step == "error" else "finished", wrong))
    with pytest.raises((ValueError, KeyError), match="ours"):
        dispatched(cluster, record)
    assert cluster.reconnections == 0


def test_an_error_of_the_system_ends_the_run_where_the_scheduler_is_there() -> None:
    cluster = ScriptedCluster(("finished", raising(OSError("disk"))))
    with pytest.raises(OSError, match="disk"):
        dispatched(cluster, Record())
    assert cluster.reconnections == 0


def test_images_of_a_task_whose_error_does_not_arrive_are_computed_again() -> None:
    cluster = ScriptedCluster(("error", raising(CancelledError("lost"))))
    assert all_once(dispatched(cluster, Record()))


def test_images_of_shards_that_cannot_be_read_while_the_scheduler_is_lost_are_computed_again() -> None:
    cluster, tries = ScriptedCluster(), []

    def read(name: str) -> list[str]:
        tries.append(name)
        if len(tries) == 1:
            cluster.is_reached = False
            raise OSError("reset")
        return name.split(",")

    assert all_once(dispatched(cluster, Record(read)))
    assert cluster.reconnections == 1


def test_an_image_that_ends_every_worker_is_found_by_bisection() -> None:
    cluster = ScriptedCluster()
    bad = IMAGES[6]

    def answer(images: list[ImageFile]) -> Outcome:
        if bad.id in [image.id for image in images]:
            last: Any = SimpleNamespace(address="tcp://0")
            raise KilledWorker("task", last, 0)
        return computed(images)

    cluster._answers.extend([("error", answer)] * 3 + [("finished", answer)] * 20)
    record = dispatched(cluster, Record())
    reason = "the workers that computed it ended: out of memory?"
    assert {failure.image.id: failure.reason for failure in record.failures.values()} == {bad.id: reason}
    assert record.done == {image.id: 1 for image in IMAGES if image != bad}


def test_without_a_single_image_no_image_is_to_blame() -> None:
    cluster = ScriptedCluster(*[("finished", lambda images: Outcome(memory=True))] * 20)
    with pytest.raises(ImgclusterError, match=r"no worker has done a single image: does not fit into the memory"):
        dispatched(cluster, Record())


def test_a_worker_that_refuses_is_retired_and_the_only_one_ends_the_run() -> None:
    def refuse(images: list[ImageFile]) -> Outcome:
        return Outcome(refusal="has no weights", worker="tcp://1")

    cluster = ScriptedCluster(("finished", refuse), workers=2)
    assert all_once(dispatched(cluster, Record()))
    assert cluster.retired == ["tcp://1"]
    alone = ScriptedCluster(("finished", lambda images: replace(refuse(images), worker="tcp://0")))
    with pytest.raises(ImgclusterError, match="engine: the worker tcp://0 has no weights"):
        dispatched(alone, Record())


def test_the_error_of_a_task_is_raised_as_what_it_was() -> None:
    def fail(images: list[ImageFile]) -> Outcome:
        return Outcome(error=ConfigError("no such layer"))

    with pytest.raises(ConfigError, match="no such layer"):
        dispatched(ScriptedCluster(("finished", fail)), Record())


def test_tasks_have_about_the_same_duration() -> None:
    images = range(10_000)
    tasks = TaskQueue(images, 8192)
    assert len(tasks.next(2).images) == IMAGES_IN_FIRST_TASKS
    tasks.add_measurement(0.01)
    assert len(tasks.next(2).images) == 1000  # ten seconds
    tasks.add_measurement(0.03)
    assert len(tasks.next(2).images) == 500  # the mean of what was measured is 0.02
    again = tasks.next(2)
    tasks.retry(again)
    assert tasks.next(2) is again
    assert len(tasks.next(100).images) == IMAGES_IN_FIRST_TASKS  # a fair share of the rest would be less
    assert seconds_per_task(100) == 20
    few = TaskQueue(images[:5], 4)
    assert [len(few.next(1).images) for _ in range(2)] == [4, 1]
    assert not few


# ---- the connection


class Closing:
    """A client that raises when it is closed."""

    status = "running"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def close(self, timeout: float) -> None:
        raise self._error


@pytest.mark.parametrize(
    "error", [OSError("reset"), asyncio.TimeoutError(), RuntimeError("IOLoop is closed"), AssertionError()]
)
def test_a_connection_that_is_gone_already_is_closed(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(DaskEngine(), show=False)
    monkeypatch.setattr(cluster, "_client", Closing(error))
    cluster.close()
    assert not cluster.is_reached


def test_other_errors_of_closing_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(DaskEngine(), show=False)
    monkeypatch.setattr(cluster, "_client", Closing(KeyError("ours")))
    with pytest.raises(KeyError, match="ours"):
        cluster.close()


def test_the_environment_is_set_for_a_while_and_no_other_variable_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other threads read and set the environment meanwhile."""
    monkeypatch.setenv("OURS_BEFORE", "1")
    monkeypatch.delenv("OURS_NEW", raising=False)
    monkeypatch.setattr(os.environ, "clear", lambda: pytest.fail("a thread would see nothing"), raising=False)
    with cluster_module._environment(OURS_BEFORE="2", OURS_NEW="3"):
        assert (os.environ["OURS_BEFORE"], os.environ["OURS_NEW"]) == ("2", "3")
        monkeypatch.setenv("OF_ANOTHER_THREAD", "4")
    assert os.environ["OURS_BEFORE"] == "1"
    assert "OURS_NEW" not in os.environ
    assert os.environ["OF_ANOTHER_THREAD"] == "4"
