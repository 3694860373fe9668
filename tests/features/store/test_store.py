"""The feature store: found again by path or by content, whole after a kill, never shared, never taken for another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imgcluster.errors import DamagedShard, StoreError
from imgcluster.features.store import shard_files as store_shards
from imgcluster.features.store.backend import LocalFiles
from imgcluster.features.store.layers import LayerStores
from imgcluster.features.store.reader import ShardRows
from imgcluster.features.store.shards import write_shard
from imgcluster.features.store.store import FeatureStore, ImageKey, image_key
from imgcluster.features.transforms import join_blocks
from imgcluster.utils import parallel as blocks
from imgcluster.utils.hashing import digest_bytes, fingerprint_of
from imgcluster.utils.storage import RemotePath
from tests import ROOT

SHAPED_BY = {"backbone": "net", "layer": "fc6"}


def keys(*numbers: int) -> list[ImageKey]:
    return [ImageKey(f"/p/{number}", number, 1, 1, f"digest{number}") for number in numbers]


def rows(*numbers: int) -> np.ndarray:
    return np.array([[number, number / 3] for number in numbers], np.float32)


def test_rows_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        store.append(keys(1, 2), rows(1, 2))
        store.append(keys(3), rows(3))
        np.testing.assert_array_equal(store.vectors(keys(3, 1, 2, 1)), rows(3, 1, 2, 1))
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        assert len(store) == 3
        np.testing.assert_array_equal(store.vectors(keys(2, 3)), rows(2, 3))
        with pytest.raises(KeyError, match="1 images have no features"):
            store.vectors(keys(1, 4))


def test_many_vectors_are_gathered_into_a_file_that_vanishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        store.append(keys(1, 2, 3), rows(1, 2, 3))
        files = sorted(store.folder.iterdir())
        monkeypatch.setattr(blocks, "IN_MEMORY_BYTES", 8)
        found = store.vectors(keys(3, 1))
        assert isinstance(found, np.memmap)
        assert sorted(store.folder.iterdir()) == files
    np.testing.assert_array_equal(found, rows(3, 1))
    joined = join_blocks([found, found[:, :1]], True, [2, 3], tmp_path)
    assert isinstance(joined, np.memmap)
    np.testing.assert_array_equal(joined, join_blocks([rows(3, 1), rows(3, 1)[:, :1]], True, [2, 3]))
    assert list(tmp_path.iterdir()) == [store.folder]


def test_an_image_is_known_by_its_stamp_or_by_its_bytes(tmp_path: Path) -> None:
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        store.append(keys(1), rows(1))
        assert store.find(ImageKey("/p/1", 1, 1, 1)) is not None
        assert store.find(ImageKey("/elsewhere", 1, 9, 9, "digest1")) is not None
        for changed in (ImageKey("/p/1", 2, 1, 1), ImageKey("/p/1", 1, 2, 1), ImageKey("/p/1", 1, 1, 2)):
            assert store.find(changed) is None
        assert store.find(ImageKey("/elsewhere", 1, 9, 9)) is None


def forget_marks(folder: Path) -> None:
    """Make a store as versions wrote it that noted nothing of images."""
    for path in folder.glob("index-*.json"):
        index = json.loads(path.read_text())
        del index["marks"], index["more_marks"], index["crc32"]
        path.write_text(json.dumps(index))


def marked(marks: int, *numbers: int) -> list[ImageKey]:
    return [replace(key, marks=marks) for key in keys(*numbers)]


def test_what_was_noted_of_an_image_is_kept_with_its_vector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_shards, "SHARD_BYTES", 32)
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        for number in range(6):
            store.append(marked(number % 3 + 1, number), rows(number))
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        assert [store.marks(key) for key in keys(*range(7))] == [1, 2, 3, 1, 2, 3, None]
        assert store.marks(ImageKey("/elsewhere", 1, 9, 9, "digest1")) == 2


def test_a_vector_of_which_nothing_was_noted_is_superseded_once(tmp_path: Path) -> None:
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        store.append(marked(1, 1, 2), rows(1, 2))
    forget_marks(store.folder)
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        assert [store.marks(key) for key in keys(1, 2)] == [0, 0]
        assert [store.lacks(key) for key in marked(1, 1, 3)] == [True, True]
        assert not store.lacks(keys(1)[0])
        store.append(marked(1, 1), rows(9))
        assert not store.lacks(marked(3, 1)[0])
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        assert [store.marks(key) for key in keys(1, 2)] == [1, 0]
        np.testing.assert_array_equal(store.vectors(keys(1, 2)), rows(9, 2))
        assert len(store) == 2


def test_marks_that_do_not_fit_their_rows_are_damage(tmp_path: Path) -> None:
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        store.append(marked(1, 1, 2), rows(1, 2))
    (path,) = store.folder.glob("index-*.json")
    path.write_text(path.read_text().replace('"marks": "11"', '"marks": "1"'))
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        assert len(store) == 0


def test_small_shards_are_joined_and_stay_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_shards, "SHARD_BYTES", 32)
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        for number in range(11):
            store.append(keys(number), rows(number))
            np.testing.assert_array_equal(store.vectors(keys(number, 0)), rows(number, 0))
        folder = store.folder
    shards = [np.load(path) for path in folder.glob("vectors-*.npy")]
    assert sorted(len(shard) for shard in shards) == [3, 4, 4]
    assert len(list(folder.glob("index-*.json"))) == 3
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        np.testing.assert_array_equal(store.vectors(keys(*range(11))), rows(*range(11)))


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        store.append(keys(1), rows(1))
        folder = store.folder
    (folder / "vectors-00007.npy").write_bytes(b"no index yet")
    (folder / "index-00008.json.77.tmp").write_bytes(b"{")
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        np.testing.assert_array_equal(store.vectors(keys(1)), rows(1))
    assert sorted(path.name for path in folder.iterdir()) == [
        "index-00000.json",
        "lock",
        "meta.json",
        "vectors-00000.npy",
    ]


def test_a_kill_in_the_middle_of_joining_leaves_no_row_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeatureStore(tmp_path, SHAPED_BY).__enter__()
    store.append(keys(1, 2), rows(1, 2))
    store.append(keys(3), rows(3))
    with monkeypatch.context() as patch:
        patch.setattr(LocalFiles, "remove", lambda self, name: None)
        store.__exit__(None, None, None)
    assert len(list(store.folder.glob("index-*.json"))) == 3
    with FeatureStore(tmp_path, SHAPED_BY) as again:
        np.testing.assert_array_equal(again.vectors(keys(2, 3, 1)), rows(2, 3, 1))
    (shard,) = store.folder.glob("vectors-*.npy")
    assert len(np.load(shard)) == 3


def test_parts_of_other_processes_are_taken_over(tmp_path: Path) -> None:
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        store.append(keys(1), rows(1))
    for number in (0, 1):
        with FeatureStore(tmp_path / f".part-{number}", SHAPED_BY) as part:
            part.append(keys(2 + 2 * number), rows(2 + 2 * number))
            part.append(keys(3 + 2 * number), rows(3 + 2 * number))
            part.shards._small.clear()  # as after a kill: not joined
    with FeatureStore(tmp_path / ".part-1", {**SHAPED_BY, "layer": "other"}) as other:
        other.append(keys(9), rows(9))
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        np.testing.assert_array_equal(store.vectors(keys(*range(1, 6))), rows(*range(1, 6)))
        assert store.find(keys(9)[0]) is None
    assert [path.name for path in tmp_path.glob(".part-*/*")] == [other.folder.name]


def test_the_folder_of_a_process_that_was_killed_before_it_stored_anything_goes(tmp_path: Path) -> None:
    (tmp_path / ".part-0").mkdir()
    with FeatureStore(tmp_path, SHAPED_BY):
        assert not (tmp_path / ".part-0").exists()


def test_a_kill_in_the_middle_of_taking_over_leaves_no_row_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FeatureStore(tmp_path / ".part-0", SHAPED_BY) as part:
        part.append(keys(1, 2), rows(1, 2))
    with monkeypatch.context() as patch:
        patch.setattr(LocalFiles, "remove", interrupt)
        with pytest.raises(KeyboardInterrupt):
            FeatureStore(tmp_path, SHAPED_BY).__enter__()
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        np.testing.assert_array_equal(store.vectors(keys(2, 1)), rows(2, 1))
        assert len(store) == 2


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("victim", ["vectors-00001.npy", "index-00001.json"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY\x01\x00",
        b"PK\x03\x04",
        b"{}",
        b"[1, 2]",
        b'{"fingerprint": 1, "images": [["/p", [], 1, 1, ""]]}',
    ],
)
def test_a_damaged_shard_is_set_aside_and_told(
    tmp_path: Path, victim: str, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store = FeatureStore(tmp_path, SHAPED_BY).__enter__()
    store.append(keys(1), rows(1))
    store.append(keys(2), rows(2))
    store.__exit__(KeyboardInterrupt, None, None)  # ended before the small shards were joined
    (store.folder / victim).write_bytes(content)
    with FeatureStore(tmp_path, SHAPED_BY) as again:
        assert again.find(keys(1)[0]) is not None
        assert again.find(keys(2)[0]) is None
        assert again.marks(keys(2)[0]) is None
    (warning,) = caplog.messages
    assert warning.startswith(f"{store.folder}: shard 00001 is damaged ({victim}: ")
    aside = "set aside as vectors-00001.npy.damaged and index-00001.json.damaged, its images are computed again"
    assert warning.endswith(aside)
    assert (store.folder / f"{victim}.damaged").read_bytes() == content


def test_vectors_of_another_store_are_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with FeatureStore(tmp_path / "a", SHAPED_BY) as ours:
        ours.append(keys(1), rows(1))
    with FeatureStore(tmp_path / "b", {**SHAPED_BY, "layer": "fc7"}) as theirs:
        theirs.append(keys(1), rows(9))
    for name in ("vectors-00000.npy", "index-00000.json"):
        (theirs.folder / name).replace(ours.folder / name)
    with FeatureStore(tmp_path / "a", SHAPED_BY) as store:
        assert len(store) == 0
    assert "damaged" in caplog.text


def test_everything_that_shapes_a_feature_is_in_the_fingerprint() -> None:
    assert fingerprint_of({"a": 1, "b": [2]}) == fingerprint_of({"b": [2], "a": 1})
    assert fingerprint_of({"a": 1}) != fingerprint_of({"a": 2})


def test_a_shard_of_another_width_is_dropped(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, SHAPED_BY).__enter__()
    store.append(keys(1), rows(1))
    store.append(keys(2), rows(2))
    store.__exit__(KeyboardInterrupt, None, None)
    np.save(store.folder / "vectors-00001.npy", np.zeros((1, 3), np.float32))
    with FeatureStore(tmp_path, SHAPED_BY) as again:
        assert len(again) == 1
        again.append(keys(2), rows(2))
        np.testing.assert_array_equal(again.vectors(keys(2, 1)), rows(2, 1))


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        meta = store.folder / "meta.json"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "format": 99}))
    with pytest.raises(StoreError, match=r"comes from a newer imgcluster \(format 99\)"):
        FeatureStore(tmp_path, SHAPED_BY).__enter__()


def test_a_second_process_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    open_store = (
        "import sys; from pathlib import Path; from imgcluster.features import FeatureStore\n"
        f"with FeatureStore(Path({str(tmp_path)!r}), {SHAPED_BY!r}): print('open', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", open_store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    with pytest.raises(StoreError, match="is in use by another run; wait for it to end, or set"):
        FeatureStore(tmp_path, SHAPED_BY).__enter__()
    process.kill()
    process.wait()
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        assert len(store) == 0


def test_keys_of_files(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"abc")
    before = image_key(path, path.stat())
    os.utime(path, ns=(1, 1))
    assert image_key(path, path.stat()).mtime_ns == 1
    assert image_key(path, path.stat()).stamp != before.stamp
    (tmp_path / "link").symlink_to(path)
    assert image_key(tmp_path / "link", path.stat()) == image_key(path, path.stat())
    assert digest_bytes(b"abc") != digest_bytes(b"abd")


def test_reading_alone_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        store.append(keys(1), rows(1))
        folder = store.folder
    (folder / "index-00007.json").write_text("damaged")
    (folder / "vectors-00008.npy").write_bytes(b"left over")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    found = FeatureStore.reading(folder)
    assert found.fingerprint == fingerprint_of(SHAPED_BY)
    np.testing.assert_array_equal(found.vectors(keys(1)), rows(1))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert caplog.messages == [f"{folder}: shard 00007 is damaged (index-00007.json: is no JSON)"]
    with pytest.raises(StoreError, match=r"meta.json' cannot be read: No such file"):
        FeatureStore.reading(tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def test_reading_finds_all_while_another_process_joins_the_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore(tmp_path, SHAPED_BY)
    store.__enter__()
    for number in range(3):
        store.append(keys(number), rows(number))
    read = LocalFiles.read

    def join_first(self: LocalFiles, name: str) -> bytes:
        if name == "index-00001.json" and (self.place / name).exists():
            store.shards.join_small()
        return read(self, name)

    monkeypatch.setattr(LocalFiles, "read", join_first)
    found = FeatureStore.reading(store.folder)
    np.testing.assert_array_equal(found.vectors(keys(2, 0, 1)), rows(2, 0, 1))
    store.__exit__(None, None, None)


def test_more_shards_than_files_may_be_open(tmp_path: Path) -> None:
    """As the workers of a cluster leave them, large ones that are never joined: none is taken for damaged."""
    many = 60
    code = (
        "import resource, sys; from pathlib import Path; from tests.features.store.test_store import *\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n"
        f"with FeatureStore(Path({str(tmp_path)!r}), SHAPED_BY) as store:\n"
        f"    assert store.vectors(keys(*range({many}))).tolist() == rows(*range({many})).tolist()\n"
    )
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        for number in range(many):
            write_shard(store.files, f"{number:05d}-0123abcd", store.fingerprint, keys(number), [rows(number)])
        store.shards._small.clear()
    root = ROOT
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    assert "damaged" not in done.stderr


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), OSError(None, "503 SlowDown"), MemoryError()])
def test_a_disk_that_fails_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    store = FeatureStore(tmp_path, SHAPED_BY).__enter__()
    store.append(keys(1), rows(1))
    store.append(keys(2), rows(2))
    store.__exit__(KeyboardInterrupt, None, None)
    read = LocalFiles.read

    def fail(self: LocalFiles, name: str) -> bytes:
        if name == "index-00001.json":
            raise error
        return read(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFiles, "read", fail)
        with pytest.raises((StoreError, MemoryError)):
            FeatureStore(tmp_path, SHAPED_BY).__enter__()
    with FeatureStore(tmp_path, SHAPED_BY) as again:
        np.testing.assert_array_equal(again.vectors(keys(2, 1)), rows(2, 1))


def test_reading_goes_on_after_another_process_has_joined_shards(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, SHAPED_BY).__enter__()
    for number in range(3):
        store.append(keys(number), rows(number))
    found = FeatureStore.reading(store.folder)
    store.__exit__(None, None, None)
    np.testing.assert_array_equal(found.vectors(keys(2, 0, 1)), rows(2, 0, 1))


# --- damage ---


def two_shards(root: Path) -> Path:
    """A store of two shards, as a process leaves it that was killed before it joined them."""
    store = FeatureStore(root, SHAPED_BY).__enter__()
    store.append(keys(1, 2), rows(1, 2))
    store.append(keys(3, 4), rows(3, 4))
    store.__exit__(KeyboardInterrupt, None, None)
    return Path(store.folder)


def zero_rows(path: Path) -> bytes:
    """Put zeros in the place of the last row, as a crash of the machine may leave them; returns the bytes."""
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))
    return path.read_bytes()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_zeros_behind_a_right_header_are_found_when_rows_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = two_shards(tmp_path)
    damaged = zero_rows(folder / "vectors-00001.npy")
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        assert (len(store), caplog.messages) == (4, [])  # opening reads no rows
        np.testing.assert_array_equal(store.vectors(keys(3, 1)), rows(3, 1))  # nor are others checked than those read
        with pytest.raises(DamagedShard, match=r"vectors-00001.npy: 1 of 2 rows do not match their checksums"):
            store.vectors(keys(3, 1, 4))
        assert [store.marks(key) for key in keys(1, 2, 3, 4)] == [0, 0, None, None]
        store.append(keys(3, 4), rows(3, 4))
        np.testing.assert_array_equal(store.vectors(keys(*range(1, 5))), rows(*range(1, 5)))
    (warning,) = caplog.messages
    assert "shard 00001 is damaged (vectors-00001.npy: 1 of 2 rows do not match" in warning
    assert (folder / "vectors-00001.npy.damaged").read_bytes() == damaged
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        np.testing.assert_array_equal(store.vectors(keys(*range(1, 5))), rows(*range(1, 5)))
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("cut", [1, 8, 100])
def test_a_file_that_is_cut_off_is_found_at_opening(tmp_path: Path, cut: int, caplog: pytest.LogCaptureFixture) -> None:
    path = two_shards(tmp_path) / "vectors-00001.npy"
    path.write_bytes(path.read_bytes()[:-cut])
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        assert len(store) == 2
    assert "shard 00001 is damaged (vectors-00001.npy: " in caplog.text


def test_damage_in_several_layers_is_found_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    layers = [SHAPED_BY, {**SHAPED_BY, "layer": "fc7"}, SHAPED_BY]
    with LayerStores(tmp_path, layers) as stores:
        stores.append(keys(1, 2), [rows(1, 2), rows(3, 4), rows(1, 2)], [None, None])
        found = stores.vectors(keys(2))
        assert [block.tolist() for block in found] == [rows(2).tolist(), rows(4).tolist(), rows(2).tolist()]
    for path in tmp_path.glob("*/vectors-*.npy"):
        zero_rows(path)
    with LayerStores(tmp_path, layers) as stores:
        with pytest.raises(DamagedShard):
            stores.vectors(keys(1, 2))
        assert len(caplog.messages) == 2
        stores.append(keys(1, 2), [rows(1, 2), rows(3, 4), rows(1, 2)], [None, None])
        assert [block.tolist() for block in stores.vectors(keys(2))] == [block.tolist() for block in found]


def test_vectors_of_equal_shape_from_elsewhere_are_found(tmp_path: Path) -> None:
    folder = two_shards(tmp_path)
    np.save(folder / "vectors-00000.npy", rows(7, 8))
    with FeatureStore(tmp_path, SHAPED_BY) as store, pytest.raises(DamagedShard):
        store.vectors(keys(1))


def test_what_was_set_aside_is_never_overwritten(tmp_path: Path) -> None:
    folder = two_shards(tmp_path)
    for name in ("vectors-00001.npy.damaged", "vectors-00001.npy.damaged-1", "index-00001.json.damaged"):
        (folder / name).write_bytes(b"earlier")
    damaged = zero_rows(folder / "vectors-00001.npy")
    with FeatureStore(tmp_path, SHAPED_BY) as store, pytest.raises(DamagedShard):
        store.vectors(keys(4))
    found = contents(folder)
    assert found["vectors-00001.npy.damaged"] == found["vectors-00001.npy.damaged-1"] == b"earlier"
    assert found["vectors-00001.npy.damaged-2"] == damaged
    assert found["index-00001.json.damaged"] == b"earlier"
    assert "index-00001.json.damaged-1" in found


def test_vectors_that_are_gone_have_their_images_computed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = two_shards(tmp_path)
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        (folder / "vectors-00001.npy").unlink()
        with pytest.raises(DamagedShard, match=r"vectors-00001.npy: is gone"):
            store.vectors(keys(1, 4))
        assert store.marks(keys(4)[0]) is None
    assert "set aside as index-00001.json.damaged, its images" in caplog.text


@pytest.mark.parametrize("bug", [TypeError("a bug"), ValueError("a bug"), KeyError("a bug"), AttributeError("a bug")])
@pytest.mark.parametrize("where", [(LocalFiles, "read"), (ShardRows, "__init__"), (ShardRows, "__getitem__")])
def test_a_bug_of_ours_touches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bug: Exception, where: tuple[type, str]
) -> None:
    folder = two_shards(tmp_path)
    before = contents(folder)

    def broken(*_: object) -> None:
        raise bug

    def read_all() -> None:
        store = FeatureStore(tmp_path, SHAPED_BY).__enter__()
        try:
            store.vectors(keys(1, 4))
        finally:
            store.__exit__(KeyboardInterrupt, None, None)

    with monkeypatch.context() as patch:
        patch.setattr(*where, broken)
        with pytest.raises(type(bug), match="a bug"):
            read_all()
    assert contents(folder) == before
    read_all()


def test_joining_makes_no_damaged_row_a_good_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = two_shards(tmp_path)
    damaged = zero_rows(folder / "vectors-00000.npy")
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        store.append(keys(5), rows(5))
    assert (folder / "vectors-00000.npy.damaged").read_bytes() == damaged
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        assert [store.marks(key) for key in keys(1, 2)] == [None, None]
        np.testing.assert_array_equal(store.vectors(keys(3, 4, 5)), rows(3, 4, 5))
    assert len(caplog.messages) == 1
    assert len(list(folder.glob("index-*.json"))) == 1


def test_rows_of_a_damaged_shard_that_stand_in_others_too_are_found_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = two_shards(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(LocalFiles, "remove", lambda self, name: None)
        with FeatureStore(tmp_path, SHAPED_BY):
            pass  # joined, and killed before the small ones were removed
    zero_rows(folder / "vectors-00002.npy")
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        with pytest.raises(DamagedShard):
            store.vectors(keys(*range(1, 5)))
        np.testing.assert_array_equal(store.vectors(keys(*range(1, 5))), rows(*range(1, 5)))


def test_damaged_parts_of_other_processes_stay_where_they_are(tmp_path: Path) -> None:
    folder = two_shards(tmp_path / ".part-0")
    damaged = zero_rows(folder / "vectors-00001.npy")
    for _ in range(2):
        with FeatureStore(tmp_path, SHAPED_BY) as store:
            np.testing.assert_array_equal(store.vectors(keys(1, 2)), rows(1, 2))
            assert store.marks(keys(4)[0]) is None
        assert (folder / "vectors-00001.npy.damaged").read_bytes() == damaged


def test_a_disk_that_does_not_keep_what_is_written_ends_the_run(tmp_path: Path) -> None:
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        store.append(keys(1), rows(1))
        zero_rows(Path(store.folder) / "vectors-00000.npy")
        with pytest.raises(StoreError, match="although just written; check the disk") as told:
            store.vectors(keys(1))
    assert not isinstance(told.value, DamagedShard)  # or whoever computes would begin again, and again


def test_reading_alone_leaves_damaged_shards(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = two_shards(tmp_path)
    zero_rows(folder / "vectors-00001.npy")
    before = contents(folder)
    found = FeatureStore.reading(folder)
    with pytest.raises(DamagedShard, match="run the config again"):
        found.vectors(keys(1, 4))
    assert (found.find(keys(4)[0]), contents(folder)) == (None, before)
    np.testing.assert_array_equal(found.vectors(keys(1)), rows(1))
    assert len(caplog.messages) == 1


def test_rows_that_stay_in_the_store_are_checked_too(tmp_path: Path) -> None:
    folder = two_shards(tmp_path)
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        stored = store.stored(keys(4, 1, 2))
    (path,) = folder.glob("vectors-*.npy")
    np.testing.assert_array_equal(stored.take(np.arange(3)), rows(4, 1, 2))
    zero_rows(path)
    np.testing.assert_array_equal(stored.take(np.array([2])), rows(2))
    with pytest.raises(DamagedShard, match=rf"{path.name}' is damaged \(rows do not match"):
        stored.take(np.arange(3))


def test_a_store_without_checksums_is_read_and_gets_them_with_the_next_joining(tmp_path: Path) -> None:
    folder = two_shards(tmp_path)
    for path in folder.glob("index-*.json"):
        index = json.loads(path.read_text())
        assert len(index.pop("crc32")) == 16
        path.write_text(json.dumps(index))
    assert FeatureStore.reading(folder).vectors(keys(4, 1)).tolist() == rows(4, 1).tolist()
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        np.testing.assert_array_equal(store.vectors(keys(*range(1, 5))), rows(*range(1, 5)))
        np.testing.assert_array_equal(store.stored(keys(3)).take(np.array([0])), rows(3))
    (path,) = folder.glob("index-*.json")
    assert len(json.loads(path.read_text())["crc32"]) == 32


@pytest.mark.parametrize("crc32", ["", "00" * 7, "zz" * 8, 1, [1, 2]])
def test_checksums_that_are_none_are_damage(tmp_path: Path, crc32: object) -> None:
    path = two_shards(tmp_path) / "index-00001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "crc32": crc32}))
    with FeatureStore(tmp_path, SHAPED_BY) as store:
        assert len(store) == 2
    assert path.with_name("index-00001.json.damaged").exists()


def test_a_shard_of_a_newer_format_is_no_damage(tmp_path: Path) -> None:
    folder = two_shards(tmp_path)
    path = folder / "index-00001.json"
    path.write_text(json.dumps({"format": 99}))
    before = contents(folder)
    with pytest.raises(StoreError, match="comes from a newer imgcluster"):
        FeatureStore(tmp_path, SHAPED_BY).__enter__()
    assert contents(folder) == before


def test_damaged_shards_behind_a_url_are_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    memory = pytest.importorskip("fsspec").filesystem("memory")
    root = RemotePath(f"memory://{tmp_path.name}")
    for number in (1, 3, 5):
        with FeatureStore(root, SHAPED_BY) as store:
            store.append(keys(number, number + 1), rows(number, number + 1))
    paths = sorted(path for path in memory.ls(str(store.folder), detail=False) if path.endswith(".npy"))
    whole = memory.cat_file(paths[0])
    memory.pipe_file(paths[0], zeros := whole[:-8] + bytes(8))
    memory.pipe_file(paths[1], whole[:-8])
    with FeatureStore(root, SHAPED_BY) as store:
        with pytest.raises(DamagedShard, match="2 of its shards are damaged"):
            store.vectors(keys(*range(1, 7)))
        assert [store.marks(key) for key in keys(*range(1, 7))] == [None] * 4 + [0, 0]
        store.append(keys(*range(1, 5)), rows(*range(1, 5)))
    with FeatureStore(root, SHAPED_BY) as store:
        np.testing.assert_array_equal(store.vectors(keys(*range(1, 7))), rows(*range(1, 7)))
    assert memory.cat_file(f"{paths[0]}.damaged") == zeros
    assert not memory.exists(paths[0])
    assert len(caplog.messages) == 2
