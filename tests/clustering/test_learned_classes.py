"""Clusters that are the classes of a model: `clusters.method: learned`."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import imgcluster
from imgcluster.cli.format.run import summarize_run
from imgcluster.config.loader import load_config
from imgcluster.errors import ConfigError
from imgcluster.labels.assignment import assign
from imgcluster.labels.learning import learn
from imgcluster.labels.prediction import predict
from imgcluster.learning.classifiers import CLASSIFIERS
from imgcluster.learning.model import Learned
from imgcluster.report import cluster_names
from imgcluster.runs.cluster_names import known_names
from imgcluster.runs.overview import run_overview
from tests import ROOT
from tests.conftest import COLOURS, Command, write_picture, write_pictures

WORDS = ("red, dark", "green", "blue")
NUMBERS = ("7", "0", "3")


def labelled(tmp_path: Path, names: tuple[str, ...]) -> Path:
    path = tmp_path / "known.csv"
    rows = [f'{number:04d},"{names[number % 3]}"' for number in range(9)]
    path.write_text("\n".join(["ImageID,label", *rows]) + "\n")
    return path


def by_model(config_file: Path, model: Path, **outputs: str) -> Path:
    """The same config with the model in the place of a method."""
    text = config_file.read_text()
    text = text.replace("method: kmeans, n_clusters: 3", f"method: learned, parameters: {{model: '{model}'}}")
    extra = "".join(f", {key}: {value}" for key, value in outputs.items())
    path = config_file.with_name("learned.yaml")
    path.write_text(text.replace("report: false", f"report: false{extra}"))
    return path


def test_labels_with_a_point_and_a_zero_are_learned_as_whole_numbers(config_file: Path, tmp_path: Path) -> None:
    model = learn(config_file, labelled(tmp_path, ("9.0", "10.0", "11.0")), out=tmp_path / "m", show=False)
    assert sorted(model.classes) == ["10", "11", "9"]
    run = imgcluster.run(load_config(by_model(config_file, tmp_path / "m")), show=False)
    assert set(run.clusters.labels.tolist()) == {9, 10, 11}


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_clusters_are_what_predict_says(config_file: Path, tmp_path: Path, classifier: str) -> None:
    learn(config_file, labelled(tmp_path, NUMBERS), out=tmp_path / "m", classifier=classifier, show=False)
    run = imgcluster.run(load_config(by_model(config_file, tmp_path / "m")), show=False)
    said = predict(tmp_path / "m", tmp_path / "pictures", show=False)
    assert run.clusters.labels.tolist() == [int(label) for label in said.labels]
    assert run.clusters.sizes.tolist() == [4, 0, 0, 4, 0, 0, 0, 4]
    told = f"learned from 9 labels by {classifier} (features); digest {Learned.load(tmp_path / 'm').digest}"
    assert run.clusters.notes[-1] == f"the clusters are the classes of a model, {told}"
    submission = pd.read_csv(tmp_path / "out" / "submission.csv", dtype=str)
    assert submission["label"].tolist() == said.labels
    write_pictures(tmp_path / "new", range(40, 46))
    placed = assign(tmp_path / "out", tmp_path / "new", show=False).placed
    assert placed.labels.tolist() == [int(NUMBERS[number % 3]) for number in range(40, 46)]


def test_classes_that_are_numbers_are_written_as_they_are(config_file: Path, tmp_path: Path) -> None:
    learn(config_file, labelled(tmp_path, NUMBERS), out=tmp_path / "m", show=False)
    imgcluster.run(load_config(by_model(config_file, tmp_path / "m", label_offset="1")), show=False)
    submission = pd.read_csv(tmp_path / "out" / "submission.csv", dtype=str)
    assert submission["label"].tolist()[:9] == [NUMBERS[number % 3] for number in range(9)]


@pytest.mark.parametrize(
    "table",
    [",photo,label\n1,0000,\n0,0001,\n", "label,id\n,0000\n,0001\n", "no,photo,label\n1,0000.png,\n0,0001.png,\n"],
)
def test_predict_finds_the_ids_of_its_template(config_file: Path, tmp_path: Path, table: str) -> None:
    learn(config_file, labelled(tmp_path, WORDS), out=tmp_path / "m", show=False)
    said = predict(tmp_path / "m", tmp_path / "pictures", show=False)
    (tmp_path / "t.csv").write_text(table)
    filled = said.in_template(tmp_path / "t.csv", "label")
    assert filled["label"].tolist() == said.labels[:2]
    assert filled["label"].nunique() == 2


def test_predict_looks_at_its_template(config_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    learn(config_file, labelled(tmp_path, WORDS), out=tmp_path / "m", show=False)
    said = predict(tmp_path / "m", tmp_path / "pictures", show=False)
    wide = tmp_path / "wide.csv"
    wide.write_text("id,a,b\n" + "".join(f"{number:04d},0.5,0.5\n" for number in range(12)))
    with pytest.raises(ConfigError, match="has 2 columns of labels; `predict` fills one; to fill all, `run` with"):
        said.in_template(wide, "a")
    with pytest.raises(ConfigError, match="has 2 columns of labels; `predict` fills one; to fill all, `run` with"):
        said.in_template(wide)  # no column is named: that is said at once, and no name asked for
    for cell, kind in (("0", "whole numbers"), ("0.0", "numbers"), ("0.5", "numbers")):
        asks = tmp_path / "asks.csv"
        asks.write_text("id,label\n" + "".join(f"{number:04d},{cell}\n" for number in range(12)))
        with pytest.raises(ConfigError, match=f"'label' takes {kind}, such as '{cell}'.*, such as 'blue'; learn"):
            said.in_template(asks)
    asks.write_text("id,label\n" + "".join(f"{number:04d},cat\n" for number in range(12)))
    assert set(said.in_template(asks)["label"]) == set(WORDS)
    assert not caplog.text
    numbers = replace(said, classes=["0", "3", "7"])
    assert set(numbers.in_template(asks)["label"]) == {"0", "3", "7"}
    assert "column 'label' holds words, such as 'cat', and the model's labels are none, such as '0'" in caplog.text


def test_the_recipe_of_the_readme_works_with_a_config_of_init(
    config_file: Path, tmp_path: Path, command: Command
) -> None:
    learn(config_file, labelled(tmp_path, NUMBERS), out=tmp_path / "m", show=False)
    assert command("init", "pictures").returncode == 0
    recipe = (ROOT / "README.md").read_text()
    (line,) = [line for line in recipe.splitlines() if "--set clusters.method=learned" in line]
    words = shlex.split(line.replace("configs/stage.yaml", "pictures.yaml").replace("outputs/model", "m"))
    done = command("check", *words[words.index("run") + 1 : -1])
    assert (done.returncode, done.stderr) == (0, "")
    assert "clusters by learned" in done.stdout


def test_words_are_the_clusters_names(config_file: Path, tmp_path: Path) -> None:
    learn(config_file, labelled(tmp_path, WORDS), out=tmp_path / "m", show=False)
    run = imgcluster.run(load_config(by_model(config_file, tmp_path / "m", layout="names")), show=False)
    assert run.clusters.names == {0: "blue", 1: "green", 2: "red, dark"}
    submission = pd.read_csv(tmp_path / "out" / "submission.csv", dtype=str)
    assert submission["label"].tolist() == [WORDS[number % 3] for number in range(12)]


def named_run(config_file: Path, tmp_path: Path, **outputs: str) -> imgcluster.Run:
    """A run of the model's classes, with its report; the names hold what a page or a terminal must not obey."""
    learn(config_file, labelled(tmp_path, WORDS), out=tmp_path / "m", show=False)
    path = by_model(config_file, tmp_path / "m", **outputs)
    path.write_text(path.read_text().replace("report: false", "report: true, contact_sheets: true"))
    return imgcluster.run(load_config(path), show=False)


def test_the_classes_names_are_shown_everywhere(config_file: Path, tmp_path: Path, command: Command) -> None:
    run = named_run(config_file, tmp_path)
    out = tmp_path / "out"
    lines = summarize_run(run).splitlines()
    assert [line.split("  ")[-1] for line in lines if line.startswith("cluster ")] == ["blue", "green", "red, dark"]
    assert json.loads((out / "run.json").read_text())["names"] == {"0": "blue", "1": "green", "2": "red, dark"}
    table = pd.read_csv(out / "clusters.csv", dtype=str)
    assert table["name"].tolist() == [WORDS[number % 3] for number in range(12)]
    shown = run_overview(out)
    assert [group.name for group in shown.clusters] == ["blue", "green", "red, dark"]
    assert [group.suggested for group in shown.clusters] == [None, None, None]
    assert "33.3%  red, dark" in command("show", "out", COLUMNS="60").stdout
    page = (out / "report" / "index.html").read_text()
    assert "Cluster 2: red, dark" in page
    assert "looks like" not in page
    assert '"names":{"0":"Cluster 0: blue",' in (out / "report" / "data.js").read_text()
    assert {path.name for path in (out / "clusters").glob("*.jpg")} == {
        "00-blue.jpg",
        "01-green.jpg",
        "02-red, dark.jpg",
    }
    html = run._repr_html_()
    assert html is not None
    assert "2 red, dark" in html
    assert command("export-folders", "out", "sorted", "--link").returncode == 0
    assert {path.name for path in (tmp_path / "sorted").glob("0*")} == {"00-blue", "01-green", "02-red, dark"}


def test_what_is_made_of_a_run_has_its_names(config_file: Path, tmp_path: Path, command: Command) -> None:
    named_run(config_file, tmp_path)
    placed = command("assign", "out", "pictures", "--out", "placed.csv")
    assert "cluster   2  4  red, dark" in placed.stdout
    assert pd.read_csv(tmp_path / "placed.csv", dtype=str)["name"].tolist() == [WORDS[n % 3] for n in range(12)]
    assert command("explain", "out", "--images", "0000").returncode == 0
    titles = [each["title"] for each in json.loads((tmp_path / "out/report/explain.json").read_text())["pictures"]]
    assert titles[0] == "what puts 0000 in cluster 2 (red, dark)"
    assert titles[1].endswith(
        (" out of cluster 0 (blue), its second choice", " out of cluster 1 (green), its second choice")
    )
    assert command("suggest", "out", "--out", "ask.csv", "-n", "3").returncode == 0
    assert "typical of cluster 2 (red, dark) (4 images)" in set(pd.read_csv(tmp_path / "ask.csv")["why"])
    assert "there are 0 (blue), 1 (green), 2 (red, dark)" in command("explain", "out", "--cluster", "9").stderr
    least_sure = command("score", "out").stdout.partition("least sure\n")[2].splitlines()
    assert all(
        line.split(": cluster ")[1].startswith(("0 (blue), ", "1 (green), ", "2 (red, dark), ")) for line in least_sure
    )
    assert len(least_sure) == 3
    assert command("stability", "out", "--trials", "2").returncode == 0
    stays = pd.read_csv(tmp_path / "out" / "stability.csv", dtype=str)
    assert dict(zip(stays["cluster"], stays["name"], strict=True)) == {"0": "blue", "1": "green", "2": "red, dark"}


def test_names_go_along_with_the_numbers_of_another_run(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`match:RUN` takes that run's names too; a cluster that is new there has none, and may be guessed at."""
    monkeypatch.setattr(cluster_names, "SURE_SHARE", 0)  # these pictures are of no class
    monkeypatch.setattr(cluster_names, "AGREEING", 0)
    named_run(config_file, tmp_path)
    settings = [f"clusters.numbering=match:{tmp_path / 'out'}", f"outputs.folder={tmp_path / 'matched'}"]
    settings += ["clusters.n_clusters=4", "outputs.report=true"]
    run = imgcluster.run(load_config(config_file, settings), show=False)
    assert run.clusters.sizes.tolist()[3] > 0
    shown = run_overview(tmp_path / "matched")
    assert [group.name for group in shown.clusters] == ["blue", "green", "red, dark", None]
    assert [group.suggested is None for group in shown.clusters] == [True, True, True, False]
    assert known_names(load_config(config_file, [*settings, "outputs.names={1: leaf}"]), {}) == {
        0: "blue",
        1: "leaf",
        2: "red, dark",
    }


def test_a_class_called_by_its_number_adds_no_name(config_file: Path, tmp_path: Path) -> None:
    learn(config_file, labelled(tmp_path, NUMBERS), out=tmp_path / "m", show=False)
    imgcluster.run(load_config(by_model(config_file, tmp_path / "m")), show=False)
    assert json.loads((tmp_path / "out" / "run.json").read_text())["names"] == {}
    assert (
        (tmp_path / "out" / "clusters.csv")
        .read_text()
        .startswith("id,path,cluster,distance,runner_up,runner_up_distance,status,error\n")
    )


@pytest.mark.parametrize("kept", [3, 2])
def test_soft_columns_are_the_models_probabilities(config_file: Path, tmp_path: Path, kept: int) -> None:
    """Of all classes: also of those that no image is in, where only the first two colours are among the images."""
    learn(config_file, labelled(tmp_path, WORDS), out=tmp_path / "m", show=False)
    for number in range(12):
        if number % 3 >= kept:
            write_picture(tmp_path / "pictures" / f"{number:04d}.jpg", np.full((40, 48, 3), COLOURS[0], np.uint8))
    (tmp_path / "template.csv").write_text(
        'ImageID,green,blue,"red, dark"\n' + "".join(f"{n:04d},0,0,0\n" for n in range(12))
    )
    imgcluster.run(load_config(by_model(config_file, tmp_path / "m", layout="soft")), show=False)
    said = predict(tmp_path / "m", tmp_path / "pictures", show=False)
    submission = pd.read_csv(tmp_path / "out" / "submission.csv")
    assert submission.columns.tolist() == ["ImageID", "green", "blue", "red, dark"]
    np.testing.assert_allclose(submission[said.classes].to_numpy(), said.probabilities, atol=1e-5)


@pytest.mark.parametrize(("names", "numbers"), [(WORDS, (2, 1, 0)), (NUMBERS, (7, 0, 3))])
def test_a_class_without_images_keeps_its_number_and_its_column(
    config_file: Path, tmp_path: Path, names: tuple[str, ...], numbers: tuple[int, ...]
) -> None:
    learn(config_file, labelled(tmp_path, names), out=tmp_path / "m", show=False)
    for number in range(1, 12, 3):  # the green ones
        (tmp_path / "pictures" / f"{number:04d}.jpg").unlink()
    text = by_model(config_file, tmp_path / "m", layout="one_hot").read_text()
    (tmp_path / "learned.yaml").write_text(text.replace(f", ids: '{tmp_path / 'template.csv'}'", ""))
    run = imgcluster.run(load_config(tmp_path / "learned.yaml"), show=False)
    assert run.clusters.labels.tolist() == [numbers[0], numbers[2]] * 4
    assert run.clusters.names == dict(sorted(zip(numbers, names, strict=True)))
    submission = pd.read_csv(tmp_path / "out" / "submission.csv", dtype=str)
    assert set(submission.columns[1:]) == set(names)
    assert submission[names[0]].tolist() == ["1", "0"] * 4
    assert submission[names[1]].tolist() == ["0"] * 8
    write_pictures(tmp_path / "new", range(40, 46))
    placed = assign(tmp_path / "out", tmp_path / "new", show=False)
    assert placed.placed.labels.tolist() == [numbers[number % 3] for number in range(40, 46)]
    green = placed.table().iloc[0]  # 40 is green, of which the run had none
    assert (green["cluster"], green["distance"], green["new"]) == (str(numbers[1]), "", "yes")


def test_numbers_that_are_written_in_two_ways_are_names(config_file: Path, tmp_path: Path) -> None:
    learn(config_file, labelled(tmp_path, ("7", "07", "3")), out=tmp_path / "m", show=False)
    run = imgcluster.run(load_config(by_model(config_file, tmp_path / "m", layout="names")), show=False)
    assert run.clusters.names == {0: "07", 1: "3", 2: "7"}
    submission = pd.read_csv(tmp_path / "out" / "submission.csv", dtype=str)
    assert submission["label"].tolist() == ["7", "07", "3"] * 4


@pytest.mark.slow
def test_a_finetuned_network_is_named_where_it_is_needed(config_file: Path, tmp_path: Path, command: Command) -> None:
    done = command(
        "learn", config_file, labelled(tmp_path, WORDS), "--out", "m", "--mode", "finetune", "--epochs", "1",
        "--unfreeze", "_blocks.15",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    refused = command("run", by_model(config_file, tmp_path / "m"))
    assert refused.returncode == 1
    assert "these features are not made as those of the model were" in refused.stderr
    assert "weights: m/backbone.safetensors" in refused.stderr.replace(str(tmp_path / "m"), "m")
    path = by_model(config_file, tmp_path / "m")
    path.write_text(path.read_text().replace("features: {", "features: {weights: m/backbone.safetensors, "))
    done = command("run", path)
    assert done.returncode == 0, done.stderr
    labels = pd.read_csv(tmp_path / "out" / "clusters.csv", dtype=str)["cluster"]
    assert command("predict", "m", "pictures", "--out", "said.csv").returncode == 0
    said = pd.read_csv(tmp_path / "said.csv", dtype=str)["label"]
    assert labels.tolist() == [str(sorted(WORDS).index(word)) for word in said]


def test_features_of_another_layer_are_refused(config_file: Path, tmp_path: Path) -> None:
    learn(config_file, labelled(tmp_path, WORDS), out=tmp_path / "m", show=False)
    path = by_model(config_file, tmp_path / "m")
    path.write_text(path.read_text().replace("features: {", "features: {layer: _blocks.15, "))
    with pytest.raises(ConfigError, match=r"clusters\.parameters: .*features, as it has them: \{backbone: "):
        imgcluster.run(load_config(path), show=False)


@pytest.mark.parametrize(
    ("break_it", "words"), [("none", "is not a model: it has no model.json"), ("damaged", "is damaged")]
)
def test_a_model_that_cannot_be_read_is_told_before_any_work(
    config_file: Path, tmp_path: Path, break_it: str, words: str, command: Command
) -> None:
    (tmp_path / "m").mkdir()
    if break_it == "damaged":
        (tmp_path / "m" / "model.json").write_text("{")
    done = command("run", by_model(config_file, tmp_path / "m"))
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "store").exists()
