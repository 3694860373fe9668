"""What a report costs: seconds, megabytes and memory, and how soon a browser shows it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from imgcluster.datasets.registry import write_sample
from tests.benchmarks.rows import Row

MANY = {False: 20_000, True: 2_000}  # by --quick
SIDE = 256

RUN = r"""
import json, re, sys, time
from pathlib import Path
import imgcluster
folder, out, store = sys.argv[1:]
config = imgcluster.config_from_dict({
    "images": {"folder": folder}, "clusters": {"n_clusters": 16, "method": "kmeans"},
    "features": {"backbone": "efficientnet_lite0", "device": "cpu", "store": store},
    "outputs": {"folder": out, "report": False},
})
imgcluster.run(config, show=False)
"""
# The peak is not ru_maxrss, which begins with that of the process that started this one.
REPORT = r"""
import json, re, sys, time
from pathlib import Path
import imgcluster
imgcluster.write_report
start = time.perf_counter()
imgcluster.write_report(sys.argv[1], show=False)
seconds = time.perf_counter() - start
peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text()).group(1)
print(json.dumps({"seconds": seconds, "peak": int(peak) / 1024}))
"""
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


def report(quick: bool) -> Iterator[Row]:
    """A report of the digits, and of many photographs: crops of those in the sample."""
    with TemporaryDirectory() as own:
        place = Path(own)
        write_sample("digits", place / "digits")
        yield from _rows("1,797 digits", place / "digits", place, "")
        _crops(place, MANY[quick])
        yield from _rows(f"{MANY[quick]:,} photographs", place / "crops", place, "<= 120 MB" if not quick else "")


def _rows(what: str, folder: Path, own: Path, aim: str) -> Iterator[Row]:
    run = own / f"run-{folder.name}"
    subprocess.run([sys.executable, "-c", RUN, folder, run, own / "store"], check=True, capture_output=True)
    first = _report(run)
    again = _report(run)
    size = sum(path.stat().st_size for path in (run / "report").rglob("*") if path.is_file()) / 1e6
    seconds = f"{first['seconds']:.1f} s"
    yield Row("report", f"{what}: made; again, thumbnails there", seconds, f"{again['seconds']:.1f} s")
    peaks = f"{first['peak']:.0f} MB", f"{again['peak']:.0f} MB"
    yield Row("report", f"{what}: size; peak memory; again", f"{size:.1f} MB", *peaks, aim)
    paint, ready = first_paint(run / "report" / "index.html")
    yield Row("report", f"{what}: first paint; ready to use", f"{paint:.2f} s", f"{ready:.2f} s")


def _report(run: Path) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", REPORT, run], capture_output=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def first_paint(page: Path) -> tuple[float, float]:
    """Seconds until a headless Chromium shows something of a page, and until its scripts have run; NaN without one."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return np.nan, np.nan
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        found = [_opened(browser.new_page(), page) for _ in range(4)][1:]  # the first one warms up
        browser.close()
    return float(np.median([paint for paint, _ in found])), float(np.median([ready for _, ready in found]))


def _opened(tab: object, page: Path) -> tuple[float, float]:
    tab.goto(page.resolve().as_uri())  # type: ignore[attr-defined]
    tab.wait_for_selector("html[data-ready]")  # type: ignore[attr-defined]
    ready = tab.evaluate("performance.now()") / 1000  # type: ignore[attr-defined]
    tab.wait_for_timeout(500)  # type: ignore[attr-defined]
    paint = tab.evaluate(PAINT) / 1000  # type: ignore[attr-defined]
    return paint, ready


def _crops(own: Path, count: int) -> None:
    """Cut so many pictures of `SIDE` x `SIDE` out of the sample's photographs, larger, smaller and turned around."""
    write_sample("photos", own / "photos")
    draw = np.random.default_rng(0)
    photos = [cv2.imread(str(path)) for path in sorted((own / "photos" / "test").glob("*.jpg"))]
    (own / "crops").mkdir()
    for number in range(count):
        photo = photos[number % len(photos)]
        side = int(min(photo.shape[:2]) * draw.uniform(0.5, 1))
        top, left = (int(draw.integers(0, size - side + 1)) for size in photo.shape[:2])
        crop = cv2.resize(photo[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(own / "crops" / f"{number:05d}.jpg"), crop[:, :: draw.choice([-1, 1])])
