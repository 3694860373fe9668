"""Download one file over HTTP: resumable, with timeouts; it gets its name only when complete and verified."""

from __future__ import annotations

import contextlib
import http.client
import os
import queue
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import filelock

from imgcluster.backbones.weights.reach import remember_unreached, unreached
from imgcluster.errors import DownloadError, one_line
from imgcluster.utils import hash_file, track

CONNECT_SECONDS, STALL_SECONDS = 10.0, 30.0
_CHUNK = 1 << 20  # bytes
_PAUSES = (0.0, 1.0, 3.0)  # seconds before each try

_CAUSES: tuple[tuple[type[Exception], str], ...] = (
    (socket.gaierror, "the host name cannot be resolved (no internet connection?)"),
    (ConnectionRefusedError, "connection refused"),
    (TimeoutError, "no answer in time"),
)

# Spelled out because urllib's default also opens file:// and ftp://, be it by a redirect.
_HANDLERS = (
    urllib.request.ProxyHandler,
    urllib.request.UnknownHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPRedirectHandler,
    urllib.request.HTTPErrorProcessor,
)


class _FailedError(Exception):
    """The download is over; the text is the cause."""


class _NoAnswerError(_FailedError):
    """The server does not answer in time."""


class _BrokenError(_FailedError):
    """The connection broke while the file was coming: worth another try."""


@dataclass(frozen=True)
class _Job:
    url: str
    target: Path
    sha256: str
    progress: bool
    connect_timeout: float
    stall_timeout: float

    @property
    def part(self) -> Path:
        return self.target.with_suffix(self.target.suffix + ".part")


def fetch(
    url: str,
    target: Path,
    sha256: str,
    *,
    progress: bool,
    connect_timeout: float = CONNECT_SECONDS,
    stall_timeout: float = STALL_SECONDS,
) -> None:
    """Make `target` the file at `url` whose sha256 is known, or raise DownloadError with the url and the cause.

    Of the sha256 the first digits suffice, where no more are published.
    What has come is kept in `target`.part, and the next call goes on from there. connect_timeout bounds the time to
    the first answer, name resolution included; stall_timeout the time without a byte.
    """
    job = _Job(url, target, sha256, progress, connect_timeout, stall_timeout)
    try:
        _check_scheme(url)
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(job):
            if not _is_right(target, sha256):  # else another process has just fetched it
                _download(job)
    except _FailedError as failure:
        raise DownloadError(f"cannot download {url}: {failure}") from failure
    except OSError as error:  # the network's are _FailedError by now
        raise DownloadError(f"cannot download {url} to {target}: {error.strerror or error}") from error


def check_reachable(url: str, *, timeout: float = CONNECT_SECONDS) -> None:
    """Raise DownloadError, with the url and the cause, unless the url answers in time. What it answers is not read."""
    job = _Job(url, Path(), "", progress=False, connect_timeout=timeout, stall_timeout=timeout)
    try:
        _check_scheme(url)
        _respond(job, 0)[0].close()
    except _FailedError as failure:
        raise DownloadError(f"cannot download {url}: {failure}") from failure


def _check_scheme(url: str) -> None:
    scheme = urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise _FailedError(f"only http and https are allowed, not {scheme or 'a path'}")


def _is_right(path: Path, sha256: str) -> bool:
    return path.is_file() and hash_file(path).startswith(sha256)


# ---- one process at a time


@contextlib.contextmanager
def _alone(job: _Job) -> Iterator[None]:
    """Hold the lock beside the target. Waits for as long as its holder makes progress."""
    lock = filelock.FileLock(job.target.with_suffix(job.target.suffix + ".lock"))
    patience = 2 * (job.connect_timeout + job.stall_timeout)  # no holder goes on longer without a byte
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        if job.progress:
            _say(f"weights {job.target.name}: another process is downloading it, waiting")
        _acquire_while_growing(lock, job.part, patience)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes no file that is open
            Path(lock.lock_file).unlink()  # whoever waits for it sees that, and makes it anew
        lock.release()


def _acquire_while_growing(lock: filelock.BaseFileLock, part: Path, patience: float) -> None:
    size = _size(part)
    while True:
        try:
            lock.acquire(timeout=patience)
            return
        except filelock.Timeout:
            before, size = size, _size(part)
            if size == before:
                raise _FailedError(f"another process holds {lock.lock_file} and makes no progress") from None


# ---- one file


def _download(job: _Job) -> None:
    if not _is_right(job.part, job.sha256):  # it is, after a kill between the last byte and the renaming
        _transfer_with_retries(job)
    found = hash_file(job.part)
    if not found.startswith(job.sha256):
        job.part.unlink()
        raise _FailedError(f"it is not the file asked for: sha256 found {found}, expected {job.sha256}")
    with job.part.open("rb+") as file:
        os.fsync(file.fileno())
    job.part.replace(job.target)


def _transfer_with_retries(job: _Job) -> None:
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            _transfer(job)
            return
        except _BrokenError as error:
            broken = error
    raise _FailedError(f"{broken} ({len(_PAUSES)} tries); what came is in {job.part}, the next run continues it")


def _transfer(job: _Job) -> None:
    """One connection: append what comes to the .part."""
    response, done = _respond(job, _size(job.part))
    total = None if response.length is None else done + response.length
    with (
        response,
        job.part.open("ab" if done else "wb") as file,
        track(f"weights {job.target.name}", total, "B", show=job.progress, done=done) as advance,
    ):
        for chunk in _chunks(response, job.stall_timeout):
            file.write(chunk)
            done += len(chunk)
            advance(len(chunk))
    if total is not None and done < total:
        raise _BrokenError(f"the connection closed after {done} of {total} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _chunks(response: http.client.HTTPResponse, stall_timeout: float) -> Iterator[bytes]:
    """The body as it comes: read1 hands over what has arrived, so that a broken connection loses none of it."""
    while True:
        try:
            chunk = response.read1(_CHUNK)
        except TimeoutError:
            raise _FailedError(f"no data for {stall_timeout:g} s; the next run continues it") from None
        except (OSError, http.client.HTTPException) as error:
            raise _BrokenError(f"the connection broke: {_cause(error)}") from error
        if not chunk:
            return
        yield chunk


# ---- one request


def _respond(job: _Job, start: int) -> tuple[http.client.HTTPResponse, int]:
    """The response from `start` on, and where it really begins: a server may ignore the range, or refuse it."""
    if cause := unreached(job.url):
        raise _FailedError(f"{cause}; tried less than 10 minutes ago, `imgcluster weights get` tries at once")
    try:
        response = _open(job, start)
    except _NoAnswerError as error:
        remember_unreached(job.url, str(error))
        raise
    except urllib.error.HTTPError as error:
        error.close()
        if start and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return _respond(job, 0)
        raise _FailedError(f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(getattr(error, "reason", None), OSError):  # no connection, rather than a wrong url
            remember_unreached(job.url, _cause(error))
        raise _FailedError(_cause(error)) from error
    if start and response.status == http.HTTPStatus.PARTIAL_CONTENT:
        if response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            return response, start
        response.close()  # another range than the one asked for
        return _respond(job, 0)
    return response, 0


def _open(job: _Job, start: int) -> http.client.HTTPResponse:
    """Open the url in a thread that is left behind when it takes too long: name resolution has no timeout."""
    request = urllib.request.Request(job.url, headers={"User-Agent": "imgcluster"})  # noqa: S310 (checked)
    if start:
        request.add_header("Range", f"bytes={start}-")
    opener = urllib.request.OpenerDirector()
    for handler in _HANDLERS:
        opener.add_handler(handler())
    answers: queue.SimpleQueue[http.client.HTTPResponse | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put(opener.open(request, timeout=job.stall_timeout))
        except Exception as error:  # whatever it is, the waiting thread raises it
            answers.put(error)

    threading.Thread(target=work, name="imgcluster-download", daemon=True).start()
    try:
        answer = answers.get(timeout=job.connect_timeout)
    except queue.Empty:
        raise _NoAnswerError(f"no answer within {job.connect_timeout:g} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _cause(error: Exception) -> str:
    """One line for a person. URLError carries the real error as its reason."""
    reason = getattr(error, "reason", error)
    for kind, text in _CAUSES:
        if isinstance(reason, kind):
            return text
    return one_line(reason)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
