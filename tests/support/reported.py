"""Runs of pictures with hostile names, and what their reports hold."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import imgcluster
from tests.conftest import write_pictures

HOSTILE = [
    "<img src=x onerror=alert(1)>.jpg",
    "'\"><script>alert(2)</script>.jpg".replace("/", "_"),
    "quote\"s and 'quotes' & ampersands.jpg",
    "line\nbreak.jpg",
    "{{ 7 * 7 }} {% raise %}.jpg",
    "\u202egpj.exe\u202c.jpg",
    "x" * 200 + ".jpg",
]


def hostile_pictures(folder: Path) -> Path:
    write_pictures(folder, range(24))
    for number, name in enumerate(HOSTILE):
        shutil.copy(folder / f"{number:04d}.jpg", folder / name)
    (folder / "broken <b>.jpg").write_bytes(b"no picture")
    return folder


def run_of(folder: Path, out: Path, *overrides: str, **outputs: Any) -> Path:
    store = out.parent / "store"
    config = imgcluster.config_from_dict(
        {
            "images": {"folder": str(folder)},
            "features": {"backbone": "efficientnet_lite0", "store": str(store)},
            "clusters": {"method": "kmeans", "n_clusters": 3},
            "outputs": {"folder": str(out), "submission": None, **outputs},
        }
    )
    return imgcluster.run(config, show=False).folder


def script(path: Path) -> Any:
    text = path.read_text()
    return json.loads(text[text.index("=") + 1 :].rstrip().rstrip(";"))


class Reader(HTMLParser):
    """The tags of a page and the text of its ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self._in_bdi = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_bdi = tag == "bdi"

    def handle_endtag(self, tag: str) -> None:
        self._in_bdi = False

    def handle_data(self, data: str) -> None:
        if self._in_bdi:
            self.ids.append(data)


def no_work(*_: object) -> None:
    raise AssertionError("worked out again")


def files_of_report(run: Path) -> dict[str, bytes]:
    files = (path for path in (run / "report").rglob("*") if path.is_file())
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


def other_clusters(run: Path) -> None:
    """Change the clusters of a run, as another run into its folder does."""
    text = (run / "clusters.csv").read_text()
    (run / "clusters.csv").write_text(re.sub(r"(\.jpg),0,", r"\1,1,", text))
