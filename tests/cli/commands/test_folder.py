"""`imgcluster FOLDER`: a first run without a config."""

from __future__ import annotations

import shlex
import signal
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from imgcluster import load_config
from imgcluster.cli.commands.folder import next_lines
from imgcluster.cli.init.default import default_keys, name_of
from imgcluster.config import parse_yaml
from imgcluster.runs import RunResult
from tests import ROOT
from tests.conftest import Command, Start, write_pictures, write_template
from tests.support.slow_run import wait_for_shards

FAST = ("--backbone", "efficientnet_lite0", "--quiet", "--set", "outputs.report=false")


def test_a_folder_is_clustered_and_its_config_gives_the_same(command: Command, tmp_path: Path, pictures: Path) -> None:
    """From a folder without configs; no file is written but those of the run and its store."""
    done = command("pictures", *FAST)
    assert done.returncode == 0, done.stderr
    planned = "12 images, efficientnet_lite0, number of clusters chosen automatically, into outputs/pictures"
    assert done.stdout.startswith(f"no config: {planned}\n")
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_dir()) == ["outputs", "pictures"]
    config, table = tmp_path / "outputs/pictures/config.yaml", tmp_path / "outputs/pictures/clusters.csv"
    assert pd.read_csv(table)["cluster"].nunique() == 3
    written = table.read_bytes()
    table.unlink()
    again = command("run", "outputs/pictures/config.yaml", "--quiet")
    assert (again.returncode, table.read_bytes()) == (0, written), again.stderr
    assert load_config(config).clusters.method == "auto"
    assert load_config(config).outputs.report is False


def test_the_commands_that_come_next_work(command: Command, tmp_path: Path, pictures: Path) -> None:
    pictures.rename(tmp_path / "my pictures")
    done = command("my pictures", "-k", "3", "--out", "a run", *FAST)
    assert done.returncode == 0, done.stderr
    following = [shlex.split(line, comments=True) for line in done.stdout.partition("\nnext\n")[2].splitlines()]
    assert [words[:4] for words in following] == [
        ["python", "-m", "imgcluster", name] for name in ("show", "export-folders", "run")
    ]
    show, sort, other = (words[3:] for words in following)
    assert command(*show[:-1]).returncode == 0  # without a browser
    assert command(*sort).returncode == 0
    assert len(list((tmp_path / "a run-sorted").glob("*/*.jpg"))) == 12
    assert command(*other).returncode == 0
    assert pd.read_csv(tmp_path / "a run-5/clusters.csv")["cluster"].nunique() == 5


@pytest.mark.parametrize(
    ("record", "number"),
    [
        ({"chosen": {"n_clusters": 10, "runners_up": [11, 13]}}, 13),  # "also good: 13"
        ({"chosen": {"n_clusters": 10, "runners_up": [11]}}, 11),
        ({"chosen": {"n_clusters": 10, "runners_up": []}}, 12),
        ({}, 12),  # the number was given
    ],
)
def test_the_number_to_try_next_is_the_one_named_as_good(record: dict[str, Any], number: int) -> None:
    done = SimpleNamespace(
        record=record,
        config=SimpleNamespace(outputs=SimpleNamespace(folder="outputs/x")),
        clusters=SimpleNamespace(labels=np.arange(10)),
    )
    last = next_lines(cast(RunResult, done), Path("config.yaml"))[-1]
    assert f"--set clusters.n_clusters={number} --set outputs.folder=outputs/x-{number} " in last


def test_what_holds_the_images_may_be_an_archive_or_a_table(command: Command, tmp_path: Path, pictures: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as packed:
        for path in sorted(pictures.iterdir()):
            packed.write(path, path.name)
    relative = [f"pictures/{number:04d}.jpg" for number in range(10)]
    (tmp_path / "ten.csv").write_text("\n".join(["number,path", *(f"{n},{path}" for n, path in enumerate(relative))]))
    (tmp_path / "nine.csv").write_text("\n".join(["path", *(str(tmp_path / path) for path in relative[:9])]))
    for name, count in (("some.zip", 12), ("ten.csv", 10), ("nine.csv", 9)):
        done = command(name, "-k", "3", *FAST)
        assert done.returncode == 0, done.stderr
        rows = pd.read_csv(tmp_path / "outputs" / Path(name).stem / "clusters.csv")
        assert (len(rows), set(rows["status"])) == (count, {"ok"})
    (tmp_path / "none.csv").write_text("path\nnowhere.jpg\n")
    done = command("none.csv")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "no column has paths of files" in done.stderr


def test_a_sample_submission_says_how_many_clusters_and_is_filled(
    command: Command, tmp_path: Path, pictures: Path
) -> None:
    rows = "".join(f"{number:04d},{1 + number % 3}\n" for number in range(12))
    (tmp_path / "sample.csv").write_text(f"ImageID,label\n{rows}")
    done = command("pictures", "--ids", "sample.csv", *FAST)
    assert done.returncode == 0, done.stderr
    labels = pd.read_csv(tmp_path / "outputs/pictures/submission.csv")["label"]
    assert sorted(labels.unique()) == [1, 2, 3]
    (tmp_path / "words.csv").write_text("id,label\n" + "".join(f"{n:04d},{'ab'[n % 2]}\n" for n in range(12)))
    done = command("pictures", "--ids", "words.csv", "--out", "words", *FAST)
    assert done.returncode == 0, done.stderr
    assert "note: no submission: " in done.stdout
    assert "imgcluster init pictures --ids words.csv" in done.stdout


def test_set_wins_and_an_existing_run_is_kept(command: Command, tmp_path: Path, pictures: Path) -> None:
    done = command("pictures", "-k", "4", *FAST, "--set", "clusters.n_clusters=2", "--set", "clusters.method=kmeans")
    assert done.returncode == 0, done.stderr
    config = (tmp_path / "outputs/pictures/config.yaml").read_bytes()
    assert load_config(tmp_path / "outputs/pictures/config.yaml").clusters.n_clusters == 2
    other = command("pictures", "-k", "3", *FAST)
    assert (other.returncode, other.stderr.count("\n")) == (1, 1)
    assert "holds the run of another config" in other.stderr
    assert (tmp_path / "outputs/pictures/config.yaml").read_bytes() == config
    assert command("pictures", "-k", "3", *FAST, "--force").returncode == 0
    assert load_config(tmp_path / "outputs/pictures/config.yaml").clusters.n_clusters == 3
    wrong = command("pictures", "-k", "many")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)
    assert "clusters.n_clusters" in wrong.stderr


def test_names_of_commands_and_of_folders_are_told_apart(command: Command, tmp_path: Path, pictures: Path) -> None:
    pictures.rename(tmp_path / "run")
    done = command("./run", "-k", "3", *FAST)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "outputs/run/clusters.csv").exists()
    for word, meant in (
        ("rnu", "there is no command 'rnu' and no such folder; did you mean: imgcluster run"),
        ("outputz", "there is no command 'outputz' and no such folder; did you mean: imgcluster outputs"),
        ("run/0001.jpg", "there is no command 'run/0001.jpg'; did you mean: imgcluster run"),
    ):
        wrong = command(word)
        assert (wrong.returncode, wrong.stderr.splitlines()[-1]) == (2, f"imgcluster: error: {meant}")
    (tmp_path / "sampel").mkdir()  # nearly a command, and without an image
    assert "did you mean: imgcluster sample" in command("sampel").stderr
    (tmp_path / "holiday").mkdir()
    empty = command("holiday")
    assert (empty.returncode, empty.stderr.count("\n")) == (1, 1)


def test_help_names_it_first(command: Command) -> None:
    help = command("--help").stdout
    commands = help.partition("COMMAND\n")[2]
    assert commands.split()[0] == "FOLDER"
    own = command("FOLDER", "--help")
    assert own.returncode == 0
    assert own.stdout.startswith("usage: imgcluster [-h]")
    assert "-k N" in own.stdout
    assert "invalid choice" not in command("FOLDER", "-k", "3").stderr


def test_one_image_fails_as_a_run_does(command: Command, tmp_path: Path) -> None:
    write_pictures(tmp_path / "one", range(1))
    done = command("one", *FAST)
    write_template(tmp_path / "t.csv", range(1))
    (tmp_path / "c.yaml").write_text(
        "images: {folder: one}\nclusters: {method: auto, n_clusters: auto}\n"
        "features: {backbone: efficientnet_lite0}\noutputs: {folder: x, submission: null}"
    )
    assert done.returncode == command("run", "c.yaml", "--quiet").returncode


def test_ctrl_c_ends_it_and_says_how_to_go_on(start: Start, tmp_path: Path) -> None:
    write_pictures(tmp_path / "many", range(60))
    slow = ("features.views=ten_crops", "features.batch_size=1", "features.store=store")
    running = start("many", *FAST, *(word for item in slow for word in ("--set", item)))
    wait_for_shards(running, tmp_path / "store", 1)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate()
    assert running.wait() == 130
    assert "run the same command again to continue" in err
    assert not (tmp_path / "outputs/many/config.yaml").exists()


def test_the_shipped_default_is_that_of_the_example() -> None:
    """configs/folder.yaml is what people read and change; its number of clusters is that of the sample."""
    example = parse_yaml((ROOT / "configs/folder.yaml").read_text()).value
    default = default_keys()
    assert default["features"] == example["features"]
    assert {**example["clusters"], "n_clusters": "auto"} == default["clusters"]


@pytest.mark.parametrize(
    ("images", "name"),
    [
        ("a/pics/", "pics"),
        ("pics.zip", "pics"),
        ("s3://bucket/day one", "day_one"),
        ("x-{000..009}.tar", "x-_000..009"),
    ],
)
def test_a_run_is_named_after_its_images(images: str, name: str) -> None:
    assert name_of(images) == name


def test_a_folder_with_one_readable_image(command: Command, tmp_path: Path) -> None:
    write_pictures(tmp_path / "few", range(1))
    (tmp_path / "few" / "broken.jpg").write_text("x")
    done = command("few", *FAST)
    assert done.returncode == 0, done.stderr
    assert "note: 1 image: 1 cluster\n" in done.stdout
    assert pd.read_csv(tmp_path / "outputs/few/clusters.csv")["status"].tolist() == ["ok", "failed"]
    more = command("few", "-k", "3", *FAST)
    assert more.stderr.endswith(": 3 clusters need at least as many images; there are 2\n")
    more = command("few", "-k", "2", "--force", *FAST)
    assert more.stderr.endswith(": 2 clusters need at least as many readable images; there is 1\n")
