"""`python -m imgcluster`, and the command `imgcluster`."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

# The libraries create half a million objects that stay until the end. With the default of 700 the garbage collector
# goes through them again and again during the imports.
GC_THRESHOLD_OBJECTS = 50_000


def entry() -> NoReturn:
    """Run the command line as a program, and end with its exit code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell ignores it in background jobs
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until `main` watches it: without a traceback of the imports
    gc.set_threshold(GC_THRESHOLD_OBJECTS)
    from imgcluster.cli.main import main

    _open_closed_streams()
    exit_code: list[int] = []
    atexit.register(_leave, exit_code)  # the first to be registered, so the last to be called
    try:
        exit_code.append(main())
    except SystemExit as error:  # argparse: help, or a wrong command line
        exit_code.append(error.code if isinstance(error.code, int) else 0)
    # Errors in the destructors of libraries come after our last words, and help nobody.
    sys.unraisablehook = lambda _: None
    sys.exit(exit_code[0])


def _open_closed_streams() -> None:
    """Open what a shell has closed (`>&-`) on nothing; else the next file to be opened would get what is printed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 (open until we end)


def _leave(exit_code: list[int]) -> None:
    """Skip the teardown of the interpreter: 0.7 of 3.0 s of CPU in a run from stored features, spent on the libraries.

    Threads have been joined by now, `finally` blocks and the other handlers of atexit have run.
    """
    if exit_code:
        with suppress(OSError):  # nobody reads them any more
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(exit_code[0])


if __name__ == "__main__":
    entry()
