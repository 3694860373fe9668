"""Extraction on several devices: one process each, over a range of the images, whose stores are then merged.

Each process is `python -m` this module. It reads one pickled Job, and writes lines of JSON: {"done": n} as images are
computed, at the end {"report": ...}, or {"error": [kind, words]}. It ends when its input does, so that it never
outlives the process that started it.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from imgcluster import errors
from imgcluster.backbones import Choice, Plan, Unsupported, build_runtime, some_of
from imgcluster.errors import ConfigError, ImgclusterError
from imgcluster.features.engines.local import Work
from imgcluster.features.store.keys import known_key
from imgcluster.features.store.layers import LayerStores
from imgcluster.features.store.store import PART
from imgcluster.types import ImageFile
from imgcluster.utils import Advance, Place, RemotePath

SECONDS_TO_LEAVE = 10
EXIT_CODE_WITHOUT_PARENT = 1


@dataclass(frozen=True)
class Job:
    """The images of one process, what computes them, and the folder of its own stores.

    share: which of how many equal parts of the cores it may use, counted from 0. is_measuring: whether images are
    measured as they are read.
    """

    images: Sequence[ImageFile]
    choice: Choice
    plan: Plan
    root: Place
    on_error: str
    share: tuple[int, int]
    is_measuring: bool = False


@dataclass
class _Process:
    job: Job
    popen: Any  # subprocess.Popen, with pipes
    report: dict[str, Any] = field(default_factory=dict)


def compute_on(
    devices: Sequence[str], work: Work, store: LayerStores, choice: Choice, plan: Plan, *, advance: Advance
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
    parts = min(len(devices), len(work.todo))
    edges = [len(work.todo) * number // parts for number in range(parts + 1)]
    try:
        with ExitStack() as stack:
            processes = []
            for number, device in enumerate(devices[:parts]):
                images, own_plan = work.images_to_do[edges[number] : edges[number + 1]], replace(plan, device=device)
                # Vectors go into a store beside this one, or, where that has a URL, straight into it.
                root = store.root if isinstance(store.root, RemotePath) else store.root / f"{PART}{number}"
                job = Job(images, choice, own_plan, root, work.on_error, (number, parts), store.is_measuring)
                processes.append(stack.enter_context(_started(job)))
            _listen(processes, advance)
    finally:
        store.adopt_parts()
    for number, process in enumerate(processes):
        places, report = work.todo[edges[number] : edges[number + 1]].tolist(), process.report
        work.look_up(places)
        # Of images that nothing but their bytes tells from others: nobody else knows under what they are in the store.
        rows = [row for row, *_ in report["stamps"]]
        stamps = np.array([stamp for _, *stamp in report["stamps"]], np.uint64).reshape(-1, 2)
        work.note([places[row] for row in rows], stamps)
        failures = {places[row]: reason for row, reason in report["failures"]}
        work.take_over({}, report["computed"], failures, report["seconds"])
    return " + ".join(str(process.report["device"]) for process in processes)


@contextmanager
def _started(job: Job) -> Iterator[_Process]:
    """Start a process for a job. It has ended when the block ends."""
    popen: Any = subprocess.Popen(
        [sys.executable, "-m", "imgcluster.features.engines.multiprocess"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        with suppress(BrokenPipeError):  # it has died, which is told when its output ends
            popen.stdin.write(pickle.dumps(job))
            popen.stdin.flush()  # and not closed: that would tell it to leave
        yield _Process(job, popen)
    finally:
        with suppress(BrokenPipeError):
            popen.stdin.close()
        try:
            popen.wait(SECONDS_TO_LEAVE)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
        popen.stdout.close()


def _listen(processes: list[_Process], advance: Advance) -> None:
    """Hand on the progress of all processes until each has reported; raises the first one's error."""
    lines: queue.Queue[tuple[_Process, bytes]] = queue.Queue()
    for process in processes:
        threading.Thread(target=_read_lines, args=(process, lines), daemon=True).start()
    while not all(process.report for process in processes):
        process, line = lines.get()
        _heed(process, line, advance)


def _read_lines(process: _Process, lines: queue.Queue[tuple[_Process, bytes]]) -> None:
    for line in process.popen.stdout:
        lines.put((process, line))
    lines.put((process, b""))


def _heed(process: _Process, line: bytes, advance: Advance) -> None:
    if not line:
        if not process.report:
            code = process.popen.wait()
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            raise ImgclusterError(
                f"the process on {process.job.plan.device} {how}; what was done is kept: run the same command again "
                "and it goes on from there"
            )
        return
    message = json.loads(line)
    if "done" in message:
        advance(message["done"])
    elif "report" in message:
        process.report = message["report"]
    else:
        kind, words = message["error"]
        raise Unsupported(words) if kind == Unsupported.__name__ else getattr(errors, kind)(words)


def main() -> None:
    """Do one job from the standard input. Whatever a library prints goes to the standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; who started this one decides
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=lines, flush=True)

    job: Job = pickle.load(sys.stdin.buffer)  # noqa: S301 (from the process that started this one)
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()
    _take_share(*job.share)
    try:
        tell({"report": _report(job, lambda count: tell({"done": count}))})
    except (ImgclusterError, Unsupported) as error:
        tell({"error": [type(error).__name__, str(error)]})


def _leave_with_the_parent() -> None:
    while os.read(0, 1):  # not sys.stdin: nobody could close it while this thread waits there
        pass
    os._exit(EXIT_CODE_WITHOUT_PARENT)  # every file is whole at any moment


def _take_share(number: int, parts: int) -> None:
    """Keep to some of the cores, as many as each of the others: with all of them, all would wait for each other."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[number::parts] or cores)
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // parts))


def _report(job: Job, advance: Callable[[int], object]) -> dict[str, Any]:
    with LayerStores(job.root, job.plan.shapes(job.choice)) as store:
        if job.is_measuring:
            store.measure(job.choice.recipe.reading)
        work = Work(job.images, store, job.on_error)
        with work.stopwatch.timed("building the network"):
            runtime = build_runtime(job.choice, job.plan, some_of(work.images_to_do, job.choice.recipe))
        work.do(runtime, job.choice.recipe, job.plan.batch_size, advance)
    return {
        "failures": [(row, failure.reason) for row, failure in work.failures.items()],
        "stamps": [
            (row, *work.stamps[row].tolist())
            for row in np.flatnonzero(work.is_done).tolist()
            if known_key(job.images[row].path) is None
        ],
        "computed": work.computed,
        "device": runtime.device,
        "seconds": work.stopwatch.seconds,
    }


if __name__ == "__main__":
    main()
