"""A run's images on several devices: a process on each, over a range of them, and their stores become one."""

from __future__ import annotations

import json
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import IO, Any, cast

import torch

from imgcluster import errors
from imgcluster.backbones import Choice, Plan, Unsupported
from imgcluster.errors import ConfigError, ImgclusterError
from imgcluster.features.engines.local import Work
from imgcluster.features.engines.multiprocess_worker import Job
from imgcluster.features.store.layers import LayerStores
from imgcluster.features.store.store import PART, ImageKey
from imgcluster.types import ImageFile
from imgcluster.utils import Advance, Place, RemotePath

SECONDS_TO_LEAVE = 10


@dataclass
class _Process:
    device: str
    images: list[ImageFile]
    popen: subprocess.Popen[bytes]
    stdin: IO[bytes]
    stdout: IO[bytes]
    report: dict[str, Any] | None = None


def compute_on(  # noqa: PLR0913, PLR0917
    devices: Sequence[torch.device], work: Work, store: LayerStores, choice: Choice, plan: Plan, advance: Advance
) -> str:
    """Do what `work.do` does on several devices of a kind; returns what they are, for a person.

    The vectors are those that one device makes: a batch is as large, and none depends on its neighbours. When a
    process fails or dies the others are stopped, and what all of them have done until then is kept.
    Raises what `work.do` raises, Unsupported, and ImgclusterError where a process died.
    """
    if str(store.root).startswith("memory:"):
        raise ConfigError(
            "features.store: memory:// is each process's own; several devices need a folder, or another URL"
        )
    jobs = [
        Job(
            images,
            choice,
            replace(plan, device=device),
            _own_root(store, number),
            work.on_error,
            (number, parts),
        )
        for parts, number, device, images in _ranges(work.todo, devices)
    ]
    try:
        with _started(jobs) as processes:
            _listen(processes, advance)
    finally:
        store.adopt_parts()
    for process in processes:
        report = process.report or {}
        # Of images that nothing but their bytes tells from others: nobody else knows under what they are in the store.
        work.keys.update({process.images[row]: ImageKey(*key) for row, *key in report["keys"]})
        work.take_over(process.images, report["computed"], dict(report["failures"]), report["seconds"])
    return " + ".join(str((process.report or {})["device"]) for process in processes)


def _own_root(store: LayerStores, number: int) -> Place:
    """Return where a process puts its vectors: beside the store, or, where that has a URL, straight into it."""
    return store.root if isinstance(store.root, RemotePath) else store.root / f"{PART}{number}"


def _ranges(
    images: list[ImageFile], devices: Sequence[torch.device]
) -> Iterator[tuple[int, int, torch.device, list[ImageFile]]]:
    parts = min(len(devices), len(images))
    for number in range(parts):
        start, end = (len(images) * edge // parts for edge in (number, number + 1))
        yield parts, number, devices[number], images[start:end]


@contextmanager
def _started(jobs: list[Job]) -> Iterator[list[_Process]]:
    """Start a process for each job. None is left when the block ends."""
    processes: list[_Process] = []
    try:
        for job in jobs:
            processes.append(process := _start(job))
            with suppress(BrokenPipeError):  # it has died, which is told when its output ends
                process.stdin.write(pickle.dumps(job))
                process.stdin.flush()  # and not closed: that would tell it to leave
        yield processes
    finally:
        for process in processes:
            _end(process)


def _start(job: Job) -> _Process:
    popen = subprocess.Popen(
        [sys.executable, "-m", "imgcluster.features.engines.multiprocess_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    stdin, stdout = (cast(IO[bytes], pipe) for pipe in (popen.stdin, popen.stdout))
    return _Process(str(job.plan.device), job.images, popen, stdin, stdout)


def _end(process: _Process) -> None:
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.popen.wait(SECONDS_TO_LEAVE)
    except subprocess.TimeoutExpired:
        process.popen.kill()
        process.popen.wait()
    process.stdout.close()


def _listen(processes: list[_Process], advance: Advance) -> None:
    """Hand on the progress of all processes until each has reported; raises the first one's error."""
    lines: queue.Queue[tuple[_Process, bytes]] = queue.Queue()
    for process in processes:
        threading.Thread(target=_read_lines, args=(process, lines), daemon=True).start()
    while any(process.report is None for process in processes):
        process, line = lines.get()
        _heed(process, line, advance)


def _read_lines(process: _Process, lines: queue.Queue[tuple[_Process, bytes]]) -> None:
    for line in process.stdout:
        lines.put((process, line))
    lines.put((process, b""))


def _heed(process: _Process, line: bytes, advance: Advance) -> None:
    if not line:
        if process.report is None:
            raise ImgclusterError(_died(process))
        return
    message = json.loads(line)
    if "done" in message:
        advance(message["done"])
    elif "report" in message:
        process.report = message["report"]
    else:
        kind, words = message["error"]
        raise Unsupported(words) if kind == Unsupported.__name__ else getattr(errors, kind)(words)


def _died(process: _Process) -> str:
    code = process.popen.wait()
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return (
        f"the process on {process.device} {how}; what was done is kept: run the same command again and it goes on "
        "from there"
    )
