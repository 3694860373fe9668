"""The samples: what is written, that it is the same every time, and what is refused."""

from __future__ import annotations

import csv
import re
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits

from imgcluster.cli.main import main
from imgcluster.datasets import photos, stage
from imgcluster.datasets.files import Sample, write
from imgcluster.datasets.registry import SAMPLES, write_sample
from imgcluster.errors import ConfigError, ImgclusterError, OutputError
from tests import ROOT

COMMITTED = ROOT / "data" / "stage"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


def committed_frame(number: int) -> np.ndarray:
    return decoded((COMMITTED / "test" / f"{number:04d}.jpg").read_bytes())


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Small enough that neither grain nor JPEG's losses count."""
    return np.asarray(cv2.resize(pixels.astype(np.float32), (64, 64), interpolation=cv2.INTER_AREA))


def small(data: bytes = b"x") -> Sample:
    return Sample([2, 0, 1], iter([data] * 3), ".jpg")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- the folder


def test_layout_and_tables(tmp_path: Path) -> None:
    folder = tmp_path / "Ордер ü" / "new"
    assert write(small(), folder) == 3
    assert (folder / "truth.csv").read_bytes() == b"ImageID,label\n0000,2\n0001,0\n0002,1\n"
    assert (folder / "sample_submission.csv").read_bytes() == b"ImageID,label\n0000,0\n0001,0\n0002,0\n"
    assert sorted(path.name for path in (folder / "test").iterdir()) == ["0000.jpg", "0001.jpg", "0002.jpg"]


def test_same_sample_may_be_written_again(tmp_path: Path) -> None:
    write(small(b"old"), tmp_path)
    write(small(b"new"), tmp_path)
    assert (tmp_path / "test" / "0001.jpg").read_bytes() == b"new"


def test_interrupted_sample_can_be_finished(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zip"):
        write(Sample([2, 0, 1], iter([b"x"]), ".jpg"), tmp_path)
    assert sorted(contents(tmp_path)) == ["test/0000.jpg", "truth.csv.part"]  # which no config takes for a whole one
    assert write(small(), tmp_path) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sample_submission.csv", "test", "truth.csv"]


def test_progress_is_shown_and_can_be_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(SAMPLES, "stage", small)
    assert main(["sample", "stage", str(tmp_path / "shown")]) == 0
    assert [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "sample: 0/3 images",
        "sample: 3/3 images",
    ]
    assert main(["sample", "stage", str(tmp_path / "hidden"), "--quiet"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["notes.txt", "test/0000.jpg", "truth.csv", "truth.csv.part"])
def test_foreign_folder_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / name).write_text("ImageID,label\n0000,9\n")
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="choose an empty or a new folder") as caught:
        write(small(), tmp_path)
    assert "\n" not in str(caught.value)
    assert contents(tmp_path) == before


def test_other_images_unpacked_over_the_sample_are_not_overwritten(tmp_path: Path) -> None:
    write(small(), tmp_path)
    (tmp_path / "test" / "A1B2C.jpg").write_bytes(b"someone's")
    with pytest.raises(OutputError):
        write(small(), tmp_path)


def test_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="choose another folder"):
        write(small(), tmp_path / "taken")


def test_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape("'mars': choose one of stage, digits, photos")):
        write_sample("mars", tmp_path / "new")
    assert not (tmp_path / "new").exists()


# ---- stage


def test_stage_frame_is_deterministic_and_alone() -> None:
    first = stage.encode(stage.render(30))
    stage.render(31)
    assert stage.encode(stage.render(30)) == first


def test_stage_frame_keeps_its_share() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3)).astype(np.uint8)
    plain = stage.render(5)
    assert len(stage.encode(plain)) <= stage.FRAME_BYTES < len(cv2.imencode(".jpg", plain)[1])
    assert decoded(stage.encode(noise)).shape == noise.shape  # nothing fits the share, and still there is a frame


@pytest.mark.parametrize("number", [10, 40, 80, 125, 150])
def test_committed_frame_is_what_the_code_renders(number: int) -> None:
    """Closely, not by the byte: another version of OpenCV may round, and draw text, in another way."""
    rendered = thumbnail(stage.render(number))
    committed, neighbour = (thumbnail(committed_frame(near)) for near in (number, number + 1))
    difference = np.abs(rendered - committed).mean()
    assert difference < 4
    assert difference < np.abs(rendered - neighbour).mean() / 3


def test_committed_tables_are_those_of_the_code() -> None:
    sample = stage.sample()
    assert (COMMITTED / "truth.csv").read_text() == sample.table(sample.labels)
    assert (COMMITTED / "sample_submission.csv").read_text() == sample.table([0] * 160)


def test_committed_stage_is_whole() -> None:
    rows = rows_of(COMMITTED / "truth.csv")
    assert [row["ImageID"] for row in rows] == [f"{number:04d}" for number in range(160)]
    labels = [int(row["label"]) for row in rows]
    assert labels == sorted(labels)
    assert len({labels.count(label) for label in range(5)}) >= 4  # stages of unequal length
    assert {path.name for path in (COMMITTED / "test").iterdir()} == {f"{row['ImageID']}.jpg" for row in rows}


def test_committed_stage_is_small_and_of_one_size() -> None:
    files = list((COMMITTED / "test").glob("*.jpg"))
    assert {decoded(path.read_bytes()).shape for path in files} == {(512, 512, 3)}
    assert sum(path.stat().st_size for path in COMMITTED.rglob("*") if path.is_file()) < 4.5e6


def test_committed_stage_can_be_made_again_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(COMMITTED, tmp_path / "stage")
    monkeypatch.setattr(stage, "render", lambda number: np.full((64, 64, 3), number, np.uint8))
    assert write_sample("stage", tmp_path / "stage") == 160
    assert decoded((tmp_path / "stage" / "test" / "0099.jpg").read_bytes()).shape == (64, 64, 3)


# ---- digits


def test_digits(tmp_path: Path) -> None:
    assert write_sample("digits", tmp_path) == 1797
    truth = rows_of(tmp_path / "truth.csv")
    assert [row["ImageID"] for row in truth] == [row["ImageID"] for row in rows_of(tmp_path / "sample_submission.csv")]
    assert [row["label"] for row in truth[:12]] == list("012345678901")
    assert len(list((tmp_path / "test").iterdir())) == len(truth) == 1797
    zero = cv2.imread(str(tmp_path / "test" / "0000.png"), cv2.IMREAD_UNCHANGED)
    assert zero is not None
    assert zero.shape == (64, 64)
    original = load_digits().images[0] * (255 / 16)
    assert np.corrcoef(cv2.resize(zero, (8, 8), interpolation=cv2.INTER_AREA).ravel(), original.ravel())[0, 1] > 0.98


# ---- photos


def test_photos_are_deterministic_and_varied() -> None:
    first, second = photos.sample(), photos.sample()
    assert first.labels == second.labels
    files = [next(first.pictures) for _ in range(40)]
    assert files == [next(second.pictures) for _ in range(40)]
    assert len(set(files)) == 40
    longer = [max(decoded(data).shape) for data in files]
    assert 250 <= min(longer) < max(longer) <= 401


def test_photos_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "COPIES", 2)
    assert write_sample("photos", tmp_path) == 32
    labels = [int(row["label"]) for row in rows_of(tmp_path / "truth.csv")]
    assert sorted(labels) == sorted([*range(16), *range(16)])
    assert labels != sorted(labels)
    names = {int(row["label"]): row["name"] for row in rows_of(tmp_path / "classes.csv")}
    assert (names[0], names[2], len(names)) == ("china", "astronaut", 16)
    greys = [label for label, name in names.items() if name in ("brick", "camera", "grass", "gravel", "moon", "page")]
    for number, label in enumerate(labels):
        picture = decoded((tmp_path / "test" / f"{number:04d}.jpg").read_bytes())
        assert bool(np.ptp(picture.astype(int), axis=-1).max() <= 2) == (label in greys)


def test_photos_without_scikit_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(ImgclusterError, match=re.escape('pip install "imgcluster[samples]"')):
        write_sample("photos", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_every_sample_has_more_than_one_image_of_each_class() -> None:
    for make in SAMPLES.values():
        labels = make().labels
        assert min(labels.count(label) for label in range(max(labels) + 1)) > 1
