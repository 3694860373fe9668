"""Imports of libraries that import others which they can do without."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

OUR_THREADS = "imgcluster-"  # begin with this, and import nothing


@contextmanager
def not_installed(package: str) -> Iterator[None]:
    """Make imports of a package fail as if it were not installed."""
    before = sys.modules.get(package)
    sys.modules[package] = None  # type: ignore[assignment]  # documented: then `import` raises ModuleNotFoundError
    try:
        yield
    finally:
        del sys.modules[package]
        if before is not None:
            sys.modules[package] = before


def without_pandas() -> AbstractContextManager[None]:
    """Let scikit-learn be imported without pandas, which it imports where it is installed: 0.4 of 1.7 s of CPU.

    It looks pandas up again wherever it is given a table. Another thread might want to import it meanwhile: where there
    is one, nothing is hidden.
    """
    others = (thread.name for thread in threading.enumerate() if thread is not threading.current_thread())
    alone = all(name.startswith(OUR_THREADS) for name in others)
    return not_installed("pandas") if alone and "pandas" not in sys.modules else nullcontext()
