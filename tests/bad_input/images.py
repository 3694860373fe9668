"""Bad images."""

from __future__ import annotations

import os
from pathlib import Path

from tests.bad_input import case

GROUP = "images"
DAMAGED = "not an image OpenCV can decode, or a damaged one"


@case("an empty file", GROUP, "the file is empty", failures=1)
def _(own: Path) -> None:
    (own / "pictures" / "0005.jpg").write_bytes(b"")


@case("a FIFO", GROUP, "is not a regular file", failures=1)
def _(own: Path) -> None:
    os.mkfifo(own / "pictures" / "pipe.jpg")
