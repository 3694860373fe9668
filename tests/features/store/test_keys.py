"""Keys of images that an optional package decodes: its version is part of them, and of no others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcluster.features.store.keys import known_keys, read_with_key
from imgcluster.images import extras
from imgcluster.images.sources.base import RemoteFile
from imgcluster.types import ImagePath, Stamp

NAMES = ("a.jpg", "b.heic", "c.DNG", "d.jxl", "e.dcm", "f.tif", "g")


@pytest.fixture
def upgraded(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Have every package at another version."""
    extras._decoder.cache_clear()
    yield monkeypatch
    extras._decoder.cache_clear()


def changed(paths: list[ImagePath], upgraded: pytest.MonkeyPatch) -> list[str]:
    """The images whose keys are others after an upgrade, by their stamp and by their digest alike."""
    before = known_keys(paths), [read_with_key(path)[1] for path in paths if isinstance(path, Path)]
    upgraded.setattr(extras, "installed", lambda package: "999.0")
    extras._decoder.cache_clear()
    after = known_keys(paths), [read_with_key(path)[1] for path in paths if isinstance(path, Path)]
    assert before[0] == known_keys(paths) or before[0] != after[0]
    stamps = [str(path) for path, old, new in zip(paths, before[0], after[0], strict=True) if old != new]
    digests = [old.path for old, new in zip(before[1], after[1], strict=True) if old.digest != new.digest]
    assert not digests or digests == stamps
    return stamps


@pytest.mark.parametrize("extra", extras.EXTRAS, ids=lambda extra: extra.kinds[0])
def test_another_version_of_a_decoder_makes_other_keys_of_its_files_alone(
    extra: extras.Extra, tmp_path: Path, upgraded: pytest.MonkeyPatch
) -> None:
    if extra.module is None:
        pytest.skip(f"needs {extra.modules[0]}")
    paths: list[ImagePath] = [tmp_path / name for name in NAMES]
    for path in paths:
        assert isinstance(path, Path)
        path.write_bytes(path.name.encode())
    old = extras.installed
    found = changed(paths, upgraded)
    assert {Path(path).name for path in found} == {"b.heic", "c.DNG", "d.jxl", "e.dcm"}
    only = {extra.module, *extra.also}
    upgraded.setattr(extras, "installed", lambda package: "999.1" if package in only else old(package))
    extras._decoder.cache_clear()
    ours = [name for name in NAMES if Path(name).suffix.lower() in extra.endings]
    assert set(ours) <= {Path(path).name for path in found}


def test_images_behind_a_url_and_in_archives_have_it_too(upgraded: pytest.MonkeyPatch) -> None:
    stamp = Stamp("s3://b/x", 1, 2, 3)
    paths: list[ImagePath] = [RemoteFile("s3://b/x.heic", stamp), RemoteFile("s3://b/x.jpg", stamp)]
    assert changed(paths, upgraded) == ["s3://b/x.heic"]
