"""Progress of long work, as a bar in a terminal or as lines, and seconds per stage."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

SECONDS_BETWEEN_LINES = 10.0

Advance = Callable[[int], object]


class Tell(Protocol):
    """Called with the number that came, and with what a person is to read of it, if anything."""

    def __call__(self, count: int, text: str = "", /) -> object:
        """Show it."""


@contextmanager
def track(label: str, total: int | None, unit: str, *, show: bool, done: int = 0) -> Iterator[Tell]:
    """Show the progress of `total` units, `done` of them before; yields what to call with the number that came."""
    if not show or total == 0:
        yield lambda count, text="": None
    elif sys.stderr.isatty():
        from tqdm import tqdm

        is_bytes = unit == "B"
        with tqdm(
            desc=label,
            total=total,
            initial=done,
            unit=unit if is_bytes else f" {unit}",
            unit_scale=is_bytes,
            unit_divisor=1024 if is_bytes else 1000,
            dynamic_ncols=True,
        ) as bar:
            yield _Bar(bar).advance
    else:
        yield _Lines(label, total, unit, done).advance


def announce(text: str, *, show: bool) -> None:
    """Show what begins, where it may take long before there is any progress."""
    if show:
        print(text, file=sys.stderr, flush=True)


class _Bar:
    """Progress on a terminal."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def advance(self, count: int, text: str = "") -> None:
        if text:
            self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(count)


class _Lines:
    """Progress for a log: one line at the start, one every ten seconds, one at the end."""

    def __init__(self, label: str, total: int | None, unit: str, done: int) -> None:
        self._label, self._total, self._unit, self._done = label, total, unit, done
        self._initial, self._started = done, time.monotonic()
        self._next = self._started
        self.advance(0)

    def advance(self, count: int, text: str = "") -> None:
        self._done += count
        now = time.monotonic()
        if now >= self._next or self._done == self._total:
            self._next = now + SECONDS_BETWEEN_LINES
            line = self._line(now - self._started)
            print(f"{line}, {text}" if text else line, file=sys.stderr, flush=True)

    def _line(self, seconds: float) -> str:
        of = "" if self._total is None else f"/{self._amount(self._total)}"
        line = f"{self._label}: {self._amount(self._done)}{of} {self._name}"
        if (come := self._done - self._initial) and seconds > 0:
            rate = come / seconds
            line += f", {self._amount(rate)} {self._name}/s"
            if self._total is not None and self._done < self._total:
                line += f", {(self._total - self._done) / rate:.0f} s left"
        return line

    @property
    def _name(self) -> str:
        return "MB" if self._unit == "B" else self._unit

    def _amount(self, count: float) -> str:
        if self._unit == "B":
            return f"{count / 2**20:.1f}"
        return f"{count:,}" if isinstance(count, int) else f"{count:,.1f}"


class Stopwatch:
    """Adds up seconds by the name of the stage. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count the seconds inside of a `with`, also where it ends with an error."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - start)

    def add(self, stage: str, seconds: float) -> None:
        """Count seconds that were measured elsewhere."""
        with self._lock:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
