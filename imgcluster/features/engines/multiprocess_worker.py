"""A process that computes a part of a run's images into a store of its own: started by `processes`, one on each device.

It reads one pickled Job, and writes lines of JSON: {"done": n} for images that came, at the end {"report": ...}, or
{"error": [kind, words]}. It ends when its input does, so that it never outlives the process that started it.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from imgcluster.backbones import Choice, Plan, Unsupported, build_runtime, some_of
from imgcluster.errors import ImgclusterError
from imgcluster.features.engines.local import Work
from imgcluster.features.store.keys import known_key
from imgcluster.features.store.layers import LayerStores
from imgcluster.types import ImageFile
from imgcluster.utils import Place

GONE = 1


@dataclass(frozen=True)
class Job:
    """The images of one process, what computes them, and the folder of its own stores.

    share: which of how many equal parts of the cores it may use, counted from 0.
    """

    images: list[ImageFile]
    choice: Choice
    plan: Plan
    root: Place
    on_error: str
    share: tuple[int, int]


def main() -> None:
    """Do one job from the standard input. Whatever a library prints goes to the standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; who started this one decides
    tell = _teller()
    job: Job = pickle.load(sys.stdin.buffer)  # noqa: S301
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()
    _take_share(*job.share)
    try:
        tell({"report": _report(job, lambda count: tell({"done": count}))})
    except (ImgclusterError, Unsupported) as error:
        tell({"error": [type(error).__name__, str(error)]})


def _teller() -> Callable[[dict[str, Any]], None]:
    lines: IO[str] = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=lines, flush=True)

    return tell


def _leave_with_the_parent() -> None:
    while os.read(0, 1):  # not sys.stdin: nobody could close it while this thread waits there
        pass
    os._exit(GONE)  # every file is whole at any moment


def _take_share(number: int, parts: int) -> None:
    """Keep to some of the cores, as many as each of the others: with all of them, all would wait for each other."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[number::parts] or cores)
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // parts))


def _report(job: Job, advance: Callable[[int], object]) -> dict[str, Any]:
    with LayerStores(job.root, job.plan.shapes(job.choice)) as store:
        work = Work(job.images, store, job.on_error)
        with work.stopwatch.timed("building the network"):
            runtime = build_runtime(job.choice, job.plan, some_of(work.todo, job.choice.recipe))
        work.do(runtime, job.choice.recipe, job.plan.batch_size, advance)
    return {
        "failures": [(job.images.index(image), failure.reason) for image, failure in work.failures.items()],
        "keys": [
            (row, *key.stamp, key.digest)
            for row, image in enumerate(job.images)
            if (key := work.keys.get(image)) is not None and known_key(image.path) is None
        ],
        "computed": work.computed,
        "device": runtime.device,
        "seconds": work.stopwatch.seconds,
    }


if __name__ == "__main__":
    main()
