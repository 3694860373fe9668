"""The labelled sets of the benchmarks: read from tables, made of unpacked packages, half of them kept aside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.benchmarks.sets.__main__ import MOST_PIXELS, write_set
from tests.benchmarks.sets.sources import by_folder, by_name, by_place
from tests.benchmarks.sets.table import LabelledSet, kept_aside, labelled_sets


def _picture(path: Path, value: int = 0, side: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((side, side), value, np.uint8)).save(path)


def test_the_table_has_twenty_sets_of_six_kinds_with_origin_and_licence_and_keeps_half_aside() -> None:
    sets = labelled_sets()
    assert len(sets) >= 20
    assert len({labelled.kind for labelled in sets}) >= 6
    assert all(labelled.origin and labelled.licence for labelled in sets)
    aside = kept_aside(sets)
    assert len(aside) == len(sets) // 2
    assert kept_aside(sets[::-1]) == aside


def test_classes_come_from_folders_from_names_and_from_places(tmp_path: Path) -> None:
    for place in range(4):
        _picture(tmp_path / f"pack/birds/{place}.png", place)
        _picture(tmp_path / f"pack/fish/{place}-photo.png", 10 + place)
    _picture(tmp_path / "pack/fish/copy-photo.png", 10)
    folders = by_folder("pack", {"b": ["birds"], "f": ["fish"]}, without="copy")(tmp_path)
    assert {name: len(some) for name, some in folders.items()} == {"b": 4, "f": 4}
    names = by_name(["pack"], {"digits": r"\d", "photos": r".*-photo"})(tmp_path)
    assert {name: len(some) for name, some in names.items()} == {"digits": 4, "photos": 4}  # equal contents once
    places = by_place("pack", {"x": [(0, 1), (3, 3)]})(tmp_path)
    assert [path.name for path in places["x"]] == ["0.png", "1.png", "3.png"]


def test_a_set_is_written_in_a_folder_for_each_class_and_a_missing_package_is_named(tmp_path: Path) -> None:
    for place in range(20):
        _picture(tmp_path / f"pack/many/{place:02d}.png", place, MOST_PIXELS + 8 if place == 0 else 8)
    _picture(tmp_path / "pack/few/0.png")
    read = by_folder("pack", {"many": ["many"], "few": ["few"]})
    labelled = LabelledSet("one", "photographs", "Debian pack", "MIT", ["pack"], read, most=5, least=2)
    assert write_set(labelled, tmp_path, tmp_path / "out") == "5 pictures in 1 classes"
    written = sorted((tmp_path / "out/one/many").iterdir())
    assert len(written) == 5
    with Image.open(written[0]) as large:
        assert large.size == (MOST_PIXELS, MOST_PIXELS)
    absent = LabelledSet("two", "photographs", "Debian other", "MIT", ["other"], read)
    assert write_set(absent, tmp_path, tmp_path / "out").startswith("left out: other")
