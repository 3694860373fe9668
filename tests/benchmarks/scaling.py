"""What a cluster of any size would do: costs measured here, replayed for up to 10,000 workers, in hours and dollars."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter, process_time, thread_time
from typing import Any

from distributed import Client, LocalCluster

from imgcluster.config import Config, load_config
from imgcluster.engines.dispatch import Dispatcher
from imgcluster.engines.jobs import Outcome
from imgcluster.pipeline import fill_store
from imgcluster.tables import ImageFile
from tests.benchmarks.extraction import write_jpegs
from tests.benchmarks.inputs import ROOT
from tests.benchmarks.rows import Row
from tests.benchmarks.simulation import Replay, Setting, replay

IMAGES = {False: 2000, True: 120}  # by --quick
NOTHINGS = {False: 2000, True: 200}
IMAGES_A_TASK = {False: 64, True: 10}
IN_FLIGHT = 64
SIZES = (1, 512)  # images of a task in which nothing is done
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
AT_ONCE = 16  # tasks whose round trips it could wait for at a time
# Assumed, and to be looked up: half a c7i.large (2 vCPU) in us-east-1, on demand, 0.08925 a hour, in 2025. S3 Standard
# there: 0.0004 for 1,000 GET, 0.005 for 1,000 PUT, 0.023 a GB-month; to machines of the same region nothing a byte.
DOLLARS_AN_HOUR = 0.08925 / 2
DOLLARS_A_GET, DOLLARS_A_PUT, DOLLARS_A_GB_MONTH = 0.0004 / 1000, 0.005 / 1000, 0.023
PUTS_A_TASK = 2  # vectors and index
PRICED = "bucket, 200 s, at once"


@dataclass
class Measured:
    """Costs of an extraction: seconds, bytes. tasks: of each when it was handed out, its images, its seconds."""

    tasks: list[tuple[float, int, float]] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    settling: float = 0.0
    image_bytes: float = 0.0
    row_bytes: float = 0.0
    start_up: float = 0.0
    a_task: float = 0.0
    an_image: float = 0.0
    listed_bytes: float = 0.0

    @property
    def seconds_an_image(self) -> tuple[float, ...]:
        """Of each task but the first ones, in which the network is built."""
        return tuple(seconds / count for _, count, seconds in sorted(self.tasks)[2:])


def scaling(quick: bool) -> Iterator[Row]:
    """Measure on this machine, then replay."""
    found = Measured()
    with TemporaryDirectory() as own:
        _measure_extraction(Path(own), IMAGES[quick], IMAGES_A_TASK[quick], found)
    _measure_nothings(NOTHINGS[quick], found)
    _measure_list(found)
    found.start_up = _start_up()
    yield from _rows_of(found)
    yield from _replayed(found, TASKS_A_WORKER[quick])


def _rows_of(found: Measured) -> Iterator[Row]:
    each = found.seconds_an_image
    yield _row("1 thread: images/s; in the slowest, quickest task", 1 / median(each), 1 / max(each), 1 / min(each))
    for stage, seconds in found.stages.items():
        yield _row(f"{stage}: ms an image", 1000 * seconds)
    yield _row("a JPEG: KB; its row in the store: bytes", found.image_bytes / 1000, found.row_bytes)
    yield _row("driver and scheduler: ms a task; us an image of it", 1000 * found.a_task, 1e6 * found.an_image)
    yield _row("what the driver keeps of an image: bytes", found.listed_bytes)
    yield _row("a worker starts, imports, builds the network: s", found.start_up)


# ---- measured


def _measure_extraction(own: Path, count: int, images_per_task: int, found: Measured) -> None:
    """Let two workers extract the embedded default, and look at what the driver sees."""
    images = write_jpegs(own / "images", count)
    found.image_bytes = sum(image.path.stat().st_size for image in images) / count  # type: ignore[union-attr]
    with _watched(found):
        fill_store(_config(own, images_per_task), show=False)
    found.settling /= count
    found.stages = {stage: seconds / count for stage, seconds in found.stages.items()}
    shards = [path for path in (own / "store").rglob("*") if path.is_file() and path.suffix in (".npy", ".json")]
    found.row_bytes = sum(path.stat().st_size for path in shards) / count


def _config(own: Path, images_per_task: int) -> Config:
    keys = {
        "images": f"{{folder: '{own / 'images'}'}}",
        "features.backbone": "efficientnet_lite0",
        "features.layer": "null",
        "features.preprocess": "backbone",
        "features.store": f"'{own / 'store'}'",
        "engine": f"{{dask: {{workers: 2, threads: 1, images_per_task: {images_per_task}}}}}",
    }
    return load_config(ROOT / "configs" / "cluster.yaml", [f"{key}={value}" for key, value in keys.items()])


@contextmanager
def _watched(found: Measured) -> Iterator[None]:
    """Note each task that the driver settles, and how long it takes over it."""
    settle = Dispatcher._settle

    def noting(self: Dispatcher, part: Any, outcome: Outcome) -> None:
        found.tasks.append((part.started, len(part.images), monotonic() - part.started))
        start = thread_time()  # not what the workers make it wait, which have the same cores here
        settle(self, part, outcome)
        found.settling += thread_time() - start
        for stage, seconds in outcome.seconds.items():
            found.stages[stage] = found.stages.get(stage, 0.0) + seconds

    Dispatcher._settle = noting  # type: ignore[method-assign]
    try:
        yield
    finally:
        Dispatcher._settle = settle  # type: ignore[method-assign]


def nothing(images: list[ImageFile]) -> Outcome:
    """What a task sends and returns, without its work."""
    return Outcome(f"{len(images):05d}-0123abcd", len(images), {}, {"reading files": 1.0, "network": 1.0}, "cpu")


def _measure_nothings(count: int, found: Measured) -> None:
    """What driver and scheduler need for a task, by tasks in which nothing is done, of few images and of many."""
    with (
        LocalCluster(2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        _pass_on(client, 100, 1)
        few, many = (_pass_on(client, count, size) / count for size in SIZES)
    found.an_image = max(0.0, many - few) / (SIZES[1] - SIZES[0]) + found.settling
    found.a_task = few


def _pass_on(client: Client, count: int, size: int) -> float:
    """Return the seconds of so many tasks in this process, in which driver and scheduler are, without the workers'."""
    images = [ImageFile(f"folder/{number:08d}", Path(f"/mnt/images/folder/{number:08d}.jpg")) for number in range(size)]
    ended: queue.Queue[Any] = queue.Queue()
    left, under_way, start = count, 0, process_time()
    while left or under_way:
        while left and under_way < IN_FLIGHT:
            client.submit(nothing, images, pure=False, key=f"nothing-{size}-{left}").add_done_callback(ended.put)
            left, under_way = left - 1, under_way + 1
        ended.get().result()
        under_way -= 1
    return process_time() - start


def _measure_list(found: Measured) -> None:
    """Bytes of an image in a list, without the store's own record of it."""
    tracemalloc.start()
    try:
        kept = [ImageFile(f"a/{number:09d}.jpg", Path(f"/images/a/{number:09d}.jpg")) for number in range(20_000)]
        found.listed_bytes = tracemalloc.get_traced_memory()[0] / len(kept)
    finally:
        tracemalloc.stop()


STARTED = """
from imgcluster import extract
import numpy, torch
torch.set_num_threads(1)
extract([numpy.zeros((64, 64, 3), numpy.uint8)], backbone="efficientnet_lite0")
"""


def _start_up() -> float:
    """Seconds of a process that imports all and builds the network, whose converted form is in the cache by now."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = perf_counter()
    subprocess.run([sys.executable, "-c", STARTED], env=environment, check=True, capture_output=True)
    return perf_counter() - start


# ---- replayed


def _replayed(found: Measured, tasks: int) -> Iterator[Row]:
    sizes = [{"workers": workers, "tasks": max(2000, tasks * workers)} for workers in WORKERS]
    for name, setting in _settings(found).items():
        for size in sizes:
            done = replay(replace(setting, **size))  # type: ignore[arg-type]
            yield _scaled(f"{name}, {size['workers']:,} workers: images/s", done)
    for size in sizes:
        yield from _price(replace(_settings(found)[PRICED], **size), found)  # type: ignore[arg-type]


def _settings(found: Measured) -> dict[str, Setting]:
    """What is compared: where images and store lie, and how large a task is.

    By itself: as `Dispatcher` finds it; timed: by what the worker needed, not by how long the driver waited; 200 s: so,
    and for 200 s instead of ten, of any number of images.
    """
    shared = Setting(
        1,
        found.seconds_an_image,
        seconds_a_task=found.a_task,
        seconds_an_image_served=found.an_image,
        start_up=found.start_up,
        slow=SLOW,
        slowness=SLOWNESS,
    )
    bucket = replace(
        shared,
        seconds_a_task=found.a_task + ROUND_TRIPS * LATENCY,
        image_bytes=found.image_bytes,
        network_bytes=NETWORK,
        bucket_requests=REQUESTS * PREFIXES,
    )
    timed = partial(replace, timed_by_worker=True)
    larger = partial(timed, images_per_task=100_000, seconds_wanted=200.0)
    at_once = found.a_task + ROUND_TRIPS * LATENCY / AT_ONCE
    return {
        "folder": shared,
        "folder, timed": timed(shared),
        "folder, 200 s": larger(shared),
        "bucket": bucket,
        "bucket, timed": timed(bucket),
        "bucket, 200 s": larger(bucket),
        PRICED: larger(bucket, seconds_a_task=at_once),
        f"{PRICED}, 1 prefix": larger(bucket, seconds_a_task=at_once, bucket_requests=REQUESTS),
    }


def _scaled(figure: str, done: Replay) -> Row:
    """The rate against that of workers who wait for nobody, and who is busiest."""
    shares = done.shares
    busiest = max(shares, key=lambda name: shares[name])
    ideal = done.rate / done.efficiency
    limit = f"{busiest} {min(1.0, shares[busiest]):.0%}"
    return Row("scaling", figure, f"{done.rate:,.0f}", f"{ideal:,.0f}", f"{done.efficiency:.2f}", limit)


def _price(setting: Setting, found: Measured) -> Iterator[Row]:
    million = replay(replace(setting, images=MILLION)).seconds / 3600
    steady = replay(setting)
    hours = BILLION / steady.rate / 3600
    dollars = hours * setting.workers * DOLLARS_AN_HOUR
    tasks = BILLION * steady.tasks / steady.images
    requests = BILLION * DOLLARS_A_GET + tasks * PUTS_A_TASK * DOLLARS_A_PUT
    figure = f"{setting.workers:,} workers: hours for 1e6; 1e9 images"
    yield Row("scaling", figure, f"{million:,.2f}", f"{hours:,.1f}")
    figure = f"{setting.workers:,} workers: dollars for 1e9: workers; requests"
    yield Row("scaling", figure, f"{dollars:,.0f}", f"{requests:,.0f}")
    if setting.workers == WORKERS[-1]:
        size = BILLION * found.row_bytes / 1e12
        figure = "store of 1e9 images: TB; dollars a month"
        yield Row("scaling", figure, f"{size:,.1f}", f"{1000 * size * DOLLARS_A_GB_MONTH:,.0f}")
        yield _row("tasks for 1e6 images", tasks / 1000)
        yield _row("memory of the driver for a list of 1e9: GB", found.listed_bytes)


def _row(figure: str, *values: float) -> Row:
    return Row("scaling", figure, *(f"{value:,.4g}" if value < 1000 else f"{value:,.0f}" for value in values))
