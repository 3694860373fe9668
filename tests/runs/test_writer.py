"""What a run writes: the template's exact shape, tables that agree, a folder of one config, nothing half-written."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import imgcluster
from imgcluster.cli.main import main
from imgcluster.clustering.distances import centroid_distances
from imgcluster.config.as_used import caveat, config_as_used
from imgcluster.config.loader import load_config
from imgcluster.errors import ConfigError, ImageError, OutputError
from imgcluster.features.transforms import apply_transform
from imgcluster.runs import folder as run_folder
from imgcluster.runs.listed import config_of
from imgcluster.runs.reader import read_record
from imgcluster.runs.tables import csv_text

FILES = ["clusterer.npz", "clusters.csv", "images.csv", "run.json", "submission.csv"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run(config_file: Path, *overrides: str, force: bool = False) -> imgcluster.Run:
    return imgcluster.run(load_config(config_file, overrides), force=force, show=False)


def test_submission_has_the_templates_shape(tmp_path: Path, config_file: Path) -> None:
    run(config_file)
    template, submission = tmp_path / "template.csv", tmp_path / "out" / "submission.csv"
    assert submission.read_text().splitlines()[0] == "ImageID,label,note"
    wanted, found = rows(template), rows(submission)
    assert [row["ImageID"] for row in found] == [f"{number:04d}" for number in range(12)]
    assert [row["note"] for row in found] == [row["note"] for row in wanted] == ["a, b"] * 12
    labels = [row["label"] for row in found]
    assert set(labels) == {"0", "1", "2"}
    assert labels == labels[:3] * 4  # red, green, blue


def test_quotes_newlines_and_odd_columns_survive(tmp_path: Path, config_file: Path) -> None:
    (tmp_path / "template.csv").write_text(
        'x,ImageID,label,,x\n"say ""hi""",0000,,é,1\n"two\nlines",0001,,"a,b",2\n,0002,,NA,3\n', encoding="utf-8"
    )
    run(config_file, "images.id_column=ImageID")
    with (tmp_path / "out" / "submission.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.reader(file))
    assert found[0] == ["x", "ImageID", "label", "", "x"]
    assert [[row[0], row[1], row[3], row[4]] for row in found[1:]] == [
        ['say "hi"', "0000", "é", "1"],
        ["two\nlines", "0001", "a,b", "2"],
        ["", "0002", "NA", "3"],
    ]


def test_a_template_of_ids_alone_gets_a_label_column(tmp_path: Path, config_file: Path) -> None:
    (tmp_path / "template.csv").write_text("name\n0001\n0000\n0002\n")
    run(config_file, "outputs.label_column=stage")
    assert [list(row) for row in rows(tmp_path / "out" / "submission.csv")] == [["name", "stage"]] * 3


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("lable", r"has no column 'lable' \(its columns: 'ImageID', 'label', 'note'\)"),
        ("ImageID", "'ImageID' is the column of the ids"),
    ],
)
def test_a_label_column_that_spoils_the_template_is_refused(
    tmp_path: Path, config_file: Path, column: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(config_file, f"outputs.label_column={column}")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "store").exists()


def test_clusters_csv_agrees_with_the_submission_and_the_clusterer(tmp_path: Path, config_file: Path) -> None:
    found = run(config_file, "clusters.transform=[standardize, {pca: 3}]")
    table = rows(tmp_path / "out" / "clusters.csv")
    assert [row["cluster"] for row in table] == [row["label"] for row in rows(tmp_path / "out" / "submission.csv")]
    with np.load(tmp_path / "out" / "clusterer.npz", allow_pickle=False) as arrays:
        state = dict(arrays)
    distances = centroid_distances(apply_transform(found.features.vectors, state), state["centroids"])
    assert [int(row["cluster"]) for row in table] == distances.argmin(1).tolist()
    np.testing.assert_allclose([float(row["distance"]) for row in table], distances.min(1), rtol=1e-5)
    np.testing.assert_allclose(
        [float(row["runner_up_distance"]) for row in table], np.sort(distances, 1)[:, 1], rtol=1e-5
    )
    assert {row["status"] for row in table} == {"ok"}


def test_a_failed_image_keeps_its_row(tmp_path: Path, config_file: Path, pictures: Path) -> None:
    (pictures / "0004.jpg").write_bytes(b"")
    (pictures / "0005.jpg").unlink()
    found = run(config_file, "images.missing=skip", "clusters.numbering=size")
    table = rows(tmp_path / "out" / "clusters.csv")
    assert [(row["id"], row["cluster"], row["error"]) for row in table if row["status"] == "failed"] == [
        ("0004", "", "the file is empty"),
        ("0005", "", "no such file"),
    ]
    submission = rows(tmp_path / "out" / "submission.csv")
    assert [row["label"] for row in submission][4:6] == ["0", "0"]  # the largest cluster
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["counts"] == {"images": 12, "clustered": 10, "failed": 2, "dim": 1280}
    assert [failure["reason"] for failure in record["failures"]] == ["the file is empty", "no such file"]
    assert record["failed_by_reason"] == {"the file is empty": 1, "no such file": 1}
    assert found.clusters.sizes.sum() == 10


def test_run_json_says_what_was_done(tmp_path: Path, config_file: Path) -> None:
    run(config_file)
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["status"] == "done"
    assert record["config"]["clusters"]["n_clusters"] == 3
    features = record["features"][0]
    assert (features["backbone"], features["layer"], features["fallback"]) == ("efficientnet_lite0", "avgpool", None)
    assert features["weights_sha256"].startswith("57934424")
    assert features["computed"] == 12
    assert set(record["seconds"]) == {"images", "features", "clusters"}
    assert record["versions"]["imgcluster"] == imgcluster.__version__
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".lock", *FILES]


def test_the_same_config_writes_the_same_bytes_again(tmp_path: Path, config_file: Path) -> None:
    run(config_file)
    first = {name: (tmp_path / "out" / name).read_bytes() for name in ("submission.csv", "clusters.csv")}
    run(config_file, "features.batch_size=4", "features.device=cpu")
    assert {name: (tmp_path / "out" / name).read_bytes() for name in first} == first


def test_another_configs_run_is_kept_unless_forced(tmp_path: Path, config_file: Path) -> None:
    run(config_file)
    before = (tmp_path / "out" / "submission.csv").read_bytes()
    with pytest.raises(OutputError, match=r"another config \(clusters.n_clusters: 3 there, 2 here\).*force=True"):
        run(config_file, "clusters.n_clusters=2")
    assert (tmp_path / "out" / "submission.csv").read_bytes() == before
    run(config_file, "clusters.n_clusters=2", force=True)
    assert {row["label"] for row in rows(tmp_path / "out" / "submission.csv")} == {"0", "1"}


def test_a_run_of_an_earlier_version_is_of_the_same_config(config_file: Path, tmp_path: Path) -> None:
    run(config_file)
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    for key in ("include", "exclude", "pages", "bands", "range", "color", "video"):
        del record["config"]["images"][key]
    for key in ("rows", "probabilities"):
        del record["config"]["outputs"][key]
    del record["config"]["clusters"]["hierarchy"], record["config"]["features"]["download"]
    (tmp_path / "out" / "run.json").write_text(json.dumps(record))
    run(config_file)


def test_k_means_of_dask_is_another_config(config_file: Path) -> None:
    pytest.importorskip("dask_ml")
    run(config_file, "clusters.backend=auto")
    run(config_file, "clusters.backend=sklearn")
    with pytest.raises(OutputError, match=r"another config \(clusters.backend: sklearn there, dask here\).*force=True"):
        run(config_file, "clusters.backend=dask")
    run(config_file, "clusters.backend=dask", force=True)
    with pytest.raises(OutputError, match=r"another config \(clusters.backend: dask there, auto here\).*force=True"):
        run(config_file)


def test_files_of_somebody_else_are_kept_unless_forced(tmp_path: Path, config_file: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "submission.csv").write_text("precious")
    with pytest.raises(OutputError, match="has a submission\\.csv that no run of imgcluster left there"):
        run(config_file)
    assert (tmp_path / "out" / "submission.csv").read_text() == "precious"
    run(config_file, force=True)
    assert len(rows(tmp_path / "out" / "submission.csv")) == 12


def test_a_submission_that_force_leaves_behind_is_removed(tmp_path: Path, config_file: Path) -> None:
    run(config_file)
    run(config_file, "outputs.submission=null", force=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".lock", *FILES[:4]]


def test_nobody_elses_temporary_files_are_touched(tmp_path: Path, config_file: Path) -> None:
    (tmp_path / "out" / "folder.tmp").mkdir(parents=True)
    (tmp_path / "out" / "notes.tmp").write_text("mine")
    (tmp_path / "out" / "submission.csv.1234.tmp").write_text("of a run that was killed")
    run(config_file)
    left = {path.name for path in (tmp_path / "out").iterdir()} - {".lock", *FILES}
    assert left == {"folder.tmp", "notes.tmp"}


def test_without_a_template_the_ids_are_not_overwritten(config_file: Path) -> None:
    with pytest.raises(ConfigError, match="'id' is the column of the ids"):
        run(config_file, "images.ids=null", "outputs.label_column=id")


def test_a_home_is_found(tmp_path: Path, config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    run(config_file, "outputs.folder=~/at-home")
    assert (tmp_path / "at-home" / "run.json").exists()


@pytest.mark.parametrize("cell", ["a\rb", "a\r\nb", "a\nb", 'a"b', "a,b", " a ", "", "é\u200fx", "=cmd()"])
def test_any_cell_survives_csv(cell: str) -> None:
    frame = pd.DataFrame({"id": ["1", "2"], cell: [cell, "x"]})
    text = csv_text(frame)
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["id", cell], ["1", cell], ["2", "x"]]
    assert text.startswith("id,")
    assert text.endswith("\n2,x\n")


@pytest.mark.parametrize("steps", range(7))
def test_a_run_that_ends_between_two_files_leaves_whole_ones_and_can_be_repeated(
    tmp_path: Path, config_file: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    replace, done = Path.replace, []

    def replace_a_few(self: Path, target: Path) -> Path:
        if self.parent == tmp_path / "out":
            if len(done) == steps:
                raise KeyboardInterrupt
            done.append(target)
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(run_folder.Path, "replace", replace_a_few)
        try:
            run(config_file)
            assert steps == 6, "six files are renamed"
        except KeyboardInterrupt:
            for path in (tmp_path / "out").glob("*.csv"):
                assert len(rows(path)) == 12
            if done:
                status = "done" if steps == 5 else "writing"  # of images.csv alone, which comes last
                assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == status
    run(config_file)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".lock", *FILES]
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "done"


def test_a_disk_that_is_full_is_told_and_leaves_the_old_run(
    tmp_path: Path, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config_file)
    before = (tmp_path / "out" / "clusters.csv").read_bytes()
    monkeypatch.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OutputError, match="cannot be written: No space left"):
        run(config_file)
    monkeypatch.undo()
    assert (tmp_path / "out" / "clusters.csv").read_bytes() == before
    assert not list((tmp_path / "out").glob("*.tmp"))


def test_a_folder_without_a_csv_gives_a_submission_of_paths(tmp_path: Path, config_file: Path, pictures: Path) -> None:
    (pictures / "deeper").mkdir()
    (pictures / "0000.jpg").rename(pictures / "deeper" / "0000.jpg")
    run(config_file, "images.ids=null")
    found = rows(tmp_path / "out" / "submission.csv")
    assert [list(row) for row in found] == [["id", "label"]] * 12
    assert [row["id"] for row in found][-2:] == ["0011.jpg", "deeper/0000.jpg"]


def test_no_submission_when_none_is_asked_for(tmp_path: Path, config_file: Path) -> None:
    run(config_file, "outputs.submission=null")
    assert not (tmp_path / "out" / "submission.csv").exists()


def test_nothing_readable_is_one_clear_error(tmp_path: Path, config_file: Path, pictures: Path) -> None:
    for path in pictures.iterdir():
        path.write_bytes(b"")
    with pytest.raises(
        ImageError, match=r"none of the 12 images can be read; the first: .*0000.jpg: the file is empty"
    ):
        run(config_file)


# --- the config that gives a result again ---


FALLBACK = {"wanted": "vgg16", "taken": "efficientnet_lite0", "reason": "no internet"}


def used(name: str, *, stand_in: bool = False, layers: int = 1) -> dict[str, object]:
    return {"backbone": name, "fallback": FALLBACK if stand_in else None, "stores": ["store"] * layers}


@pytest.mark.parametrize(
    ("asked", "origins", "wanted"),
    [
        (["layer=fc7", "preprocess=stage"], [used("efficientnet_lite0", stand_in=True)], {}),
        (
            ["backbone=vgg16", "pooling=max", "views=flip"],
            [used("efficientnet_lite0", stand_in=True)],
            {"views": "flip"},
        ),
        (["block_weights=[1, 2]"], [used("efficientnet_lite0", stand_in=True)], {}),
        (
            ["backbone=[resnet18, vgg16]", "layer={resnet18: layer3, vgg16: fc6}", "block_weights=[1, 0.5]"],
            [used("resnet18"), used("efficientnet_lite0", stand_in=True)],
            {
                "backbone": ["resnet18", "efficientnet_lite0"],
                "layer": {"resnet18": ["layer3"]},
                "block_weights": [1, 0.5],
            },
        ),
        (  # the stand-in is one of the backbones anyway, and keeps what was asked of it
            ["backbone=[vgg16, efficientnet_lite0]", "layer={efficientnet_lite0: logits}", "preprocess=stage"],
            [used("efficientnet_lite0", stand_in=True)],
            {"layer": {"efficientnet_lite0": ["logits"]}, "preprocess": "stage"},
        ),
        (
            ["backbone=[resnet_v1_50, vgg16]"],
            [used("resnet50"), used("efficientnet_lite0", stand_in=True)],
            {"backbone": ["resnet_v1_50", "efficientnet_lite0"]},
        ),
    ],
)
def test_after_a_fallback_the_config_names_what_was_used(
    config_file: Path, asked: list[str], origins: list[dict[str, object]], wanted: dict[str, object]
) -> None:
    base = load_config(config_file, ["features.batch_size=4"]).resolved()
    overrides = [f"features.{item}" for item in ("fallback=efficientnet_lite0", "backbone=vgg16", *asked)]
    found = config_as_used(load_config(config_file, overrides), origins).resolved()
    assert found == {**base, "features": {**base["features"], **wanted}}
    assert not caveat(imgcluster.config_from_dict(found), origins)


def test_a_config_that_no_other_can_say_stays_and_is_told(config_file: Path) -> None:
    keys = ["backbone=[resnet18, vgg16]", "fallback=efficientnet_lite0", "preprocess=stage"]
    config = load_config(config_file, [f"features.{key}" for key in keys])
    origins = [used("resnet18"), used("efficientnet_lite0", stand_in=True)]
    assert config_as_used(config, origins) == config
    wanted = "# Gives the same result only while the weights of vgg16 cannot be had: efficientnet_lite0 was used.\n"
    assert caveat(config, origins) == wanted


def test_without_a_fallback_the_config_is_the_one_that_was_run(config_file: Path) -> None:
    config = load_config(config_file)
    assert config_as_used(config, [used("efficientnet_lite0")]) is config


def test_the_config_in_the_report_gives_the_same_run(tmp_path: Path, config_file: Path) -> None:
    asked = ["features.backbone=vgg16", "features.layer=fc7", "features.preprocess=stage", "outputs.report=true"]
    first = run(config_file, *asked, "features.fallback=efficientnet_lite0")
    assert first.features.origins[0].fallback is not None
    before = {name: (tmp_path / "out" / name).read_bytes() for name in ("clusters.csv", "submission.csv")}
    again = tmp_path / "out" / "report" / "config.yaml"
    config = load_config(again)
    assert (config.features.backbone, config.features.layer) == ("efficientnet_lite0", None)
    assert (config.features.preprocess, config.features.fallback) == ("backbone", None)
    assert config_of(read_record(tmp_path / "out"), tmp_path / "out") == config
    second = run(again)  # into the same folder, without --force
    assert second.features.origins[0].fallback is None
    assert second.features.origins[0].computed == 0
    assert before == {name: (tmp_path / "out" / name).read_bytes() for name in before}


def test_a_run_folder_of_an_older_version_is_still_its_configs(tmp_path: Path, config_file: Path) -> None:
    run(config_file)
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["config"]["features"]["fallback"] is None
    record["config"]["features"]["fallback"] = "efficientnet_lite0"  # as it stood for every backbone
    (tmp_path / "out" / "run.json").write_text(json.dumps(record))
    run(config_file)


@pytest.mark.parametrize("download", ["any", "never"])
def test_a_run_without_weights_leaves_nothing_behind(
    tmp_path: Path, config_file: Path, monkeypatch: pytest.MonkeyPatch, download: str
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    keys = ["features.backbone=vgg11", "features.fallback=null", f"features.download={download}"]
    arguments = ["run", str(config_file), "--quiet", *(part for key in keys for part in ("--set", key))]
    before = {*tmp_path.rglob("*")}
    assert main(arguments) == 1
    assert {path for path in {*tmp_path.rglob("*")} - before if not path.is_dir()} == set()
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    assert main(arguments) == 1
    assert [*(tmp_path / "out").iterdir()] == []
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert main(arguments) == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["notes.txt"]
