"""The simulation of a cluster, by cases in which one can say what comes out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.benchmarks.simulation import Setting, replay

PLAIN = Setting(workers=1, seconds_an_image=(0.5,), images=1000, images_per_task=10, adapts=False)


def test_one_worker_takes_the_sum_of_its_tasks() -> None:
    done = replay(PLAIN)
    assert (done.seconds, done.images, done.tasks) == (pytest.approx(500), 1000, 100)
    assert done.shares == {"workers": pytest.approx(1), "driver": 0, "bucket": 0}
    assert done.rate == pytest.approx(2)
    assert replay(replace(PLAIN, start_up=7)).seconds == pytest.approx(507)


def test_a_driver_that_takes_no_time_lets_it_scale_for_ever() -> None:
    done = replay(replace(PLAIN, workers=100, images=10_000))
    assert done.seconds == pytest.approx(50)
    endless = replay(replace(PLAIN, workers=1000, images=None, tasks=20_000))
    assert endless.efficiency == pytest.approx(1)


def test_a_driver_lets_through_one_task_in_its_time() -> None:
    """0.1 s a task of ten images: a hundred images a second, however many workers there are."""
    done = [
        replay(replace(PLAIN, workers=workers, images=None, tasks=50 * workers, seconds_a_task=0.1))
        for workers in (10, 100, 1000)
    ]
    assert [each.rate for each in done] == [pytest.approx(rate, rel=0.03) for rate in (20, 100, 100)]
    assert [each.shares["driver"] for each in done] == [pytest.approx(share, abs=0.03) for share in (0.2, 1, 1)]


def test_what_the_driver_does_for_each_image_limits_too() -> None:
    done = replay(replace(PLAIN, workers=1000, images=None, tasks=50_000, seconds_an_image_served=0.01))
    assert done.rate == pytest.approx(100, rel=0.02)


@pytest.mark.parametrize("bucket", [{"bucket_requests": 50.0}, {"bucket_bytes": 5e6, "image_bytes": 1e5}])
def test_a_bucket_is_there_for_all(bucket: dict[str, float]) -> None:
    done = replay(replace(PLAIN, workers=100, images=10_000, **bucket))
    assert done.seconds == pytest.approx(200)
    assert done.shares["bucket"] == pytest.approx(1)


def test_a_network_is_a_workers_own() -> None:
    one, many = (
        replay(replace(PLAIN, workers=workers, images=1000 * workers, image_bytes=1e6, network_bytes=1e6))
        for workers in (1, 10)
    )
    assert one.seconds == many.seconds == pytest.approx(1000)


def test_slow_workers_get_fewer_tasks() -> None:
    """One of two needs three times as long: together they do 4 tasks in the time of 3."""
    done = replay(replace(PLAIN, workers=2, slow=0.5, slowness=3.0, images=4000))
    assert done.seconds == pytest.approx(1500, rel=0.02)


def test_tasks_become_as_large_as_take_ten_seconds_and_small_at_the_end() -> None:
    long = replay(replace(PLAIN, seconds_an_image=(0.1,), images_per_task=512, adapts=True, images=100_000))
    assert 100_000 / long.tasks == pytest.approx(100, rel=0.02)
    few = replay(replace(PLAIN, workers=10, seconds_an_image=(0.001,), images_per_task=512, adapts=True, images=1000))
    assert few.tasks >= 10  # none waits for one with all of it


def test_a_driver_that_cannot_follow_makes_tasks_ever_smaller_where_it_times_them() -> None:
    """It serves 20 tasks a second, and a thousand workers of 10 s a task want 100: the longer it lets them wait."""
    setting = Setting(1000, (0.1,), images_per_task=512, seconds_a_task=0.05, tasks=20_000, seconds_wanted=10)
    by_driver, by_worker = (replay(replace(setting, timed_by_worker=timed)) for timed in (False, True))
    assert by_driver.rate < 200
    assert by_worker.rate == pytest.approx(2000, rel=0.02)  # 20 tasks of 100 images a second
    larger = replay(replace(setting, timed_by_worker=True, seconds_wanted=50))
    assert larger.efficiency > 0.9


def test_tasks_are_longer_where_there_are_more_workers() -> None:
    """So that the driver, who serves 20 a second, keeps up with a thousand: of 200 s they want 5 a second."""
    setting = Setting(1000, (0.1,), seconds_a_task=0.05, tasks=20_000)
    assert replay(setting).efficiency > 0.98
    assert replay(replace(setting, seconds_wanted=10)).efficiency == pytest.approx(0.2, rel=0.02)


def test_the_same_seed_gives_the_same() -> None:
    drawn = replace(PLAIN, workers=7, seconds_an_image=(0.1, 0.2, 0.9), seconds_a_task=0.01)
    assert replay(drawn) == replay(drawn)
    assert replay(drawn).seconds != replay(replace(drawn, seed=1)).seconds
