"""Ctrl-C: an exception where Python can raise it, else a hard exit; the program ends within two seconds either way."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
SECONDS_TO_UNWIND = 1.0


class LastWords:
    """What an interrupted program says, once, in whichever thread is first.

    due: whether it was interrupted. Libraries make errors of their own of KeyboardInterrupt, such as pydantic-core.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.due = False
        self._lock = threading.Lock()

    def say(self) -> None:
        """Print the words to standard error, if they have not been printed yet."""
        with self._lock, suppress(OSError, ValueError):  # nobody reads them any more
            print(self._text, end="", file=sys.stderr, flush=True)
            self._text = ""


def watch_interrupts(last_words: LastWords) -> None:
    """Say the last words at the first Ctrl-C; exit hard at the second, or a second later. For programs only.

    The first Ctrl-C raises KeyboardInterrupt in the main thread, but only between two bytecodes: a call into a library
    delays it to its end. (Measured: scikit-learn's Ward linkage of 10,000 x 1,280 is one call of 34 s of CPU, LAPACK's
    eigh of 3,000 x 3,000 one of 21 s.) The operating system's handler writes the number of the signal to the wakeup
    pipe at once, and a thread that reads it needs no bytecode of the main one. A hard exit is safe: every file is
    replaced in one step, so that a process may be killed at any time.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as a shell has it in background jobs
        signal.signal(signal.SIGINT, _raise_once(last_words))
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reading, last_words), name="imgcluster-interrupts", daemon=True).start()


def _raise_once(last_words: LastWords) -> Callable[[int, FrameType | None], None]:
    """Return a handler that raises KeyboardInterrupt, and then exits: a second one would break the unwinding."""

    def handle(number: int, frame: FrameType | None) -> None:
        if last_words.due:
            os._exit(INTERRUPTED)
        last_words.due = True
        raise KeyboardInterrupt

    return handle


def _watch(signals: int, last_words: LastWords) -> None:
    _wait_for_interrupt(signals)
    last_words.say()
    deadline = threading.Timer(SECONDS_TO_UNWIND, os._exit, [INTERRUPTED])
    deadline.daemon = True
    deadline.start()
    _wait_for_interrupt(signals)
    os._exit(INTERRUPTED)


def _wait_for_interrupt(signals: int) -> None:
    while os.read(signals, 1)[0] != signal.SIGINT:
        pass
