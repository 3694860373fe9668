"""What a worker of a cluster does: it builds the network once, and puts features of what it is handed into the store.

Dask sends these functions by name, so that each worker runs those of the package that is installed there.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from imgcluster.backbones import Choice
from imgcluster.config import FeaturesConfig
from imgcluster.engines.messages import RELEASE, Greeting, Handful, Job, Outcome
from imgcluster.engines.task_store import TaskStore
from imgcluster.errors import ConfigError, DamagedShard, ImageError, ImgclusterError, StoreError, WeightsError
from imgcluster.execution import Plan, build_runtime, plan_for
from imgcluster.memory import ran_out
from imgcluster.packages import installed
from imgcluster.reading import bytes_of
from imgcluster.runtimes.check_pictures import some_of
from imgcluster.runtimes.openvino_package import Unsupported
from imgcluster.runtimes.runtime import Runtime
from imgcluster.sources import ImagePath
from imgcluster.storage import use_storage
from imgcluster.store import DRIVEN, FeatureStore, store_name
from imgcluster.store_files import below, files_of
from imgcluster.tables import ImageFile
from imgcluster.weights import find_weights
from imgcluster.work import Work

SEARCHED = 200_000  # rows of a store in which workers look for images by their bytes; the index of more would fill them
READERS = ("opencv-python", "pillow", "torch")  # what makes pixels of a file
PACKAGES = (*READERS, "torchvision", "openvino", "numpy")


@dataclass
class _Kept:
    """What a worker keeps of the last job, which the next task most often wants again: the network; what was stored.

    reached: the job whose sample could be read; whoever has greeted need not read it once more at the first task.
    """

    token: str = ""
    reached: str = ""
    runtime: Runtime | None = None
    known: list[FeatureStore] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


_kept = _Kept()


def greet(job: Job) -> Greeting:
    """Say what this worker is, and how it would execute the network, or why it cannot."""
    versions = {"python": platform.python_version(), **{package: installed(package) for package in PACKAGES}}
    greeting = Greeting(RELEASE, versions)
    if job.release != RELEASE:
        return replace(greeting, refusal=f"has imgcluster {RELEASE}, and {job.release} is needed")
    try:
        plan = plan_for(_own_choice(job), _with_own_device(job))
        _check_places(job)
    except (ImgclusterError, Unsupported) as error:
        return replace(greeting, refusal=str(error).splitlines()[0])
    return replace(greeting, plan=plan, shapes=plan.shapes(job.choice))


def compute(job: Job, number: int, handful: Handful) -> Outcome:
    """Put the features of some images into the store, as a shard of its own, and return how many there are.

    A worker does one such task at a time, with all of its threads.
    """
    from distributed import get_worker

    with _kept.lock:
        try:
            started = time.monotonic()
            outcome = _computed_without_damage(job, number, handful.images)
            return replace(outcome, spent=time.monotonic() - started)
        except MemoryError:
            return Outcome(memory=True)
        except _Refusal as refusal:
            return Outcome(refusal=str(refusal), worker=get_worker().address)
        except (ImgclusterError, Unsupported) as error:
            return Outcome(error=(type(error).__name__, str(error)))


class _Refusal(Exception):
    """This worker cannot take part."""


def _with_own_device(job: Job) -> FeaturesConfig:
    """Return the config for this worker alone: of several GPUs that all workers here see, each takes its own."""
    import torch
    from distributed import get_worker

    config, count = job.config, torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = config.device if isinstance(config.device, tuple) else [f"cuda:{number}" for number in range(count)]
    if not (isinstance(config.device, tuple) or config.device in ("auto", "all", "cuda")) or not names:
        return config
    if not job.is_here and "CUDA_VISIBLE_DEVICES" in os.environ:
        return config.model_copy(update={"device": "cuda:0"})  # dask-cuda puts each worker's own first
    name = str(get_worker().name)
    place = int(name) if name.isdecimal() else os.getpid()
    return config.model_copy(update={"device": names[place % len(names)]})


def _own_choice(job: Job) -> Choice:
    """Return the choice with the weights as they are found on this worker. Raises WeightsError."""
    weights = find_weights(job.choice.backbone, job.choice.weights.source, progress=False)
    if weights.sha256 != job.choice.weights.sha256:
        raise WeightsError(f"the weights of {job.choice.backbone.name} at {weights.path} are others than the driver's")
    return replace(job.choice, weights=weights)


def seen_in(job: Job, plan: Plan) -> Path | str:
    """Return the store in which a file says, while a job is done, that it is the driver's."""
    return below(job.store, store_name(plan.shapes(job.choice)[0]))


def _check_places(job: Job) -> None:
    use_storage(job.storage)
    try:
        seen = job.plan is None or files_of(seen_in(job, job.plan)).names(f"{DRIVEN}{job.token}")
    except OSError as error:
        raise StoreError(f"does not reach features.store {job.store!r}: {error.strerror or error}") from None
    if not seen:
        raise StoreError(
            f"does not see features.store as it is on the machine that drives it ({job.store!r}); it has to be a "
            "folder that all share, or a URL"
        )
    if job.sample is None or job.token == _kept.reached:
        return
    if why := why_not_there(job.sample):
        raise ImageError(
            f"does not see the images as the machine that drives it ({str(job.sample)!r}: {why}); they have to be where"
            " all find them, and a worker needs the credentials for it in its own environment"
        )
    _kept.reached = job.token


def why_not_there(path: ImagePath) -> str | None:
    """Say why an image cannot be reached from here; None: it can."""
    try:
        bytes_of(path)
    except ImageError as error:
        return str(error)
    return None


def _computed_without_damage(job: Job, number: int, images: list[ImageFile]) -> Outcome:
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
    place_of = {image: place for place, image in enumerate(images)}
    reasons = {place_of[image]: failure.reason for image, failure in work.failures.items()}
    with work.stopwatch.timed("writing"):
        shard = store.write(number)
    rows = store.rows_of([work.keys.get(image) for image in images])
    return Outcome(shard, rows, work.computed, reasons, work.stopwatch.seconds, device=runtime.device)


def _plan_of(job: Job) -> Plan:
    if job.plan is None:
        raise ValueError("a job is done as planned")
    return job.plan


def _runtime(job: Job, images: list[ImageFile]) -> Runtime:
    """Return the network of a job, built at the first task of it that this worker gets, which has these images."""
    if _kept.token == job.token and _kept.runtime is not None:
        return _kept.runtime
    if job.release != RELEASE:
        raise _Refusal(f"has imgcluster {RELEASE}, and {job.release} is needed")
    _kept.token, _kept.runtime, _kept.known = "", None, []  # two networks at once would want the memory of both
    _take_threads()
    try:
        choice = _own_choice(job)
        _check_places(job)
        own = plan_for(choice, _with_own_device(job))
    except ImgclusterError as error:
        raise _Refusal(str(error).splitlines()[0]) from None
    if own.shapes(choice) != _without_calibration(_plan_of(job)).shapes(choice):
        raise _Refusal("computes in another way than the other workers do, or reads images into other pixels")
    try:
        plan = replace(_plan_of(job), device=own.device)
        _kept.runtime = build_runtime(choice, plan, some_of(images, choice.recipe))
    except ConfigError as error:
        if error.__context__ is None or not ran_out(error.__context__):
            raise
        raise MemoryError from None  # of this worker: others may have more
    _kept.known = _stores_before(job) if 0 < job.stored <= SEARCHED else []
    _kept.token = job.token
    return _kept.runtime


def _stores_before(job: Job) -> list[FeatureStore]:
    """Open the stores of the layers as they are, one for each layer that is asked for."""
    shapes = _plan_of(job).shapes(job.choice)
    return [FeatureStore.reading(below(job.store, store_name(shaped_by))) for shaped_by in shapes]


def _without_calibration(plan: Plan) -> Plan:
    return replace(plan, calibration=None)


def _take_threads() -> None:
    """Use as many cores as this worker has threads: with all of them, the workers of a machine wait for each other."""
    import torch
    from distributed import get_worker

    torch.set_num_threads(get_worker().state.nthreads)
