"""What ten times as many images cost: seconds an image, and the most memory of the process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2

from tests.benchmarks.inputs import STAGE
from tests.benchmarks.rows import Row

FEW = {False: 2000, True: 100}  # by --quick
TIMES = 10
SIDE, QUALITY = 512, 90

# The peak is not ru_maxrss, which begins with that of the process that started this one.
EXTRACT = r"""
import json, re, sys, time
from pathlib import Path
from imgcluster.config import config_from_dict
from imgcluster.pipeline import fill_store
folder, store = sys.argv[1:]
config = config_from_dict({
    "images": {"folder": folder}, "clusters": {"n_clusters": 2}, "outputs": {"folder": "unused"},
    "features": {"backbone": "efficientnet_lite0", "device": "cpu", "store": store},
})
start = time.perf_counter()
count = len(fill_store(config, show=False).images)
seconds = (time.perf_counter() - start) / count
peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text()).group(1)
print(json.dumps({"seconds": seconds, "peak": int(peak) / 1024}))
"""


def size(quick: bool) -> Iterator[Row]:
    """`extract` in a process of its own, over JPEGs of 512 x 512, the embedded default."""
    few = FEW[quick]
    with TemporaryDirectory() as own:
        found = {count: _extract(Path(own), count) for count in (few // TIMES, few, few * TIMES)}  # the first warms up
    little, much = found[few], found[few * TIMES]
    figure = f"{few * TIMES:,} images against {few:,}: milliseconds an image"
    ratio = f"{much['seconds'] / little['seconds']:.2f}"
    yield Row("size", figure, f"{1000 * much['seconds']:.2f}", f"{1000 * little['seconds']:.2f}", ratio, "<= 1.05")
    more = f"{much['peak'] - little['peak']:+.0f} MB"
    yield Row("size", "peak memory", f"{much['peak']:.0f} MB", f"{little['peak']:.0f} MB", more, "<= +100 MB")


def _extract(own: Path, count: int) -> dict[str, float]:
    folder = own / str(count)
    folder.mkdir()
    frames = [_jpeg(path) for path in sorted((STAGE / "test").glob("*.jpg"))]
    for number in range(count):  # other bytes behind the end of each, since equal files are computed once
        data = frames[number % len(frames)] + number.to_bytes(4, "big")
        (folder / f"{number:06d}.jpg").write_bytes(data)
    command = [sys.executable, "-c", EXTRACT, str(folder), str(own / f"store-{count}")]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def _jpeg(path: Path) -> bytes:
    picture = cv2.resize(cv2.imread(str(path)), (SIDE, SIDE))
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
