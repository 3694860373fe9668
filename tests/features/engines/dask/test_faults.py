"""A cluster that loses workers, its scheduler or its driver: the run goes on or resumes, with the same bytes."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import Command, Start, write_pictures
from tests.support.dask_processes import DaskProcesses, wait_until
from tests.support.servers import S3Server
from tests.support.warm import Running

pytestmark = pytest.mark.slow

IMAGES = 320
HALF_WAY = 4  # shards: by then each worker has done some and has one in hand
HUGE = 16_000  # pixels a side: 768 MB of RGB from a file of a few hundred KB


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many images as take a cluster some seconds."""
    folder = tmp_path_factory.mktemp("images") / "many"
    write_pictures(folder, range(IMAGES))
    return folder


@pytest.fixture
def config(tmp_path: Path, many: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(
        f"images: {{folder: '{many}'}}\n"
        f"features: {{backbone: efficientnet_lite0, batch_size: 4, store: '{tmp_path / 'store'}'}}\n"
        "clusters: {method: kmeans, n_clusters: 3}\n"
        f"outputs: {{folder: '{tmp_path / 'out'}', report: false}}\n"
    )
    return path


@pytest.fixture
def expected(command: Command, config: Path, many: Path, tmp_path: Path) -> bytes:
    """What one machine makes of them, once for all tests."""
    kept = many.parent / "expected"
    if not kept.exists():
        done = command(
            "run", config, "--set", f"features.store={tmp_path / 'other'}", "--set", f"outputs.folder={kept}"
        )
        assert done.returncode == 0, done.stderr
    return (kept / "clusters.csv").read_bytes()


@pytest.fixture
def drive(config: Path, cluster: DaskProcesses, start: Start) -> Start:
    """Start the command whose workers are those of the cluster."""

    def call(**settings: object) -> Running:
        engine = {"dask": {"address": cluster.address, "images_per_task": 16, "patience": 60, **settings}}
        return start("run", config, "--set", f"engine={json.dumps(engine)}")

    return call


def shards(config: Path) -> int:
    return len(list((config.parent / "store").glob("efficient*/index-*.json")))


def finished(driver: Running, config: Path, expected: bytes) -> str:
    """What a driver has said, having checked that it found what one machine finds, and nothing twice."""
    told, errors = driver.communicate(timeout=240)
    assert driver.returncode == 0, errors
    assert (config.parent / "out" / "clusters.csv").read_bytes() == expected
    return told + errors


def rows_in_store(config: Path) -> int:
    paths = (config.parent / "store").glob("efficient*/index-*.json")
    return sum(len(json.loads(path.read_bytes())["images"]) for path in paths)


def test_a_worker_killed_half_way(config: Path, expected: bytes, cluster: DaskProcesses, drive: Start) -> None:
    cluster.start_scheduler()
    victim, _ = cluster.start_worker(), cluster.start_worker()
    driver = drive()
    wait_until(lambda: shards(config) >= HALF_WAY)
    victim.kill()
    finished(driver, config, expected)
    assert rows_in_store(config) <= IMAGES + 16  # what was in hand at the most


def test_a_thousand_images_in_a_bucket(
    command: Command, config: Path, cluster: DaskProcesses, drive: Start, s3: S3Server
) -> None:
    """A worker is killed half-way; the same bytes as from one machine that reads the same bucket."""
    tmp_path = config.parent
    write_pictures(tmp_path / "many", range(1000))
    s3.client.create_bucket(Bucket="thousand")
    for path in (tmp_path / "many").iterdir():
        s3.client.put_object(Bucket="thousand", Key=f"many/{path.name}", Body=path.read_bytes())
    config.write_text(re.sub("'.*/many'", "s3://thousand/many", config.read_text()))
    config.write_text(f"{config.read_text()}storage: {json.dumps(s3.storage)}\n")
    done = command("run", config, "--set", f"features.store={tmp_path / 'other'}", "--set", "outputs.folder=expected")
    assert done.returncode == 0, done.stderr
    cluster.start_scheduler()
    victim, _ = cluster.start_worker(), cluster.start_worker()
    driver = drive()
    wait_until(lambda: shards(config) >= 2 * HALF_WAY)
    victim.kill()
    finished(driver, config, (tmp_path / "expected" / "clusters.csv").read_bytes())
    assert (tmp_path / "out" / "submission.csv").read_bytes() == (tmp_path / "expected" / "submission.csv").read_bytes()
    assert rows_in_store(config) <= 1000 + 16


def test_a_worker_that_stands_still(config: Path, expected: bytes, cluster: DaskProcesses, drive: Start) -> None:
    cluster.start_scheduler(DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="15s")
    victim, _ = cluster.start_worker(), cluster.start_worker()
    driver = drive()
    wait_until(lambda: shards(config) >= HALF_WAY)
    victim.send_signal(signal.SIGSTOP)
    finished(driver, config, expected)


def test_the_scheduler_restarted(config: Path, expected: bytes, cluster: DaskProcesses, drive: Start) -> None:
    cluster.start_scheduler()
    cluster.start_worker(), cluster.start_worker()
    driver = drive()
    wait_until(lambda: shards(config) >= HALF_WAY)
    assert cluster.scheduler is not None
    cluster.scheduler.kill()
    cluster.scheduler.wait()
    cluster.start_scheduler()
    cluster.start_worker(), cluster.start_worker()
    assert "the scheduler is lost: looking for it" in finished(driver, config, expected)
    assert rows_in_store(config) <= IMAGES + 2 * 16


def test_the_scheduler_gone_for_good(config: Path, cluster: DaskProcesses, drive: Start) -> None:
    cluster.start_scheduler()
    cluster.start_worker()
    driver = drive(patience=3)
    wait_until(lambda: shards(config) >= HALF_WAY)
    assert cluster.scheduler is not None
    cluster.scheduler.kill()
    _, errors = driver.communicate(timeout=120)
    assert driver.returncode == 1
    assert errors.splitlines()[-1].startswith(
        f"imgcluster: engine.dask.address: no Dask scheduler answers at {cluster.address}"
    )
    assert errors.splitlines()[-1].endswith("run the same command again and it goes on from there")


def test_all_workers_gone_for_good(config: Path, cluster: DaskProcesses, drive: Start) -> None:
    cluster.start_scheduler()
    only = cluster.start_worker()
    driver = drive(patience=3)
    wait_until(lambda: shards(config) >= HALF_WAY)
    only.kill()
    _, errors = driver.communicate(timeout=120)
    assert driver.returncode == 1
    assert errors.splitlines()[-1] == (
        "imgcluster: engine: no worker has been there for 3 s; what was done is kept: run the same command again and "
        "it goes on from there"
    )
    assert "distributed" not in errors  # what Dask says of it


def test_the_driver_killed(config: Path, expected: bytes, cluster: DaskProcesses, drive: Start) -> None:
    cluster.start_scheduler()
    cluster.start_worker(), cluster.start_worker()
    driver = drive()
    wait_until(lambda: shards(config) >= HALF_WAY)
    driver.kill()
    driver.communicate()
    kept = rows_in_store(config)
    told = finished(drive(), config, expected)
    found = re.search(r"^images +320: (\d+) computed, (\d+) from the store, 0 failed$", told, re.MULTILINE)
    assert found is not None
    computed, reused = map(int, found.groups())
    assert computed + reused == IMAGES
    assert reused >= kept
    assert rows_in_store(config) <= IMAGES + 2 * 16  # a worker may have been at one that the first driver handed out
    assert not list((config.parent / "store").glob("*/.driven-*"))


def test_an_image_that_no_worker_survives(command: Command, config_file: Path, tmp_path: Path) -> None:
    """Images of a shard whose worker runs out of memory are handed out in halves, and the one at fault is recorded."""
    flag, data = cv2.imencode(".png", np.zeros((HUGE, HUGE, 3), np.uint8))
    assert flag
    (tmp_path / "pictures" / "0005.jpg").write_bytes(data.tobytes())
    engine = "engine={dask: {workers: 2, threads: 1, memory: 1.2GB, images_per_task: 4}}"
    done = command("run", config_file, "--set", engine)
    assert done.returncode == 0, done.stderr
    failures = json.loads((tmp_path / "out" / "run.json").read_text())["failures"]
    reason = "the workers that computed it ended: out of memory?"
    assert {each["id"]: each["reason"] for each in failures} == {"0005": reason}, done.stderr
    assert "handed out again in halves" in done.stderr
