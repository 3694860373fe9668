"""Extraction on a Dask cluster: the same vectors as on one machine, in the same store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import uuid4

from imgcluster.backbones import IMAGES_READ, Choice, Plan, PrecisionCheck
from imgcluster.config import FeaturesConfig
from imgcluster.errors import StoreError
from imgcluster.features.engines.dask.checks import plan_of_all
from imgcluster.features.engines.dask.cluster import Cluster
from imgcluster.features.engines.dask.protocol import Job, TaskImages, absolute
from imgcluster.features.engines.dask.scheduler import Dispatcher
from imgcluster.features.engines.dask.worker import compare, marked_folder, read_problem
from imgcluster.features.engines.local import Work
from imgcluster.features.store.backend import files_of
from imgcluster.features.store.layers import LayerStores
from imgcluster.features.store.store import DRIVEN
from imgcluster.types import ImageFile
from imgcluster.utils import Place, Tell

MAX_SAMPLES = 5  # images that are tried until the driver can read one; all workers must be able to read that one


def plan_on(cluster: Cluster, choice: Choice, config: FeaturesConfig, images: Sequence[ImageFile], root: Place) -> Plan:
    """Return the plan by which all workers execute the network of a choice. Raises as `plan_of_all`."""
    return plan_of_all(cluster, _job(cluster, choice, config, images, root))


def compare_on(
    cluster: Cluster, choice: Choice, config: FeaturesConfig, images: Sequence[ImageFile], root: Place
) -> PrecisionCheck | None:
    """Let one worker compare precisions as `compare_precisions` does. Raises as that, and what its connection does."""
    job, few = _job(cluster, choice, config, images, root), absolute(images[:: max(1, len(images) // IMAGES_READ)])
    found: PrecisionCheck | None = cluster.client.submit(compare, job, TaskImages(few), pure=False).result()
    return found


@dataclass(frozen=True)
class Planned:
    """A network, its plan, and the config from which each worker makes its own plan."""

    choice: Choice
    plan: Plan
    config: FeaturesConfig


def compute_on_cluster(cluster: Cluster, work: Work, store: LayerStores, planned: Planned, advance: Tell) -> str:
    """Compute the images that `work` has to do on a cluster; returns a description of the workers.

    Workers write shards into the store themselves, so that finished work is kept, whatever ends the run.

    Raises what `work.do` raises, Unsupported, and ImgclusterError: a worker that cannot take part, no worker left, the
    scheduler gone for longer than the config's `patience`.
    """
    plan = planned.plan
    as_planned = planned.config.model_copy(update={"runtime": plan.runtime, "precision": plan.precision})
    job = _job(cluster, planned.choice, as_planned, work.images_to_do, store.root)
    job = replace(job, on_error=work.on_error, plan=plan, stored=len(store), is_measuring=store.is_measuring)
    files, name = files_of(marked_folder(job, plan)), f"{DRIVEN}{job.token}"
    try:
        files.write(name, [b""])
    except OSError as error:
        raise StoreError(f"features.store: {str(job.store)!r}: {error.strerror or error}") from None
    try:
        plan_of_all(cluster, job)
        dispatcher = Dispatcher(cluster, job, work, store, advance)
        dispatcher.run()
    finally:
        with suppress(OSError):
            files.remove(name)
    return f"{dispatcher.workers.max_count} workers: {', '.join(sorted(dispatcher.devices))}"


def _job(cluster: Cluster, choice: Choice, config: FeaturesConfig, images: Sequence[ImageFile], root: Place) -> Job:
    here = (image.path for image in absolute(images[:MAX_SAMPLES]) if read_problem(image.path) is None)
    return Job(
        token=uuid4().hex[:12],
        choice=_with_absolute_weights(choice),
        config=config,
        store=root.absolute(),
        sample=next(here, None),
        is_here=cluster.is_here,
    )


def _with_absolute_weights(choice: Choice) -> Choice:
    """Return a choice with the absolute path of its weights file, if the file is the user's."""
    weights = choice.weights
    if weights.path is None or weights.source == "imagenet":
        return choice
    return replace(choice, weights=replace(weights, source=str(weights.path.absolute())))
