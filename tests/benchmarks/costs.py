"""What an extraction on a cluster costs, measured here: seconds and bytes of workers, driver and scheduler."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter, process_time
from typing import Any

import numpy as np
from distributed import Client, LocalCluster

from imgcluster.config.loader import Config, load_config
from imgcluster.features.engines.dask.protocol import Outcome, TaskImages
from imgcluster.features.engines.dask.scheduler import Dispatcher
from imgcluster.features.engines.local import Work
from imgcluster.features.store.shards import ImageKey, write_shard
from imgcluster.features.store.store import FeatureStore
from imgcluster.images.listing import FolderImages
from imgcluster.pipeline import fill_store
from imgcluster.types import ImageFile
from tests.benchmarks.extraction import write_jpegs
from tests.benchmarks.inputs import ROOT

IMAGES = {False: 2000, True: 120}  # by --quick
NOTHINGS = {False: 2000, True: 200}
IMAGES_A_TASK = {False: 64, True: 10}
IN_FLIGHT = 64
SIZES = (1, 512)  # images of a task in which nothing is done
SHARDS = {False: 50, True: 10}
WIDTH = 1280


@dataclass
class Measured:
    """Costs of an extraction: seconds, bytes. tasks: of each when it came back, its images, its seconds."""

    tasks: list[tuple[float, int, float]] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    image_bytes: float = 0.0
    row_bytes: float = 0.0
    start_up: float = 0.0
    a_task: float = 0.0
    an_image: float = 0.0
    packed: float = 0.0
    kept_bytes: float = 0.0

    @property
    def seconds_an_image(self) -> tuple[float, ...]:
        """Of each task but the first ones, in which the network is built."""
        return tuple(seconds / count for _, count, seconds in sorted(self.tasks)[2:])


def measure(quick: bool) -> Measured:
    """Let two workers extract, pass tasks on in which nothing is done, and start a worker."""
    found = Measured()
    with TemporaryDirectory() as own:
        admitting = [_admitting(Path(own) / f"{size}", size, SHARDS[quick]) for size in SIZES]
        found.kept_bytes = _kept_bytes(Path(own) / "kept", SIZES[1], SHARDS[quick])
        _measure_extraction(Path(own), IMAGES[quick], IMAGES_A_TASK[quick], found)
    _measure_nothings(NOTHINGS[quick], admitting, found)
    found.start_up = _start_up()
    return found


def _measure_extraction(own: Path, count: int, images_per_task: int, found: Measured) -> None:
    """Let two workers extract the embedded default, and look at what the driver sees."""
    images = write_jpegs(own / "images", count)
    found.image_bytes = sum(image.path.stat().st_size for image in images) / count  # type: ignore[union-attr]
    with _watched(found):
        fill_store(_config(own, images_per_task), show=False)
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
    """Note each task that the driver settles."""
    settle = Dispatcher._settle

    def noting(self: Dispatcher, part: Any, outcome: Outcome) -> None:
        found.tasks.append((monotonic(), len(part.images), outcome.spent))
        settle(self, part, outcome)
        for stage, seconds in outcome.seconds.items():
            found.stages[stage] = found.stages.get(stage, 0.0) + seconds

    Dispatcher._settle = noting  # type: ignore[method-assign]
    try:
        yield
    finally:
        Dispatcher._settle = settle  # type: ignore[method-assign]


def nothing(images: list[ImageFile]) -> Outcome:
    """What a task sends and returns, without its work."""
    rows = np.arange(len(images), dtype=np.int32)
    return Outcome("00000-0123abcd", rows, len(images), {}, {"reading files": 1.0, "network": 1.0}, device="cpu")


def nothing_packed(task: TaskImages) -> Outcome:
    """The same, of images that Dask does not look at one by one."""
    return nothing(task.images)


@contextmanager
def _store(own: Path, size: int, count: int) -> Iterator[FeatureStore]:
    """A store in which another process has put so many shards, of so many rows each."""
    vectors = np.zeros((size, WIDTH), np.float32)
    with FeatureStore(own, {"backbone": "efficientnet_lite0", "layer": "avgpool"}) as store:
        for number in range(count):
            keys = [ImageKey(f"{number}/{row:09d}.jpg", row, 0, 0, f"{number:08x}{row:024x}") for row in range(size)]
            write_shard(store.files, f"{number:05d}", store.fingerprint, keys, [vectors])
        yield store


def _admitting(own: Path, size: int, count: int) -> float:
    """Return the seconds in which a store takes notice of a shard of so many rows, with nothing to wait for."""
    with _store(own, size, count) as store:
        start = process_time()
        for number in range(count):
            store.admit(f"{number:05d}", store.read_shard(f"{number:05d}"))
        return (process_time() - start) / count


def _kept_bytes(own: Path, size: int, count: int) -> float:
    """Return what the driver keeps of an image: in the list, of its row in the store, and of what has become of it.

    Of twice as many images less of so many: what is fixed does not count.
    """
    once, twice = (_driver_bytes(own / f"{times}", size, times * count) for times in (1, 2))
    return (twice - once) / (size * count)


def _driver_bytes(own: Path, size: int, count: int) -> int:
    with _store(own, size, count) as store:
        tracemalloc.start()
        try:
            images = FolderImages(Path("/images"), (f"a/{each:09d}.jpg" for each in range(size * count)))
            work = Work(images, store, "record")
            for number in range(count):
                keys, rows = store.read_shard(f"{number:05d}")
                store.admit(f"{number:05d}", (keys, rows))
                work.take_over(dict(enumerate(keys, number * size)), size, {}, {})
            del keys, rows
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()


def _measure_nothings(count: int, admitting: list[float], found: Measured) -> None:
    """What driver and scheduler need for a task: in which nothing is done, of few images and of many; and its shard."""
    with (
        LocalCluster(2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        _pass_on(client, 100, 1)
        few, many = (_pass_on(client, count, size) / count for size in SIZES)
        packed = _pass_on(client, count, SIZES[1], packed=True) / count
    more = SIZES[1] - SIZES[0]
    settling = (admitting[1] - admitting[0]) / more
    found.a_task = few + admitting[0]
    found.an_image = settling + max(0.0, many - few) / more
    found.packed = settling + max(0.0, packed - few) / more


def _pass_on(client: Client, count: int, size: int, *, packed: bool = False) -> float:
    """Return the seconds of so many tasks in this process, in which driver and scheduler are, without the workers'."""
    images = [ImageFile(f"folder/{number:08d}", Path(f"/mnt/images/folder/{number:08d}.jpg")) for number in range(size)]
    ended: queue.Queue[Any] = queue.Queue()
    left, under_way, start = count, 0, process_time()
    while left or under_way:
        while left and under_way < IN_FLIGHT:
            task: tuple[Any, Any] = (nothing_packed, TaskImages(images)) if packed else (nothing, images)
            client.submit(*task, pure=False, key=f"{task[0].__name__}-{size}-{left}").add_done_callback(ended.put)
            left, under_way = left - 1, under_way + 1
        ended.get().result()
        under_way -= 1
    return process_time() - start


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
