"""Archives of weights: packed, placed where loaders look, and refused where they are damaged or hostile."""

from __future__ import annotations

import errno
import hashlib
import json
import random
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from imgcluster.backbones import archive as archives
from imgcluster.backbones.archive import FOLDER, MANIFEST, PackedFile, pack_weights, use_weights
from imgcluster.backbones.inventory import get_weights, list_weights
from imgcluster.backbones.select import find_backbone
from imgcluster.backbones.weights.load import find_weights
from imgcluster.backbones.weights.locate import place_of, put_into_place
from imgcluster.config.backbone_table import BACKBONES
from imgcluster.errors import ConfigError, OutputError, WeightsError, WeightsUnavailable

pytest.importorskip("timm", reason="timm is not installed")

from tests.support.catalogue import CNN, LAST, VIT, published

NAMES = [VIT, CNN]


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An archive of both networks; afterwards the caches are those of another machine, without the internet."""
    with published(tmp_path / "published", monkeypatch):
        for name in NAMES:
            get_weights(name, show=False)
        path = tmp_path / "weights.zip"
        pack_weights(path, NAMES, show=False)
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "other" / "torch"))
        monkeypatch.setenv("HF_HOME", str(tmp_path / "other" / "huggingface"))
        for mirror in ("IMGCLUSTER_WEIGHTS_MIRROR", "HF_ENDPOINT"):
            monkeypatch.setenv(mirror, "http://127.0.0.1:9")
        yield path


def use(path: Path) -> list[tuple[str, bool]]:
    return [(each.name, each.is_new) for each in use_weights(path, show=False)]


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


# ---- there and back


def test_weights_of_an_archive_are_found_by_the_loaders(packed: Path) -> None:
    for name in NAMES:
        with pytest.raises(WeightsUnavailable):
            find_weights(find_backbone(name), "imagenet", progress=False)
    assert use(packed) == [(VIT.partition("@")[0], True), (CNN, True)]
    for name in NAMES:
        assert find_weights(find_backbone(name), "imagenet", progress=False).path is not None
    states = {row.name: row.state for row in list_weights(check=True)}
    assert [states[name] for name in (*NAMES, LAST)] == ["checked"] * 3
    assert use(packed) == [(VIT.partition("@")[0], False), (CNN, False)]


def test_the_client_of_the_hub_finds_them_too(packed: Path, tmp_path: Path) -> None:
    from huggingface_hub import hf_hub_download

    use(packed)
    cache = tmp_path / "other" / "huggingface" / "hub"
    repository = find_backbone(VIT).weights
    found = Path(hf_hub_download(repository, "model.safetensors", cache_dir=cache, local_files_only=True))
    assert found.resolve().name == hashlib.sha256(found.read_bytes()).hexdigest()
    assert files_below(cache / f"models--{repository.replace('/', '--')}") == [
        f"blobs/{found.resolve().name}",
        "refs/main",
        f"snapshots/{'0' * 40}/model.safetensors",
    ]


def test_the_manifest_names_digests_and_licences_and_the_bytes_are_always_the_same(
    packed: Path, tmp_path: Path
) -> None:
    use(packed)
    again = tmp_path / "again.zip"
    pack_weights(again, [VIT.partition("@")[0], CNN, VIT], show=False)
    assert again.read_bytes() == packed.read_bytes()
    with zipfile.ZipFile(packed) as archive:
        files = json.loads(archive.read(MANIFEST))["files"]
        for each in files:
            data = archive.read(f"{FOLDER}/{each['sha256']}")
            assert (hashlib.sha256(data).hexdigest(), len(data)) == (each["sha256"], each["bytes"])
    assert [each["licence"] for each in files] == [find_backbone(name).licence for name in NAMES]


def test_a_file_that_is_damaged_here_is_replaced(packed: Path, tmp_path: Path) -> None:
    place = tmp_path / "other" / "torch" / "hub" / "checkpoints" / BACKBONES[CNN].file
    place.parent.mkdir(parents=True)
    place.write_bytes(b"broken off")
    assert (CNN, True) in use(packed)
    assert hashlib.sha256(place.read_bytes()).hexdigest() == BACKBONES[CNN].sha256


@pytest.mark.parametrize("damage", ["cut", "same size", "a file instead of the link", "another version"])
def test_a_file_of_the_hub_that_differs_here_is_replaced(packed: Path, damage: str) -> None:
    row = find_backbone(VIT)
    use(packed)
    place = place_of(row)
    assert place is not None
    blob = place.resolve()
    data = blob.read_bytes()
    if damage == "cut":
        blob.write_bytes(data[:1000])
    elif damage == "same size":
        blob.write_bytes(bytes(len(data)))
    elif damage == "a file instead of the link":
        place.unlink()
        place.write_text("an error page")
    else:
        put_into_place(row, hashlib.sha256(b"other").hexdigest(), "1" * 40, lambda file: file.write(b"other"))
    assert use(packed) == [(VIT.partition("@")[0], True), (CNN, False)]
    found = find_weights(row, "imagenet", progress=False).path
    assert found is not None
    assert found.read_bytes() == data
    assert use(packed) == [(VIT.partition("@")[0], False), (CNN, False)]


def test_where_links_cannot_be_made_the_file_itself_is_placed(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    use(packed)
    found = find_weights(find_backbone(VIT), "imagenet", progress=False).path
    assert found is not None
    assert not found.is_symlink()


# ---- what cannot be packed


def test_weights_that_are_not_here_are_not_packed(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="weights of shufflenet_v2_x0_5: missing; get them first: imgcluster"):
        pack_weights(tmp_path / "new.zip", [CNN], show=False)
    assert not (tmp_path / "new.zip").exists()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [0, 1000])
def test_weights_that_are_damaged_are_not_packed(packed: Path, tmp_path: Path, name: str, length: int) -> None:
    use(packed)
    place = place_of(find_backbone(name))
    assert place is not None
    data = place.read_bytes()
    place.resolve().write_bytes(data[:length] + bytes(0 if length else len(data)))
    with pytest.raises(WeightsUnavailable, match=f"weights of {name}: damaged; get them first: imgcluster weights get"):
        pack_weights(tmp_path / "new.zip", [name], show=False)
    assert not (tmp_path / "new.zip").exists()


def test_a_target_that_cannot_be_written_stops_before_a_file_is_read(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(packed)
    monkeypatch.setattr(archives, "describe_weights", lambda *args, **kwargs: pytest.fail("read"))
    monkeypatch.setattr(archives, "list_weights", lambda *args, **kwargs: pytest.fail("read"))
    for names in ([CNN], []):
        with pytest.raises(ConfigError, match="is a folder; name a file, such as "):
            pack_weights(tmp_path, names, force=True, show=False)
        with pytest.raises(OutputError, match="there is no folder"):
            pack_weights(tmp_path / "no" / "new.zip", names, show=False)


def test_weights_that_pip_installs_are_not_packed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is installed by pip, with its weights"):
        pack_weights(tmp_path / "new.zip", [LAST], show=False)


def test_an_archive_is_not_overwritten_unasked(packed: Path) -> None:
    use(packed)
    before = packed.read_bytes()
    with pytest.raises(ConfigError, match="exists; overwrite it with force=True"):
        pack_weights(packed, [CNN], show=False)
    assert packed.read_bytes() == before
    pack_weights(packed, [CNN], force=True, show=False)
    assert len(packed.read_bytes()) < len(before)


def test_a_file_that_changes_while_it_is_packed_stops_it(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(packed)
    monkeypatch.setattr(archives, "file_sha256", lambda path: "0" * 64)
    with pytest.raises(WeightsError, match="is damaged: its sha256 is not 000"):
        pack_weights(tmp_path / "new.zip", [CNN], show=False)
    assert not list(tmp_path.glob("new.zip*"))


# ---- hostile and damaged archives

Members = list[tuple[zipfile.ZipInfo, bytes]]


def members_of(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return [(info, archive.read(info)) for info in archive.infolist()]


def write(path: Path, members: Members, compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for info, data in members:
            archive.writestr(info, data)


def changed(members: Members, **keys: Any) -> Members:
    """Return the members with keys of the first file in the manifest changed."""
    manifest = json.loads(members[0][1])
    manifest["files"][0].update(keys)
    return [(members[0][0], json.dumps(manifest).encode()), *members[1:]]


def renamed(members: Members, name: str) -> Members:
    return [*members[:-1], (zipfile.ZipInfo(name), members[-1][1])]


def as_link(members: Members) -> Members:
    info = zipfile.ZipInfo(members[-1][0].filename)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return [*members[:-1], (info, members[-1][1])]


def compressed(members: Members, at: int) -> Members:
    info = zipfile.ZipInfo(members[at][0].filename)
    info.compress_type = zipfile.ZIP_DEFLATED
    return [*members[:at], (info, members[at][1]), *members[at + 1 :]]


def manifest_of(text: bytes) -> Callable[[Members], Members]:
    return lambda members: [(members[0][0], text), *members[1:]]


HOSTILE: dict[str, tuple[Callable[[Members], Members], str]] = {
    "a path out of the folder": (lambda m: renamed(m, "../../evil.pth"), "its files are not those"),
    "an absolute path": (lambda m: renamed(m, "/tmp/evil.pth"), "its files are not those"),  # noqa: S108 (not written)
    "a file too many": (lambda m: [*m, (zipfile.ZipInfo("weights/more"), b"x")], "its files are not those"),
    "a file missing": (lambda m: m[:-1], "its files are not those"),
    "a file twice": (lambda m: [*m, m[-1]], "its files are not those"),
    "a link": (as_link, "a link"),
    "a compressed file": (lambda m: compressed(m, -1 + len(m)), "is compressed"),
    "a compressed manifest": (lambda m: compressed(m, 0), "is compressed"),
    "other bytes": (lambda m: [*m[:-1], (m[-1][0], bytes(len(m[-1][1])))], "its sha256 is not"),
    "fewer bytes": (lambda m: [*m[:-1], (m[-1][0], m[-1][1][:-1])], "of another size than stated"),
    "a digest of another file": (lambda m: changed(m, sha256="0" * 64), "its files are not those"),
    "a digest that is a path": (lambda m: changed(m, sha256="../" * 21 + "x"), "is damaged"),
    "a revision that is a path": (lambda m: changed(m, revision="../../../../evil"), "is damaged"),
    "no revision of a file of the hub": (lambda m: changed(m, revision=""), "without the commit"),
    "a file name that is a path": (lambda m: changed(m, file="../../evil"), "not the file that the catalogue names"),
    "a repository that is a path": (
        lambda m: changed(m, weights="../../evil"),
        "not the file that the catalogue names",
    ),
    "another source": (lambda m: changed(m, source="torchvision"), "not the file that the catalogue names"),
    "a name of no network": (lambda m: changed(m, name="../evil"), "there is no backbone"),
    "a bundled network": (lambda m: changed(m, name=LAST), "not the file that the catalogue names"),
    "a negative size": (lambda m: changed(m, bytes=-1), "is damaged"),
    "a size that is none": (lambda m: changed(m, bytes="5"), "is damaged"),
    "a larger size": (lambda m: changed(m, bytes=10**15), "of another size than stated"),
    "a key too many": (lambda m: changed(m, more=1), "is damaged"),
    "no manifest": (lambda m: m[1:], "it does not begin with weights.json"),
    "no JSON": (manifest_of(b"{"), "is damaged"),
    "nested JSON": (manifest_of(b"[" * 200_000), "is damaged"),
    "a list": (manifest_of(b"[]"), "is damaged"),
    "no files": (manifest_of(b'{"format": 1, "files": []}'), "is damaged"),
    "another format": (manifest_of(b'{"format": 2, "files": []}'), "another version of imgcluster"),
    "a huge manifest": (manifest_of(b" " * (2**20 + 1)), "too large"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_and_nothing_is_placed(packed: Path, tmp_path: Path, case: str) -> None:
    make, words = HOSTILE[case]
    write(packed, make(members_of(packed)))
    with pytest.raises((WeightsError, ConfigError), match=words) as caught:
        use(packed)
    assert str(packed) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "other").exists()
    assert not list(tmp_path.rglob("evil*"))


def test_a_weaker_digest_than_the_catalogues_is_no_excuse(packed: Path, tmp_path: Path) -> None:
    """An archive whose files are as its own manifest says, and not those of the catalogue."""
    members = members_of(packed)
    manifest = json.loads(members[0][1])
    row = next(each for each in manifest["files"] if each["name"] == CNN)
    row.update(sha256=hashlib.sha256(b"evil").hexdigest(), bytes=4)
    manifest["files"] = [row]
    info = zipfile.ZipInfo(f"{FOLDER}/{row['sha256']}")
    write(packed, [(members[0][0], json.dumps(manifest).encode()), (info, b"evil")])
    with pytest.raises(WeightsError, match="not the file that the catalogue names for it"):
        use(packed)
    assert not (tmp_path / "other").exists()


def test_files_that_overlap_are_refused(tmp_path: Path) -> None:
    """One file lies within another, as in archives that unpack to more than a disk; all digests are right."""
    inner_zip, path = tmp_path / "inner.zip", tmp_path / "bomb.zip"
    inner = random.Random(0).randbytes(50_000)
    inner_name = f"{FOLDER}/{hashlib.sha256(inner).hexdigest()}"
    write(inner_zip, [(zipfile.ZipInfo(inner_name), inner)])
    data = inner_zip.read_bytes()
    start = data.index(b"PK\x01\x02")
    whole, entry = data[:start], bytearray(data[start : data.index(b"PK\x05\x06")])
    outer_name = f"{FOLDER}/{hashlib.sha256(whole).hexdigest()}"
    files = [
        PackedFile(row.name, row.source, row.weights, row.file, "0" * 40, name.rpartition("/")[2], len(content), "MIT")
        for row, name, content in (
            (find_backbone("timm:test_vit"), outer_name, whole),
            (find_backbone("timm:test_resnet"), inner_name, inner),
        )
    ]
    manifest = json.dumps({"format": 1, "files": list(map(asdict, files))}).encode()
    write(path, [(zipfile.ZipInfo(MANIFEST), manifest), (zipfile.ZipInfo(outer_name), whole)])
    data = path.read_bytes()
    directory, end = data.index(b"PK\x01\x02", len(data) - 400), data.index(b"PK\x05\x06", len(data) - 400)
    struct.pack_into("<I", entry, 42, data.index(whole))  # where its header is
    tail = bytearray(data[end:])
    struct.pack_into("<HHI", tail, 8, 3, 3, end - directory + len(entry))
    path.write_bytes(data[:end] + entry + tail)
    with pytest.raises(WeightsError, match=r"its files are larger than itself|damaged.*; nothing was placed"):
        use(path)


@pytest.mark.parametrize("seed", range(12))
def test_damaged_bytes_are_refused_or_change_nothing(packed: Path, tmp_path: Path, seed: int) -> None:
    data, dice = bytearray(packed.read_bytes()), random.Random(seed)
    if seed % 3 == 0:
        data = data[: dice.randrange(len(data))]
    else:
        start = 0 if seed % 3 == 1 else len(data) - 2000
        for _ in range(20):
            data[start + dice.randrange(2000)] ^= 1 << dice.randrange(8)
    packed.write_bytes(bytes(data))
    try:
        use(packed)
    except (WeightsError, ConfigError):
        assert not (tmp_path / "other").exists()
    else:
        assert {row.name for row in list_weights(check=True) if row.state == "checked"} >= {*NAMES}


@pytest.mark.parametrize(
    ("data", "words"), [(b"", "no archive of weights"), (b"hello", "no archive of weights"), (None, "No such file")]
)
def test_a_file_that_is_no_archive(tmp_path: Path, data: bytes | None, words: str) -> None:
    path = tmp_path / "a.zip"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(WeightsError, match=words):
        use(path)


# ---- disks and interrupts


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_is_named_and_leaves_no_part(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    written = archives._copy
    backbone = find_backbone(name).name.partition("@")[0]

    def full(source: Any, target: Any, each: Any, *rest: Any) -> None:
        if target is not None and each.name == backbone:
            target.write(source.read(1000))
            raise OSError(errno.ENOSPC, "No space left on device")
        written(source, target, each, *rest)

    monkeypatch.setattr(archives, "_copy", full)
    with pytest.raises(OutputError, match=f"weights of {backbone} cannot be placed: No space left on device"):
        use(packed)
    assert not [path for path in files_below(tmp_path) if path.endswith(".tmp")]


def test_a_full_disk_leaves_no_archive(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(packed)

    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archives, "_copy", full)
    with pytest.raises(OutputError, match=r"new\.zip' cannot be written: No space left on device"):
        pack_weights(tmp_path / "new.zip", [CNN], show=False)
    assert not list(tmp_path.glob("new.zip*"))


def test_a_cache_that_cannot_be_written(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *args: Any, **kwargs: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError, match=r"cannot be placed: Read-only file system \(.*other.*\)"):
        use(packed)


def test_a_cache_that_is_a_file(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("no folder")
    with pytest.raises(OutputError, match="cannot be placed: Not a directory"):
        use(packed)


@pytest.mark.parametrize("at", range(6))
def test_an_interrupt_leaves_whole_files_and_no_part(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    written, calls = archives._copy, iter(range(100))

    def interrupt(source: Any, target: Any, *rest: Any) -> None:
        if next(calls) == at:
            if target is not None:
                target.write(source.read(1000))
            raise KeyboardInterrupt
        written(source, target, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(archives, "_copy", interrupt)
        if at < 4:  # two files are checked, then two are placed
            with pytest.raises(KeyboardInterrupt):
                use(packed)
        else:
            use(packed)
    assert not [path for path in files_below(tmp_path) if path.endswith(".tmp")]
    assert all(row.state in ("checked", "missing") for row in list_weights(check=True))
    use(packed)
    assert {row.name for row in list_weights(check=True) if row.state == "checked"} >= {*NAMES}


def test_packing_is_interrupted_without_a_trace(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(packed)

    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(archives, "_copy", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pack_weights(tmp_path / "new.zip", [CNN], show=False)
    assert not list(tmp_path.glob("new.zip*"))
