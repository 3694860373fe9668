"""A run on several devices, here two processes on the CPU: the bytes of one, and nothing lost when one of them dies."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgcluster.backbones.runtimes.openvino_package import Unsupported
from imgcluster.config.loader import FeaturesConfig
from imgcluster.errors import ConfigError, ImageError, ImgclusterError
from imgcluster.features.engines import multiprocess as processes
from imgcluster.features.extraction import extract_features
from imgcluster.features.result import Features
from imgcluster.images.listing import walk_images
from tests.conftest import Command, Start, write_pictures

TWO = ("cpu", "cpu")
SECONDS = 60


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "pictures", range(11))
    return tmp_path / "pictures"


def extracted(folder: Path, store: Path, device: Any = TWO, on_error: Any = "record", **keys: Any) -> Features:
    config = FeaturesConfig(backbone="efficientnet_lite0", store=str(store), device=device, **keys)
    return extract_features(walk_images(folder), config, on_error=on_error, show=False)


def stored(store: Path) -> list[tuple[str, bytes]]:
    return [(path.parent.name, path.read_bytes()) for path in sorted(store.rglob("vectors-*.npy"))]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        pytest.param({"layer": ("avgpool", "logits")}, marks=pytest.mark.slow),
        pytest.param({"runtime": "torch", "precision": "fp32"}, marks=pytest.mark.slow),
    ],
)
def test_the_bytes_are_those_of_one_device(pictures: Path, tmp_path: Path, keys: dict[str, Any]) -> None:
    one, two = (extracted(pictures, tmp_path / str(len(device)), device, **keys) for device in (("cpu",), TWO))
    assert one.ids == two.ids
    assert stored(tmp_path / "1") == stored(tmp_path / "2") != []
    np.testing.assert_array_equal(one.vectors, two.vectors)
    assert (two.origins[0].computed, two.origins[0].reused) == (11, 0)
    assert two.origins[0].device == "cpu, 1 threads + cpu, 1 threads"
    assert {"network", "building the network", "decoding"} <= set(two.origins[0].seconds)
    assert not list((tmp_path / "2").glob(".part-*"))


@pytest.mark.slow
def test_what_is_known_is_not_computed_again(pictures: Path, tmp_path: Path) -> None:
    extracted(pictures, tmp_path / "s", "cpu")
    write_pictures(pictures, range(11, 14))
    again = extracted(pictures, tmp_path / "s")
    assert (again.origins[0].computed, again.origins[0].reused, len(again.images)) == (3, 11, 14)


@pytest.mark.slow
def test_more_devices_than_images(tmp_path: Path) -> None:
    write_pictures(tmp_path / "few", range(2))
    found = extracted(tmp_path / "few", tmp_path / "s", ("cpu",) * 3)
    assert len(found.images) == 2
    assert found.origins[0].device == "cpu, 1 threads + cpu, 1 threads"


@pytest.mark.slow
def test_failures_keep_their_images(pictures: Path, tmp_path: Path) -> None:
    for number in (1, 8):
        (pictures / f"{number:04d}.jpg").write_bytes(b"no picture")
    found = extracted(pictures, tmp_path / "s")
    assert [failure.image.id for failure in found.failures] == ["0001.jpg", "0008.jpg"]
    assert found.ids == [f"{number:04d}.jpg" for number in range(11) if number not in (1, 8)]
    with pytest.raises(ImageError, match=r"0001.jpg.*images.on_error is stop|0008.jpg.*images.on_error is stop"):
        extracted(pictures, tmp_path / "stop", on_error="stop")


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_run_and_the_next_one_goes_on(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = subprocess.Popen, []

    def start_and_kill_the_second(*arguments: Any, **pipes: Any) -> Any:
        started.append(start(*arguments, **pipes))
        if len(started) == 2:
            started[-1].kill()
        return started[-1]

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", start_and_kill_the_second)
        with pytest.raises(ImgclusterError, match=r"^the process on cpu was killed by SIGKILL; what was done "):
            extracted(pictures, tmp_path / "s")
    assert not list((tmp_path / "s").glob(".part-*"))
    assert len(extracted(pictures, tmp_path / "s").images) == 11


@pytest.mark.slow
def test_what_the_processes_of_a_killed_run_had_done_is_taken(tmp_path: Path, start: Start) -> None:
    write_pictures(tmp_path / "pictures", range(600))
    config = tmp_path / "config.yaml"
    config.write_text(
        f"images: {{folder: '{tmp_path / 'pictures'}'}}\n"
        f"features: {{backbone: efficientnet_lite0, store: '{tmp_path / 's'}', device: [cpu, cpu]}}\n"
        f"clusters: {{n_clusters: 2}}\noutputs: {{folder: '{tmp_path / 'out'}'}}\n"
    )
    run = start("extract", config)
    until = time.monotonic() + SECONDS
    while len(list((tmp_path / "s").glob(".part-*/efficient*/index-*.json"))) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    found = extracted(tmp_path / "pictures", tmp_path / "s", "cpu")
    assert len(found.images) == 600
    assert 0 < found.origins[0].reused < 600
    assert not list((tmp_path / "s").glob(".part-*"))


@pytest.mark.parametrize(
    ("kind", "raised"), [("ImageError", ImageError), ("Unsupported", Unsupported), ("ConfigError", ConfigError)]
)
def test_errors_keep_their_kind(kind: str, raised: type[Exception]) -> None:
    with pytest.raises(raised, match=r"^in words$"):
        processes._heed(None, json.dumps({"error": [kind, "in words"]}).encode(), print)  # type: ignore[arg-type]


def test_devices_that_do_not_go_together(command: Command, config_file: Path, pictures: Path) -> None:
    write_pictures(pictures, range(12))
    found = command("check", config_file, "--set", "features.device=[cpu, auto]")
    assert found.returncode == 1
    assert "features.device (--set): found ['cpu', 'auto'] (a list), allowed: auto, cpu" in found.stderr
    assert "allowed: auto, cpu, cuda, cuda:N, a list of these, or all (GPUs)" in found.stderr
    found = command("check", config_file, "--set", "features.device=all", CUDA_VISIBLE_DEVICES="")
    assert "features.device: 'all' asked for, but torch sees no CUDA GPU here" in found.stderr
