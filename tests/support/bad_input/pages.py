"""Bad TIFFs of several pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.bad_input import RUN, case
from tests.support.bad_input.images import add
from tests.support.tiff_pages import (
    STRIP_OFFSETS,
    directories,
    followed_by,
    nested,
    of_one_strip,
    scan,
    with_count,
    with_value,
)

GROUP = "pages"
PAGES = (*RUN, "--set", "images.pages=all")
ENDS = r"damaged TIFF: the pages break off after \d"


def _whole() -> bytes:
    """Three pages of noise."""
    generator = np.random.default_rng(0)
    return scan([generator.integers(0, 255, (60, 80, 3)).astype(np.uint8) for _ in range(3)])


@case("a TIFF whose third page is followed by its first", GROUP, "after page 3 the pages begin anew",
      failures=1, commands=(PAGES,))  # fmt: skip
def _(own: Path) -> None:
    add(own, {"a.tif": followed_by(_whole(), 2, 0)})


@case("a TIFF of three pages that breaks off in the directory of each, and in the last strip", GROUP, ENDS,
      failures=4, commands=(PAGES,))  # fmt: skip
def _(own: Path) -> None:
    data = _whole()
    first, second, third = directories(data)
    ends = (first + 9, second + 9, third + 9, len(data) - 40)
    add(own, {f"cut-{number}.tif": data[:end] for number, end in enumerate(ends)})


@case("TIFFs with a page of 65,535 tags, of none, and with 3,000 pages that lie in each other", GROUP, ENDS,
      failures=4, commands=(PAGES,))  # fmt: skip
def _(own: Path) -> None:
    data = _whole()
    add(own, {"a.tif": with_count(data, 1, 65_535), "b.tif": with_count(data, 1, 0), "c.tif": nested(3000)})


@case("a TIFF with a page of 65,536 strips in one place, 4 GB together", GROUP, "has more than 1,073,741,824 bytes",
      failures=1, commands=(PAGES,))  # fmt: skip
def _(own: Path) -> None:
    add(own, {"a.tif": of_one_strip(_whole(), 1)})


@case("a TIFF with a page whose strips lie behind the end of the file", GROUP, r"(damaged|truncated) TIFF",
      failures=1, commands=(PAGES,))  # fmt: skip
def _(own: Path) -> None:
    data = _whole()
    add(own, {"a.tif": with_value(data, 1, STRIP_OFFSETS, len(data) - 10)})
