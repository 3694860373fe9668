"""Features of a run's images by the workers of a cluster: the same vectors as on one machine, in the same store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import uuid4

from imgcluster.backbones import Choice, Plan
from imgcluster.config import FeaturesConfig
from imgcluster.errors import StoreError
from imgcluster.features.engines.dask.checks import plan_of_all
from imgcluster.features.engines.dask.cluster import Cluster
from imgcluster.features.engines.dask.protocol import Job
from imgcluster.features.engines.dask.scheduler import Dispatcher, absolute
from imgcluster.features.engines.dask.worker import seen_in, why_not_there
from imgcluster.features.engines.local import Work
from imgcluster.features.store.backend import files_of
from imgcluster.features.store.layers import LayerStores
from imgcluster.features.store.store import DRIVEN
from imgcluster.types import ImageFile
from imgcluster.utils import Tell, is_url, storage_in_use

SAMPLES = 5  # images, of which one that can be read here must be readable by all workers


def plan_on(cluster: Cluster, choice: Choice, config: FeaturesConfig, images: Sequence[ImageFile]) -> Plan:
    """Return how the workers of a cluster execute the network of a choice. Raises ImgclusterError as `plan_of_all`."""
    return plan_of_all(cluster, _job(cluster, choice, config, images, "record"))


@dataclass(frozen=True)
class Planned:
    """A network, how it is executed, and the config that says so to a worker which plans for itself."""

    choice: Choice
    plan: Plan
    config: FeaturesConfig


def compute_on_cluster(cluster: Cluster, work: Work, store: LayerStores, planned: Planned, advance: Tell) -> str:
    """Do what `work.do` does on a cluster; returns what the workers are, for a person.

    Workers put what they compute into the store themselves, as shards of their own, and tell how many rows these have.
    What they have done is kept, whatever ends the run. Raises what `work.do` raises, Unsupported, and ImgclusterError:
    a worker that cannot take part, none left, the scheduler gone for longer than the config allows.
    """
    plan = planned.plan
    as_planned = planned.config.model_copy(update={"runtime": plan.runtime, "precision": plan.precision})
    job = _job(cluster, planned.choice, as_planned, work.todo, work.on_error)
    job = replace(job, plan=plan, stored=len(store))
    files, name = files_of(seen_in(job, plan)), f"{DRIVEN}{job.token}"
    try:
        files.write(name, [b""])
    except OSError as error:
        raise StoreError(f"features.store: {job.store!r}: {error.strerror or error}") from None
    try:
        plan_of_all(cluster, job)
        dispatcher = Dispatcher(cluster, job, work, store, advance)
        dispatcher.run()
    finally:
        with suppress(OSError):
            files.remove(name)
    return f"{dispatcher.n_workers} workers: {', '.join(sorted(dispatcher.devices))}"


def _job(cluster: Cluster, choice: Choice, config: FeaturesConfig, images: Sequence[ImageFile], on_error: str) -> Job:
    here = (image.path for image in absolute(images[:SAMPLES]) if why_not_there(image.path) is None)
    return Job(
        token=uuid4().hex[:12],
        choice=_with_absolute_weights(choice),
        config=config,
        store=config.store if is_url(config.store) else os.path.abspath(config.store),  # noqa: PTH100 (text stays text)
        storage=storage_in_use(),
        on_error=on_error,
        sample=next(here, None),
        is_here=cluster.is_here,
    )


def _with_absolute_weights(choice: Choice) -> Choice:
    """Return a choice whose weights, where they are a file of one's own, are found from another folder too."""
    weights = choice.weights
    if weights.path is None or weights.source == "imagenet":
        return choice
    return replace(choice, weights=replace(weights, source=str(weights.path.absolute())))
