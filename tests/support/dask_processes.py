"""A Dask cluster of real processes on loopback, as a person would start one in several terminals."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.warm import Nursery, Program, Running

SECONDS = 60.0


class DaskProcesses:
    """A scheduler and its workers, forks of a nursery or processes from nothing; all of them end with `close`."""

    def __init__(self, folder: Path, nursery: Nursery | None = None) -> None:
        self._folder = folder
        self._nursery = nursery
        self._all: list[Running] = []
        self.port = free_port()
        self.scheduler: Running | None = None

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start_scheduler(self, **environment: str) -> None:
        flags = ("--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")
        self.scheduler = self._start("dask_scheduler", *flags, **environment)
        wait_until(lambda: listens(self.port))

    def start_worker(self, *flags: str, **environment: str) -> Running:
        own = ("--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard")
        return self._start(
            "dask_worker", self.address, *own, "--local-directory", str(self._folder), *flags, **environment
        )

    def close(self) -> None:
        for process in self._all:
            with_children_ended(process)

    def _start(self, module: str, *arguments: str, **environment: str) -> Running:
        process = Running(Program(f"distributed.cli.{module}", arguments, self._folder, environment), self._nursery)
        self._all.append(process)
        return process


def with_children_ended(process: Running | subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
    process.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def wait_until(happened: Callable[[], bool], seconds: float = SECONDS) -> None:
    ends = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)
