"""Connection to a Dask cluster: one at an address, or one started on this machine for the run."""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from imgcluster.config import Config, DaskEngine
from imgcluster.errors import ConfigError, ImgclusterError, first_line
from imgcluster.utils import cores, counted, install_command

if TYPE_CHECKING:
    from distributed import Client

HOST = "127.0.0.1"
PAUSED = "paused"
SECONDS_BETWEEN_TRIES = 0.5
SECONDS_TO_CLOSE = 2
# Several workers share the machine: a task that uses more threads sets their number itself.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
if sys.version_info >= (3, 11):
    TIMEOUTS = (TimeoutError,)
else:
    import asyncio

    TIMEOUTS = (TimeoutError, asyncio.TimeoutError)
NO_ANSWER = (OSError, *TIMEOUTS)  # raised by Dask where nobody answers
# Raised when a client is closed whose event loop has ended, or which finds itself not closed in time.
CLOSING_ERRORS = (*NO_ANSWER, RuntimeError, AssertionError)
NO_DASK = f"engine: dask needs the packages of its extra; {install_command('dask')}"

logger = logging.getLogger(__name__)


def check_engine(config: Config) -> None:
    """Raise ConfigError where the config wants Dask, and it is not installed."""
    if config.dask is not None and find_spec("distributed") is None:
        raise ConfigError(NO_DASK)


class Cluster:
    """A Dask cluster and the connection to its scheduler, which can be lost and made again.

    is_here: whether the cluster runs on this machine, started for this run.
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
        """The Dask client; connects on first use. Raises ConfigError where no scheduler answers."""
        if self._client is None:
            self._client = self._connected()
            self._wait_for_workers(self._client)
            if self._show:
                self._show_cluster(self._client)
        return self._client

    @property
    def connected_client(self) -> Client:
        """The Dask client. Raises OSError where its connection to the scheduler is lost."""
        client = self.client
        if not self.is_reached:
            raise OSError("the connection to the scheduler is lost")
        return client

    @property
    def is_reached(self) -> bool:
        """Whether the client is connected to the scheduler, as far as it knows."""
        return self._client is not None and self._client.status == "running"

    def workers(self) -> dict[str, int]:
        """Return the number of threads of each worker, by its address, without those that Dask has paused.

        Dask pauses a worker whose memory is nearly full: it takes no task. Raises OSError where the connection is lost.
        """
        return {at: each["nthreads"] for at, each in self._all_workers().items() if each.get("status") != PAUSED}

    def absence(self) -> str:
        """Return the end of a message: the likely reason why there is no worker, or nothing."""
        count = sum(each.get("status") == PAUSED for each in self._all_workers().values())
        if count:
            return f" ({counted(count, 'worker')} paused for lack of memory)"
        return " (they end as soon as they start: out of memory?)" if self.is_here else ""

    def _all_workers(self) -> dict[str, dict[str, Any]]:
        return dict(_info(self.connected_client)["workers"])

    def ask_all(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """Run a function on each worker; return its results or exceptions, by address."""
        return dict(self.client.run(function, *arguments, on_error="return"))

    def reconnect(self) -> None:
        """Connect to the scheduler again, and wait for a worker, for as long as the config's `patience`.

        Raises ImgclusterError where that fails.
        """
        logger.warning("the scheduler is lost: looking for it for %.0f s", self.settings.patience)
        self._close_client()
        try:
            self._client = self._connected()
        except ConfigError as error:
            raise ImgclusterError(
                f"{error}; what was done is kept: run the same command again and it goes on from there"
            ) from None
        self._wait_for_workers(self._client)

    def close(self) -> None:
        """Close the connection, and stop a cluster of this run."""
        self._close_client()
        self._exits.close()

    def _connected(self) -> Client:
        try:
            from distributed import Client
        except ImportError:
            raise ConfigError(NO_DASK) from None
        if not self._is_quiet:
            self._exits.enter_context(_silenced_dask())
            self._is_quiet = True
        _check_certificate(self.settings.address or "")
        address = self.settings.address or self._start_here()
        last, ends = "", time.monotonic() + self.settings.patience
        while (left := ends - time.monotonic()) > 0:
            try:
                return Client(address, timeout=min(left, 10), set_as_default=False)
            except NO_ANSWER as error:
                last = first_line(error)
                time.sleep(min(SECONDS_BETWEEN_TRIES, max(0.0, left)))
        raise ConfigError(f"engine.dask.address: no Dask scheduler answers at {address} ({last})")

    def _start_here(self) -> Any:
        if self._local is None:
            from distributed import LocalCluster

            workers = self.settings.workers or cores()
            self._exits.enter_context(_local_settings())
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

    def _wait_for_workers(self, client: Client) -> None:
        ends = time.monotonic() + self.settings.patience
        with suppress(*NO_ANSWER):
            while time.monotonic() < ends:
                if client.nthreads():
                    return
                time.sleep(SECONDS_BETWEEN_TRIES)
        raise ConfigError(
            f"engine: the scheduler at {self.settings.address or HOST} has no workers; start some with "
            f"`dask worker {self.settings.address or 'ADDRESS'} --nthreads 1`"
        )

    def _show_cluster(self, client: Client) -> None:
        threads = self.workers()
        count = f"dask: {counted(len(threads), 'worker')}, {counted(sum(threads.values()), 'thread')}"
        link = client.dashboard_link if "dashboard" in _info(client).get("services", {}) else "none"
        print(f"{count}; dashboard: {link}", file=sys.stderr, flush=True)

    def _close_client(self) -> None:
        if self._client is not None:
            try:
                self._client.close(timeout=SECONDS_TO_CLOSE)
            except CLOSING_ERRORS as error:
                logger.debug("the connection to the scheduler was not closed: %r", error)
            self._client = None


def _check_certificate(address: str) -> None:
    """Raise ConfigError where an address asks for TLS and Dask's configuration names no certificate."""
    from distributed.security import Security

    if address.startswith("tls://") and Security().get_connection_args("client").get("ssl_context") is None:
        raise ConfigError(
            f"engine.dask.address: {address}: Dask's configuration names no certificate; set "
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ..__TLS__CLIENT__CERT and ..__TLS__CLIENT__KEY"
        )


def _info(client: Client) -> dict[str, Any]:
    """Return the scheduler's description of itself and of all workers; by default, later versions list five of them."""
    try:
        return dict(client.scheduler_info(n_workers=-1))
    except TypeError:
        return dict(client.scheduler_info())


@contextmanager
def open_cluster(settings: DaskEngine | None, *, show: bool) -> Iterator[Cluster | None]:
    """Yield the cluster of a config, or None without one. It connects on first use."""
    if settings is None:
        yield None
        return
    cluster = Cluster(settings, show)
    try:
        yield cluster
    finally:
        cluster.close()


@contextmanager
def _silenced_dask() -> Iterator[None]:
    """Silence Dask's log messages and warnings about connections; imgcluster reports what users need to know."""
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


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Set environment variables for child processes, and restore these variables afterwards, but no others."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def start_early(settings: DaskEngine | None) -> None:
    """Start the forkserver of a local cluster, which imports torch while this process is still importing it itself.

    Importing torch takes seconds: workers that are forks of a process that has done so start at once, and a worker that
    ended is replaced quickly. Does nothing where the cluster is not local, outside Linux, and the second time.
    """
    if settings is None or settings.address is not None or sys.platform != "linux":
        return
    from multiprocessing import forkserver

    # multiprocessing's resource tracker would complain about what is left when Ctrl-C ends all processes at once.
    quiet_tracker = ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker:UserWarning")))
    with _environment(**ONE_THREAD, PYTHONWARNINGS=quiet_tracker):
        forkserver.set_forkserver_preload(["imgcluster.features.engines.dask.preload"])
        forkserver.ensure_running()


@contextmanager
def _local_settings() -> Iterator[None]:
    """Configure Dask for a local cluster: a task whose worker ended is left to the dispatcher, no worker is paused."""
    import dask

    settings: dict[str, Any] = {"distributed.scheduler.allowed-failures": 0}
    # A worker holds nothing that Dask could spill to disk: once paused, it would stay so.
    settings |= {f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause")}
    if sys.platform == "linux":
        settings["distributed.worker.multiprocessing-method"] = "forkserver"
    with dask.config.set(settings):
        yield
