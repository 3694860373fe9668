"""Keep the lines that a C library writes about damaged files off stderr, where a progress bar may be."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

STDERR = 2  # its file descriptor: C libraries know nothing of `sys.stderr`


@contextmanager
def without_lines(unwanted: re.Pattern[bytes]) -> Iterator[None]:
    """Pass on what anybody writes to stderr within the `with` block when it ends, without the lines that match."""
    if not hasattr(os, "pread"):  # on Windows
        yield
        return
    _stderr.hold()
    try:
        yield
    finally:
        _stderr.release(unwanted)


class _Stderr:
    """Stderr, held back in a temporary file as long as any thread wants it so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._own = self._file = self._passed_on = 0  # two descriptors, and bytes of the file

    def hold(self) -> None:
        """Hold it back."""
        with self._lock:
            if not self._users:
                self._file, name = mkstemp()
                Path(name).unlink()
                self._own, self._passed_on = os.dup(STDERR), 0
                os.dup2(self._file, STDERR)
            self._users += 1

    def release(self, unwanted: re.Pattern[bytes]) -> None:
        """Pass on what there is by now; where nobody else holds it, it is as before."""
        with self._lock:
            self._users -= 1
            if not self._users:
                os.dup2(self._own, STDERR)
            written = os.pread(self._file, os.fstat(self._file).st_size, self._passed_on)
            self._passed_on += len(written)
            os.write(self._own, unwanted.sub(b"", written))
            if not self._users:
                os.close(self._own)
                os.close(self._file)


_stderr = _Stderr()
