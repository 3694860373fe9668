"""Optional packages that are taken for missing in a test, whether they are installed or not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from imgcluster.images.extras import EXTRAS
from imgcluster.images.sources.endings import taken_endings

DECODERS = tuple(module for extra in EXTRAS for module in extra.modules)


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Have packages missing: nothing finds or imports them."""
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setitem(sys.modules, module, None)
        taken_endings.cache_clear()
        yield
    taken_endings.cache_clear()
