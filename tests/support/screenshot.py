"""`python -m tests.support.screenshot RUN OUT.jpg`: the picture of a report in README.md."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import sync_playwright

SIZE = {"width": 1100, "height": 1130}
QUALITY = 82
HALVES = (("dark", ".card", 1), ("light", "#map", 0))  # the second cluster: a rover, and what pulls it there


def screenshot(run: Path) -> np.ndarray:
    """Draw the clusters of a report, dark, beside its map, light: (height, width, 3) BGR uint8."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        halves = []
        for scheme, section, place in HALVES:
            page = chromium.new_context(color_scheme=scheme, viewport=SIZE).new_page()
            page.goto((run / "report" / "index.html").resolve().as_uri())
            page.wait_for_selector("html[data-ready]")
            page.locator(section).nth(place).evaluate("each => each.scrollIntoView({behavior: 'instant'})")
            if section == "#map":
                page.wait_for_selector("#plot[data-ready]")
            page.wait_for_timeout(1000)
            halves.append(cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR))
        chromium.close()
    return np.concatenate(halves, axis=1)


if __name__ == "__main__":
    drawn = cv2.resize(screenshot(Path(sys.argv[1])), None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    Path(sys.argv[2]).write_bytes(cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
