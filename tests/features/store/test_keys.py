"""Keys of images that an optional package decodes: its version is part of them, and of no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgcluster.features.store.keys import known_keys, read_with_key
from imgcluster.features.store.shards import ImageKey
from imgcluster.images import extras
from imgcluster.images.sources.base import RemoteFile
from imgcluster.types import ImagePath, Stamp

NAMES = ("a.jpg", "b.heic", "c.DNG", "d.jxl", "e.dcm", "f.tif", "g")


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The versions of packages, "1" where nothing else stands here."""
    found: dict[str, str] = {}
    monkeypatch.setattr(extras, "installed", lambda package: found.get(package, "1"))
    monkeypatch.setattr(extras, "_decoder", extras._decoder.__wrapped__)
    return found


def keys_of(paths: list[ImagePath]) -> list[tuple[ImageKey | None, str]]:
    """The key that each image has before it is read, and the digest in the one that it has then."""
    digests = [read_with_key(path)[1].digest if isinstance(path, Path) else "" for path in paths]
    return list(zip(known_keys(paths), digests, strict=True))


@pytest.mark.parametrize("extra", extras.EXTRAS, ids=lambda extra: extra.kinds[0])
def test_another_version_of_a_decoder_makes_other_keys_of_its_files_alone(
    extra: extras.Extra, tmp_path: Path, versions: dict[str, str]
) -> None:
    if extra.module is None:
        pytest.skip(f"needs {extra.modules[0]}")
    for name in NAMES:
        (tmp_path / name).write_bytes(name.encode())
    paths: list[ImagePath] = [tmp_path / name for name in NAMES]
    before = keys_of(paths)
    versions[extra.module] = "2"
    after = keys_of(paths)
    ours = [
        name
        for name in NAMES
        if Path(name).suffix.lower() in extra.endings or (extra.module == "imagecodecs" and name == "e.dcm")
    ]
    assert [name for name, old, new in zip(NAMES, before, after, strict=True) if old != new] == ours
    assert all(old[0] != new[0] and old[1] != new[1] for old, new in zip(before, after, strict=True) if old != new)


def test_images_behind_a_url_have_it_too(versions: dict[str, str]) -> None:
    stamp = Stamp("s3://b/x", 1, 2, 3)
    paths: list[ImagePath] = [RemoteFile("s3://b/x.heic", stamp), RemoteFile("s3://b/x.jpg", stamp)]
    before = known_keys(paths)
    versions.update(dict.fromkeys(extras.EXTRAS[0].modules, "2"))
    heic, jpeg = known_keys(paths)
    assert (heic != before[0], jpeg != before[1]) == (extras.EXTRAS[0].module is not None, False)


def test_the_first_bytes_tell_of_local_files_without_an_ending(tmp_path: Path, versions: dict[str, str]) -> None:
    dicom = next(extra for extra in extras.EXTRAS if extra.kinds == ("DICOM",))
    if dicom.module is None:
        pytest.skip(f"needs {dicom.modules[0]}")
    (tmp_path / "IM0001").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "IM0002").write_bytes(b"\xff\xd8\xff")
    paths: list[ImagePath] = [tmp_path / "IM0001", tmp_path / "IM0002", tmp_path / "gone"]
    before = known_keys(paths)
    assert [key and key.stamp for key in before[:2]] == [read_with_key(path)[1].stamp for path in paths[:2]]
    versions[dicom.module] = "2"
    after = known_keys(paths)
    assert (before[0] != after[0], before[1:] == after[1:]) == (True, True)
