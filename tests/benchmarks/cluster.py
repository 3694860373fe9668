"""The engine dask: what it costs on one machine, what a second worker brings, whose memory grows with the images."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import cv2
import numpy as np

from tests.benchmarks.inputs import ROOT, STAGE
from tests.benchmarks.rows import Row
from tests.support.dask_processes import DaskProcesses
from tests.support.servers import web_server
from tests.support.warm import Running

IMAGES = {False: 5000, True: 300}  # by --quick
ROUNDS = {False: 3, True: 1}
WAITING = {False: 3000, True: 200}
LATENCIES = (0.02, 0.4)  # seconds: as of a bucket near by; so long that reading is all there is to wait for
FEW = {False: 5000, True: 200}
TIMES = 10
WARM = 64  # images: a task of a worker's first size
SIDE, SMALL, QUALITY = 512, 64, 90


def cluster(quick: bool) -> Iterator[Row]:
    """`extract` of the embedded default, in processes of their own."""
    with TemporaryDirectory() as own:
        yield from _overhead(Path(own), quick)
    with TemporaryDirectory() as own:
        yield from _second_worker(Path(own), quick)
    with TemporaryDirectory() as own:
        yield from _memory(Path(own), quick)


def _overhead(own: Path, quick: bool) -> Iterator[Row]:
    count = IMAGES[quick]
    _write_images(own / "images", count, SIDE)
    engines = {"local": "local", "dask": json.dumps({"dask": {"workers": 2, "threads": 1}})}
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for number in range(ROUNDS[quick]):
        for name in sorted(engines, reverse=bool(number % 2)):
            store = own / f"store-{name}-{number}"
            seconds[name].append(_extract(own / "images", store, f"engine={engines[name]}"))
    ours, theirs = (median(seconds[name]) for name in ("dask", "local"))
    figure = f"{count:,} images: 2 workers x 1 thread, against 2 threads: s"
    ratio = median(a / b for a, b in zip(seconds["dask"], seconds["local"], strict=True))
    yield Row("cluster", figure, f"{ours:.1f}", f"{theirs:.1f}", f"{ratio:.2f}", "<= 1.15")


def _second_worker(own: Path, quick: bool) -> Iterator[Row]:
    count = WAITING[quick]
    _write_images(own / "images", count, SMALL)
    _write_images(own / "few", 2 * WARM, SMALL)
    for latency in LATENCIES:
        with web_server(own) as web:
            web.latency = latency
            (start_1, one), (start_2, two) = (_on_workers(own / f"{latency}-{n}", web.url, n) for n in (1, 2))
        figure = f"{count:,} images, {1000 * latency:.0f} ms a request: 2 workers against 1: s"
        yield Row("cluster", figure, f"{two:.1f}", f"{one:.1f}", f"{one / two:.2f}", ">= 1.8")
        one, two = (1000 * (all - start) / (count - 2 * WARM) for all, start in ((one, start_1), (two, start_2)))
        yield Row(
            "cluster", "the same, each further image: ms", f"{two:.1f}", f"{one:.1f}", f"{one / two:.2f}", ">= 1.8"
        )


def _memory(own: Path, quick: bool) -> Iterator[Row]:
    few = FEW[quick]
    peaks = {}
    for count in (few, few * TIMES):
        folder = own / str(count)
        _write_images(folder, count, SMALL)
        with _running(own / f"dask-{count}", 2) as (processes, workers):
            engine = json.dumps({"dask": {"address": processes.address}})
            driver = _start(str(folder), own / f"store-{count}", f"engine={engine}")
            told, _ = driver.communicate()
            peaks[count] = json.loads(told)["peak"], max(_peak(worker.pid) for worker in workers)
    for place, who in enumerate(("driver", "worker")):
        much, little = peaks[few * TIMES][place], peaks[few][place]
        figure = f"{few * TIMES:,} images against {few:,}: most memory of the {who}"
        yield Row("cluster", figure, f"{much:.0f} MB", f"{little:.0f} MB", f"{much - little:+.0f} MB", "<= +100 MB")


# In a process of its own: the peak is not ru_maxrss, which begins with that of the process that started this one.
EXTRACT = r"""
import json, re, sys, time
from pathlib import Path
from imgcluster.config import load_config
from imgcluster.images import list_images
from imgcluster.pipeline import extract_listed
from imgcluster.utils import Storage
file, *overrides = sys.argv[1:]
config = load_config(file, overrides)
access = Storage(config.storage)
images, _ = list_images(config.images, access)  # what it takes is the driver's alone, by whatever engine
start = time.perf_counter()
count = len(extract_listed(images, config, show=False, gather=False).images)
seconds = time.perf_counter() - start
peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text()).group(1)
print(json.dumps({"count": count, "seconds": seconds, "peak": int(peak) / 1024}))
"""


def _start(folder: str, store: Path, *overrides: str) -> subprocess.Popen[str]:
    places = (f"images.folder={folder}", f"features.store={store}", "features.backbone=efficientnet_lite0")
    own = (*places, "features.preprocess=backbone", "images.ids=null")
    command = [sys.executable, "-c", EXTRACT, str(ROOT / "configs" / "cluster.yaml"), *own, "features.layer=null"]
    return subprocess.Popen([*command, *overrides], stdout=subprocess.PIPE, text=True)


def _extract(folder: Path, store: Path, *overrides: str) -> float:
    """Return the seconds of a whole process."""
    start = perf_counter()
    process = _start(str(folder), store, *overrides)
    process.communicate()
    assert process.returncode == 0
    return perf_counter() - start


def _on_workers(own: Path, url: str, count: int) -> tuple[float, float]:
    """Return the seconds from the list of images to the last row, of few images and of all, on warm workers."""
    own.mkdir()
    with _running(own / "dask", count) as (processes, _):
        engine = json.dumps({"dask": {"address": processes.address}})
        seconds = []
        for number, name in enumerate(("few", "few", "images")):  # at first everything is imported
            told, _ = _start(f"{url}/{name}", own / f"store-{number}", f"engine={engine}").communicate()
            seconds.append(float(json.loads(told)["seconds"]))
    return seconds[1], seconds[2]


@contextmanager
def _running(folder: Path, count: int) -> Iterator[tuple[DaskProcesses, list[Running]]]:
    folder.mkdir()
    processes = DaskProcesses(folder)
    try:
        processes.start_scheduler()
        yield processes, [processes.start_worker() for _ in range(count)]
    finally:
        processes.close()


def _peak(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def _write_images(folder: Path, count: int, side: int) -> None:
    folder.mkdir(parents=True)
    frames = [cv2.resize(cv2.imread(str(path)), (side, side)) for path in sorted((STAGE / "test").glob("*.jpg"))]
    jpegs = [
        cv2.imencode(".jpg", np.asarray(frame), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes() for frame in frames
    ]
    for number in range(count):  # other bytes behind the end of each, since equal files are computed once
        data = jpegs[number % len(jpegs)] + number.to_bytes(4, "big")
        (folder / f"{number:06d}.jpg").write_bytes(data)
