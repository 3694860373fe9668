"""Fetching one file from a server that behaves in every bad way, on the loopback."""

from __future__ import annotations

import hashlib
import http.client
import random
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import filelock
import pytest

from imgcluster.backbones.weights import download as downloads
from imgcluster.backbones.weights.download import fetch
from imgcluster.errors import DownloadError

PAYLOAD = random.Random(7).randbytes(300_000)
SHA256 = hashlib.sha256(PAYLOAD).hexdigest()

Behaviour = Callable[["Handler"], None]


class Site(ThreadingHTTPServer):
    """Serves PAYLOAD at any path; `script` says how it behaves, request by request; `ranges` is what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Behaviour] = []
        self.ranges: list[str | None] = []
        self.go_on = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/net.pth"


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.ranges.append(self.headers.get("Range"))
        (self.server.script.pop(0) if self.server.script else serve)(self)

    def begin(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


def serve(handler: Handler) -> None:
    """As a good server does, ranges included."""
    wanted = handler.headers.get("Range")
    start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
    if start >= len(PAYLOAD):
        return handler.begin(416, Content_Length=0)
    extent = {"Content_Range": f"bytes {start}-{len(PAYLOAD) - 1}/{len(PAYLOAD)}"} if wanted else {}
    handler.begin(206 if wanted else 200, Content_Length=len(PAYLOAD) - start, **extent)
    handler.wfile.write(PAYLOAD[start:])
    return None


def serve_whole(handler: Handler) -> None:
    handler.begin(200, Content_Length=len(PAYLOAD))
    handler.wfile.write(PAYLOAD)


def serve_without_length(handler: Handler) -> None:
    handler.begin(200)
    handler.wfile.write(PAYLOAD)


def serve_other_range(handler: Handler) -> None:
    handler.begin(206, Content_Length=10, Content_Range=f"bytes 0-9/{len(PAYLOAD)}")
    handler.wfile.write(PAYLOAD[:10])


def serve_other_file(handler: Handler) -> None:
    handler.begin(200, Content_Length=5)
    handler.wfile.write(b"hello")


def break_after(count: int) -> Behaviour:
    def behave(handler: Handler) -> None:
        handler.begin(200, Content_Length=len(PAYLOAD))
        handler.wfile.write(PAYLOAD[:count])

    return behave


def stall_after(count: int) -> Behaviour:
    def behave(handler: Handler) -> None:
        handler.begin(200, Content_Length=len(PAYLOAD))
        handler.wfile.write(PAYLOAD[:count])
        handler.wfile.flush()
        handler.server.go_on.wait(30)

    return behave


def never_answer(handler: Handler) -> None:
    handler.server.go_on.wait(30)


def answer(status: int, **headers: object) -> Behaviour:
    return lambda handler: handler.begin(status, Content_Length=0, **headers)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(downloads, "_PAUSES", (0.0, 0.0, 0.0))
    with Site() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.go_on.set()
        server.shutdown()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / "net.pth"


@pytest.fixture
def part(target: Path) -> Path:
    target.parent.mkdir()
    return target.with_name("net.pth.part")


def assert_fetched(target: Path) -> None:
    assert target.read_bytes() == PAYLOAD
    assert [path.name for path in target.parent.iterdir()] == [target.name]  # no .part, no .lock


# ---- what goes well


@pytest.mark.parametrize("behaviour", [serve, serve_without_length])
def test_file_arrives_whole_and_leaves_no_part(site: Site, target: Path, behaviour: Behaviour) -> None:
    site.script = [behaviour]
    fetch(site.url, target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges == [None]


def test_file_already_there_and_right_is_not_asked_for(site: Site, target: Path, part: Path) -> None:
    target.write_bytes(PAYLOAD)
    fetch(site.url, target, SHA256, progress=False)
    assert site.ranges == []


def test_wrong_file_is_replaced(site: Site, target: Path, part: Path) -> None:
    target.write_bytes(PAYLOAD[:1000])
    fetch(site.url, target, SHA256, progress=False)
    assert_fetched(target)


def test_part_is_resumed_and_only_the_rest_asked_for(site: Site, target: Path, part: Path) -> None:
    part.write_bytes(PAYLOAD[:123_456])
    fetch(site.url, target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges == ["bytes=123456-"]


def test_whole_part_of_a_killed_run_needs_no_server(target: Path, part: Path) -> None:
    part.write_bytes(PAYLOAD)
    fetch("http://127.0.0.1:9/net.pth", target, SHA256, progress=False)
    assert_fetched(target)


def test_broken_transfer_goes_on_where_it_broke(site: Site, target: Path) -> None:
    site.script = [break_after(100_000)]
    fetch(site.url, target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges == [None, "bytes=100000-"]


def test_server_that_ignores_the_range_starts_over(site: Site, target: Path, part: Path) -> None:
    part.write_bytes(b"x" * 1000)
    site.script = [serve_whole]
    fetch(site.url, target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges == ["bytes=1000-"]


@pytest.mark.parametrize(
    ("length", "script"),
    [
        pytest.param(len(PAYLOAD) + 1, [], id="416, the part is longer than the file"),
        pytest.param(1000, [serve_other_range], id="206 with another range"),
    ],
)
def test_range_that_cannot_be_had_starts_over(
    site: Site, target: Path, part: Path, length: int, script: list[Behaviour]
) -> None:
    part.write_bytes(b"x" * length)
    site.script = script
    fetch(site.url, target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges == [f"bytes={length}-", None]


def test_interrupt_keeps_what_came(site: Site, target: Path, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(response: http.client.HTTPResponse, stall_timeout: float) -> Iterator[bytes]:
        yield response.read1(1000)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(downloads, "_chunks", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch(site.url, target, SHA256, progress=False)
    came = part.stat().st_size
    assert part.read_bytes() == PAYLOAD[:came] != b""
    fetch(site.url, target, SHA256, progress=False)
    assert_fetched(target)
    assert site.ranges == [None, f"bytes={came}-"]


# ---- what does not


def failure(url: str, target: Path, *, connect: float = 10.0, stall: float = 10.0) -> str:
    with pytest.raises(DownloadError) as caught:
        fetch(url, target, SHA256, progress=False, connect_timeout=connect, stall_timeout=stall)
    message = str(caught.value)
    assert url in message
    assert "\n" not in message
    assert not target.exists()
    return message


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [
        (answer(404), "HTTP 404 Not Found"),
        (answer(403), "HTTP 403 Forbidden"),
        (answer(302, Location="file:///etc/hosts"), "HTTP 302"),
        (answer(302, Location="ftp://127.0.0.1/net.pth"), "unknown url type: ftp"),
    ],
)
def test_refusal_is_named_and_not_tried_again(site: Site, target: Path, behaviour: Behaviour, cause: str) -> None:
    site.script = [behaviour]
    assert cause in failure(site.url, target)
    assert len(site.ranges) == 1


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/net.pth", "file:///etc/hosts", "/etc/hosts", "http://127.0.0.1:x/"])
def test_url_that_is_none_of_http(url: str, target: Path) -> None:
    assert f"cannot download {url}: " in failure(url, target)


def test_stall_has_a_bound_and_keeps_what_came(site: Site, target: Path, part: Path) -> None:
    site.script = [stall_after(5000)]
    assert "no data for 1.5 s" in failure(site.url, target, stall=1.5)
    assert part.read_bytes() == PAYLOAD[:5000]


def test_server_that_never_answers(site: Site, target: Path) -> None:
    site.script = [never_answer]
    assert "no answer within 0.2 s" in failure(site.url, target, connect=0.2)


def test_transfer_that_keeps_breaking_gives_up_and_keeps_what_came(site: Site, target: Path, part: Path) -> None:
    site.script = [break_after(5000)] * 3
    message = failure(site.url, target)
    assert f"the connection closed after 5000 of {len(PAYLOAD)} bytes (3 tries)" in message
    assert part.read_bytes() == PAYLOAD[:5000]


def test_wrong_sha256_names_both_and_leaves_nothing(site: Site, target: Path, part: Path) -> None:
    site.script = [serve_other_file]
    message = failure(site.url, target)
    assert f"sha256 found {hashlib.sha256(b'hello').hexdigest()}, expected {SHA256}" in message
    assert not part.exists()


def test_connection_refused(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        assert "connection refused" in failure(f"http://127.0.0.1:{unheard.getsockname()[1]}/net.pth", target)


def test_name_that_is_not_known(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "the host name cannot be resolved" in failure("http://weights.invalid/net.pth", target)


def test_name_resolution_that_hangs(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*args: object, **kwargs: object) -> None:
        release.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    message = failure("http://weights.invalid/net.pth", target, connect=0.2)
    release.set()
    assert "no answer within 0.2 s" in message


def test_folder_that_cannot_be_made(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"net\.pth: (File exists|Not a directory)"):
        fetch(site.url, tmp_path / "file" / "net.pth", SHA256, progress=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_named(site: Site, target: Path, part: Path) -> None:
    part.symlink_to("/dev/full")
    assert "No space left on device" in failure(site.url, target)


# ---- two at once


def test_second_process_waits_and_finds_the_file(site: Site, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if line.endswith("waiting"):
            site.go_on.set()

    def serve_when_the_other_waits(handler: Handler) -> None:
        started.set()
        handler.server.go_on.wait(30)
        serve(handler)

    started = threading.Event()
    site.script = [serve_when_the_other_waits]
    monkeypatch.setattr(downloads, "_say", say)
    first = threading.Thread(target=fetch, args=(site.url, target, SHA256), kwargs={"progress": False})
    first.start()
    assert started.wait(30)
    fetch(site.url, target, SHA256, progress=True)
    first.join(30)
    assert_fetched(target)
    assert lines == ["weights net.pth: another process is downloading it, waiting"]
    assert len(site.ranges) == 1


def test_waiting_for_a_process_that_does_nothing_has_a_bound(target: Path, part: Path) -> None:
    def hold() -> None:
        with filelock.FileLock(target.with_name("net.pth.lock")):
            held.set()
            release.wait(30)

    held, release = threading.Event(), threading.Event()
    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(30)
    message = failure("http://127.0.0.1:9/net.pth", target, connect=0.1, stall=0.1)
    release.set()
    holder.join(30)
    assert "another process holds" in message


# ---- progress


def test_lines_where_there_is_no_terminal(site: Site, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetch(site.url, target, SHA256, progress=True)
    first, last = capsys.readouterr().err.splitlines()
    assert first == "weights net.pth: 0.0/0.3 MB"
    assert last.startswith("weights net.pth: 0.3/0.3 MB, ")


def test_bar_on_a_terminal(
    site: Site, target: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fetch(site.url, target, SHA256, progress=True)
    assert "weights net.pth: 100%" in capsys.readouterr().err


def test_silence_when_asked_for(site: Site, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.script = [break_after(100_000)]
    fetch(site.url, target, SHA256, progress=False)
    assert capsys.readouterr() == ("", "")
