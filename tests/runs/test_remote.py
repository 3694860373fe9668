"""The feature store and the run folder behind URLs: what a run writes there, who writes beside it, what is told."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
import yaml

from imgcluster import load_config, run
from imgcluster.cli.main import main
from imgcluster.config.loader import Config, config_from_dict
from imgcluster.errors import ConfigError, ImgclusterError, OutputError, StoreError
from imgcluster.features.store.store import FeatureStore, ImageKey
from imgcluster.runs import remote as far_away_module
from imgcluster.runs.features import features_of_run
from imgcluster.runs.folder import RunFolder
from imgcluster.runs.remote import FarAway, fetched, kept_at, lock_of
from imgcluster.utils import storage
from imgcluster.utils.storage import DEFAULT_STORAGE, RemotePath, Storage
from tests.conftest import Command
from tests.support.dask_processes import DaskProcesses
from tests.support.servers import KEY, SECRET_KEY, S3Server, free_port

SHAPED_BY = {"backbone": "net", "layer": "fc6"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "FIRST_PAUSE", 0.001)


@pytest.fixture
def bucket(s3: S3Server) -> str:
    """The name of a bucket of its own."""
    name = f"bucket-{uuid4().hex[:8]}"
    s3.client.create_bucket(Bucket=name)
    return name


def store_in(bucket: str, s3: S3Server) -> RemotePath:
    return RemotePath(f"s3://{bucket}/store", Storage(s3.storage))


def keys(*numbers: int) -> list[ImageKey]:
    return [ImageKey(f"/p/{number}", number, 1, 1, f"digest{number}") for number in numbers]


def rows(*numbers: int) -> np.ndarray:
    return np.array([[number, 2, 3, 4] for number in numbers], np.float32)


def far_away(config_file: Path, s3: S3Server, bucket: str, **outputs: Any) -> Config:
    """The config of the twelve pictures with its store and its run folder in a bucket."""
    data = yaml.safe_load(config_file.read_text())
    data["features"]["store"] = f"s3://{bucket}/store"
    data["outputs"] |= {"folder": f"s3://{bucket}/runs/one", **outputs}
    data["storage"] = s3.storage
    config_file.write_text(yaml.safe_dump(data))
    return load_config(config_file)


def objects(s3: S3Server, bucket: str, prefix: str) -> dict[str, bytes]:
    listed = s3.client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return {
        each["Key"].removeprefix(prefix): s3.client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
        for each in listed
    }


# --- the store ---


def test_rows_come_back_from_a_bucket(s3: S3Server, bucket: str) -> None:
    with FeatureStore(store_in(bucket, s3), SHAPED_BY) as store:
        store.append(keys(1, 2), rows(1, 2))
        store.append(keys(*range(3, 40)), rows(*range(3, 40)))
    with FeatureStore(store_in(bucket, s3), SHAPED_BY) as again:
        assert (len(again), again.dim) == (39, 4)
        np.testing.assert_array_equal(again.vectors(keys(30, 2, 7)), rows(30, 2, 7))
        np.testing.assert_array_equal(again.vectors(keys(*range(1, 40))), rows(*range(1, 40)))
        np.testing.assert_array_equal(again.stored(keys(30, 2, 7)).take(np.array([0, 2])), rows(30, 7))
        assert again.find(keys(40)[0]) is None
    reading = FeatureStore.reading(store_in(bucket, s3) / f"net-fc6-{again.fingerprint}")
    np.testing.assert_array_equal(reading.vectors(keys(5, 1)), rows(5, 1))


def test_several_write_to_one_store_side_by_side(s3: S3Server, bucket: str) -> None:

    def write(numbers: range) -> None:
        with FeatureStore(store_in(bucket, s3), SHAPED_BY) as store:
            for number in numbers:
                store.append(keys(number), rows(number))

    threads = [threading.Thread(target=write, args=(range(start, start + 8),)) for start in (0, 4, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with FeatureStore(store_in(bucket, s3), SHAPED_BY) as store:
        np.testing.assert_array_equal(store.vectors(keys(*range(16))), rows(*range(16)))


def test_a_damaged_shard_in_a_bucket_is_set_aside(s3: S3Server, bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    with FeatureStore(store_in(bucket, s3), SHAPED_BY) as store:
        store.append(keys(1), rows(1))
        store.append(keys(2), rows(2))
    (name,) = [name for name in objects(s3, bucket, "store/") if "vectors-00001" in name]
    s3.put(f"{bucket}/store/{name}", b"\x93NUMPY")
    with FeatureStore(store_in(bucket, s3), SHAPED_BY) as store:
        assert store.find(keys(1)[0]) is not None
        assert store.find(keys(2)[0]) is None
    assert "set aside as vectors-00001" in caplog.text
    assert s3.client.get_object(Bucket=bucket, Key=f"store/{name}.damaged")["Body"].read() == b"\x93NUMPY"


@pytest.mark.parametrize("key", ["features.store", "outputs.folder"])
def test_no_such_bucket_is_told_in_one_line(config_file: Path, s3: S3Server, bucket: str, key: str) -> None:
    far_away(config_file, s3, bucket)
    overrides = ["features.store=memory://store", "outputs.folder=memory://out", f"{key}=s3://nowhere/x"]
    with pytest.raises(ImgclusterError) as caught:
        run(load_config(config_file, overrides), show=False)
    assert isinstance(caught.value, StoreError | OutputError)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{key}: 's3://nowhere/x")


def test_nobody_there_is_told_in_one_line(config_file: Path, s3: S3Server, bucket: str) -> None:
    far_away(config_file, s3, bucket)
    nobody = {"s3": {"endpoint_url": f"http://127.0.0.1:{free_port()}"}}
    with pytest.raises((OutputError, ConfigError)) as caught:
        run(load_config(config_file, [f"storage={json.dumps(nobody)}"]), show=False)
    assert "\n" not in str(caught.value)


# --- a run ---


def test_a_run_into_a_bucket_is_that_of_a_folder(config_file: Path, s3: S3Server, bucket: str) -> None:
    here = run(load_config(config_file), show=False)
    config = far_away(config_file, s3, bucket, report=True)
    finished = run(config, show=False)
    there = objects(s3, bucket, "runs/one/")
    for name in ("submission.csv", "clusters.csv", "clusterer.npz"):
        assert there[name] == (here.folder / name).read_bytes()
    assert {"run.json", "report/index.html"} <= there.keys()
    assert not [name for name in there if name.startswith(".") or name.endswith(".tmp")]
    record = json.loads(there["run.json"])
    assert (record["status"], record["config"]["outputs"]["folder"]) == ("done", f"s3://{bucket}/runs/one")
    assert sum("vectors-" in name for name in objects(s3, bucket, "store/")) >= 1
    np.testing.assert_array_equal(features_of_run(finished.folder).vectors, here.features.vectors)
    again = run(config, show=False)
    assert (again.features.origins[0].computed, again.features.origins[0].reused) == (0, 12)


def test_the_run_of_another_config_and_foreign_files_stay(config_file: Path, s3: S3Server, bucket: str) -> None:
    s3.put(f"{bucket}/runs/one/submission.csv", b"somebody's")
    far_away(config_file, s3, bucket)
    with pytest.raises(OutputError, match=r"/runs/one' has a submission.csv that no run of imgcluster left"):
        run(load_config(config_file), show=False)
    assert objects(s3, bucket, "runs/one/") == {"submission.csv": b"somebody's"}
    run(load_config(config_file), show=False, force=True)
    with pytest.raises(OutputError, match=r"/runs/one' holds the run of another config \(clusters.n_cl"):
        run(load_config(config_file, ["clusters.n_clusters=2"]), show=False)
    with_two = run(load_config(config_file, ["clusters.n_clusters=2"]), show=False, force=True)
    assert objects(s3, bucket, "runs/one/")["clusters.csv"] == (with_two.folder / "clusters.csv").read_bytes()


def test_commands_take_a_run_behind_a_url(
    command: Command, config_file: Path, s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    run(far_away(config_file, s3, bucket), show=False)
    s3.put(f"{bucket}/runs/one/../../climbed", b"a name that leads out")
    done = command("show", f"s3://{bucket}/runs/one", AWS_ENDPOINT_URL=s3.endpoint)
    assert done.returncode == 0, done.stderr
    assert "a copy of it is in" in done.stderr
    assert "images    12 in 3 clusters" in done.stdout
    assert not list(tmp_path.parent.rglob("climbed"))
    done = command("show", f"s3://{bucket}/runs/none", AWS_ENDPOINT_URL=s3.endpoint)
    assert done.returncode == 1
    why = "is not a run folder (run.json: no such file or bucket)"
    assert done.stderr == f"imgcluster: 's3://{bucket}/runs/none' {why}\n"


def in_memory(config_file: Path) -> Config:
    """The config of the twelve pictures with its run folder in a file system of this process."""
    return load_config(config_file, [f"outputs.folder=memory://{uuid4().hex}/run"])


def test_one_run_at_a_time_is_made_for_a_url(config_file: Path) -> None:
    config = in_memory(config_file)
    same = config_from_dict(
        {**config.resolved(), "outputs": {**config.resolved()["outputs"], "folder": f"{config.outputs.folder}/"}}
    )
    with RunFolder(config).open([]):
        for each in (config, same):
            with pytest.raises(OutputError, match="is being written by another run"), RunFolder(each).open([]):
                pass


def test_a_run_in_progress_keeps_its_files_when_the_former_one_is_shown(config_file: Path) -> None:
    config = in_memory(config_file)
    done = run(config, show=False)
    with RunFolder(config).open([]) as folder:
        (folder.path / "in the making").write_bytes(b"x")
        copy = fetched(config.outputs.folder)
        assert (folder.path / "in the making").read_bytes() == b"x"
    assert copy not in (done.folder, folder.path)
    assert {path.name for path in copy.iterdir()} >= {"run.json", "clusters.csv", "submission.csv"}


def test_a_copy_is_replaced_under_a_lock_and_made_anew_for_another_run(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(far_away_module, "PATIENCE", 0.01)
    config = in_memory(config_file)
    run(config, show=False)
    url = config.outputs.folder
    copy = fetched(url)
    (copy / "made of it").write_bytes(b"x")
    with lock_of(copy), pytest.raises(OutputError, match=r"/run' is being fetched by another command; wait for it"):
        fetched(url)
    assert fetched(url) == fetched(f"{url}/") == copy
    assert (copy / "made of it").exists()
    run(config, show=False)
    assert fetched(url) == copy
    assert not (copy / "made of it").exists()


def test_what_is_no_finished_run_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"memory://{uuid4().hex}/images"
    system, folder = DEFAULT_STORAGE.file_system(url)
    monkeypatch.setattr(FarAway, "names", None)
    monkeypatch.setattr(far_away_module, "start_anew", None)
    for text, words in (
        (None, f"'{url}' is not a run folder (run.json: no such file or bucket)"),
        (b"[]", f"'{url}/run.json' is damaged; run the config again with force=True"),
        (b'{"status": "writing"}', f"the run in '{url}' is not finished; run its config again"),
    ):
        system.pipe_file(f"{folder}/1.jpg" if text is None else f"{folder}/run.json", text or b"an image")
        with pytest.raises(OutputError) as caught:
            fetched(url)
        assert str(caught.value) == words
    assert not kept_at(url, "copies").exists()


def test_a_run_behind_a_url_with_a_password_is_named_without_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert "hunter2" not in str(kept_at("https://me:hunter2@host/run?X-Amz-Signature=hunter2"))
    assert main(["show", f"http://me:hunter2@127.0.0.1:{free_port()}/run"]) == 1
    said = capsys.readouterr().err
    assert "http://…@127.0.0.1" in said
    assert "hunter2" not in said


def test_the_line_of_a_copy_has_no_password(
    config_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = run(load_config(config_file), show=False)
    monkeypatch.setattr("imgcluster.runs.fetched", lambda url: here.folder)  # the front door may hold it already
    assert main(["show", "https://me:hunter2@host/run?X-Amz-Signature=hunter2"]) == 0
    assert f"https://…@host/run?…: a copy of it is in {here.folder}" in capsys.readouterr().err


def test_a_run_that_is_being_sent_says_so(
    config_file: Path, s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FarAway, "_put", stop)
        with pytest.raises(KeyboardInterrupt):
            run(far_away(config_file, s3, bucket), show=False)
    assert json.loads(objects(s3, bucket, "runs/one/")["run.json"])["status"] == "writing"
    run(far_away(config_file, s3, bucket), show=False)
    assert json.loads(objects(s3, bucket, "runs/one/")["run.json"])["status"] == "done"


def test_pictures_of_a_former_report_go(config_file: Path, s3: S3Server, bucket: str) -> None:
    config = far_away(config_file, s3, bucket, report=True)
    run(config, show=False)
    s3.put(f"{bucket}/runs/one/report/t/former.jpg", b"of an image that is gone")
    run(config, show=False)
    assert "report/t/former.jpg" not in objects(s3, bucket, "runs/one/")


@pytest.mark.slow
def test_two_workers_of_a_cluster_write_to_a_bucket(
    command: Command, config_file: Path, s3: S3Server, bucket: str, cluster: DaskProcesses
) -> None:
    here = run(load_config(config_file), show=False)
    far_away(config_file, s3, bucket)
    cluster.start_scheduler()
    cluster.start_worker()
    cluster.start_worker()
    engine = json.dumps({"dask": {"address": cluster.address, "images_per_task": 3}})
    done = command("run", config_file, "--set", f"engine={engine}")
    assert done.returncode == 0, done.stderr
    assert objects(s3, bucket, "runs/one/")["clusters.csv"] == (here.folder / "clusters.csv").read_bytes()
    assert not [name for name in objects(s3, bucket, "store/") if ".driven-" in name]
    for secret in (KEY, SECRET_KEY):
        everything = done.stdout + done.stderr + str(objects(s3, bucket, ""))
        assert secret not in everything


@pytest.mark.slow
def test_several_devices_write_to_a_bucket(config_file: Path, s3: S3Server, bucket: str) -> None:
    here = run(load_config(config_file), show=False)
    finished = run(load_config_of(far_away(config_file, s3, bucket), device=["cpu", "cpu"]), show=False)
    np.testing.assert_array_equal(finished.features.vectors, here.features.vectors)
    assert finished.features.origins[0].computed == 12


def load_config_of(config: Config, **features: Any) -> Config:
    resolved = config.resolved()
    return config_from_dict({**resolved, "features": {**resolved["features"], **features}})


def test_in_memory(config_file: Path) -> None:
    """Gone with the process: for trying things out."""
    here = run(load_config(config_file), show=False)
    run(load_config(config_file, ["features.store=memory://store", "outputs.folder=memory://out/run"]), show=False)
    system, _ = DEFAULT_STORAGE.file_system("memory://out")
    assert system.cat_file("/out/run/submission.csv") == (here.folder / "submission.csv").read_bytes()
