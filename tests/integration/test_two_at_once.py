"""Two processes at the same store or run folder, one that dies with the lock in its hand, and a full disk."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Command, Start, write_pictures
from tests.support.dask_processes import wait_until
from tests.support.warm import Running

IMAGES = 100


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config of as many images as take some seconds, with a shard every moment."""
    write_pictures(tmp_path / "many", range(IMAGES))
    path = tmp_path / "config.yaml"
    path.write_text(
        "images: {folder: many}\n"
        "features: {backbone: efficientnet_lite0, views: ten_crops, batch_size: 1, store: store}\n"
        "clusters: {method: kmeans, n_clusters: 3}\n"
        "outputs: {folder: out, report: false}\n"
    )
    return path


def under_way(start: Start, config: Path) -> Running:
    """A run that has the store and is computing."""
    running = start("run", config)
    wait_until(lambda: any((config.parent / "store").glob("efficient*/vectors-*")) or running.poll() is not None)
    return running


def refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("imgcluster: ")
    assert words in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_the_second_on_a_store_is_refused_and_the_first_goes_on(config: Path, command: Command, start: Start) -> None:
    first = under_way(start, config)
    assert first.poll() is None
    refused(command("run", config, "--set", "outputs.folder=other"), "is in use by another run")
    refused(command("extract", config), "is in use by another run")
    out, err = first.communicate()
    assert first.wait() == 0, err
    assert f"{IMAGES} computed, 0 from the store, 0 failed" in out
    assert command("run", config, "--set", "outputs.folder=other").returncode == 0
    assert (config.parent / "other" / "clusters.csv").read_bytes() == (
        config.parent / "out" / "clusters.csv"
    ).read_bytes()


@pytest.mark.slow
def test_the_second_in_a_run_folder_is_refused(config: Path, command: Command, start: Start) -> None:
    first = under_way(start, config)
    assert first.poll() is None
    refused(command("run", config, "--set", "features.store=elsewhere"), "is being written by another run")
    assert first.wait(200) == 0
    assert (config.parent / "out" / "run.json").exists()


def test_a_lock_whose_holder_was_killed_holds_nobody_up(config: Path, command: Command, start: Start) -> None:
    first = under_way(start, config)
    first.kill()
    assert first.wait() == -9
    done = command("run", config)
    assert done.returncode == 0, done.stderr
    assert "0 failed" in done.stdout


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(path)]
    if shutil.which("mount") is None or subprocess.run(line, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here: that takes root, outside of a container that forbids it")
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["features.store", "outputs.folder"])
def test_a_full_disk_is_told_and_with_room_it_goes_on(
    config: Path, command: Command, small_disk: Path, place: str
) -> None:
    write_pictures(config.parent / "many", range(IMAGES))
    undisturbed = command("run", config, "--set", "features.views=center")
    assert undisturbed.returncode == 0, undisturbed.stderr
    wanted = (config.parent / "out" / "clusters.csv").read_bytes()
    left = shutil.disk_usage(small_disk).free
    (small_disk / "ballast").write_bytes(b"x" * (left - 8_192))
    ours = ("--set", "features.views=center", "--set", f"{place}={small_disk / 'ours'}", "--force")
    refused(command("run", config, *ours), "No space left on device")
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    done = command("run", config, *ours)
    assert done.returncode == 0, done.stderr
    folder = small_disk / "ours" if place == "outputs.folder" else config.parent / "out"
    assert (folder / "clusters.csv").read_bytes() == wanted
    assert not [*small_disk.rglob("*.tmp")]
