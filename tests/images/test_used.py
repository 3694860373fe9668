"""Which optional packages a run's record names: those that decoded its images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from imgcluster import config_from_dict, run
from imgcluster.config import ImagesConfig
from imgcluster.images.extras import EXTRAS
from imgcluster.images.listing import FolderImages, find_images
from imgcluster.images.sources.endings import ending_of
from imgcluster.images.used import decoders_used
from imgcluster.types import ImageFile
from tests.conftest import write_pictures
from tests.support.extras import without

DICOM_HEAD = bytes(128) + b"DICM"
NAMES = ("a.jpg", "b/c.JPG", "b.d/e", "x.tar.heic", "frame.0001", "f.Tif", "g.", "h.j.k/l.png")


def packages(*names: str, folder: Path, scientific: bool = False) -> list[str]:
    return [*decoders_used(FolderImages(folder, names), scientific=scientific)]


def test_endings_of_a_folder_are_those_of_its_images(tmp_path: Path) -> None:
    for names in (NAMES, NAMES[:2], NAMES[2:3], ("only",), ("b.d/only",)):
        images = FolderImages(tmp_path, names)
        assert images.endings() == {ending_of(str(image.path)) for image in images}
        assert [image.path for image in images] == [tmp_path / name for name in names]


@pytest.mark.parametrize("ending", ["tar", "zip"])
def test_dots_in_the_names_of_folders_are_no_endings(tmp_path: Path, ending: str) -> None:
    assert ending_of("1.2.840/IM1") == ""
    (tmp_path / "in/1.2.840").mkdir(parents=True)
    (tmp_path / "in/1.2.840/IM1").write_bytes(b"\xff\xd8\xff")
    shutil.make_archive(str(tmp_path / "all"), ending, tmp_path / "in")
    listing = find_images(ImagesConfig(folder=str(tmp_path / f"all.{ending}")))
    assert [image.id for image in listing.images] == ["1.2.840/IM1"]


def test_plain_images_need_no_package(tmp_path: Path) -> None:
    assert packages("a.jpg", "b.png", "c.tif", "d.gif", folder=tmp_path) == []


def test_endings_name_the_packages_that_are_installed(tmp_path: Path) -> None:
    modules = {extra.kinds[0]: extra for extra in EXTRAS}
    assert packages("a.heic", folder=tmp_path) == modules["HEIC"].packages
    assert packages("a.dcm", "b.jpg", folder=tmp_path) == sorted(modules["DICOM"].packages)
    assert packages("a.NEF", folder=tmp_path) == modules["Canon raw image"].packages
    with without("pi_heif", "pillow_heif"):
        assert packages("a.heic", folder=tmp_path) == []


def test_lists_of_any_kind_are_looked_through() -> None:
    images = [ImageFile("a", Path("a.jxl")), ImageFile("b", Path("b.jpg"))]
    assert [*decoders_used(images, scientific=False)] == EXTRAS[2].packages


def test_without_an_ending_the_first_bytes_tell(tmp_path: Path) -> None:
    (tmp_path / "IM0001").write_bytes(DICOM_HEAD)
    (tmp_path / "picture").write_bytes(b"\xff\xd8\xff")
    assert packages("picture", "gone", folder=tmp_path) == []
    assert packages("picture", "IM0001", folder=tmp_path) == sorted(EXTRAS[3].packages)


def test_a_run_names_the_packages_of_the_scientific_extra_where_they_were_needed(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason='needs tifffile: pip install "imgcluster[scientific]"')
    pytest.importorskip("imagecodecs", reason='needs imagecodecs: pip install "imgcluster[scientific]"')
    write_pictures(tmp_path / "in", range(3))
    config = config_from_dict(
        {
            "images": {"folder": str(tmp_path / "in")},
            "features": {"backbone": "efficientnet_lite0", "store": str(tmp_path / "store")},
            "clusters": {"n_clusters": 2},
            "outputs": {"folder": str(tmp_path / "out"), "submission": None, "report": False},
        }
    )

    def versions() -> dict[str, str]:
        run(config, show=False, force=True)
        return dict(json.loads((tmp_path / "out/run.json").read_text())["versions"])

    assert "tifffile" not in versions()
    values = np.linspace(0, 1, 32 * 32).reshape(32, 32).astype(np.float16)
    tifffile.imwrite(tmp_path / "in/half.tif", values)
    for _ in range(2):  # the second time, all is in the store
        assert versions()["tifffile"] == tifffile.__version__
