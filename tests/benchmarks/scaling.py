"""What a cluster of any size would do: costs measured here, replayed for up to 10,000 workers, in hours and dollars."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from statistics import median

from imgcluster.features.engines.dask.scheduler import CONCURRENT_INDEX_READS
from imgcluster.features.engines.dask.tasks import SECONDS_PER_TASK
from tests.benchmarks.costs import Measured, measure
from tests.benchmarks.rows import Row
from tests.benchmarks.simulation import Replay, Setting, replay

WORKERS = (1, 10, 100, 1_000, 10_000)
TASKS_A_WORKER = {False: 20, True: 4}
MILLION, BILLION = 1_000_000, 1_000_000_000
SLOW, SLOWNESS = 0.05, 3.0  # assumed: one worker in twenty shares its core with somebody
NETWORK = 1e9 / 8  # assumed: bytes a second of a worker
# At least, for each prefix of a bucket: "Best practices design patterns: optimizing Amazon S3 performance",
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html
REQUESTS, PREFIXES = 5_500.0, 16
LATENCY = 0.03  # assumed: seconds of a request to a bucket, as the driver waits for it
ROUND_TRIPS = 2  # of the driver for each task: the index of its shard, the head of its vectors
# Assumed, and to be looked up: half a c7i.large (2 vCPU) in us-east-1, on demand, 0.08925 a hour, in 2025. S3 Standard
# there: 0.0004 for 1,000 GET, 0.005 for 1,000 PUT, 0.023 a GB-month; to machines of the same region nothing a byte.
DOLLARS_AN_HOUR = 0.08925 / 2
DOLLARS_A_GET, DOLLARS_A_PUT, DOLLARS_A_GB_MONTH = 0.0004 / 1000, 0.005 / 1000, 0.023
PUTS_A_TASK = 2  # vectors and index
BUCKET = "bucket"


def scaling(quick: bool) -> Iterator[Row]:
    """Measure on this machine, then replay."""
    found = measure(quick)
    yield from _rows_of(found)
    yield from _replayed(found, TASKS_A_WORKER[quick])


def _rows_of(found: Measured) -> Iterator[Row]:
    each = found.seconds_an_image
    yield _row("1 thread: images/s; in the slowest, quickest task", 1 / median(each), 1 / max(each), 1 / min(each))
    for stage, seconds in found.stages.items():
        yield _row(f"{stage}: ms an image", 1000 * seconds)
    yield _row("a JPEG: KB; its row in the store: bytes", found.image_bytes / 1000, found.row_bytes)
    yield _row("driver and scheduler: ms a task", 1000 * found.a_task)
    yield _row("us an image of it; where Dask sees bytes alone", 1e6 * found.an_image, 1e6 * found.packed)
    yield _row("what the driver keeps of an image: bytes", found.kept_bytes)
    yield _row("a worker starts, imports, builds the network: s", found.start_up)


def _replayed(found: Measured, tasks: int) -> Iterator[Row]:
    sizes = [{"workers": workers, "tasks": max(2000, tasks * workers)} for workers in WORKERS]
    for name, setting in _settings(found).items():
        for size in sizes:
            done = replay(replace(setting, **size))  # type: ignore[arg-type]
            yield _scaled(f"{name}, {size['workers']:,} workers: images/s", done)
    for size in sizes:
        yield from _price(BUCKET, replace(_settings(found)[BUCKET], **size))  # type: ignore[arg-type]
    yield from _kept(found)


def _settings(found: Measured) -> dict[str, Setting]:
    """What is compared: where images and store lie, and what the driver would be without what keeps it quick.

    Listed: it hands Dask a list of images, which looks at each; one by one: it waits for the bucket for each task's
    shard before the next; ten seconds: tasks are as long whatever the number of workers; by waiting: and are sized by
    how long the driver waited, and not by what the worker needed.
    """
    folder = Setting(
        1,
        found.seconds_an_image,
        seconds_a_task=found.a_task,
        seconds_an_image_served=found.packed,
        start_up=found.start_up,
        slow=SLOW,
        slowness=SLOWNESS,
    )
    bucket = replace(
        folder,
        seconds_a_task=found.a_task + ROUND_TRIPS * LATENCY / CONCURRENT_INDEX_READS,
        image_bytes=found.image_bytes,
        network_bytes=NETWORK,
        bucket_requests=REQUESTS * PREFIXES,
    )
    listed = replace(bucket, seconds_an_image_served=found.an_image)
    one_by_one = replace(listed, seconds_a_task=found.a_task + ROUND_TRIPS * LATENCY)
    ten_seconds = replace(one_by_one, seconds_wanted=SECONDS_PER_TASK)
    return {
        "folder": folder,
        BUCKET: bucket,
        "bucket of one prefix": replace(bucket, bucket_requests=REQUESTS),
        "bucket, listed": listed,
        "bucket, listed, one by one": one_by_one,
        "bucket, listed, one by one, ten seconds": ten_seconds,
        "all that, by waiting": replace(ten_seconds, timed_by_worker=False),
    }


def _scaled(figure: str, done: Replay) -> Row:
    """The rate against that of workers who wait for nobody, and who is busiest."""
    shares = done.shares
    busiest = max(shares, key=lambda name: shares[name])
    ideal = done.rate / done.efficiency
    limit = f"{busiest} {min(1.0, shares[busiest]):.0%}"
    return Row("scaling", figure, f"{done.rate:,.0f}", f"{ideal:,.0f}", f"{done.efficiency:.2f}", limit)


def _price(name: str, setting: Setting) -> Iterator[Row]:
    million = replay(replace(setting, images=MILLION)).seconds / 3600
    steady = replay(setting)
    hours = BILLION / steady.rate / 3600
    dollars = hours * setting.workers * DOLLARS_AN_HOUR
    tasks = steady.tasks / steady.images
    requests = BILLION * (DOLLARS_A_GET + tasks * PUTS_A_TASK * DOLLARS_A_PUT)
    where = f"{name}, {setting.workers:,}"
    yield Row("scaling", f"{where}: hours: 1e6; 1e9", f"{million:,.2f}", f"{hours:,.1f}")
    yield Row("scaling", f"{where}: dollars: workers; requests", f"{dollars:,.0f}", f"{requests:,.0f}")
    yield _row(f"{where}: tasks for 1e6", tasks * MILLION)


def _kept(found: Measured) -> Iterator[Row]:
    size = BILLION * found.row_bytes / 1e9
    yield _row("store of 1e9 images: GB; dollars a month", size, size * DOLLARS_A_GB_MONTH)
    yield _row("memory of the driver for 1e9: GB", found.kept_bytes * BILLION / 1e9)


def _row(figure: str, *values: float) -> Row:
    return Row("scaling", figure, *(f"{value:,.4g}" if value < 1000 else f"{value:,.0f}" for value in values))
