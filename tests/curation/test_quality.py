"""Quality of a run's images: measured while they were read for features, or later and only once."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import imgcluster
from imgcluster.cli.format.quality import quality_lines
from imgcluster.config import AS_SHOWN
from imgcluster.config.loader import load_config
from imgcluster.curation import KINDS, Quality, chosen_kinds, quality_of_run
from imgcluster.curation.quality import NUMBERS
from imgcluster.errors import ConfigError, OutputError
from imgcluster.features import measuring
from imgcluster.features.store.measures import measures_shape
from imgcluster.features.store.store import FeatureStore, store_name
from tests.benchmarks.degrade import KINDS as DEGRADED
from tests.conftest import Command, write_picture, write_pictures
from tests.images.test_measures import photograph
from tests.support.folder_runs import make_run

ODD_NAMES = ["=1+2.png", 'a "b", c.png', "é\n.png", " .png"]


def finished(root: Path, images: dict[str, tuple[str, bytes | None]]) -> Path:
    """Write a run that no network made, by a config that can be read; returns its folder."""
    config = {
        "images": {"folder": str(root / "images")},
        "clusters": {"n_clusters": 1},
        "outputs": {"folder": str(root / "run")},
    }
    return make_run(root, images, config=config)


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of eight pictures, one of each kind degraded and one that failed, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    clean = {f"clean{seed}.png": photograph(120, 160, seed) for seed in range(4)}
    bad = {f"{kind}.png": DEGRADED[kind](photograph(120, 160, 9), 4) for kind in DEGRADED}
    pictures = {**clean, **bad, **{name: photograph(120, 160, 7) for name in ODD_NAMES}}
    (tmp_path / "made").mkdir()
    files: dict[str, tuple[str, bytes | None]] = {"broken.png": ("failed", b"no image")}
    for place, (name, pixels) in enumerate(pictures.items()):
        write_picture(tmp_path / "made" / f"{place}.png", pixels)
        files[name] = ("0", (tmp_path / "made" / f"{place}.png").read_bytes())
    return finished(tmp_path, files)


@pytest.mark.parametrize("kind", DEGRADED)
def test_the_worst_of_a_kind_is_what_was_degraded(photographs: Path, kind: str) -> None:
    found = quality_of_run(photographs, show=False)
    assert found.ids[found.worst(kind, 1)[0]] == f"{kind}.png"
    assert (found.failed, found.read, found.unread) == (1, len(found.ids), 0)
    quantiles = found.quantiles[kind]
    assert np.nanmin(quantiles) == pytest.approx(1 / np.count_nonzero(~np.isnan(quantiles)))
    ordered = [quantiles[row] for row in found.worst(kind, 99)]
    assert ordered == sorted(ordered)


def test_images_are_read_once(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = quality_of_run(photographs, show=False)
    monkeypatch.setattr(measuring, "read_with_key", lambda path: pytest.fail(f"reads {path}"))
    again = quality_of_run(photographs, show=False)
    assert again.read == 0
    assert first.table().columns == again.table().columns
    assert [*first.table().rows()] == [*again.table().rows()]


def test_what_is_gone_is_counted_and_what_moved_is_found_by_its_bytes(photographs: Path) -> None:
    first = quality_of_run(photographs, show=False)
    (photographs.parent / "images" / "clean0.png").unlink()
    again = quality_of_run(photographs, show=False)
    assert (again.read, again.unread) == (0, 1)
    assert np.isnan(again.values["sharpness"]).sum() == 1 + np.isnan(first.values["sharpness"]).sum()
    assert again.table()["sharpness"][again.ids.index("clean0.png")] == ""


def test_bounds_leave_images_out_and_unknown_names_are_refused(photographs: Path) -> None:
    found = quality_of_run(photographs, below={"sharpness": 0.3}, show=False)
    assert [found.ids[row] for row in found.worst("blurred")] == ["blurred.png"]
    assert len(found.worst("dark")) == len(found.ids)
    found = quality_of_run(photographs, above={"aspect": 3.0}, show=False)
    assert [found.ids[row] for row in found.worst("odd_shape")] == ["odd_shape.png"]
    assert chosen_kinds([], {"sharpness"}) == ["blurred"]
    assert chosen_kinds(["dark"], {"sharpness"}) == ["dark"]
    assert chosen_kinds([]) == list(KINDS)
    with pytest.raises(ConfigError, match="no kind has a measure 'sharp'"):
        quality_of_run(photographs, below={"sharp": 1.0})
    with pytest.raises(ConfigError, match="there is no kind 'drk'"):
        chosen_kinds(["drk"])
    with pytest.raises(OutputError):
        quality_of_run(photographs.parent / "nothing")


def test_one_image_and_equal_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "one.png", np.full((1, 1, 3), 5, np.uint8))
    data = (tmp_path / "one.png").read_bytes()
    found = quality_of_run(finished(tmp_path, {"a.png": ("0", data)}), show=False)
    assert found.worst("dark") == [0]
    assert found.worst("blurred") == found.worst("odd_size") == []
    assert np.isnan(found.values["sharpness"][0])
    (tmp_path / "same").mkdir()
    found = quality_of_run(finished(tmp_path / "same", {f"{each}.png": ("0", data) for each in range(3)}), show=False)
    assert found.quantiles["dark"].tolist() == [1, 1, 1]


def test_a_run_of_failed_images_alone_has_no_quality(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = quality_of_run(finished(tmp_path, {"a.png": ("failed", b"x")}), show=False)
    assert (found.ids, found.failed, found.worst("dark")) == ([], 1, [])


def stored(store: Path) -> FeatureStore:
    return FeatureStore.reading(store / store_name(measures_shape(AS_SHOWN)))


def test_a_run_measures_as_it_reads_and_all_backbones_share_it(
    tmp_path: Path, config_file: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imgcluster.run(load_config(config_file), show=False)
    assert len(stored(tmp_path / "store")) == 12
    (shard,) = stored(tmp_path / "store").folder.glob("vectors-*.npy")
    before = shard.read_bytes()
    other = load_config(config_file, ["features.backbone=efficientnet_lite1", f"outputs.folder={tmp_path / 'other'}"])
    imgcluster.run(other, show=False)
    assert shard.read_bytes() == before
    monkeypatch.setattr(measuring, "read_with_key", lambda path: pytest.fail(f"reads {path}"))
    for run in ("out", "other"):
        assert quality_of_run(tmp_path / run, show=False).read == 0
    # New images are measured, old ones are not measured again.
    write_pictures(pictures, range(12, 14))
    images = imgcluster.list_images(load_config(config_file).images)[0]
    assert len(images) == 12


def test_a_store_without_measures_is_filled_by_the_command_and_by_nothing_else(
    tmp_path: Path, config_file: Path, command: Command
) -> None:
    imgcluster.run(load_config(config_file), show=False)
    folder = stored(tmp_path / "store").folder
    for path in [*folder.iterdir()]:
        path.unlink()
    folder.rmdir()
    imgcluster.run(load_config(config_file), show=False)
    assert not folder.exists()  # nothing was read, so nothing was measured
    with (tmp_path / "out" / "images.csv").open(newline="") as file:
        assert {row["sharpness"] for row in csv.DictReader(file)} == {""}
    done = command("quality", str(tmp_path / "out"), "--quiet", "--worst", "1")
    assert done.returncode == 0
    assert "measured  12 images now: their measures were not stored" in done.stdout
    imgcluster.run(load_config(config_file), show=False)
    with (tmp_path / "out" / "images.csv").open(newline="") as file:
        assert "" not in {row["information"] for row in csv.DictReader(file)}


def test_features_are_the_same_where_measures_cannot_be_stored(tmp_path: Path, config_file: Path) -> None:
    config = load_config(config_file)
    (tmp_path / "store").mkdir()
    with FeatureStore(tmp_path / "store", measures_shape(AS_SHOWN)):  # as another run that is at work
        found = imgcluster.run(config, show=False)
    assert len(found.features.images) == 12
    assert quality_of_run(tmp_path / "out", show=False).read == 12


def test_the_command(photographs: Path, command: Command) -> None:
    run = str(photographs)
    done = command("quality", run, "--by", "dark,blurred", "--worst", "2", "--csv", "q.csv", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "images    15; 1 failed"
    assert lines[-1] == "written   q.csv"
    table = lines[lines.index("blurred: blurring it further changes little; 2 of 14") :]
    assert table[1] == "      sharpness  quantile  image"
    assert {line.index(".") for line in table[2:4]} == {10}
    assert sum(line.endswith("%  dark.png") for line in lines) == 1
    with Path("q.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == quality_of_run(run, show=False).ids
    assert set(ODD_NAMES) < {row["id"] for row in rows}
    assert {"sharpness", "blurred_quantile", "format", "aspect"} <= set(rows[0])
    again = command("quality", run, "--csv", "q.csv")
    assert (again.returncode, again.stderr) == (1, "imgcluster: 'q.csv' exists; overwrite it with --force\n")
    found = json.loads(command("quality", run, "--json", "--below", "sharpness:0.3").stdout)
    assert list(found["kinds"]) == ["blurred"]
    assert [each["id"] for each in found["kinds"]["blurred"]["worst"]] == ["blurred.png"]


def test_all_beyond_a_bound_are_listed_unless_a_number_is_asked_for() -> None:
    """Of 29 images below a bound, all; three of them where three are asked for, and how many there are."""
    values = {name: np.linspace(0, 1, 40) for name in NUMBERS}
    sizes = dict.fromkeys(("width", "height"), np.full(40, 64.0))
    ids = [f"{row}.png" for row in range(40)]
    bound = {"sharpness": (0.73, np.inf)}
    found = Quality(ids, ids, {**values, **sizes}, ["PNG"] * 20 + ["JPEG"] * 20, bounds=bound)
    assert len(found.worst("blurred")) == 29
    assert len(found.worst("dark")) == 20
    assert "blurred: blurring it further changes little" in quality_lines(found, ["blurred"], None)
    assert "blurred: blurring it further changes little; 3 of 29" in quality_lines(found, ["blurred"], 3)
    assert found.worst("blocks", 40) == [*range(39, 19, -1)]  # no small PNG


def test_a_run_with_no_image_left_says_where_they_are_looked_for(photographs: Path, command: Command) -> None:
    images = photographs.parent / "images"
    images.rename(photographs.parent / "elsewhere")
    done = command("quality", photographs)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "--images-folder" in done.stderr
    assert command("quality", photographs, "--quiet", "--images-folder", "elsewhere").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--below", "sharpness"], "--below: 'sharpness'; allowed: a measure and a number: sharpness:0.2"),
        (["--above", "x:1"], "no kind has a measure 'x'; there are brightness_high, "),
        (["--by", "drak"], "--by: there is no kind 'drak'; there are dark, bright, "),
        (["--worst", "0"], "--worst: 0; allowed: 1 or more"),
    ],
)
def test_wrong_options_are_refused(photographs: Path, command: Command, arguments: list[str], words: str) -> None:
    done = command("quality", str(photographs), *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(f"imgcluster: {words}")
