"""A Dask cluster: the one at an address, or one on this machine for as long as it is needed."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from imgcluster.config import DaskEngine
from imgcluster.errors import ConfigError, ImgclusterError
from imgcluster.utils import cores

if TYPE_CHECKING:
    from distributed import Client

HOST = "127.0.0.1"
PAUSED = "paused"
SECONDS_BETWEEN_LOOKS = 0.5
# Each worker is one of several on its machine: a task that uses more threads says so.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
GONE = (OSError, TimeoutError, asyncio.TimeoutError)  # what Dask raises where nobody answers
NO_DASK = "engine: dask needs the packages of its extra; pip install 'imgcluster[dask]'"

logger = logging.getLogger(__name__)


class Cluster:
    """The workers of a Dask cluster, and the way to them, which can be lost and found again.

    is_here: whether it is one of this machine alone, started for this run.
    """

    def __init__(self, settings: DaskEngine, show: bool) -> None:
        self.settings = settings
        self.is_here = settings.address is None
        self._show = show
        self._exits = ExitStack()
        self._client: Client | None = None
        self._local: Any = None
        self._is_quiet = False

    @property
    def client(self) -> Client:
        """What speaks with the scheduler. Raises ConfigError where nobody answers."""
        if self._client is None:
            self._client = self._connected()
            self._wait_for_workers()
            self._tell()
        return self._client

    @property
    def is_reached(self) -> bool:
        """Whether the scheduler is at the other end of the connection, as far as is known."""
        return self._client is not None and self._client.status == "running"

    def workers(self) -> dict[str, int]:
        """Return the threads of each worker that works, by its address. Raises OSError: the scheduler is not there.

        One whose memory is nearly full is paused by Dask, and takes no task until it is less full.
        """
        return {at: each["nthreads"] for at, each in self._all_workers().items() if each.get("status") != PAUSED}

    def absence(self) -> str:
        """Say, to go behind other words, why no worker may be there; nothing where that is not known."""
        count = sum(each.get("status") == PAUSED for each in self._all_workers().values())
        if count:
            return f" ({_counted(count, 'worker')} paused for lack of memory)"
        return " (they end as soon as they start: out of memory?)" if self.is_here else ""

    def _all_workers(self) -> dict[str, dict[str, Any]]:
        client = self.client
        if not self.is_reached:
            raise OSError("the connection to the scheduler is lost")
        return dict(_info(client)["workers"])

    def ask_all(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """Return what a function returns, or raises, on each worker, by its address."""
        return dict(self.client.run(function, *arguments, on_error="return"))

    def reconnect(self) -> None:
        """Find the scheduler again, and a worker, within the time that the config allows. Raises ImgclusterError."""
        logger.warning("the scheduler is lost: looking for it for %.0f s", self.settings.patience)
        self._close_client()
        try:
            self._client = self._connected()
        except ConfigError as error:
            raise ImgclusterError(
                f"{error}; what was done is kept: run the same command again and it goes on from there"
            ) from None
        self._wait_for_workers()

    def close(self) -> None:
        """Leave the cluster; one of this machine ends."""
        self._close_client()
        self._exits.close()

    def _connected(self) -> Client:
        try:
            from distributed import Client
        except ImportError:
            raise ConfigError(NO_DASK) from None
        if not self._is_quiet:
            self._exits.enter_context(_quiet())
            self._is_quiet = True
        _check_certificate(self.settings.address or "")
        address = self.settings.address or self._start_here()
        last, ends = "", time.monotonic() + self.settings.patience
        while (left := ends - time.monotonic()) > 0:
            try:
                return Client(address, timeout=min(left, 10), set_as_default=False)
            except GONE as error:
                last = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
                time.sleep(min(SECONDS_BETWEEN_LOOKS, max(0.0, left)))
        raise ConfigError(f"engine.dask.address: no Dask scheduler answers at {address} ({last})")

    def _start_here(self) -> Any:
        if self._local is None:
            from distributed import LocalCluster

            workers = self.settings.workers or cores()
            self._exits.enter_context(_as_we_start_them())
            start_early(self.settings)
            self._local = LocalCluster(
                n_workers=workers,
                threads_per_worker=self.settings.threads or max(1, cores() // workers),
                memory_limit=self.settings.memory or "auto",
                host=HOST,
                dashboard_address=f"{HOST}:0",
                silence_logs=logging.CRITICAL,
            )
            self._exits.callback(self._local.close)
        return self._local

    def _wait_for_workers(self) -> None:
        client = self._client
        if client is None:
            return
        ends = time.monotonic() + self.settings.patience
        with suppress(*GONE):
            while time.monotonic() < ends:
                if client.nthreads():
                    return
                time.sleep(SECONDS_BETWEEN_LOOKS)
        raise ConfigError(
            f"engine: the scheduler at {self.settings.address or HOST} has no workers; start some with "
            f"`dask worker {self.settings.address or 'ADDRESS'} --nthreads 1`"
        )

    def _tell(self) -> None:
        if not self._show or self._client is None:
            return
        threads = self.workers()
        count = f"dask: {_counted(len(threads), 'worker')}, {_counted(sum(threads.values()), 'thread')}"
        has_one = "dashboard" in _info(self._client).get("services", {})
        print(f"{count}; dashboard: {self._client.dashboard_link if has_one else 'none'}", file=sys.stderr, flush=True)

    def _close_client(self) -> None:
        if self._client is not None:
            with suppress(Exception):  # the other end may be gone
                self._client.close(timeout=2)
            self._client = None


def _check_certificate(address: str) -> None:
    """Raise ConfigError where an address asks for TLS and Dask's configuration names no certificate."""
    from distributed.security import Security

    if address.startswith("tls://") and Security().get_connection_args("client").get("ssl_context") is None:
        raise ConfigError(
            f"engine.dask.address: {address}: Dask is told of no certificate; set DASK_DISTRIBUTED__COMM__TLS__CA_FILE,"
            " ..__TLS__CLIENT__CERT and ..__TLS__CLIENT__KEY"
        )


def _info(client: Client) -> dict[str, Any]:
    """Return what the scheduler says of itself, and of all workers: of its own, later versions tell of five alone."""
    try:
        return dict(client.scheduler_info(n_workers=-1))
    except TypeError:
        return dict(client.scheduler_info())


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" + ("" if count == 1 else "s")


@contextmanager
def open_cluster(settings: DaskEngine | None, *, show: bool) -> Iterator[Cluster | None]:
    """Yield the cluster of a config, which is reached when it is first asked for something; None: there is none."""
    if settings is None:
        yield None
        return
    cluster = Cluster(settings, show)
    try:
        yield cluster
    finally:
        cluster.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Dask says of its connections out of the way: what a person has to know is told in words of our own."""
    names = ("distributed", "distributed.client", "tornado.application", "asyncio", "bokeh")
    loggers = [logging.getLogger(name) for name in names]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="distributed")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


def _warnings() -> str:
    """Keep Python's helper process from complaining of what is left when Ctrl-C ends all at once."""
    return ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker:UserWarning")))


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def start_early(settings: DaskEngine | None) -> None:
    """Have what the workers of a cluster of our own need imported while this process is still importing it itself.

    On Linux they come from a process that has done so: to import torch takes seconds, and a worker that has died is
    quickly replaced. Nothing happens where that process is there already, or somebody has a scheduler that runs.
    """
    if settings is None or settings.address is not None or sys.platform != "linux":
        return
    from multiprocessing import forkserver

    with _environment(**ONE_THREAD, PYTHONWARNINGS=_warnings()):
        forkserver.set_forkserver_preload(["imgcluster.features.engines.dask.preload"])
        forkserver.ensure_running()


@contextmanager
def _as_we_start_them() -> Iterator[None]:
    """Have a cluster of our own say at once that a task has ended its worker: what follows is decided by the driver."""
    import dask

    settings: dict[str, Any] = {"distributed.scheduler.allowed-failures": 0}
    # Nothing that a worker holds could be written to the disk: paused, it would be so for ever.
    settings |= {f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause")}
    if sys.platform == "linux":
        settings["distributed.worker.multiprocessing-method"] = "forkserver"
    with dask.config.set(settings):
        yield
