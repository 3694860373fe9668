"""`python -m tests.support.audited LOG MODULE …`: run a program and log what it asks of the system.

Each line of LOG is JSON: the event, by its name in Python's table of audit events (PEP 578), and what it was about.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path

WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
# Which arguments are paths that are changed, and where the number of the folder is that each is relative to, if any.
CHANGES = {
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.utime": ((0, 3),),
    "os.setxattr": ((0, None),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
}
REACHES = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind")
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn")
RUNS_WHAT_IS_READ = ("pickle.find_class",)


def main() -> None:
    """Run the program that the command line names."""
    log, module, *arguments = sys.argv[1:]
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(event: str, *about: object) -> None:
        os.write(descriptor, (json.dumps([event, *map(repr, about)]) + "\n").encode())

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str | bytes | os.PathLike) and isinstance(flags, int) and flags & WRITING:
                note(event, _whole(path))
        elif event in CHANGES:
            note(
                event, *(_whole(arguments[at], at_folder and arguments[at_folder]) for at, at_folder in CHANGES[event])
            )
        elif event in REACHES:
            note(event, arguments[-1] if event in ("socket.connect", "socket.sendto", "socket.bind") else arguments[0])
        elif event in STARTS:
            note(event, arguments[0])
        elif event in RUNS_WHAT_IS_READ:
            note(event, *arguments)

    sys.argv = [module, *arguments]
    sys.addaudithook(hook)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _whole(path: object, folder: object = None) -> str:
    """Return a path from the root on; it may be one in a folder that is told by its number, as it may be itself."""
    if isinstance(path, int):
        return str(Path(f"/proc/self/fd/{path}").readlink())
    has_folder = isinstance(folder, int) and folder >= 0
    above = Path(f"/proc/self/fd/{folder}").readlink() if has_folder else Path.cwd()
    return os.path.normpath(above / os.fsdecode(path))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
