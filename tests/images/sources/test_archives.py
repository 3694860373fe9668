"""Images in tar and Parquet files, here and behind URLs: the same features as those of the folder they were made of."""

from __future__ import annotations

import gc
import io
import itertools
import logging
import tarfile
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from imgcluster import load_config, run
from imgcluster.config.loader import Config, ImagesConfig
from imgcluster.errors import ConfigError, ImageError, ImgclusterError, OutputError
from imgcluster.features.arrays import extract
from imgcluster.features.store.keys import known_key
from imgcluster.images.listing import find_images, list_images
from imgcluster.images.sources import archive as containers
from imgcluster.images.sources import open as holders
from imgcluster.images.sources import parquet as parquet_rows
from imgcluster.images.sources import tar as tar_files
from imgcluster.labels.assignment import assign
from imgcluster.labels.learning import learn
from imgcluster.report.write import write_report
from imgcluster.runs.features import features_of_run
from imgcluster.runs.folder_export.export import export_folders
from imgcluster.runs.listed import listed_path, listed_paths
from imgcluster.runs.new_images import given_images
from imgcluster.runs.reader import read_rows
from imgcluster.types import Source
from imgcluster.utils import storage
from tests.images.sources.test_remote import TWELVE, config_of, listed, refused
from tests.support.servers import S3Server, WebServer


def tar_of(path: Path, files: dict[str, bytes], **keys: Any) -> Path:
    with tarfile.open(path, "w", **keys) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def parquet_of(path: Path, columns: dict[str, Any], rows: int = 5) -> Path:
    parquet.write_table(pa.table(columns), path, row_group_size=rows)
    return path


def contents(folder: str, **keys: Any) -> dict[str, bytes]:
    images, _ = list_images(ImagesConfig(folder=folder, **keys))
    return {image.id: image.path.read() for image in images if isinstance(image.path, Source)}


def files_of(pictures: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(pictures.iterdir())}


def hugging_face(files: dict[str, bytes]) -> dict[str, Any]:
    structs = [{"bytes": data, "path": name} for name, data in files.items()]
    return {"image": structs, "label": [0] * len(files)}


def as_tar(files: dict[str, bytes], folder: Path, s3: S3Server) -> str:
    return str(
        tar_of(folder / "a.tar", {"./deep/er/1.txt": b"x"} | {f"./{name}": data for name, data in files.items()})
    )


def as_tar_on_s3(files: dict[str, bytes], folder: Path, s3: S3Server) -> str:
    return s3.put("archives/a.tar", tar_of(folder / "a.tar", files).read_bytes())


def as_parquet(files: dict[str, bytes], folder: Path, s3: S3Server) -> str:
    return str(parquet_of(folder / "a.parquet", hugging_face(files)))


def as_parquet_on_s3(files: dict[str, bytes], folder: Path, s3: S3Server) -> str:
    return s3.put("archives/a.parquet", parquet_of(folder / "a.parquet", hugging_face(files)).read_bytes())


KINDS = [as_tar, as_tar_on_s3, as_parquet, as_parquet_on_s3]


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_has_the_features_of_its_folder(
    kind: Callable[..., str], config_file: Path, pictures: Path, tmp_path: Path, s3: S3Server
) -> None:
    here = run(load_config(config_file), show=False)
    folder = kind(files_of(pictures), tmp_path, s3)
    archive = {"images": {"folder": folder}, "storage": s3.storage, "outputs": {"folder": str(tmp_path / "there")}}
    there = run(config_of(config_file, features={"store": str(tmp_path / "store2")}, **archive), show=False)
    assert there.features.ids == here.features.ids == TWELVE
    assert np.array_equal(there.features.vectors, here.features.vectors)
    assert there.features.origins[0].computed == 12
    submissions = [(done.folder / "submission.csv").read_bytes() for done in (here, there)]
    assert submissions[0] == submissions[1]

    again = run(config_of(config_file, outputs={"folder": str(tmp_path / "again")}), show=False)
    assert again.features.origins[0].reused == 12
    write_report(there.folder, show=False)
    assert len(list((there.folder / "report/t").glob("??/*.jpg"))) == 12
    assert np.array_equal(features_of_run(there.folder).vectors, here.features.vectors)
    assert assign(there.folder, folder, show=False).placed.labels.tolist() == there.clusters.labels.tolist()
    truth = tmp_path / "truth.csv"
    truth.write_text("id,label\n" + "".join(f"{id},{int(id) % 3}\n" for id in TWELVE))
    assert len(learn(there.folder, truth, out=tmp_path / "model", show=False).classes) == 3


def test_a_second_run_on_a_tar_opens_no_member(
    config_file: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(config_file, images={"folder": str(tar_of(tmp_path / "a.tar", files_of(pictures)))})
    run(config, show=False)
    monkeypatch.setattr("imgcluster.images.sources.tar.TarMember.read", None)
    assert run(config, show=False).features.origins[0].reused == 12


def test_a_tar_behind_a_url_is_passed_through_once(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    tar_of(web.root / "a.tar", {"a.jpg": b"a" * 700, "b.jpg": b"b" * 700})
    found = listed(f"{web.url}/a.tar")
    tar_files.tar_members.cache_clear()
    web.requests.clear()
    assert listed(f"{web.url}/a.tar") == found == ["a.jpg", "b.jpg"]
    assert dict(web.requests) == {"HEAD /a.tar": 1}
    tar_of(web.root / "a.tar", {"c.jpg": b"c" * 700})
    assert contents(f"{web.url}/a.tar") == {"c.jpg": b"c" * 700}


@pytest.mark.parametrize("ending", ["tar", "zip", "parquet"])
def test_an_archive_behind_a_url_is_asked_once_for_a_table(
    ending: str, config_file: Path, pictures: Path, web: WebServer
) -> None:
    if ending == "tar":
        tar_of(web.root / "a.tar", files_of(pictures))
    elif ending == "zip":
        with ZipFile(web.root / "a.zip", "w", ZIP_DEFLATED) as archive:
            for name, data in files_of(pictures).items():
                archive.writestr(name, data)
    else:
        parquet_of(web.root / "a.parquet", hugging_face(files_of(pictures)))
    finished = run(config_of(config_file, images={"folder": f"{web.url}/a.{ending}"}), show=False)
    place = f"HEAD /a.{ending}"
    web.requests.clear()
    assert len(features_of_run(finished.folder).ids) == 12
    assert web.requests[place] == 1
    texts = [row["path"] for row in read_rows(finished.folder)]
    web.requests.clear()
    assert len(given_images(texts)) == 12
    assert web.requests[place] == 1
    web.requests.clear()
    assert extract(texts, "efficientnet_lite0", batch_size=4).shape[0] == 12
    assert web.requests[place] == 1


def test_more_shards_than_are_remembered_are_indexed_once_for_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = tar_files.INDEXED + 2
    for shard in range(shards):
        tar_of(tmp_path / f"{shard:03d}.tar", {"a.jpg": b"a%d" % shard, "b.jpg": b"b%d" % shard})
    texts = [f"tar://{name}.jpg::{tmp_path}/{shard:03d}.tar" for name in "ab" for shard in range(shards)]
    texts += [f"tar://c.jpg::{tmp_path}/000.tar", f"tar://c.jpg::{tmp_path}/none.tar", f"{tmp_path}/000.tar"]
    passed: list[str] = []
    real = tar_files._passed_through

    def counted(found: containers.Container) -> Any:
        passed.append(found.place)
        return real(found)

    monkeypatch.setattr(tar_files, "_passed_through", counted)
    *members, gone, lost, itself = listed_paths(texts)
    assert len(passed) == len(set(passed)) == shards
    assert [each.read() for each in members if isinstance(each, Source)] == [
        f"{name}{shard}".encode() for name in "ab" for shard in range(shards)
    ]
    assert itself == tmp_path / "000.tar"
    for each, words in ((gone, "no such file in"), (lost, "no such file or bucket")):
        with pytest.raises(ImageError, match=words):
            each.read()  # type: ignore[union-attr]


def test_ids_are_looked_up_once_however_many_shards_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []

    class Counted(dict[str, Any]):
        def __contains__(self, name: object) -> bool:
            looked.append(name)
            return super().__contains__(name)

    for shard in range(10):
        tar_of(tmp_path / f"{shard}.tar", {f"{shard}.jpg": b"%d" % shard})
    monkeypatch.setitem(holders.INDICES, "tar://", lambda found: Counted(tar_files.tar_members(found)))
    holder = holders.open_holder(ImagesConfig(folder=f"{tmp_path}/*.tar"))
    assert holder is not None
    names = [f"{number}.jpg" for number in range(50)]
    assert sorted(holder.find(names)) == names[:10]
    assert len(looked) <= 50


def test_a_server_that_sends_no_parts(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    web.ranges = False
    tar_of(web.root / "a.tar", {"a.jpg": b"a" * 700, "b.jpg": b"b" * 700})
    assert contents(f"{web.url}/a.tar") == {"a.jpg": b"a" * 700, "b.jpg": b"b" * 700}
    images, _ = list_images(ImagesConfig(folder=f"{web.url}/a.tar"))
    monkeypatch.setattr(storage, "WHOLE_BYTES", 5000)
    monkeypatch.setattr(storage, "FIRST_PAUSE", 0.001)
    with pytest.raises(ImageError, match="its server sends no parts of a file"):
        images[1].path.read()  # type: ignore[union-attr]


def test_shards_by_a_pattern_and_by_a_range(tmp_path: Path, web: WebServer) -> None:
    for shard in range(11):
        tar_of(web.root / f"train-{shard:03d}.tar", {"a.jpg": b"%d" % shard, f"{shard}.jpg": b"own %d" % shard})
    both = {f"train-{shard:03d}/{name}.jpg": data for shard in range(11) for name, data in
            ((shard, b"own %d" % shard), ("a", b"%d" % shard))}  # fmt: skip
    for place in (str(web.root), web.url):
        assert contents(f"{place}/train-{{000..010}}.tar") == both
        assert list(contents(f"{place}/train-{{002,010}}.tar")) == [
            "train-002/2.jpg", "train-002/a.jpg", "train-010/10.jpg", "train-010/a.jpg"
        ]  # fmt: skip
        assert contents(f"{place}/train-003.tar") == {"3.jpg": b"own 3", "a.jpg": b"3"}
        assert "train-011.tar" in refused(f"{place}/train-{{009..011}}.tar")
    assert contents(f"{web.root}/*.tar") == both
    assert f"there is no file '{web.root}/no*.tar'" in refused(f"{web.root}/no*.tar")


def test_ids_are_looked_up_in_all_shards_and_no_name_twice(tmp_path: Path) -> None:
    tar_of(tmp_path / "1.tar", {"x/a.jpg": b"a", "x/b.jpg": b"b"})
    tar_of(tmp_path / "2.tar", {"x/b.jpg": b"B", "x/c.jpg": b"c"})
    ids = tmp_path / "ids.csv"
    ids.write_text("id\nc\na\n")
    keys = {"ids": str(ids), "file": "x/{id}.jpg"}
    assert contents(f"{tmp_path}/?.tar", **keys) == {"c": b"c", "a": b"a"}
    ids.write_text("id\nc\nz\n")
    assert f"1 of 2 ids have no file: 'z' (tried 'x/z.jpg in {tmp_path}/?.tar')" in refused(f"{tmp_path}/?.tar", **keys)
    ids.write_text("id\nc\nb\n")
    assert "1 names stand in more than one of the files" in refused(f"{tmp_path}/?.tar", **keys)


def test_the_headers_of_a_tar_are_not_kept(tmp_path: Path) -> None:
    """Python's own reader keeps each header that it has read, about a kilobyte: of millions of images, gigabytes."""
    path = tar_of(tmp_path / "a.tar", {f"{number}.jpg": b"x" for number in range(300)})
    with path.open("rb") as file:
        members = tar_files._members(file)
        assert sum(1 for _ in itertools.islice(members, 250)) == 250
        gc.collect()
        assert sum(type(each) is tarfile.TarInfo for each in gc.get_objects()) < 10
        assert sum(1 for _ in members) == 50


def test_what_is_no_image_in_a_tar_is_passed_over_and_the_last_of_a_name_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind, data in (
            ("a.jpg", tarfile.REGTYPE, b"first"),
            ("link.jpg", tarfile.SYMTYPE, b""),
            ("hard.jpg", tarfile.LNKTYPE, b""),
            ("pipe.jpg", tarfile.FIFOTYPE, b""),
            ("folder.jpg", tarfile.DIRTYPE, b""),
            (".hidden.jpg", tarfile.REGTYPE, b"x"),
            (".dir/x.jpg", tarfile.REGTYPE, b"x"),
            ("a.cls", tarfile.REGTYPE, b"3"),
            ("../../out.jpg", tarfile.REGTYPE, b"out"),
            ("/abs.jpg", tarfile.REGTYPE, b"abs"),
            ("n" * 150 + "/a::b ä.jpg", tarfile.REGTYPE, b"long"),
            ("a.jpg", tarfile.REGTYPE, b"second"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(data), "/etc/passwd"
            archive.addfile(member, io.BytesIO(data))
    before = sorted(tmp_path.rglob("*"))
    found = contents(str(path))
    assert found == {"../../out.jpg": b"out", "a.jpg": b"second", "abs.jpg": b"abs", "n" * 150 + "/a::b ä.jpg": b"long"}
    assert sorted(tmp_path.rglob("*")) == before
    images, _ = list_images(ImagesConfig(folder=str(path)))
    opened = [listed_path(str(image.path)) for image in images]
    assert [known_key(each) for each in opened] == [known_key(image.path) for image in images]
    assert [each.read() for each in opened if isinstance(each, Source)] == list(found.values())


@pytest.mark.parametrize("place", ["in a header", "in the data", "zeros for a header", "noise for a header"])
def test_a_damaged_tar_gives_what_stands_before_the_damage(
    place: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = bytearray(tar_of(tmp_path / "a.tar", {f"{name}.jpg": name.encode() * 600 for name in "abcd"}).read_bytes())
    third = 2 * (512 + 1024)  # where the header of c begins
    if place == "in a header":
        data = data[: third + 100]
    elif place == "in the data":
        data = data[: third + 512 + 100]
    elif place == "zeros for a header":
        data[third : third + 512] = bytes(512)
    else:
        data[third : third + 512] = b"\xa5" * 512
    (tmp_path / "a.tar").write_bytes(data)
    with caplog.at_level(logging.WARNING):
        assert list(contents(str(tmp_path / "a.tar"))) == ["a.jpg", "b.jpg"]
    told = [record for record in caplog.records if "cut off or damaged" in record.getMessage()]
    assert len(told) == (place != "zeros for a header")  # which is how a tar ends


def test_a_zip_that_unpacks_to_more_than_it_says_takes_no_memory(tmp_path: Path) -> None:
    size = 200 * 2**20
    with ZipFile(tmp_path / "a.zip", "w", ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(size))
        archive.writestr("b.jpg", b"b" * 1000)
    data = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(data.replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    images, _ = list_images(ImagesConfig(folder=str(tmp_path / "a.zip")))
    tracemalloc.start()
    with pytest.raises(ImageError, match=r"^is damaged in "):
        images[0].path.read()  # type: ignore[union-attr]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**20 + len(data)
    assert images[1].path.read() == b"b" * 1000  # type: ignore[union-attr]


@pytest.mark.parametrize("ending", ["tar", "zip"])
def test_a_member_larger_than_any_image_is_a_failure_with_its_reason(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a.{ending}"
    files = {"a.jpg": b"a" * 3000, "b.jpg": b"b" * 2000}
    if ending == "tar":
        tar_of(path, files)
    else:
        with ZipFile(path, "w", ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    assert contents(str(path)) == files
    monkeypatch.setattr(containers, "MOST_BYTES", 2000)
    images, _ = list_images(ImagesConfig(folder=str(path)))
    with pytest.raises(ImageError) as caught:
        images[0].path.read()  # type: ignore[union-attr]
    assert str(caught.value) == f"is 3,000 bytes large, by {path}; 2,000 are read at the most"
    assert images[1].path.read() == files["b.jpg"]  # type: ignore[union-attr]


def test_shards_above_one_another_keep_their_names_apart(tmp_path: Path) -> None:
    (tmp_path / "t/a").mkdir(parents=True)
    tar_of(tmp_path / "t/a.tar", {"1.jpg": b"upper", "b/1.jpg": b"middle"})
    tar_of(tmp_path / "t/a/b.tar", {"1.jpg": b"lower"})
    three = {"a.tar/1.jpg": b"upper", "a.tar/b/1.jpg": b"middle", "a/b.tar/1.jpg": b"lower"}
    assert contents(f"{tmp_path}/t/**/*.tar") == three
    tar_of(tmp_path / "t/c.tar", {"1.jpg": b"beside"})
    assert contents(f"{tmp_path}/t/**/*.tar") == {**three, "c.tar/1.jpg": b"beside"}


def test_shards_that_differ_in_their_endings(tmp_path: Path) -> None:
    for name in ("a.tar", "a.ova"):
        tar_of(tmp_path / name, {"1.jpg": name.encode()})
    assert contents(f"tar://::{tmp_path}/a.*") == {"a.ova/1.jpg": b"a.ova", "a.tar/1.jpg": b"a.tar"}


def test_what_is_no_archive_is_refused_in_a_line(tmp_path: Path, web: WebServer) -> None:
    for name in ("a.tar", "a.parquet", "a.zip", "a.tar.gz", "a.tgz"):
        (tmp_path / name).write_bytes(b"no archive at all" * 100)
        (web.root / name).write_bytes(b"no archive at all" * 100)
    for place in (tmp_path, web.url):
        assert "is not a tar file" in refused(f"{place}/a.tar")
        assert "is no Parquet file" in refused(f"{place}/a.parquet")
        assert "is not a zip file" in refused(f"{place}/a.zip")
        for name in ("a.tar.gz", "a.tgz"):
            assert "is packed as a whole: no image in it can be read without all before it" in refused(
                f"{place}/{name}"
            )
        assert "no such file" in refused(f"{place}/none.tar") or "there is no file" in refused(f"{place}/none.tar")
    tar_of(tmp_path / "empty.tar", {"a.txt": b"x"})
    assert f"no image below '{tmp_path}/empty.tar'" in refused(str(tmp_path / "empty.tar"))


def test_an_archive_that_changed_has_other_keys_and_one_cut_later_gives_reasons(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", {"a.jpg": b"a" * 3000, "b.jpg": b"b" * 3000})
    (first, _), _ = list_images(ImagesConfig(folder=str(path)))
    tar_of(path, {"a.jpg": b"c" * 3000})
    (second,), _ = list_images(ImagesConfig(folder=str(path)))
    assert known_key(first.path) != known_key(second.path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ImageError, match="is cut off, or has changed"):
        second.path.read()  # type: ignore[union-attr]
    path.unlink()
    with pytest.raises(ImageError, match="no such file"):
        second.path.read()  # type: ignore[union-attr]
    lost = listed_path(str(second.path))
    with pytest.raises(ImageError, match="no such file"):
        lost.read()  # type: ignore[union-attr]


# Parquet


BYTES = [b"0", b"1", b"2"]


@pytest.mark.parametrize(
    ("columns", "ids"),
    [
        (
            {"image": [{"bytes": each, "path": f"p{each.decode()}.png"} for each in BYTES]},
            ["p0.png", "p1.png", "p2.png"],
        ),
        ({"image": [{"bytes": each, "path": None} for each in BYTES], "id": ["b", "a", "c"]}, ["b", "a", "c"]),
        ({"image": [{"bytes": each, "path": "same.png"} for each in BYTES]}, ["0", "1", "2"]),
        ({"key": ["k0", "k1", "k2"], "jpg": BYTES, "extra": BYTES}, ["k0", "k1", "k2"]),
        ({"picture": pa.array(BYTES, pa.large_binary()), "image_id": [7, 8, 9]}, ["7", "8", "9"]),
        ({"picture": BYTES, "name": ["x", "x", "y"]}, ["0", "1", "2"]),
    ],
)
def test_columns_of_a_parquet_file(columns: dict[str, Any], ids: list[str], tmp_path: Path) -> None:
    path = parquet_of(tmp_path / "a.parquet", columns, rows=2)
    found = contents(str(path))
    assert list(found) == ids  # in the order of the rows
    assert list(found.values()) == BYTES
    images, _ = list_images(ImagesConfig(folder=str(path)))
    assert [str(image.path) for image in images] == [f"{path}#row={row}" for row in range(3)]
    assert [listed_path(str(image.path)) for image in images] == [image.path for image in images]


def test_parquet_without_a_column_of_images_or_with_too_many(tmp_path: Path) -> None:
    none = parquet_of(tmp_path / "none.parquet", {"label": [1, 2], "text": ["a", "b"]})
    assert "has no column of image bytes (its columns: label: int64, text: string)" in refused(str(none))
    two = parquet_of(tmp_path / "two.parquet", {"left": [b"a"], "right": [b"b"]})
    assert "has 2 columns of images: left, right; set images.column: left" in refused(str(two))
    own = parquet_of(tmp_path / "own.parquet", {"image": [b"a", b"b"], "code": ["x", "y"], "twice": ["z", "z"]})
    assert list(contents(str(own), id_column="code")) == ["x", "y"]
    for column in ("twice", "missing"):
        assert f"images.id_column: '{own}' has no column '{column}' with an id of its own" in refused(
            str(own), id_column=column
        )


TWO_COLUMNS = {"image_0": [{"bytes": each, "path": None} for each in BYTES], "image_1": [b"a", b"b", b"c"]}
LISTS = {"views": [[{"bytes": each, "path": None}, {"bytes": each * 2, "path": None}] for each in BYTES]}


@pytest.mark.parametrize(
    ("columns", "asked", "wanted"),
    [
        (TWO_COLUMNS, "image_0", BYTES),
        (TWO_COLUMNS, "image_1", [b"a", b"b", b"c"]),
        ({"image": BYTES, "mask": [b"a", b"b", b"c"]}, "mask", [b"a", b"b", b"c"]),
        (LISTS, "views[0]", BYTES),
        (LISTS, "views[1]", [b"00", b"11", b"22"]),
        ({"views": pa.array([[each] for each in BYTES], pa.list_(pa.binary(), 1))}, "views[0]", BYTES),
        ({"odd[0]": BYTES, "odd": BYTES}, "odd[0]", BYTES),
    ],
)
def test_a_key_chooses_the_column_of_images(
    columns: dict[str, Any], asked: str, wanted: list[bytes], tmp_path: Path
) -> None:
    path = parquet_of(tmp_path / "a.parquet", columns, rows=2)
    assert list(contents(str(path), column=asked).values()) == wanted
    images, _ = list_images(ImagesConfig(folder=str(path), column=asked))
    again = [listed_path(str(image.path)) for image in images]
    assert again == [image.path for image in images]
    assert [each.read() for each in again if isinstance(each, Source)] == wanted
    assert len({each.stamp for each in again if isinstance(each, Source)}) == 3


def test_columns_of_images_that_have_to_be_chosen_are_named(tmp_path: Path) -> None:
    two, lists = (str(parquet_of(tmp_path / f"{n}.parquet", c)) for n, c in (("a", TWO_COLUMNS), ("b", LISTS)))
    assert "has 2 columns of images: image_0, image_1; set images.column: image_0" in refused(two)
    assert "in the column 'views'; set images.column: 'views[0]' for the first of each" in refused(lists)
    assert "column 'views' has a list of images in each row; name one: 'views[0]'" in refused(lists, column="views")
    assert "column 'image_1' holds binary, no lists of image bytes" in refused(two, column="image_1[0]")
    assert f"images.column: '{two}' has no column 'image' (its columns: image_0: struct<" in refused(
        two, column="image"
    )


def test_a_list_that_is_too_short_is_a_failure_of_its_row(tmp_path: Path) -> None:
    path = parquet_of(tmp_path / "a.parquet", {"views": [[b"a"], [b"a", b"b"], None]})
    images, _ = list_images(ImagesConfig(folder=str(path), column="views[1]"))
    assert images[1].path.read() == b"b"  # type: ignore[union-attr]
    for row in (0, 2):
        with pytest.raises(ImageError, match="its row has no bytes"):
            images[row].path.read()  # type: ignore[union-attr]


def test_rows_without_bytes_are_the_files_they_name(config_file: Path, pictures: Path, tmp_path: Path) -> None:
    names = [f"pictures/{id}.jpg" for id in TWELVE]
    structs = [{"bytes": None, "path": name if at % 2 else str(tmp_path / name)} for at, name in enumerate(names)]
    structs[3] = {"bytes": (tmp_path / names[3]).read_bytes(), "path": "/elsewhere/3.jpg"}
    path = parquet_of(tmp_path / "a.parquet", {"image": structs, "id": TWELVE})
    here = run(load_config(config_file), show=False)
    config = config_of(config_file, images={"folder": str(path), "id_column": "id", "ids": None})
    there = run(config_of(config_file, images=config.images.model_dump(), outputs={"folder": str(tmp_path / "b")}))
    assert there.features.ids == TWELVE
    assert np.array_equal(there.features.vectors, here.features.vectors)
    assert there.features.origins[0].reused == 12  # as files that are known
    places = [row["path"] for row in read_rows(there.folder)]
    assert places[2:5] == [str(tmp_path / names[2]), f"{path}#row=3", str(tmp_path / names[4])]
    write_report(there.folder, show=False)
    assert len(list((there.folder / "report/t").glob("??/*.jpg"))) == 12


@pytest.mark.parametrize("root", ["/home/somebody/else", r"C:\data"])
def test_absolute_paths_of_another_machine_lead_to_what_lies_beside(root: str, tmp_path: Path) -> None:
    names = ["cat/1.jpg", "dog/1.jpg", "dog/2.jpg", "gone/3.jpg"]
    for name in names[:3]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "3.jpg").write_bytes(b"of another folder")
    divider = "/" if root.startswith("/") else "\\"
    paths = [divider.join([root, *name.split("/")]) for name in names]
    path = parquet_of(tmp_path / "a.parquet", {"image": [{"bytes": None, "path": each} for each in paths]})
    images, _ = list_images(ImagesConfig(folder=str(path)))
    assert [image.path.read() for image in images[:3]] == [b"cat/1.jpg", b"dog/1.jpg", b"dog/2.jpg"]  # type: ignore[union-attr]
    with pytest.raises(ImageError, match=r"only the path '.*3.jpg', and no such file"):
        images[3].path.read()  # type: ignore[union-attr]


@pytest.mark.parametrize("type", [pa.binary(), pa.null()])
@pytest.mark.parametrize("statistics", [True, False])
def test_rows_without_bytes_are_seen_with_and_without_statistics(
    type: pa.DataType, statistics: bool, tmp_path: Path
) -> None:
    (tmp_path / "1.jpg").write_bytes(b"one")
    struct = pa.array([{"bytes": None, "path": "1.jpg"}], pa.struct({"bytes": type, "path": pa.string()}))
    parquet.write_table(pa.table({"image": struct}), tmp_path / "a.parquet", write_statistics=statistics)
    assert contents(str(tmp_path / "a.parquet")) == {"1.jpg": b"one"}


def test_a_file_that_two_rows_would_share_is_neithers(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"cat or dog?")
    rows = [{"bytes": None, "path": f"/x/{each}/1.jpg"} for each in ("cat", "dog")]
    images, _ = list_images(ImagesConfig(folder=str(parquet_of(tmp_path / "a.parquet", {"image": rows}))))
    for image in images:
        with pytest.raises(ImageError, match="no such file is below"):
            image.path.read()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "path", ["../secret.jpg", "{root}/secret.jpg", "/etc/hostname", "data/gone.jpg", "data/../../secret.jpg"]
)
def test_a_path_that_leads_to_no_file_below_the_images_is_named(path: str, tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"not to be read")
    (tmp_path / "in").mkdir()
    path = path.format(root=tmp_path)
    file = parquet_of(tmp_path / "in" / "a.parquet", {"image": [{"bytes": None, "path": path}]})
    images, _ = list_images(ImagesConfig(folder=str(file)))
    with pytest.raises(ImageError) as caught:
        images[0].path.read()  # type: ignore[union-attr]
    assert str(caught.value) == (
        f"its row has no bytes, only the path {path!r}, and no such file is below {str(tmp_path / 'in')!r}: put the "
        "images there, in their folders, or save the Parquet file with their bytes in it"
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html><body>Sign in</body></html>", ", but an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", ", but a Git LFS pointer"),
        (b"PAR1 and no more", ": cannot be read: "),
    ],
)
def test_what_a_file_is_that_is_no_parquet_is_said(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    assert f"a.parquet' is no Parquet file{words}" in refused(str(tmp_path / "a.parquet"))


def test_parquet_shards_and_their_ids(tmp_path: Path) -> None:
    for shard in range(2):
        parquet_of(tmp_path / f"{shard}.parquet", {"image": [b"%d" % shard] * 2, "id": [f"{shard}a", f"{shard}b"]})
    assert list(contents(f"{tmp_path}/*.parquet")) == ["0/0a", "0/0b", "1/1a", "1/1b"]
    (tmp_path / "ids.csv").write_text("name,label\n1b,0\n0a,0\n")
    found = contents(f"{tmp_path}/*.parquet", ids=str(tmp_path / "ids.csv"), file="{id}")
    assert found == {"1b": b"1", "0a": b"0"}


def test_a_row_without_bytes_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    path = parquet_of(tmp_path / "a.parquet", {"image": [{"bytes": b"x", "path": "a"}, {"bytes": None, "path": "b"}]})
    images, _ = list_images(ImagesConfig(folder=str(path)))
    with pytest.raises(ImageError, match="its row has no bytes"):
        images[1].path.read()  # type: ignore[union-attr]


def test_neighbours_and_threads_decode_a_row_group_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet_of(tmp_path / "a.parquet", {"image": [b"%d" % row for row in range(40)]}, rows=10)
    decoded: list[int] = []
    read = parquet.ParquetFile.read_row_group

    def counted(file: Any, group: int, **keys: Any) -> Any:
        decoded.append(group)
        return read(file, group, **keys)

    monkeypatch.setattr(parquet.ParquetFile, "read_row_group", counted)
    images, _ = list_images(ImagesConfig(folder=str(path)))
    found: dict[int, bytes] = {}

    def some(first: int) -> None:
        for row in range(first, 40, 4):
            found[row] = images[row].path.read()  # type: ignore[union-attr]

    threads = [threading.Thread(target=some, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {row: b"%d" % row for row in range(40)}
    assert sorted(decoded) == [0, 1, 2, 3]


def test_few_row_groups_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "KEPT_BYTES", 2500)
    path = parquet_of(tmp_path / "a.parquet", {"image": [b"x" * 1000] * 6}, rows=1)
    for image in list_images(ImagesConfig(folder=str(path)))[0]:
        assert len(image.path.read()) == 1000  # type: ignore[union-attr]
    assert len(parquet_rows._groups._kept) == 2


def test_pictures_in_memory_come_from_archives_too(config_file: Path, pictures: Path, tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar", files_of(pictures))
    there = extract(str(archive), "efficientnet_lite0", batch_size=4)
    here = extract(pictures, "efficientnet_lite0", batch_size=4)
    assert np.array_equal(here, there)


def test_paths_of_a_run_name_members(config_file: Path, pictures: Path, tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", files_of(pictures))
    config: Config = config_of(config_file, images={"folder": str(path)})
    rows = read_rows(run(config, show=False).folder)
    assert [row["path"] for row in rows] == [f"tar://{id}.jpg::{path}" for id in TWELVE]
    assert listed(str(path)) == [f"{id}.jpg" for id in TWELVE]
    with pytest.raises(ImgclusterError):
        listed(str(tmp_path / "b.tar"))
    with pytest.raises(ConfigError):
        listed(str(tmp_path / "b.parquet"))


# --- what is left out, and several places ---

NAMES = ["a/1.jpg", "a/1_mask.png", "a/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg", "#recycle/2.jpg", "masks/1.jpg", "3.png"]


def as_zip(path: Path, files: dict[str, bytes]) -> Path:
    with ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def as_rows(path: Path, files: dict[str, bytes]) -> Path:
    return parquet_of(path, hugging_face(files))


@pytest.mark.parametrize(("make", "ending"), [(tar_of, "tar"), (as_zip, "zip"), (as_rows, "parquet")])
def test_debris_and_excluded_images_in_archives_are_left_out_and_counted(
    make: Callable[..., Path], ending: str, tmp_path: Path
) -> None:
    for shard in range(2):
        make(tmp_path / f"{shard}.{ending}", {name: name.encode() for name in NAMES})
    exclude = ("*_mask.png", "masks")
    one = find_images(ImagesConfig(folder=str(tmp_path / f"0.{ending}"), exclude=exclude))
    assert sorted(image.id for image in one.images) == ["3.png", "a/1.jpg"]
    assert one.left_out == {"debris": {"#recycle": 1, "@eaDir": 1}, "exclude": 2}
    shards = f"{tmp_path}/*.{ending}"
    several = find_images(ImagesConfig(folder=shards, exclude=(*exclude, "1/a")))
    assert sorted(image.id for image in several.images) == ["0/3.png", "0/a/1.jpg", "1/3.png"]
    assert several.left_out["exclude"] == 5
    assert sorted(contents(shards, include=("a/*",), exclude=exclude)) == ["0/a/1.jpg", "1/a/1.jpg"]
    assert "images.include: none of the 4 images below" in refused(str(tmp_path / f"0.{ending}"), include=("*.gif",))


def test_ids_are_found_in_the_folders_of_an_archive(tmp_path: Path) -> None:
    names = [f"images_{number % 3:03d}/images/{number:03d}.png" for number in range(9)]
    archive = str(as_zip(tmp_path / "a.zip", {name: name.encode() for name in [*names, "#recycle/003.png"]}))
    (tmp_path / "ids.csv").write_text("id\n" + "".join(f"{number:03d}\n" for number in range(9)))
    keys = {"ids": str(tmp_path / "ids.csv")}
    assert list(contents(archive, file="**/{id}.png", **keys).values()) == [name.encode() for name in names]
    assert 'set images.file: ["images_000/images/{id}.png", "images_001/images/{id}.png"' in refused(archive, **keys)
    (tmp_path / "ids.csv").write_text("id\n3.0\n4.0\n")
    listing = find_images(ImagesConfig(folder=archive, file="**/{id}.png", **keys))
    assert [image.path.read() for image in listing.images if isinstance(image.path, Source)] == [
        name.encode() for name in names[3:5]
    ]
    assert "read 2 of 2 ids with zeros up to 3 digits, to find their files: '3.0' is 'images_000/" in listing.notes[0]
    assert listing.notes[1].startswith("7 images have no row in ")


def test_two_members_for_an_id_are_refused(tmp_path: Path) -> None:
    archive = str(as_zip(tmp_path / "a.zip", {"a/1.jpg": b"a", "b/1.jpg": b"b", "c.jpg": b"c", "c.png": b"d"}))
    (tmp_path / "ids.csv").write_text("id\n1\n")
    assert "id '1' has 2 files: 'a/1.jpg', 'b/1.jpg'" in refused(
        archive, ids=str(tmp_path / "ids.csv"), file="**/{id}.jpg"
    )
    (tmp_path / "ids.csv").write_text("id\nc\n")
    two = {"ids": str(tmp_path / "ids.csv"), "file": ("{id}.jpg", "{id}.png")}
    assert "id 'c' has 2 files: 'c.jpg', 'c.png'" in refused(archive, **two)


def test_folders_and_archives_in_one_list(tmp_path: Path, pictures: Path, config_file: Path) -> None:
    """They are told apart by their names; a run takes them, and its table opens them again."""
    tar_of(tmp_path / "more.tar", {f"x{name}": data for name, data in files_of(pictures).items()})
    as_zip(tmp_path / "inner.zip", {"deep/1.jpg": files_of(pictures)["0000.jpg"], "2.jpg": b"x"})
    folders = [str(pictures), str(tmp_path / "more.tar"), f"zip://deep::{tmp_path}/inner.zip"]
    data = {"folder": folders, "ids": None}
    done = run(config_of(config_file, images=data, outputs={"submission": None}), show=False)
    wanted = ["deep/1.jpg", *(f"more/x{id}.jpg" for id in TWELVE), *(f"pictures/{id}.jpg" for id in TWELVE)]
    assert done.features.ids == wanted
    assert len(given_images([row["path"] for row in read_rows(done.folder)])) == 25
    assert features_of_run(done.folder).ids == wanted
    (tmp_path / "ids.csv").write_text("id\nx0003\n0004\nmore/x0005\n")
    found = list_images(ImagesConfig.model_validate({"folder": folders, "ids": str(tmp_path / "ids.csv")}))[0]
    assert [str(image.path) for image in found] == [
        f"tar://x0003.jpg::{tmp_path}/more.tar",
        f"{pictures}/0004.jpg",
        f"tar://x0005.jpg::{tmp_path}/more.tar",
    ]


def test_the_folder_of_a_list_is_no_place_for_an_export(tmp_path: Path, pictures: Path, config_file: Path) -> None:
    (tmp_path / "second").mkdir()
    (pictures / "0000.jpg").rename(tmp_path / "second/0000.jpg")
    images = {"folder": [str(pictures), str(tmp_path / "second")], "ids": None}
    done = run(config_of(config_file, images=images, outputs={"submission": None}), show=False)
    with pytest.raises(OutputError, match=r"is inside of images.folder, '.*second'"):
        export_folders(done.folder, tmp_path / "second/out", action="copy")
