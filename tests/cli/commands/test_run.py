"""`run`: from a config to its outputs, damaged images, fallbacks, and runs that were killed."""

from __future__ import annotations

import csv
import os
import random
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from imgcluster.cli.main import main
from tests import ROOT
from tests.conftest import Command, Start, write_pictures
from tests.support.slow_run import shards, slow_config, stored, wait_for_shards


def test_a_run_from_start_to_end(tmp_path: Path, config_file: Path, command: Command) -> None:
    result = command("run", config_file)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "images    12: 12 computed, 0 from the store, 0 failed"
    assert lines[1] == "backbone  efficientnet_lite0 avgpool, 1280-d, weights imagenet (sha256 57934424…)"
    assert lines[2].startswith("device    cpu, ")
    assert [line.split()[-1] for line in lines if line.startswith("cluster ")] == ["4", "4", "4"]
    assert f"written   {tmp_path / 'out' / 'submission.csv'}" in lines
    progress = [line.partition(",")[0] for line in result.stderr.splitlines()]
    begun = ["preparing efficientnet_lite0: this takes longer the first time", "features: 0/12 images"]
    assert progress[progress.index(begun[0]) :][:2] == begun
    assert "features: 12/12 images" in progress
    again = command("run", config_file, "--quiet")
    assert again.stdout.splitlines()[0] == "images    12: 0 computed, 12 from the store, 0 failed"
    assert again.stderr == ""


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("ImageID,label\n0000,0\n9999,0\n", "row 2: 1 of 2 ids have no file: '9999' (tried"),
        ("ImageID,label\n../../etc/passwd,0\n", "row 1: id '../../etc/passwd' leads outside of images.folder"),
        ("ImageID,label\n0000,0\n/etc/passwd,0\n", "row 2: id '/etc/passwd' leads outside of images.folder"),
        ("ImageID,label\n0000,0\n0001,0\n0000,0\n", "row 3: id '0000' stands already in row 1"),
        ("name,label\n0000,0\n", "has no column 'ImageID' (its columns: 'name', 'label')"),
    ],
    ids=["missing", "outside", "absolute", "duplicate", "no-column"],
)
def test_bad_ids_stop_before_any_work(
    tmp_path: Path, config_file: Path, rows: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "template.csv").write_text(rows)
    assert main(["run", str(config_file), "--set", "images.id_column=ImageID"]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "out").exists()


def test_a_terminal_without_our_letters_is_no_reason_to_fail(config_file: Path, command: Command) -> None:
    result = command("run", config_file, "--quiet", PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert "cluster   0" in result.stdout


def hostile_folder(folder: Path) -> None:
    write_pictures(folder, range(9))
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("no picture at all\n" * 50)
    (folder / "truncated.jpg").write_bytes((folder / "0000.jpg").read_bytes()[:-300])
    cv2.imwrite(str(folder / "truncated.png"), np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8))
    (folder / "truncated.png").write_bytes((folder / "truncated.png").read_bytes()[:-500])
    cv2.imwrite(str(folder / "one.png"), np.zeros((1, 1, 3), np.uint8))
    cv2.imwrite(str(folder / "long.png"), np.full((20, 20_000, 3), 90, np.uint8))
    (folder / "x.jpg").mkdir()
    (folder / "broken.jpg").symlink_to(folder / "gone.jpg")
    (folder / "secret.jpg").write_bytes((folder / "0001.jpg").read_bytes())
    (folder / "secret.jpg").chmod(0)
    os.mkfifo(folder / "pipe.jpg")


@pytest.mark.parametrize("recipe", ["backbone", "stage"])
def test_a_hostile_folder_is_clustered_with_every_file_accounted_for(
    tmp_path: Path, command: Command, recipe: str
) -> None:
    hostile_folder(tmp_path / "hostile")
    config = tmp_path / "c.yaml"
    config.write_text(
        "images: {folder: hostile}\n"
        f"features: {{backbone: efficientnet_lite0, preprocess: {recipe}, store: s}}\n"
        "clusters: {n_clusters: 3}\noutputs: {folder: out}\n"
    )
    result = command("run", config)
    assert result.returncode == 0, result.stderr
    with (tmp_path / "out" / "clusters.csv").open(newline="") as file:
        error_of = {row["id"]: row["error"] for row in csv.DictReader(file)}
    assert error_of.pop("secret.jpg") in ("", "no permission to read it")  # root may read everything
    assert {name: error for name, error in error_of.items() if error} == {
        "broken.jpg": "broken link",
        "empty.jpg": "the file is empty",
        "pipe.jpg": "is not a regular file",
        "text.jpg": "a text file, not an image",
        "truncated.jpg": "truncated JPEG",
        "truncated.png": "truncated PNG",
        "x.jpg": "is a folder",
    }
    assert {"one.png", "long.png", *(f"{number:04d}.jpg" for number in range(9))} <= set(error_of)
    assert "  failed  broken.jpg: broken link" in result.stdout
    assert "other reasons, see clusters.csv" in result.stdout
    # Nothing of what the libraries below would say of the damaged ones.
    progress = ("preparing ", "features: ", "clustering: ", "thumbnails: ")
    assert all(line.startswith(progress) for line in result.stderr.splitlines()), result.stderr


def test_the_fallback_cannot_be_overlooked(tmp_path: Path, config_file: Path, command: Command) -> None:
    named = ("--set", "features.backbone=vgg16", "--set", "features.fallback=efficientnet_lite0")
    result = command("run", config_file, "--quiet", *named)
    assert result.returncode == 0
    assert "FALLBACK: vgg16 weights are not available; using efficientnet_lite0" in result.stderr
    assert "FALLBACK  used efficientnet_lite0 instead of vgg16 (weights not available)" in result.stdout
    assert '"wanted": "vgg16"' in (tmp_path / "out" / "run.json").read_text()


def test_without_a_fallback_the_run_stops(tmp_path: Path, config_file: Path, command: Command) -> None:
    result = command("run", config_file, "--set", "features.backbone=vgg16", "--set", "features.fallback=null")
    assert (result.returncode, result.stdout) == (1, "")
    assert "vgg16-397923af.pth" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "out" / "submission.csv").exists()


@pytest.mark.parametrize("backbone", ["vgg16", "resnet50", "[efficientnet_lite0, resnet50]"])
def test_a_backbone_asked_for_by_name_has_no_fallback(
    tmp_path: Path, config_file: Path, command: Command, backbone: str
) -> None:
    for name in ("run", "extract", "sweep"):
        result = command(name, config_file, "--quiet", "--set", f"features.backbone={backbone}")
        assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
        assert "no ImageNet weights for " in result.stderr
        assert result.stderr.endswith("; or use efficientnet_lite0 instead: features.fallback: efficientnet_lite0\n")
    assert not (tmp_path / "out" / "submission.csv").exists()


def test_the_default_backbone_has_a_fallback(config_file: Path, command: Command) -> None:
    config_file.write_text(config_file.read_text().replace("backbone: efficientnet_lite0, ", ""))
    result = command("run", config_file, "--quiet")
    assert result.returncode == 0, result.stderr
    assert "FALLBACK  used efficientnet_lite0 instead of vgg16 (weights not available)" in result.stdout


@pytest.mark.slow
def test_killed_runs_go_on_to_the_undisturbed_bytes(tmp_path: Path, command: Command, start: Start) -> None:
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    assert command("run", slow_config(undisturbed), cwd=undisturbed).returncode == 0
    config = slow_config(tmp_path)
    generator = random.Random(5)
    ends = []
    for attempt in range(10):
        before = stored(tmp_path / "store")
        process = start("run", config)
        # Four in the middle of extraction; the others anywhere from the start to the writing of the outputs.
        if attempt < 4:
            wait_for_shards(process, tmp_path / "store", shards(tmp_path / "store") + 1)
            time.sleep(generator.random() * 0.05)
        else:
            time.sleep(generator.random() * 4)
        process.kill()
        ends.append(process.wait())
        assert stored(tmp_path / "store") >= before, f"attempt {attempt} lost finished rows"
    assert ends[:4] == [-signal.SIGKILL] * 4
    kept = stored(tmp_path / "store")
    result = command("run", config)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0] == f"images    60: {60 - kept} computed, {kept} from the store, 0 failed"
    assert kept >= 4
    for name in ("submission.csv", "clusters.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (undisturbed / "out" / name).read_bytes()
    left = [path.name for folder in (tmp_path / "out", tmp_path / "store") for path in folder.rglob("*.tmp")]
    assert left == []


def test_the_shipped_stage_config_runs_offline(tmp_path: Path, command: Command) -> None:
    result = command(
        "run", "configs/stage.yaml", "--set", f"features.store={tmp_path / 's'}",
        "--set", f"outputs.folder={tmp_path / 'stage'}", cwd=ROOT,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "FALLBACK" in result.stderr
    assert result.stdout.splitlines()[0] == "images    160: 160 computed, 0 from the store, 0 failed"
    template = (ROOT / "data/stage/sample_submission.csv").read_text().splitlines()
    submission = (tmp_path / "stage" / "submission.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in submission] == [line.split(",")[0] for line in template]
    assert {line.split(",")[1] for line in submission[1:]} == set("01234")
