"""`python -m imgcluster`, and the command `imgcluster`: a process of which nothing is left to others."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn

from imgcluster.cli.main import main

# The libraries are half a million objects that stay. Python looks through them for garbage again and again as they are
# imported, and takes them apart one by one at the end: together a fifth of a short command.
OBJECTS_UNTIL_A_LOOK = 50_000


def entry() -> NoReturn:
    """Run the command line as a program, and end with its exit code."""
    gc.set_threshold(OBJECTS_UNTIL_A_LOOK)
    _open_closed_streams()
    ended: list[int] = []
    atexit.register(_leave, ended)  # first in, so that whatever is registered later comes before it
    try:
        ended.append(main())
    except SystemExit as error:  # argparse: help, or a wrong command line
        ended.append(error.code if isinstance(error.code, int) else 0)
    # What libraries fail at as they end comes after the last word, and helps nobody.
    sys.unraisablehook = lambda _: None
    sys.exit(ended[0])


def _open_closed_streams() -> None:
    """Have what a shell closed (`>&-`) lead nowhere; else the next file to be opened would get what is printed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 (for as long as we run)


def _leave(ended: list[int]) -> None:
    if ended:
        with suppress(OSError):  # whoever read has gone
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(ended[0])


if __name__ == "__main__":
    entry()
