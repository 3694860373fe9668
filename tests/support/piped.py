"""A Python program in a process of its own, its output as text in pipes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, NamedTuple

from tests import ROOT


class Piped(NamedTuple):
    """A running process, its standard output and its standard error."""

    process: subprocess.Popen[str]
    out: IO[str]
    error: IO[str]


@contextmanager
def piped(*arguments: str) -> Iterator[Piped]:
    """Start Python with these arguments in the root of the repository, and kill it at the end of the `with`."""
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield Piped(process, process.stdout, process.stderr)
        finally:
            process.kill()
