"""Images behind URLs: on an S3, on a web server with faults, in memory; as good as the same images in a folder here."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import yaml

from imgcluster import load_config, run
from imgcluster.cli.commands.features import compute_features
from imgcluster.cli.main import main
from imgcluster.config.loader import Config, ImagesConfig, config_from_dict
from imgcluster.errors import ConfigError, ImageError, ImgclusterError
from imgcluster.explain.api import cluster_map
from imgcluster.features.store.keys import known_key, with_stamps
from imgcluster.images.listing import find_images, list_images, walk_images
from imgcluster.images.sources.base import RemoteFile
from imgcluster.labels.assignment import assign
from imgcluster.pipeline import fill_store
from imgcluster.report import cluster_names
from imgcluster.report.sheets import write_sheets
from imgcluster.report.write import write_report
from imgcluster.runs.features import features_of_run
from imgcluster.runs.folder_export.export import export_folders
from imgcluster.runs.listed import listed_path
from imgcluster.runs.reader import read_rows
from imgcluster.utils import storage
from imgcluster.utils.storage import DEFAULT_STORAGE, Storage
from tests.conftest import Command, write_pictures
from tests.support.servers import KEY, SECRET_KEY, S3Server, WebServer, free_port

TWELVE = [f"{number:04d}" for number in range(12)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "FIRST_PAUSE", 0.001)


@pytest.fixture
def served(pictures: Path, web: WebServer) -> WebServer:
    """The twelve pictures on a web server, below /pictures."""
    shutil.copytree(pictures, web.root / "pictures")
    return web


def config_of(config_file: Path, **sections: Any) -> Config:
    """Return the config of the twelve pictures with other keys, also written into its file."""
    data = yaml.safe_load(config_file.read_text())
    for name, keys in sections.items():
        data[name] = {**data.get(name, {}), **keys}
    config_file.write_text(yaml.safe_dump(data))
    return load_config(config_file)


def submission(config: Config) -> bytes:
    return (Path(config.outputs.folder) / "submission.csv").read_bytes()


def listed(folder: str, storage: Storage = DEFAULT_STORAGE, **keys: Any) -> list[str]:
    return [image.id for image in list_images(ImagesConfig(folder=folder, **keys), storage)[0]]


def refused(folder: str, storage: Storage = DEFAULT_STORAGE, **keys: Any) -> str:
    """Return the one line that a folder is refused with."""
    with pytest.raises(ImgclusterError) as caught:
        list_images(ImagesConfig(folder=folder, **keys), storage)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# S3


def test_a_run_on_s3_is_that_of_the_folder_and_tells_no_secret(
    config_file: Path, pictures: Path, tmp_path: Path, s3: S3Server, command: Command
) -> None:
    here = load_config(config_file)
    run(here, show=False)
    url = s3.put_folder(pictures, "pictures/of/twelve")
    ids = s3.put("pictures/template.csv", (tmp_path / "template.csv").read_bytes())
    there = config_of(
        config_file,
        images={"folder": url, "ids": ids},
        features={"store": str(tmp_path / "store2")},
        outputs={"folder": str(tmp_path / "out2"), "report": True},
        storage=s3.storage,
    )
    done = command("run", config_file, "--debug")
    assert done.returncode == 0, done.stderr
    assert submission(here) == submission(there)

    written = [path for folder in ("out2", "store2") for path in (tmp_path / folder).rglob("*") if path.is_file()]
    assert len(written) > 20
    for text in (done.stdout, done.stderr, *(path.read_bytes().decode("latin-1") for path in written)):
        assert KEY not in text
        assert SECRET_KEY not in text
    assert len(list((tmp_path / "out2/report/t").glob("??/*.jpg"))) == 12
    assert [row["path"] for row in read_rows(tmp_path / "out2")] == [f"{url}/{id}.jpg" for id in TWELVE]


def test_s3_is_listed_as_a_folder_is(tmp_path: Path, s3: S3Server) -> None:
    folder = tmp_path / "some"
    for name in (
        "10.jpg",
        "2.JPG",
        "a b#c+ä?.png",
        ".hidden.jpg",
        ".git/1.jpg",
        "sub/1.jpg",
        "notes.txt",
        "sub/x/3.tif",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    url = s3.put_folder(folder, "listed/some")
    s3.put("listed/some/marker/", b"")
    s3.put("listed/something-else/1.jpg", b"x")
    access = Storage(s3.storage)
    assert listed(url, access) == listed(f"{url}/", access) == [image.id for image in walk_images(folder)]
    images, _ = list_images(ImagesConfig(folder=url), access)
    assert [image.path.read() for image in images if isinstance(image.path, RemoteFile)] == [b"x"] * len(images)


def test_debris_and_excluded_images_on_s3_are_left_out_and_counted(s3: S3Server) -> None:
    for name in ("a/1.jpg", "a/1_mask.png", "a/@eaDir/1.jpg/x.jpg", "#recycle/2.jpg", "masks/1.jpg", "3.psd"):
        s3.put(f"nas/{name}", b"x")
    access = Storage(s3.storage)
    listing = find_images(ImagesConfig(folder="s3://nas", exclude=("*_mask.png", "masks")), access)
    assert [image.id for image in listing.images] == ["a/1.jpg"]
    assert listing.left_out == {"debris": {"#recycle": 1, "@eaDir": 1}, "formats": {".psd": 1}, "exclude": 2}
    assert listing.files == 1 + 5
    assert listed("s3://nas", access, include=("masks",)) == ["masks/1.jpg"]
    assert "images.include: none of the 3 images below 's3://nas' matches" in refused(
        "s3://nas", access, include=("*.gif",)
    )


def test_ids_on_s3_are_found_in_any_folder_and_by_their_urls(tmp_path: Path, s3: S3Server) -> None:
    for number in range(6):
        s3.put(f"spread/x/{number % 5}/i/{number:03d}.JPG", b"x")
    s3.put("spread/x/#recycle/000.JPG", b"x")
    access = Storage(s3.storage)
    (tmp_path / "ids.csv").write_text("id\n003\n005\n")
    ids = {"ids": str(tmp_path / "ids.csv")}
    listing = find_images(ImagesConfig(folder="s3://spread/x", file="**/{id}.*", **ids), access)
    assert [str(image.path) for image in listing.images] == ["s3://spread/x/3/i/003.JPG", "s3://spread/x/0/i/005.JPG"]
    assert listing.notes[0].startswith("4 images have no row in ")
    assert 'set images.file: ["0/i/{id}.JPG", "3/i/{id}.JPG"]' in refused("s3://spread/x", access, **ids)
    (tmp_path / "ids.csv").write_text("id\ns3://spread/x/3/i/003.JPG\ns3://spread/x/0/i/005.JPG\n")
    assert listed("s3://spread/x", access, file="{id}", **ids) == [
        "s3://spread/x/3/i/003.JPG",
        "s3://spread/x/0/i/005.JPG",
    ]
    listing = find_images(ImagesConfig(folder="s3://spread/x", **ids), access)
    assert [str(image.path) for image in listing.images] == [image.id for image in listing.images]
    assert "by their places below images.folder" in listing.notes[0]
    (tmp_path / "ids.csv").write_text("id\n0/i/000.jpg\n0/i/005.jpg\n")
    assert "in another case" in find_images(ImagesConfig(folder="s3://spread/x", file="{id}", **ids), access).notes[0]


def test_a_hint_needs_no_pages_of_a_web_server(served: WebServer, tmp_path: Path) -> None:
    """Where nothing can be listed, the endings of the first missing id are tried."""
    served.fault = lambda handler: handler.path.endswith("/") and (handler.send(403) or True)
    (tmp_path / "ids.csv").write_text("id\n0000\n0001\n")
    ids = {"ids": str(tmp_path / "ids.csv"), "file": "{id}.png"}
    message = refused(f"{served.url}/pictures", **ids)
    assert """there is a '0000.jpg': set images.file: "{id}.jpg\", which finds 1""" in message


def test_more_ids_than_can_be_asked_one_by_one_are_listed(
    tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        s3.put(f"many/{number}.jpg", b"x" * (number + 1))
    (tmp_path / "ids.csv").write_text("id\n" + "".join(f"{number}\n" for number in (5, 0, 3)))
    keys = {"ids": str(tmp_path / "ids.csv")}
    access = Storage(s3.storage)
    asked, _ = list_images(ImagesConfig(folder="s3://many", **keys), access)
    monkeypatch.setattr("imgcluster.images.sources.remote.ENOUGH_TO_LIST", 2)
    monkeypatch.setattr("imgcluster.images.sources.remote.RemoteFolder._ask", None)
    known, _ = list_images(ImagesConfig(folder="s3://many", **keys), access)
    assert known == asked
    assert [known_key(image.path) for image in known] == [known_key(image.path) for image in asked]
    assert [key.size for image in known if (key := known_key(image.path))] == [6, 1, 4]


def test_places_of_a_table_are_known_again_by_one_listing(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg"):
        s3.put(f"table/deep/{name}", name.encode())
    access = Storage(s3.storage)
    images, _ = list_images(ImagesConfig(folder="s3://table/deep"), access)
    texts = [str(image.path) for image in images]
    asked = with_stamps([listed_path(text, access) for text in texts])
    monkeypatch.setattr("imgcluster.images.sources.remote.ENOUGH_TO_LIST", 2)
    monkeypatch.setattr("imgcluster.images.sources.base.ask", None)  # and no question about a single one
    known = with_stamps([listed_path(text, access) for text in texts])
    expected = [known_key(image.path) for image in images]
    assert None not in expected
    assert [known_key(path) for path in known] == [known_key(path) for path in asked] == expected


def test_an_object_that_changed_has_another_key(s3: S3Server) -> None:
    access = Storage(s3.storage)
    keys = []
    for data in (b"one", b"two", b"two"):
        s3.put("changing/a.jpg", data)
        keys.append(known_key(list_images(ImagesConfig(folder="s3://changing"), access)[0][0].path))
    assert None not in keys
    assert keys[0] != keys[1]


def test_what_is_wrong_with_an_s3_is_said_in_a_line(tmp_path: Path, s3: S3Server) -> None:
    s3.put("there/a/1.jpg", b"x")
    (tmp_path / "ids.csv").write_text("id\n1\n2\n")
    ids = {"ids": str(tmp_path / "ids.csv")}
    access = Storage(s3.storage)
    assert refused("s3://nowhere/a", access) == "images.folder: 's3://nowhere/a': no such file or bucket"
    assert "'s3://nowhere/a' is not a folder, or its bucket is not there" in refused("s3://nowhere/a", access, **ids)
    assert "'s3://there/b' is not a folder" in refused("s3://there/b", access)
    assert "'s3://there/a/1.jpg' is not a folder" in refused("s3://there/a/1.jpg", access)
    missing = refused("s3://there/a", access, **ids)
    assert "1 of 2 ids have no file: '2' (tried 's3://there/a/2.jpg'); check images.folder" in missing
    assert "there is a '1.jpg': set images.file" in refused("s3://there/a", access, **ids, file="{id}.png")
    outside = "ids.csv row 1: id '1' leads outside of images.folder 's3://there/a'"
    assert outside in refused("s3://there/a", access, **ids, file="../{id}.jpg")


def test_a_server_that_is_not_there_is_said_in_a_line(s3: S3Server) -> None:
    access = Storage({"s3": {"endpoint_url": f"http://127.0.0.1:{free_port()}"}})
    assert "'s3://bucket/a': Could not connect to the endpoint URL" in refused("s3://bucket/a", access)


def test_a_listing_that_nobody_may_see(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any, **__: Any) -> Any:
        raise PermissionError("Access Denied")

    access = Storage(s3.storage)
    s3.put("closed/1.jpg", b"x")
    system, _ = access.file_system("s3://closed")
    monkeypatch.setattr(system, "find", denied)
    assert refused("s3://closed", access) == "images.folder: 's3://closed': no permission to read it"


def test_what_fsspec_does_not_know_or_has_no_package_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    assert refused("gs://b/a") == "'gs://b/a': gs:// needs the package gcsfs; pip install gcsfs"
    assert "Protocol not known: nothing" in refused("nothing://b/a")
    monkeypatch.setitem(sys.modules, "paramiko", None)
    monkeypatch.setitem(sys.modules, "fsspec.implementations.sftp", None)
    message = refused("sftp://host/a")
    assert message == "'sftp://host/a': SFTPFileSystem requires \"paramiko\" to be installed"


# The web, and what can go wrong there


def test_the_web_by_ids_and_by_its_index_pages(config_file: Path, served: WebServer, tmp_path: Path) -> None:
    url = f"{served.url}/pictures"
    assert listed(url) == [f"{id}.jpg" for id in TWELVE]
    assert listed(url, ids=str(tmp_path / "template.csv")) == TWELVE
    assert served.count("GET") <= 2 * 2  # pages alone
    assert refused(f"{served.url}/nothing") == f"images.folder: '{served.url}/nothing': no such file or bucket"


def test_a_second_run_reads_no_image_and_a_changed_one_is_read(config_file: Path, served: WebServer) -> None:
    config = config_of(config_file, images={"folder": f"{served.url}/pictures"})
    first = fill_store(config, show=False)
    assert (first.origins[0].computed, served.count("GET")) == (12, 12)
    served.requests.clear()
    again = fill_store(config, show=False)
    assert (again.origins[0].reused, served.count("GET"), served.count("HEAD")) == (12, 0, 12)
    shutil.copy(served.root / "pictures/0001.jpg", served.root / "pictures/0000.jpg")
    assert fill_store(config, show=False).origins[0].computed == 0  # by its bytes, which are known
    assert served.count("GET") == 1


def test_images_that_nothing_tells_from_changed_ones_are_read_and_known_by_their_bytes(
    config_file: Path, served: WebServer
) -> None:
    served.etags = False
    config = config_of(config_file, images={"folder": f"{served.url}/pictures"})
    first = fill_store(config, show=False)
    again = fill_store(config, show=False)
    assert (first.origins[0].computed, again.origins[0].computed, len(again.images)) == (12, 0, 12)
    assert served.count("GET") == 24


@pytest.mark.slow
def test_processes_of_several_devices_reach_it_with_the_same_options(config_file: Path, served: WebServer) -> None:
    served.etags = False  # so that only they know under what keys the vectors are in the store

    def closed_to_others(handler: Any) -> bool:
        if handler.headers.get("X-From") != "us":
            handler.send(403)
        return bool(handler.headers.get("X-From") != "us")

    served.fault = closed_to_others
    config = config_of(
        config_file,
        images={"folder": f"{served.url}/pictures"},
        features={"device": ["cpu", "cpu"], "runtime": "torch"},
        storage={"http": {"client_kwargs": {"headers": {"X-From": "us"}}}},
    )
    features = fill_store(config, show=False)
    assert (len(features.images), features.origins[0].computed, served.count("GET")) == (12, 12, 12)


def test_many_images_are_asked_for_at_a_time(config_file: Path, served: WebServer) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def slow(handler: Any) -> bool:
        nonlocal running, most
        if handler.command != "GET":
            return False
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.2)
        with lock:
            running -= 1
        return False

    served.fault = slow
    fill_store(config_of(config_file, images={"folder": f"{served.url}/pictures"}), show=False)
    assert most >= 8


def test_a_failure_that_passes_is_none_and_one_that_stays_is_a_row(config_file: Path, served: WebServer) -> None:
    tries: dict[str, int] = {}

    def fault(handler: Any) -> bool:
        name = handler.path.rpartition("/")[2]
        if handler.command != "GET" or not name.endswith(".jpg"):
            return False
        tries[name] = tries.get(name, 0) + 1
        if name == "0003.jpg" and tries[name] < 4:
            handler.send(503)
        elif name == "0004.jpg":
            handler.send(403)
        elif name == "0005.jpg" or (name == "0006.jpg" and tries[name] < 3):
            handler.send(200, b"x" * 1000, cut=500)
        elif name == "0007.jpg":
            handler.send(500)
        elif name == "0008.jpg":
            handler.send(200, b"")
        else:
            return False
        return True

    served.fault = fault
    features = fill_store(config_of(config_file, images={"folder": f"{served.url}/pictures"}), show=False)
    reasons = {failure.image.id: failure.reason for failure in features.failures}
    assert set(reasons) == {"0004", "0005", "0007", "0008"}
    assert reasons["0004"] == "no permission to read it"
    assert reasons["0005"].startswith("cannot be read: ")
    assert reasons["0007"] == "cannot be read: the server answers 500"
    assert reasons["0008"] == "the file is empty"
    assert tries == dict.fromkeys((f"{id}.jpg" for id in TWELVE), 1) | {
        "0003.jpg": 4, "0005.jpg": storage.ATTEMPTS, "0006.jpg": 3, "0007.jpg": storage.ATTEMPTS
    }  # fmt: skip


def test_images_that_nobody_may_ask_for_stop_the_run_before_any_work(
    config_file: Path, served: WebServer, tmp_path: Path
) -> None:
    def closed(handler: Any) -> bool:
        handler.send(403)
        return True

    served.fault = closed
    ids = {"ids": str(tmp_path / "template.csv")}
    assert refused(f"{served.url}/pictures", **ids).endswith("/pictures/0000.jpg': no permission to read it")


def test_an_image_that_goes_missing_after_the_listing(config_file: Path, served: WebServer) -> None:
    (images, _) = list_images(ImagesConfig(folder=f"{served.url}/pictures"))
    (served.root / "pictures/0000.jpg").unlink()
    with pytest.raises(ImageError, match=r"^no such file$"):
        images[0].path.read()  # type: ignore[union-attr]


# Other file systems


def test_memory_zip_and_file(config_file: Path, pictures: Path, tmp_path: Path, web: WebServer) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for path in pictures.iterdir():
        memory.pipe_file(f"/here/twelve/{path.name}", path.read_bytes())
    with ZipFile(web.root / "a.zip", "w", ZIP_DEFLATED) as archive:
        for path in pictures.iterdir():
            archive.write(path, f"inner/of it/{path.name}")
    here, _ = list_images(ImagesConfig(folder=str(pictures)))
    expected = [path.path.read_bytes() for path in here if isinstance(path.path, Path)]
    assert len(expected) == 12
    for folder in (
        "memory://here/twelve",
        f"zip://inner/of it::{web.url}/a.zip",
        f"zip://inner::{web.root}/a.zip",
        str(web.root / "a.zip"),
    ):
        images, _ = list_images(ImagesConfig(folder=folder))
        opened = with_stamps([listed_path(str(image.path)) for image in images])
        assert opened == [image.path for image in images]
        assert [known_key(path) for path in opened] == [known_key(image.path) for image in images]
        assert None not in [known_key(path) for path in opened]
        assert [path.read() for path in opened if not isinstance(path, Path)] == expected
    config = config_from_dict(
        {"images": {"folder": f"file://{pictures}"}, "clusters": {"n_clusters": 3}, "outputs": {"folder": "out"}}
    )
    assert config.images.folder == str(pictures)
    memory.rm("/here", recursive=True)


# What is done with a run whose images are far away


def test_all_that_is_made_of_a_run_reaches_its_images_by_the_options_of_its_config(
    config_file: Path, pictures: Path, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_names, "SURE_SHARE", 0)  # these pictures are of no class
    monkeypatch.setattr(cluster_names, "AGREEING", 0)
    features = {"pooling": "max"}  # which the classifier does not take: to guess names, the network reads images again
    here = run(config_of(config_file, features=features, outputs={"contact_sheets": True}), show=False)
    url = s3.put_folder(pictures, "made-of-a-run/pictures")
    elsewhere = {
        "images": {"folder": url},
        "outputs": {"folder": str(tmp_path / "out2")},
        "features": {"store": "s3://made-of-a-run/store"},
        "storage": s3.storage,
    }
    there = run(config_of(config_file, **elsewhere), show=False)
    sheets = sorted((here.folder / "clusters").glob("*.jpg"))
    assert len(sheets) == 3
    for _ in range(2):  # of the run in memory, and of its folder
        assert [(there.folder / "clusters" / sheet.name).read_bytes() for sheet in sheets] == [
            sheet.read_bytes() for sheet in sheets
        ]
        write_sheets(there.folder, show=False)
    for done in (here, there):
        write_report(done.folder, show=False)
    names, found = (json.loads((done.folder / "report/report.json").read_text())["names"] for done in (here, there))
    assert names.keys() == found.keys() == {"0", "1", "2"}
    assert names == found
    np.testing.assert_array_equal(features_of_run(there.folder).vectors, features_of_run(here.folder).vectors)
    np.testing.assert_array_equal(cluster_map(there.folder, "0003"), cluster_map(here.folder, "0003"))
    new = assign(there.folder, [f"{url}/0003.jpg", f"{url}/0007.jpg"], show=False)
    assert new.features.failures == []
    np.testing.assert_array_equal(new.placed.labels, there.clusters.labels[[3, 7]])


def test_reports_and_folders_of_a_run_on_the_web(config_file: Path, served: WebServer, tmp_path: Path) -> None:
    config = config_of(config_file, images={"folder": f"{served.url}/pictures"}, outputs={"contact_sheets": True})
    done = run(config, show=False)
    assert done._repr_html_().count("data:image/jpeg") == 12  # type: ignore[union-attr]
    assert cluster_map(done.folder, "0000").shape == (40, 48)
    write_report(done.folder, show=False)
    assert len(list((done.folder / "report/t").glob("??/*.jpg"))) == 12
    assert len(list((done.folder / "clusters").glob("*.jpg"))) == 3
    with pytest.raises(ImgclusterError) as caught:
        export_folders(done.folder, tmp_path / "sorted")
    assert "are not files on this machine" in str(caught.value)
    shutil.rmtree(served.root / "pictures")
    with pytest.raises(ImgclusterError, match=r"none of the 12 images of '.*' is there; looked in 'http"):
        write_report(done.folder, show=False)
    assert json.loads((done.folder / "run.json").read_text())["config"]["images"]["folder"] == f"{served.url}/pictures"


# Secrets


@pytest.mark.parametrize("key", ["images.folder", "images.ids", "features.store", "outputs.folder"])
@pytest.mark.parametrize(
    "url",
    [
        "sftp://me:hunter2@host/a",
        "https://me:hunter2@host/a",
        "zip://a::https://me:hunter2@host/a.zip",
        "https://host/a?X-Amz-Signature=hunter2",
        "https://host/a?x=1&access_token=hunter2",
    ],
)
def test_a_url_with_a_secret_is_refused_and_not_repeated(key: str, url: str) -> None:
    data: dict[str, Any] = {"images": {"folder": "a"}, "clusters": {"n_clusters": 3}, "outputs": {"folder": "out"}}
    section, name = key.split(".")
    data[section] = {**data.get(section, {}), name: url}
    with pytest.raises(ConfigError) as caught:
        config_from_dict(data)
    assert f"{key}: a URL with a " in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_what_stands_behind_the_question_mark_is_in_no_message(web: WebServer) -> None:
    message = refused(f"{web.url}/nothing?v=hunter2")
    assert "hunter2" not in message
    assert "nothing?…" in message


def test_options_of_a_config_reach_its_file_systems_alone(web: WebServer) -> None:
    write_pictures(web.root / "p", range(2))
    seen: list[str | None] = []

    def look(handler: Any) -> bool:
        seen.append(handler.headers.get("X-From"))
        return False

    web.fault = look
    for value in ("a", "b", None, "a"):
        headers = {} if value is None else {"http": {"client_kwargs": {"headers": {"X-From": value}}}}
        seen.clear()
        assert len(listed(f"{web.url}/p", Storage(headers))) == 2
        assert set(seen) == {value}


def test_commands_that_want_a_folder_of_this_machine(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["init", "s3://bucket/a", "--out", str(tmp_path / "a.yaml")]) == 1
    assert "'s3://bucket/a' is not a folder of this machine" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="'s3://bucket/a' is not a folder of this machine"):
        compute_features("s3://bucket/a", "efficientnet_lite0", None, tmp_path / "a.npz")
