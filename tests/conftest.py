"""What several tests share: a home of their own, small pictures, and the command line as a user calls it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.dask_processes import DaskProcesses
from tests.support.servers import KEY, SECRET_KEY, S3Server, WebServer, s3_server, web_server
from tests.support.warm import Nursery, Program, Running

COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))


@pytest.fixture(scope="session")
def _converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("openvino")


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, _converted: Path) -> None:
    """No test reads or writes the caches of whoever runs it, and none waits for a network.

    Networks that were converted are shared by all: each takes seconds.
    """
    home = tmp_path_factory.mktemp("home")
    (home / "cache").mkdir()
    (home / "cache" / "openvino").symlink_to(_converted)
    monkeypatch.setenv("IMGCLUSTER_CACHE", str(home / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(home / "torch"))
    monkeypatch.setenv("HF_HOME", str(home / "huggingface"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    for mirror in ("IMGCLUSTER_WEIGHTS_MIRROR", "HF_ENDPOINT"):
        monkeypatch.setenv(mirror, "http://127.0.0.1:9")  # nothing listens there


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of 12 small JPEGs in three obvious groups: 0000, 0003, … are red, the next ones green, then blue."""
    folder = tmp_path / "pictures"
    write_pictures(folder, range(12))
    return folder


def write_pictures(folder: Path, numbers: range) -> None:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        noise = np.random.default_rng(number).integers(0, 40, (40, 48, 3))
        picture = (noise + COLOURS[number % 3]).clip(0, 255).astype(np.uint8)
        write_picture(folder / f"{number:04d}.jpg", picture)


def write_picture(path: Path, rgb: np.ndarray) -> None:
    encoded, data = cv2.imencode(path.suffix, rgb[..., ::-1])
    assert encoded
    path.write_bytes(data.tobytes())


def write_template(path: Path, numbers: range) -> None:
    path.write_text("ImageID,label,note\n" + "".join(f'{number:04d},0,"a, b"\n' for number in numbers))


@pytest.fixture
def config_file(tmp_path: Path, pictures: Path) -> Path:
    """A config over the twelve pictures, with the embedded default backbone; paths are absolute."""
    write_template(tmp_path / "template.csv", range(12))
    path = tmp_path / "config.yaml"
    path.write_text(
        f"images: {{folder: '{pictures}', ids: '{tmp_path / 'template.csv'}'}}\n"
        f"features: {{backbone: efficientnet_lite0, batch_size: 4, store: '{tmp_path / 'store'}'}}\n"
        f"clusters: {{method: kmeans, n_clusters: 3}}\n"
        f"outputs: {{folder: '{tmp_path / 'out'}', report: false}}\n"
    )
    return path


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(_s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """An S3 server on loopback; its credentials are in the environment, what a config says of it in `.storage`."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return _s3_server


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    """A web server on loopback, of the folder `web` in tmp_path."""
    (tmp_path / "web").mkdir()
    with web_server(tmp_path / "web") as server:
        yield server


Command = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., Running]


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """What forks the processes of the tests, with the libraries imported."""
    one = Nursery()
    yield one
    one.close()


@pytest.fixture
def command(tmp_path: Path, nursery: Nursery) -> Command:
    """`python -m imgcluster …` in a process of its own."""

    def call(*arguments: str | Path, cwd: Path = tmp_path, **environment: str) -> subprocess.CompletedProcess[str]:
        running = Running(Program("imgcluster", arguments, cwd, environment), nursery)
        out, err = running.communicate()
        return subprocess.CompletedProcess([*map(str, arguments)], running.wait(), out, err)

    return call


@pytest.fixture
def start(tmp_path: Path, nursery: Nursery) -> Start:
    """The same, without waiting for its end."""

    def call(*arguments: str | Path, cwd: Path = tmp_path, own_session: bool = False) -> Running:
        return Running(Program("imgcluster", arguments, cwd, own_session=own_session), nursery)

    return call


@pytest.fixture
def cluster(tmp_path: Path, nursery: Nursery) -> Iterator[DaskProcesses]:
    """A Dask cluster on loopback, whose processes the test starts."""
    folder = tmp_path / "dask"
    folder.mkdir()
    processes = DaskProcesses(folder, nursery)
    yield processes
    processes.close()
