"""`init`: the first config of a folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from imgcluster import check, load_config
from imgcluster.cli.init.config import write_first_config
from imgcluster.errors import ConfigError, ImageError
from tests import ROOT
from tests.conftest import Command, write_picture, write_template
from tests.support.videos import encoded, grey


def test_init_writes_a_config_that_runs(command: Command, tmp_path: Path, pictures: Path) -> None:
    rows = "".join(f"{number:04d},{1 + number % 3}\n" for number in range(12))
    (tmp_path / "sample.csv").write_text(f"ImageID,label\n{rows}")
    done = command("init", pictures, "--ids", tmp_path / "sample.csv", "--out", tmp_path / "mine.yaml")
    assert done.returncode == 0, done.stderr
    assert "images    12: from 48 x 40 to 48 x 40 pixels" in done.stdout
    config = load_config(tmp_path / "mine.yaml")
    assert (config.images.file, config.images.id_column, config.clusters.n_clusters) == ("{id}.jpg", "ImageID", 3)
    assert (config.outputs.label_column, config.outputs.label_offset) == ("label", 1)
    text = (tmp_path / "mine.yaml").read_text()
    assert text.startswith(f"# python -m imgcluster run {tmp_path / 'mine.yaml'}\n# images    12: from ")
    run_it = command("run", tmp_path / "mine.yaml", "--quiet", "--set", "features.backbone=efficientnet_lite0")
    assert run_it.returncode == 0, run_it.stderr
    labels = pd.read_csv(tmp_path / "outputs/mine/submission.csv")["label"]
    assert sorted(labels.unique()) == [1, 2, 3]
    again = command("init", pictures, "--out", tmp_path / "mine.yaml")
    assert (again.returncode, "overwrite it with --force" in again.stderr) == (1, True)


def test_a_folder_without_ids_gets_the_backbones_of_the_shipped_config(pictures: Path, tmp_path: Path) -> None:
    write_first_config(pictures, None, tmp_path / "folder.yaml")
    (tmp_path / "ids.csv").write_text("ImageID,label\n0000,1\n0001,2\n")
    write_first_config(pictures, tmp_path / "ids.csv", tmp_path / "ids.yaml")
    folder, ids = (load_config(tmp_path / name).features for name in ("folder.yaml", "ids.yaml"))
    shipped = load_config(ROOT / "configs/folder.yaml").features
    assert (folder.backbone, folder.views, folder.fallback) == (shipped.backbone, shipped.views, shipped.fallback)
    assert (ids.backbone, ids.fallback) == ("vgg16", "efficientnet_lite0")


@pytest.mark.parametrize(
    ("names", "ids", "pattern"),
    [
        (["a/1.png", "a/2.png"], ["1", "2"], "a/{id}.png"),
        (["x.jpg", "y.jpg"], ["x.jpg", "y.jpg"], "{id}"),
        (["img_7.png", "img_8.png"], ["img_7", "img_8"], "{id}.png"),
        (["a/x.png", "a/y.png"], ["a/x.png", "a/y.png"], "{id}"),
        (["a{b}/1.png", "a{b}/2.png"], ["1", "2"], "a{b}/{id}.png"),
    ],
)
def test_init_finds_how_ids_become_files(tmp_path: Path, names: list[str], ids: list[str], pattern: str) -> None:
    for name in names:
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "ids.csv").write_text("name\n" + "\n".join(ids) + "\n")
    write_first_config(tmp_path / "pictures", tmp_path / "ids.csv", tmp_path / "c.yaml")
    config = yaml.safe_load((tmp_path / "c.yaml").read_text())
    assert config["images"]["file"] == pattern
    assert config["clusters"]["n_clusters"] == "auto"


@pytest.mark.parametrize(
    ("header", "cells", "wanted"),
    [
        ("note,label", ["x,1", "x,2", "x,1", "x,2"], ("label", 1, 2)),
        ("Target,note", ["0,x", "1,x", "0,x", "1,x"], ("Target", 0, 2)),
        ("kind", ["2", "3", "2", "3"], ("kind", 0, 2)),
        ("label", ["sea", "1", "sea", "1"], ("label", 0, 2)),
        ("label", ["1", "1", "1", "1"], ("label", 1, "auto")),  # labels begin there
        ("label", ["1", "2", "3", "1"], ("label", 1, "auto")),  # too few rows to show all of them
    ],
)
def test_init_looks_at_the_labels(
    tmp_path: Path, pictures: Path, header: str, cells: list[str], wanted: tuple[str, int, int | str]
) -> None:
    rows = "".join(f"{number:04d},{cell}\n" for number, cell in enumerate(cells))
    (tmp_path / "ids.csv").write_text(f"id,{header}\n{rows}")
    write_first_config(pictures, tmp_path / "ids.csv", tmp_path / "c.yaml")
    config = load_config(tmp_path / "c.yaml")
    assert (config.outputs.label_column, config.outputs.label_offset, config.clusters.n_clusters) == wanted


def test_init_tells_the_smallest_and_the_largest_size(tmp_path: Path) -> None:
    for name, (width, height) in {"a": (30, 60), "b": (20, 80), "c": (50, 70)}.items():
        (tmp_path / "pictures").mkdir(exist_ok=True)
        write_picture(tmp_path / "pictures" / f"{name}.png", np.zeros((height, width, 3), np.uint8))
    words = write_first_config(tmp_path / "pictures", None, tmp_path / "c.yaml")
    assert words[0] == "images    3: from 20 x 60 to 50 x 80 pixels"


def test_init_writes_a_config_where_a_few_files_are_missing(tmp_path: Path, pictures: Path) -> None:
    (pictures / "0004.jpg").unlink()
    write_template(tmp_path / "ids.csv", range(12))
    said = write_first_config(pictures, tmp_path / "ids.csv", tmp_path / "c.yaml")
    (note,) = [line for line in said if "have no file" in line]
    assert note.startswith("note: 1 of 12 ids have no file, the first '0004'; the config has images.missing: skip, ")
    config = load_config(tmp_path / "c.yaml")
    assert config.images.missing == "skip"
    assert len(check(config)) == 12


def test_init_tells_ids_without_files(tmp_path: Path, pictures: Path) -> None:
    (tmp_path / "ids.csv").write_text("name\nnobody\n")
    with pytest.raises(ConfigError, match=r"no image below .* is called 'nobody'$"):
        write_first_config(pictures, tmp_path / "ids.csv", tmp_path / "c.yaml")
    assert not (tmp_path / "c.yaml").exists()


def test_init_takes_a_frame_of_videos_each_second(tmp_path: Path) -> None:
    folder, out = tmp_path / "films", tmp_path / "films.yaml"
    folder.mkdir()
    for name in ("a.mp4", "b.mkv"):
        encoded(folder / name, [grey(number) for number in range(5)], times=[0, 500, 1000, 1500, 2000])
    assert write_first_config(folder, None, out)[0] == "images    6: from 64 x 48 to 64 x 48 pixels"
    assert "  video: {every: 1 s}  # one frame per second of 2 videos; " in out.read_text(encoding="utf-8")
    video = load_config(out).images.video
    assert video is not None
    assert video.every == "1 s"


def test_init_asks_for_no_frames_where_no_video_can_be_read(tmp_path: Path) -> None:
    folder, out = tmp_path / "films", tmp_path / "films.yaml"
    folder.mkdir()
    (folder / "b.mkv").write_bytes(b"no video")
    with pytest.raises(ImageError, match="no image below"):
        write_first_config(folder, None, out)
    write_picture(folder / "a.png", grey(1))
    assert any("skipped 1 video" in line for line in write_first_config(folder, None, out))
    assert load_config(out).images.video is None


ODD_NAMES = ("q\nimages: {folder: evil}\n#", "it's\\a\t\x85\x7f b", "é#: \u2028x😀")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_with_line_breaks_stays_a_name(command: Command, tmp_path: Path, pictures: Path, name: str) -> None:
    """In the configs of `init` and of `imgcluster FOLDER`, and in the commands to go on with."""
    folder, config, run = pictures.rename(tmp_path / f"in {name}"), f"{name}.yaml", f"outputs/{name}"
    (tmp_path / "ids.csv").write_text(f'id,"{name}"\n' + "".join(f"{number:04d},1\n" for number in range(12)))
    done = command("init", folder, "--ids", "ids.csv", "--out", config)
    assert done.returncode == 0, done.stderr
    first = load_config(tmp_path / config)
    assert (first.images.folder, first.outputs.folder) == (str(folder), run)
    done = command(folder, "-k", "3", "--backbone", "hog", "--out", run, "--quiet", "--set", "outputs.report=false")
    assert done.returncode == 0, done.stderr
    written = load_config(tmp_path / run / "config.yaml")
    assert (written.images.folder, written.outputs.folder) == (str(folder), run)
    assert not [line for line in done.stdout.splitlines() if line.startswith(("images: ", "#"))]
    hint = done.stdout.splitlines()[-3].removeprefix("  python -m imgcluster ")
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {hint}"], capture_output=True, check=True).stdout
    assert words.decode().split("\0")[:2] == ["show", run]
