"""Checks of a cluster's workers before any work: versions, weights, access to store and images, numerics."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from imgcluster.backbones import Plan
from imgcluster.errors import ConfigError, ImgclusterError, first_line
from imgcluster.features.engines.dask.cluster import Cluster
from imgcluster.features.engines.dask.protocol import Greeting, Job
from imgcluster.features.engines.dask.worker import PACKAGES, READERS, greet
from imgcluster.utils import first_few, installed

NO_IMGCLUSTER = "has no imgcluster, or another version of it, where its Python looks ({error})"
WORKER_LOST = "ended, or was lost, when it was asked what it is: out of memory?"
MAX_WORKERS_IN_MESSAGE = 3

logger = logging.getLogger(__name__)


def greetings(cluster: Cluster, job: Job) -> dict[str, Greeting]:
    """Ask every worker for its versions and plan; returns the answers by address. One that cannot answer is refused."""
    return {at: _as_greeting(answer) for at, answer in cluster.ask_all(greet, job).items()}


def plan_of_all(cluster: Cluster, job: Job) -> Plan:
    """Return the plan of all workers, which must agree: a vector must not depend on its worker.

    Raises ImgclusterError where a worker cannot take part, ConfigError where workers would compute in different ways.
    """
    found = greetings(cluster, job)
    refused = {at: each.refusal for at, each in found.items() if each.refusal}
    if refused:
        at, why = next(iter(refused.items()))
        more = f" (and {len(refused) - 1} more workers)" if len(refused) > 1 else ""
        raise ImgclusterError(f"engine: the worker {at} {why}{more}")
    _warn_of_versions(found)
    (first, plan), *others = [(at, each.plan) for at, each in found.items() if each.plan is not None]
    for at, other in others:
        if other.pixels != plan.pixels:
            raise ConfigError(
                f"engine: the workers read or resize images into different pixels: {first} has "
                f"{_readers(found[first])}, {at} {_readers(found[at])}; install the same versions on all of them"
            )
        if found[at].shapes != found[first].shapes:
            raise ConfigError(
                f"engine: the workers compute in several ways: {first} {_way(plan)}, {at} {_way(other)}; "
                "set features.device, features.runtime and features.precision"
            )
    return replace(
        plan,
        # A batch of another size may differ in the last bits; the smallest fits everywhere.
        batch_size=min([plan.batch_size, *(other.batch_size for _, other in others)]),
        is_open=plan.is_open and all(other.is_open for _, other in others),
    )


def _as_greeting(answer: Any) -> Greeting:
    if isinstance(answer, Greeting):
        return answer
    if isinstance(answer, OSError):  # of the connection to it
        return Greeting("", {}, WORKER_LOST)
    return Greeting("", {}, NO_IMGCLUSTER.format(error=first_line(answer)))


def _way(plan: Plan) -> str:
    kind = plan.device.partition(":")[0]
    return f"by {plan.runtime} in {plan.precision} on {kind}"


def _readers(greeting: Greeting) -> str:
    return ", ".join(f"{package} {greeting.versions[package]}" for package in READERS)


def _warn_of_versions(found: dict[str, Greeting]) -> None:
    """Warn of workers with other versions of packages that decide the last bits of a vector."""
    for package in PACKAGES:
        here = installed(package)
        others = [f"{at}: {each.versions[package]}" for at, each in found.items() if each.versions[package] != here]
        if others:
            named = first_few(others, MAX_WORKERS_IN_MESSAGE, str)
            logger.warning(
                "%s is %s here, and not the same on all workers (%s): vectors may differ", package, here, named
            )
