"""Task functions of a Dask worker: it builds the network once, then writes the features of each task into the store.

Dask pickles these functions by name: each worker runs the code of the package that is installed there.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from dataclasses import dataclass, field, replace

import numpy as np

from imgcluster._version import __version__
from imgcluster.backbones import (
    Choice,
    Plan,
    PrecisionCheck,
    Runtime,
    Unsupported,
    build_runtime,
    compare_precisions,
    find_weights,
    plan_for,
    some_of,
)
from imgcluster.config import FeaturesConfig
from imgcluster.errors import (
    ConfigError,
    DamagedShard,
    ImageError,
    ImgclusterError,
    StoreError,
    WeightsError,
    first_line,
)
from imgcluster.features.engines.dask.protocol import Greeting, Job, Outcome, TaskImages
from imgcluster.features.engines.dask.task_store import TaskStore
from imgcluster.features.engines.local import Work
from imgcluster.features.store.backend import files_of
from imgcluster.features.store.store import DRIVEN, FeatureStore, store_name
from imgcluster.images import bytes_of, decoder_of, ending_of
from imgcluster.types import ImageFile, ImagePath
from imgcluster.utils import Place, installed, ran_out

# Workers look up images by their bytes in a store of up to so many rows: the index of a larger one takes their memory.
MAX_ROWS_SEARCHED = 200_000
READERS = ("opencv-python", "pillow", "torch")  # packages that decide the pixels of an image
PACKAGES = (*READERS, "torchvision", "openvino", "numpy")


@dataclass
class _Kept:
    """The state that a worker keeps of its last job, for the next task: the network, and the stores as they were.

    token: of the job whose network this is. reached: token of the job whose sample image the worker has read.
    """

    token: str = ""
    reached: str = ""
    runtime: Runtime | None = None
    known: list[FeatureStore] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


_kept = _Kept()


def greet(job: Job) -> Greeting:
    """Return this worker's versions and its plan for the network, or why it cannot take part."""
    versions = {"python": platform.python_version(), **{package: installed(package) for package in PACKAGES}}
    greeting = Greeting(__version__, versions)
    if job.release != __version__:
        return replace(greeting, refusal=f"has imgcluster {__version__}, and {job.release} is needed")
    try:
        plan = _own_plan(_own_choice(job), job)
        _check_places(job)
    except (ImgclusterError, Unsupported) as error:
        return replace(greeting, refusal=first_line(error))
    return replace(greeting, plan=plan, shapes=plan.shapes(job.choice))


def compare(job: Job, few: TaskImages) -> PrecisionCheck | None:
    """Compare bfloat16 with fp32 on images of the run, as `compare_precisions` does, with all threads of this worker.

    Raises as that, and WeightsError.
    """
    with _kept.lock:
        _take_threads()
        return compare_precisions(_own_choice(job), few.images)


def compute(job: Job, number: int, task: TaskImages) -> Outcome:
    """Write the features of a task's images into the store, as one shard.

    A worker runs one task at a time, with all of its threads. number: of the task, for the shard's name.
    """
    from distributed import get_worker

    with _kept.lock:
        try:
            started = time.monotonic()
            outcome = _computed_without_damage(job, number, task.images)
            return replace(outcome, spent=time.monotonic() - started)
        except MemoryError:
            return Outcome(memory=True)
        except _Refusal as refusal:
            return Outcome(refusal=str(refusal), worker=get_worker().address)
        except (ImgclusterError, Unsupported) as error:
            return Outcome(error=error)


class _Refusal(Exception):
    """This worker cannot take part."""


def _with_own_device(job: Job) -> FeaturesConfig:
    """Return the config with this worker's device: workers that see the same GPUs take one each."""
    import torch
    from distributed import get_worker

    config, count = job.config, torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = config.device if isinstance(config.device, tuple) else [f"cuda:{number}" for number in range(count)]
    if not (isinstance(config.device, tuple) or config.device in ("auto", "all", "cuda")) or not names:
        return config
    if not job.is_here and "CUDA_VISIBLE_DEVICES" in os.environ:
        return config.model_copy(update={"device": "cuda:0"})  # dask-cuda lists each worker's own GPU first
    name = str(get_worker().name)
    place = int(name) if name.isdecimal() else os.getpid()
    return config.model_copy(update={"device": names[place % len(names)]})


def _own_plan(choice: Choice, job: Job) -> Plan:
    """Return this worker's plan for a choice, with as much of the network in fp32 as the driver has decided."""
    plan = plan_for(choice, _with_own_device(job))
    return plan if job.plan is None else replace(plan, exact=job.plan.exact)


def _own_choice(job: Job) -> Choice:
    """Return the choice with the weights of this machine. Raises WeightsError where they differ from the driver's."""
    weights = find_weights(job.choice.backbone, job.choice.weights.source, progress=False)
    if weights.sha256 != job.choice.weights.sha256:
        raise WeightsError(f"the weights of {job.choice.backbone.name} at {weights.path} are others than the driver's")
    return replace(job.choice, weights=weights)


def marked_folder(job: Job, plan: Plan) -> Place:
    """Return the store in which a file marks, during a job, that it is the driver's."""
    return job.store / store_name(plan.shapes(job.choice)[0])


def _check_places(job: Job) -> None:
    try:
        seen = job.plan is None or files_of(marked_folder(job, job.plan)).names(f"{DRIVEN}{job.token}")
    except OSError as error:
        raise StoreError(f"does not reach features.store {str(job.store)!r}: {error.strerror or error}") from None
    if not seen:
        raise StoreError(
            f"does not see features.store as it is on the machine that drives it ({str(job.store)!r}); it has to be a "
            "folder that all share, or a URL"
        )
    if job.sample is None or job.token == _kept.reached:
        return
    if why := read_problem(job.sample):
        raise ImageError(
            f"does not see the images as the machine that drives it ({str(job.sample)!r}: {why}); they have to be where"
            " all find them, and a worker needs the credentials for it in its own environment"
        )
    _kept.reached = job.token


def read_problem(path: ImagePath) -> str | None:
    """Return why this machine cannot read an image; None where it can."""
    try:
        bytes_of(path)
    except ImageError as error:
        return str(error)
    return None


def _check_decoders(job: Job, images: list[ImageFile]) -> None:
    """Raise _Refusal where images are decoded here by other packages than the driver's, which their keys name."""
    for ending in {ending_of(str(image.path).partition("::")[0]) for image in images}.intersection(job.decoders):
        if (here := decoder_of(ending)) != (needed := job.decoders[ending]):
            raise _Refusal(f"reads {ending} by {here or 'no package'}, and {needed or 'no package'} is needed")


def _computed_without_damage(job: Job, number: int, images: list[ImageFile]) -> Outcome:
    _check_decoders(job, images)
    while True:
        try:
            return _computed(job, number, images)
        except DamagedShard:  # the store that was there before leaves it out from now on, and its images are computed
            continue


def _computed(job: Job, number: int, images: list[ImageFile]) -> Outcome:
    runtime = _runtime(job, images)
    plan = _plan_of(job)
    store = TaskStore(job, plan.shapes(job.choice), _kept.known)
    work = Work(images, store, job.on_error)
    work.do(runtime, job.choice.recipe, plan.batch_size, lambda count: None)
    reasons = {place: failure.reason for place, failure in work.failures.items()}
    with work.stopwatch.timed("writing"):
        shard = store.write(number)
    rows = np.where(work.is_done, store.rows_of(work.stamps), -1).astype(np.int32)
    return Outcome(shard, rows, work.computed, reasons, work.stopwatch.seconds, device=runtime.device)


def _plan_of(job: Job) -> Plan:
    if job.plan is None:
        raise ValueError("a job is done as planned")
    return job.plan


def _runtime(job: Job, images: list[ImageFile]) -> Runtime:
    """Return the network of a job, which this worker's first task of it builds. images: of that task."""
    if _kept.token == job.token and _kept.runtime is not None:
        return _kept.runtime
    if job.release != __version__:
        raise _Refusal(f"has imgcluster {__version__}, and {job.release} is needed")
    _kept.token, _kept.runtime, _kept.known = "", None, []  # two networks at once would want the memory of both
    _take_threads()
    try:
        choice = _own_choice(job)
        _check_places(job)
        own = _own_plan(choice, job)
    except ImgclusterError as error:
        raise _Refusal(first_line(error)) from None
    if own.shapes(choice) != replace(_plan_of(job), calibration=None).shapes(choice):
        raise _Refusal("computes in another way than the other workers do, or reads images into other pixels")
    try:
        plan = replace(_plan_of(job), device=own.device)
        _kept.runtime = build_runtime(choice, plan, some_of(images, choice.recipe))
    except ConfigError as error:
        if error.__context__ is None or not ran_out(error.__context__):
            raise
        raise MemoryError from None  # another worker may have more memory
    if 0 < job.stored <= MAX_ROWS_SEARCHED:
        shapes = _plan_of(job).shapes(job.choice)
        _kept.known = [FeatureStore.reading(job.store / store_name(shaped_by)) for shaped_by in shapes]
    _kept.token = job.token
    return _kept.runtime


def _take_threads() -> None:
    """Limit torch to this worker's number of threads: the workers of a machine would compete for all its cores."""
    import torch
    from distributed import get_worker

    torch.set_num_threads(get_worker().state.nthreads)
