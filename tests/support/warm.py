"""Processes of Python that have imported the libraries when they begin, as forks of one that waits: 0.1 s, not 3.

What a process inherits from a person's shell it gets here too: a working folder, an environment, its own standard
streams, an exit status, and signals by its id. Variables that libraries read as they are imported are for a process
that imports them: it begins from nothing where the environment asks for that.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import resource
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NoReturn

from tests import ROOT

# What commands, schedulers and workers need. Not timm, whose hub settles its folders as it is imported, and not
# openvino, which opens connections for its telemetry unless the program itself imports it.
IMPORTED = (
    "imgcluster.images.decode",  # before any other that loads OpenCV, which it sets up
    "dask.array",
    "distributed.cli.dask_scheduler",
    "distributed.cli.dask_worker",
    "distributed.http.worker",
    "imgcluster.cli.main",
    "imgcluster.pipeline",
    "imgcluster.report.write",
    "pandas",
    "sklearn.cluster",
    "sklearn.decomposition",
    "sklearn.linear_model",
    "torch",
    "torchvision",
)
# Read when they are asked for, and no earlier. HF_* are of a library that is not imported here.
READ_LATE = (
    "AWS_",
    "COLUMNS",
    "HF_",
    "HOME",
    "IMGCLUSTER_",
    "NO_COLOR",
    "PYTEST_",
    "TMPDIR",
    "TORCH_HOME",
    "XDG_",
    "no_proxy",
)
# What libraries set in the process of the tests later on, as torch does when it compiles, is in no shell.
AT_THE_START = dict(os.environ)
MOST_BYTES = 1 << 20
SECONDS = 300.0


@dataclass(frozen=True)
class Program:
    """`python -m module arguments`, as somebody types it in a folder.

    environment: what differs from that of the tests.
    own_session: as in a terminal of its own.
    limits: by the numbers of `resource`, as of `ulimit`.
    shell: how a shell is told to run it, where that is more than its line: `{} >&-`.
    ordinary: without what root may do beyond others, so that the permissions of files hold for it too.
    """

    module: str
    arguments: tuple[str | Path, ...]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    own_session: bool = False
    limits: Mapping[int, int] = field(default_factory=dict)
    shell: str = "{}"
    ordinary: bool = False

    @property
    def command(self) -> list[str]:
        own = [sys.executable, "-m", self.module, *self.words]
        return own if self.shell == "{}" else ["/bin/sh", "-c", self.shell.format(shlex.join(own))]

    @property
    def words(self) -> list[str]:
        return [str(each) for each in self.arguments]

    @property
    def whole_environment(self) -> dict[str, str]:
        shell = {name: value for name, value in AT_THE_START.items() if not name.startswith(READ_LATE)}
        set_by_tests = {name: value for name, value in os.environ.items() if name.startswith(READ_LATE)}
        return {**shell, **set_by_tests, "PYTHONPATH": str(ROOT), **self.environment}


class Fork:
    """A process that a `Nursery` has forked; as a `subprocess.Popen`, as far as the tests need one."""

    def __init__(self, status: int) -> None:
        self._status = status
        self._told = b""
        self.returncode: int | None = None
        self.megabytes = 0.0  # the most that it had, once it has ended
        while b"\n" not in self._told:
            self._read()
        self.pid = int(self._told.split(b"\n")[0])

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        while self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a fork", timeout or 0)
            self._read()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _read(self) -> None:
        more = os.read(self._status, 100)
        assert more, "the process that forks has ended"
        self._told += more
        if self._told.count(b"\n") == 2:
            code, kilobytes = self._told.split(b"\n")[1].split()
            self.returncode, self.megabytes = int(code), int(kilobytes) / 1024
            os.close(self._status)


class Nursery:
    """The process that waits, and forks; it ends with `close`, or with this process."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MOST_BYTES)
        self._socket = ours
        self._lock = threading.Lock()
        self.environment = Program("", (), ROOT).whole_environment
        command = [sys.executable, "-m", "tests.support.warm", str(theirs.fileno())]
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL
        )
        theirs.close()

    def _is_served_by_a_fork(self, program: Program) -> bool:
        """Whether all in which its environment differs from that of the imports is read later."""
        if program.shell != "{}":
            return False
        wanted = program.whole_environment
        names = {*wanted, *self.environment}
        differs = [name for name in names if wanted.get(name) != self.environment.get(name)]
        return all(name.startswith(READ_LATE) for name in differs)

    def start(self, program: Program, streams: list[int]) -> Fork:
        """Fork; `streams` are of the standard output and error."""
        reading, writing = os.pipe()
        asked = {
            "module": program.module,
            "arguments": program.words,
            "command": program.command,
            "folder": str(program.folder),
            "environment": program.whole_environment,
            "own_session": program.own_session,
            "limits": list(program.limits.items()),
            "ordinary": program.ordinary,
            "is_fork": self._is_served_by_a_fork(program),
        }
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(asked).encode()], [*streams, writing])
        os.close(writing)
        return Fork(reading)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


class Running:
    """A program at work; `communicate` waits for its end and returns what it has printed."""

    def __init__(self, program: Program, nursery: Nursery | None = None) -> None:
        with ExitStack() as files:
            self._printed: list[IO[bytes]] = [files.enter_context(TemporaryFile()) for _ in range(2)]
            files.pop_all()  # they go with this object
        streams = [file.fileno() for file in self._printed]
        self._process: Fork | subprocess.Popen[bytes]
        self._process = _from_nothing(program, streams) if nursery is None else nursery.start(program, streams)
        self.pid = self._process.pid
        self.poll, self.kill = self._process.poll, self._process.kill
        self.wait, self.send_signal = self._process.wait, self._process.send_signal

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    @property
    def megabytes(self) -> float:
        """The most memory that it had; known of what a nursery started."""
        assert isinstance(self._process, Fork)
        return self._process.megabytes

    def communicate(self, timeout: float = SECONDS) -> tuple[str, str]:
        """Return the texts of standard output and error; who takes longer is killed."""
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        return self.printed()

    def printed(self) -> tuple[str, str]:
        texts = []
        for file in self._printed:
            file.seek(0)
            texts.append(file.read().decode("utf-8", errors="replace"))
        return texts[0], texts[1]


def _from_nothing(program: Program, streams: list[int]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        program.command,
        cwd=program.folder,
        env=program.whole_environment,
        stdout=streams[0],
        stderr=streams[1],
        start_new_session=program.own_session,
    )


def serve(descriptor: int) -> NoReturn:
    """Fork a process for each message, until there is nobody who could send another."""
    gc.disable()
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # all of it stays, and no fork looks through it again
    gc.enable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the children below are waited for by nobody
    with socket.socket(fileno=descriptor) as asks:
        while True:
            data, streams, _, _ = socket.recv_fds(asks, MOST_BYTES, 3)
            if not data:
                os._exit(0)
            if os.fork() == 0:
                asks.close()
                _attend(streams)
                _run(json.loads(data))
            for stream in streams:
                os.close(stream)


def _attend(streams: list[int]) -> None:
    """Fork once more, with the standard streams in their places, and return in that process; tell how it ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *outputs, status = streams
    pid = os.fork()
    if pid == 0:
        os.close(status)
        for number, stream in enumerate(outputs, start=1):
            os.dup2(stream, number)
            os.close(stream)
        return
    for stream in outputs:
        os.close(stream)
    os.write(status, b"%d\n" % pid)
    _, ended, usage = os.wait4(pid, 0)
    with suppress(BrokenPipeError):
        os.write(status, b"%d %d\n" % (os.waitstatus_to_exitcode(ended), usage.ru_maxrss))
    os._exit(0)


def _run(asked: dict[str, Any]) -> NoReturn:
    """Run the module, and leave as the interpreter does when a program ends."""
    if asked["own_session"]:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in what it starts in the background
    for number, most in asked["limits"]:
        resource.setrlimit(number, (most, most))
    os.chdir(asked["folder"])
    if asked["ordinary"] and os.geteuid() == 0:
        _become_ordinary()
    if not asked["is_fork"]:
        os.execve(asked["command"][0], asked["command"], asked["environment"])  # noqa: S606
    sys.path[0] = asked["folder"]
    os.environ.clear()
    os.environ.update(asked["environment"])
    tempfile.tempdir = None  # which was found out with another environment
    sys.argv = [asked["module"], *asked["arguments"]]
    runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
    sys.exit(0)


def _become_ordinary() -> None:
    """Give up all capabilities, of this process and of what it will start: capabilities(7)."""
    libc = ctypes.CDLL(None, use_errno=True)
    version_of_this_process, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    set_securebits, no_root = 28, 0b11
    if libc.prctl(set_securebits, no_root, 0, 0, 0) or libc.capset(version_of_this_process, none):
        raise OSError(ctypes.get_errno(), "root's capabilities cannot be given up")


if __name__ == "__main__":
    serve(int(sys.argv[1]))
