"""Measures in the store: every engine and every kind of place gives the same ones, and a kill loses none."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgcluster.config import AS_SHOWN, Reading
from imgcluster.config.loader import FeaturesConfig, ImagesConfig
from imgcluster.features import extract_features, measured_images, measuring
from imgcluster.features.store.measures import as_measured, as_vectors, measures_shape, stored_measures
from imgcluster.features.store.store import store_name
from imgcluster.images import MEASURED, list_images, walk_images

NAMES = ("width", "height", "bytes", "format", "information", "signature")


def extracted(images: Any, store: Path, **keys: object) -> np.ndarray:
    config = FeaturesConfig(backbone="efficientnet_lite0", batch_size=4, store=str(store), **keys)  # type: ignore[arg-type]
    found = extract_features(images, config, show=False)
    assert found.stamps is not None
    records, known = stored_measures(store, AS_SHOWN, found.stamps, NAMES)
    assert known.all()
    return records


def test_what_is_measured_later_is_what_is_measured_on_the_way(tmp_path: Path, pictures: Path) -> None:
    images = walk_images(pictures)
    on_the_way = extracted(images, tmp_path / "s")
    later = measured_images(images, tmp_path / "other", AS_SHOWN, columns=NAMES, show=False)
    assert (later.read, later.reasons) == (12, {})
    assert later.records.tobytes() == on_the_way.tobytes()


def test_two_processes_measure_what_one_does(tmp_path: Path, pictures: Path) -> None:
    images = walk_images(pictures)
    one, two = (extracted(images, tmp_path / str(n), device=("cpu",) * n) for n in (1, 2))
    assert one.tobytes() == two.tobytes()
    assert not list((tmp_path / "2").glob(".part-*"))


def test_members_of_an_archive_are_measured(tmp_path: Path, pictures: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(pictures, "p")
    found = extracted(list_images(ImagesConfig(folder=str(tmp_path / "a.tar")))[0], tmp_path / "s")
    assert found.tobytes() == extracted(walk_images(pictures), tmp_path / "other").tobytes()


def test_copies_and_renamed_images_are_found_by_their_bytes(tmp_path: Path, pictures: Path) -> None:
    first = extracted(walk_images(pictures), tmp_path / "s")
    moved = pictures.rename(tmp_path / "moved")
    assert extracted(walk_images(moved), tmp_path / "s").tobytes() == first.tobytes()


def test_what_only_its_bytes_tell_is_read_and_not_measured_again(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = walk_images(pictures)
    first = measured_images(images, tmp_path / "s", AS_SHOWN, columns=NAMES, show=False)
    monkeypatch.setattr(measuring, "known_keys", lambda paths: [None] * len(paths))
    monkeypatch.setattr(measuring, "measure", lambda *given, **about: pytest.fail("measures again"))
    again = measured_images(images, tmp_path / "s", AS_SHOWN, columns=NAMES, show=False)
    assert (again.read, again.records.tobytes()) == (0, first.records.tobytes())


def test_other_choices_of_reading_have_other_measures(tmp_path: Path, pictures: Path) -> None:
    images = walk_images(pictures)
    extracted(images, tmp_path / "s")
    found = measured_images(images, tmp_path / "s", Reading(bands=(1,)), columns=NAMES, show=False)
    assert found.read == 12
    assert measures_shape(Reading(bands=(1,))) != measures_shape(AS_SHOWN)


def test_an_interrupt_keeps_what_was_measured(tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, measured = walk_images(pictures), measuring._measured
    monkeypatch.setattr("imgcluster.features.store.backend.LocalFiles.seconds_between_writes", 0)

    def interrupted(place: measuring._Place, **about: Any) -> measuring._Measured:
        if place.row == 7:
            raise KeyboardInterrupt
        return measured(place, **about)

    with monkeypatch.context() as patch:
        patch.setattr(measuring, "_measured", interrupted)
        with pytest.raises(KeyboardInterrupt):
            measured_images(images, tmp_path / "s", AS_SHOWN, show=False)
    assert measured_images(images, tmp_path / "s", AS_SHOWN, show=False).read == 5


def test_damaged_measures_are_measured_again(tmp_path: Path, pictures: Path) -> None:
    images = walk_images(pictures)
    first = extracted(images, tmp_path / "s")
    (path,) = (tmp_path / "s" / store_name(measures_shape(AS_SHOWN))).glob("vectors-*.npy")
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    again = measured_images(images, tmp_path / "s", AS_SHOWN, columns=NAMES, show=False)
    assert again.read > 0
    assert again.records.tobytes() == first.tobytes()


def test_images_that_cannot_be_read_have_reasons(tmp_path: Path, pictures: Path) -> None:
    (pictures / "0003.jpg").write_bytes(b"no image")
    found = measured_images(walk_images(pictures), tmp_path / "s", AS_SHOWN, show=False)
    assert list(found.reasons) == [3]
    assert found.found.tolist() == [row != 3 for row in range(12)]
    assert found.records["width"].tolist() == [0 if row == 3 else 48 for row in range(12)]


def test_records_survive_as_rows_of_float32() -> None:
    noise = np.random.default_rng(0).integers(0, 255, MEASURED.itemsize * 3).astype(np.uint8)
    records = noise.view(MEASURED)
    assert as_measured(as_vectors([*records])).tobytes() == noise.tobytes()  # whatever NaN the bytes are
