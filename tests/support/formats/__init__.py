"""Every variant of an image format that docs/formats.md lists: a file by a real writer, the truth, a second reader.

`python -m tests.support.formats` prints the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LOSSLESS, LOSSY = 2.0, 6.0  # mean deviation of 255


@dataclass(frozen=True)
class Variant:
    """A row. result: as in the docs. truth: RGB; None: refused with `reason`. second: another reader of the file."""

    format: str
    name: str
    result: str
    make: Callable[[], bytes]
    truth: np.ndarray | None = None
    second: Callable[[bytes], np.ndarray] | None = None
    within: float = LOSSLESS
    reason: str = ""
