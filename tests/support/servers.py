"""Servers on this machine's loopback, for what lies behind URLs: an S3 that holds objects, a web server with faults."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import md5, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

KEY, SECRET_KEY = "AKIATESTKEY0000EXAMPLE", "s3cr3t-of-the-tests-0123456789"


@dataclass
class S3Server:
    """An S3 that keeps its objects in memory, as a process of its own."""

    endpoint: str
    client: Any
    storage: dict[str, Any] = field(default_factory=dict)

    def put_folder(self, folder: Path, place: str) -> str:
        """Upload all files below a folder to "bucket/prefix"; returns its URL."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(f"{place}/{path.relative_to(folder).as_posix()}", path.read_bytes())
        return f"s3://{place}"

    def put(self, place: str, data: bytes) -> str:
        """Upload an object to "bucket/key", making the bucket; returns its URL."""
        bucket, _, key = place.partition("/")
        if bucket not in [each["Name"] for each in self.client.list_buckets()["Buckets"]]:
            self.client.create_bucket(Bucket=bucket)
        self.client.put_object(Bucket=bucket, Key=key, Body=data)
        return f"s3://{place}"


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Start an S3 server; it is gone when the block ends. The credentials have to be in the environment."""
    import boto3

    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MOTO_S3_CUSTOM_ENDPOINTS": ""},
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        _wait_for(port, process)
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET_KEY,
        )
        yield S3Server(endpoint, client, {"s3": {"endpoint_url": endpoint}})
    finally:
        process.terminate()
        process.wait(10)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "the S3 server has ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the S3 server does not answer")


Fault = Callable[["_Handler"], bool]  # tells whether it has answered


@dataclass
class WebServer:
    """A web server of a folder, with index pages; `requests` counts "METHOD /path", `fault` may answer first."""

    root: Path
    url: str = ""
    latency: float = 0.0
    etags: bool = True
    ranges: bool = True
    hub: bool = False  # answer as the Hugging Face hub does: the ETag is the sha256, and a commit comes along
    fault: Fault | None = None
    requests: Counter[str] = field(default_factory=Counter)

    def count(self, method: str) -> int:
        """Return how many requests there were with a method."""
        return sum(count for request, count in self.requests.items() if request.startswith(f"{method} "))


@contextmanager
def web_server(root: Path) -> Iterator[WebServer]:
    """Serve a folder on loopback until the block ends."""
    web = WebServer(root)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"web": web}))
    server.daemon_threads = True
    web.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    web: WebServer
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self) -> None:
        place = unquote(self.path.partition("?")[0])
        self.web.requests[f"{self.command} {place}"] += 1
        time.sleep(self.web.latency)
        if self.web.fault is not None and self.web.fault(self):
            return
        path = self.web.root / place.lstrip("/")
        if path.is_dir():
            links = "".join(f'<a href="{each.name}{"/" * each.is_dir()}">.</a>' for each in sorted(path.iterdir()))
            self.send(200, f"<html>{links}</html>".encode(), {"Content-Type": "text/html"})
        elif path.is_file():
            self._send_file(path)
        else:
            self.send(404)

    def _send_file(self, path: Path) -> None:
        data = path.read_bytes()
        headers = {"Content-Type": "application/octet-stream"}
        if self.web.etags:
            headers["ETag"] = f'"{md5(data, usedforsecurity=False).hexdigest()}"'
            headers["Last-Modified"] = formatdate(path.stat().st_mtime, usegmt=True)
        if self.web.hub:
            headers |= {"ETag": f'"{sha256(data).hexdigest()}"', "X-Repo-Commit": "0" * 40}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if self.web.ranges else None
        if wanted is None:
            self.send(200, data, headers)
            return
        start, end = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
        self.send(206, data[start : end + 1], headers)

    def send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None, cut: int = 0) -> None:
        """Answer; `cut`: bytes at the end that are promised and never come."""
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) - cut])
        if cut:
            self.close_connection = True
