"""What a submission says of each image, layout by layout: columns, names, offsets, failures and noise."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import imgcluster
from imgcluster.cli.format.run import summarize_run
from imgcluster.config.loader import config_from_dict, load_config
from imgcluster.errors import ConfigError, SubmissionError
from imgcluster.features.result import Features
from imgcluster.images.ids.table import read_template
from imgcluster.pipeline import Run
from imgcluster.runs.submission import check_outputs, columns_of, make_submission, submission_notes
from imgcluster.runs.tables import csv_text
from imgcluster.runs.writer import clusters_rows
from imgcluster.types import Clusters, Failure, ImageFile, Template

IDS = ["01", "02", "03", "04", "05"]  # the last one failed
LABELS = [0, 2, 1, 2]
RUNNERS_UP = [1, 1, 2, 0]
NAMES = {0: "entry", 1: "descent", 2: "landing"}


def a_config(**outputs: Any) -> imgcluster.Config:
    sections = {"images": {"folder": "."}, "clusters": {"n_clusters": 3, **outputs.pop("clusters", {})}}
    return config_from_dict({**sections, "outputs": {"folder": "out", **outputs}})


def a_run(
    template: Template | None = None,
    labels: list[int] | None = None,
    probabilities: np.ndarray | None = None,
    found_names: dict[int, str] | None = None,
    are_labels: bool = False,
    **outputs: Any,
) -> Run:
    images = [ImageFile(id, Path(f"{id}.jpg")) for id in IDS]
    given = np.array(LABELS if labels is None else labels)
    clusters = Clusters(
        labels=given,
        distance=np.where(given < 0, np.nan, 1.0),
        runner_up=np.array(RUNNERS_UP),
        runner_up_distance=np.full(4, 2.0),
        sizes=np.bincount(given[given >= 0], minlength=3),
        names=found_names or {},
        probabilities=probabilities,
        are_labels=are_labels,
    )
    features = Features(images[:4], np.zeros((4, 2), np.float32), [Failure(images[4], "empty")], [])
    return Run(a_config(**outputs), images, template, features, clusters)


def rows(run: Run) -> list[list[str]]:
    return [line.split(",") for line in csv_text(make_submission(run)).splitlines()]


def a_template(tmp_path: Path, header: str, *cells: str) -> Template:
    path = tmp_path / "template.csv"
    lines = [",".join([id, *cells]) for id in IDS]
    path.write_text("\n".join([header, *lines]) + "\n")
    return read_template(path, None, None)


def test_labels_are_numbers_and_may_begin_elsewhere() -> None:
    assert [row[1] for row in rows(a_run())] == ["label", "0", "2", "1", "2", "2"]
    assert [row[1] for row in rows(a_run(label_offset=1))] == ["label", "1", "3", "2", "3", "3"]
    assert [row[1] for row in rows(a_run(label_offset=-5))] == ["label", "-5", "-3", "-4", "-3", "-3"]


def test_names_are_those_of_the_config_else_of_the_clusters() -> None:
    wanted = ["label", "entry", "landing", "descent", "landing", "landing"]
    assert [row[1] for row in rows(a_run(layout="names", names=NAMES))] == wanted
    by_truth = {"clusters": {"numbering": "truth:t.csv"}, "layout": "names"}
    assert [row[1] for row in rows(a_run(found_names=NAMES, **by_truth))] == wanted
    assert rows(a_run(found_names={0: "x"}, names=NAMES, **by_truth))[1] == ["01", "entry"]
    merged = rows(a_run(layout="names", names={0: "up", 1: "down", 2: "down"}))
    assert [row[1] for row in merged][1:] == ["up", "down", "down", "down", "down"]


def test_names_of_the_run_that_is_matched_are_written_as_its_table_has_them(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "run.json").write_text('{"names": {"0": "zebra", "1": "cow", "2": "ant"}}')
    matched = {"clusters": {"numbering": f"match:{tmp_path / 'old'}"}}
    assert [row[1] for row in rows(a_run(layout="names", **matched))][1:] == ["zebra", "ant", "cow", "ant", "ant"]
    template = a_template(tmp_path, "id,ant,cow,zebra", "0", "0", "0")
    wide = a_run(template, layout="one_hot", **matched)
    assert rows(wide)[:3] == [["id", "ant", "cow", "zebra"], ["01", "0", "0", "1"], ["02", "1", "0", "0"]]
    assert [row[-1] for row in clusters_rows(wide)] == ["name", "zebra", "ant", "cow", "ant", ""]
    assert "leaves it to chance" not in "".join(submission_notes(wide))


def test_a_name_of_the_config_stands_beside_those_of_the_clusters() -> None:
    run = a_run(found_names=NAMES, names={0: "bug"}, layout="names", clusters={"numbering": "truth:t.csv"})
    assert [row[1] for row in rows(run)][1:] == ["bug", "landing", "descent", "landing", "landing"]


def test_a_cluster_that_was_asked_for_and_not_found_keeps_its_column() -> None:
    """As where there are fewer distinct images than clusters: a template has a column for each."""
    assert rows(a_run(layout="one_hot", clusters={"n_clusters": 5}))[:2] == [
        ["id", "0", "1", "2", "3", "4"],
        ["01", "1", "0", "0", "0", "0"],
    ]
    soft = a_run(layout="soft", clusters={"n_clusters": 4}, probabilities=np.full((4, 3), 1 / 3))
    assert rows(soft)[1] == ["01", "0.333333", "0.333333", "0.333333", "0.000000"]


def test_one_hot() -> None:
    assert rows(a_run(layout="one_hot")) == [
        ["id", "0", "1", "2"],
        ["01", "1", "0", "0"],
        ["02", "0", "0", "1"],
        ["03", "0", "1", "0"],
        ["04", "0", "0", "1"],
        ["05", "0", "0", "1"],  # the largest
    ]
    assert rows(a_run(layout="one_hot", label_offset=1))[0] == ["id", "1", "2", "3"]
    assert rows(a_run(layout="one_hot", names=NAMES))[0] == ["id", "entry", "descent", "landing"]


PROBABILITIES = np.array([[0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3], [0, 1, 0], [0.1, 0.2, 0.7]])


def test_soft() -> None:
    assert rows(a_run(layout="soft", probabilities=PROBABILITIES)) == [
        ["id", "0", "1", "2"],
        ["01", "0.500000", "0.250000", "0.250000"],
        ["02", "0.333333", "0.333333", "0.333333"],
        ["03", "0.000000", "1.000000", "0.000000"],
        ["04", "0.100000", "0.200000", "0.700000"],
        ["05", "0.250000", "0.250000", "0.500000"],  # the shares of all
    ]
    with pytest.raises(ConfigError, match="soft: this method gives no probabilities"):
        make_submission(a_run(layout="soft"))


def test_more_names_than_clusters_are_columns_too() -> None:
    names = {**NAMES, 4: "rollout"}
    assert rows(a_run(layout="one_hot", names=names))[:2] == [
        ["id", "entry", "descent", "landing", "rollout"], ["01", "1", "0", "0", "0"],
    ]  # fmt: skip
    soft = rows(a_run(layout="soft", names=names, probabilities=PROBABILITIES))
    assert [row[4] for row in soft[1:]] == ["0.000000"] * 5


def test_numbers_of_known_labels_have_columns_where_they_have_images() -> None:
    run = a_run(labels=[1, 3, 2, 3], layout="one_hot", clusters={"numbering": "truth:t.csv"})
    assert rows(run)[0] == ["id", "1", "2", "3"]
    run = a_run(labels=[1, 2, 2, 2], layout="one_hot")
    assert rows(run)[0] == ["id", "0", "1", "2"]


BY_TRUTH: dict[str, Any] = {"clusters": {"numbering": "truth:t.csv"}, "are_labels": True}


def test_labels_known_before_are_written_as_they_are() -> None:
    run = a_run(labels=[1, 3, 2, 3], label_offset=1, **BY_TRUTH)
    assert [row[1] for row in rows(run)] == ["label", "1", "3", "2", "3", "3"]
    one_hot = a_run(labels=[1, 3, 2, 3], layout="one_hot", label_offset=1, **BY_TRUTH)
    assert rows(one_hot)[:2] == [["id", "1", "2", "3"], ["01", "1", "0", "0"]]
    counted = a_run(labels=[1, 3, 2, 3], label_offset=1, clusters={"numbering": "truth:t.csv"}, found_names={1: "a"})
    assert rows(counted)[1] == ["01", "2"]  # words in order, which begin where labels do


def test_labels_go_into_the_columns_that_end_in_them(tmp_path: Path) -> None:
    template = a_template(tmp_path, "id,class_3,class_1,class_2", "0", "0", "0")
    known = a_run(template, labels=[1, 3, 1, 3], layout="one_hot", label_offset=1, **BY_TRUTH)
    assert rows(known)[:3] == [
        ["id", "class_3", "class_1", "class_2"], ["01", "0", "1", "0"], ["02", "1", "0", "0"],
    ]  # fmt: skip
    soft = np.array([[0, 0.5, 0, 0.5]] * 4)
    known = a_run(template, labels=[1, 3, 1, 3], probabilities=soft, layout="soft", label_offset=1, **BY_TRUTH)
    assert rows(known)[1] == ["01", "0.500000", "0.500000", "0.000000"]
    counted = a_run(template, layout="one_hot", label_offset=1)
    assert rows(counted)[1:3] == [["01", "0", "1", "0"], ["02", "1", "0", "0"]]
    with pytest.raises(
        ConfigError, match=r"of the 3 clusters, '0', '1', '2'; '.*' has 'class_3', 'class_1', 'class_2'"
    ):
        make_submission(a_run(template, layout="one_hot", **BY_TRUTH))


def test_classes_that_are_numbers_go_into_the_columns_that_end_in_them(tmp_path: Path) -> None:
    template = a_template(tmp_path, "id,c1,c2,c3", "0", "0", "0")
    by_model: dict[str, Any] = {"clusters": {"n_clusters": None, "method": "learned", "parameters": {"model": "m"}}}
    by_model |= {"found_names": {1: "1", 2: "2", 3: "3"}, "are_labels": True, "layout": "one_hot"}
    assert rows(a_run(template, labels=[1, 3, 1, 3], **by_model))[:3] == [
        ["id", "c1", "c2", "c3"], ["01", "1", "0", "0"], ["02", "0", "0", "1"],
    ]  # fmt: skip
    assert rows(a_run(labels=[1, 3, 1, 3], **by_model))[:2] == [["id", "1", "2", "3"], ["01", "1", "0", "0"]]


def test_columns_beside_those_of_the_labels_stay(tmp_path: Path) -> None:
    template = a_template(tmp_path, "id,a,b,c,Usage", "0.4", "0.3", "0.3", "Public")
    assert rows(a_run(template, layout="one_hot"))[:2] == [
        ["id", "a", "b", "c", "Usage"],
        ["01", "1", "0", "0", "Public"],
    ]


def notes_of(run: Run) -> str:
    return "\n".join(submission_notes(run))


def test_what_a_scorer_may_take_for_something_else_is_said(tmp_path: Path) -> None:
    arbitrary = "submission.csv gives each cluster an arbitrary"
    label = a_template(tmp_path, "id,label", "0")
    assert f"{arbitrary} label; where a score compares classes" in notes_of(a_run(label))
    assert arbitrary not in notes_of(a_run(label, labels=[1, 2, 2, 1], **BY_TRUTH))
    assert "has words ('descent', 'entry', 'landing') where the template's 'label' has numbers ('0')" in notes_of(
        a_run(label, layout="names", names=NAMES)
    )
    replaced = "submission.csv has '0', '1', '2' in the place of the template's 'label'"
    assert replaced in notes_of(a_run(label, layout="one_hot"))
    words = a_run(label, clusters={"numbering": "truth:t.csv"}, found_names=NAMES, label_offset=1)
    assert "submission.csv has numbers for words ('1: entry', '2: descent', '3: landing')" in notes_of(words)
    wide = a_template(tmp_path, "id,a,b,c", "1", "0", "0")
    soft = a_run(wide, layout="soft", probabilities=PROBABILITIES)
    assert f"{arbitrary} column ('a', 'b', 'c')" in notes_of(soft)
    assert "has shares where the template has 0 and 1; outputs.layout: one_hot" in notes_of(soft)
    named = {0: "a", 1: "b", 2: "c"}
    assert arbitrary not in notes_of(a_run(wide, layout="one_hot", names=named))
    beside = a_template(tmp_path, "id,proba,label", "0.0", "0")
    assert "keeps the template's cells in 'proba'; are they scored?" in notes_of(a_run(beside))


@pytest.mark.parametrize(
    ("cells", "outputs", "said"),
    [
        ("0", {}, ""),
        ("1", {}, "has the labels '0', which the template's 'label' has not ('1'); see outputs.label_offset"),
        ("1", {"label_offset": 1}, ""),
        ("4", {}, ""),  # says nothing of where labels begin
        ("123", {}, "has the labels '0', which"),
        ("01", {}, "has the labels '2', which the template's 'label' has not ('0', '1'); see outputs.label_offset and"),
        ("01234", {}, ""),
        ("12", {"layout": "names", "names": {0: "1", 1: "2", 2: "2"}}, ""),
        ("ab", {"layout": "names", "names": {0: "a", 1: "b", 2: "B"}}, "has 'B', which the template's 'label' has not"),
        ("a", {"layout": "names", "names": {0: "a", 1: "b", 2: "B"}}, ""),
        ("a1", {}, "has numbers where the template's 'label' has words too ('a', '1')"),
    ],
)
def test_labels_that_a_template_has_not_are_said(
    tmp_path: Path, cells: str, outputs: dict[str, Any], said: str
) -> None:
    path = tmp_path / "template.csv"
    path.write_text("id,label\n" + "".join(f"{id},{cells[row % len(cells)]}\n" for row, id in enumerate(IDS)))
    notes = notes_of(a_run(read_template(path, None, None), **outputs))
    assert said in notes
    assert (" has " in notes.replace("cluster has", "")) == bool(said)


def test_a_probability_takes_two_clusters(tmp_path: Path) -> None:
    template = a_template(tmp_path, "id,label", "0.5")
    check_outputs(template, a_config(clusters={"n_clusters": 2}))
    for clusters, offset in (({"n_clusters": 3}, 0), ({"n_clusters": "auto"}, 0), ({"n_clusters": 2}, 1)):
        with pytest.raises(
            ConfigError, match=r"'label' of .* holds a probability \('0.5'\), .* clusters.n_clusters: 2"
        ):
            check_outputs(template, a_config(clusters=clusters, label_offset=offset))
    by_truth = {"clusters": {"n_clusters": None, "method": "hdbscan", "numbering": "truth:t.csv"}}
    check_outputs(template, a_config(**by_truth))
    with pytest.raises(ConfigError, match="for which only the labels 0 and 1 can stand, not '0', '1', '2'"):
        make_submission(a_run(template))


def test_a_templates_columns_are_filled_in_its_order(tmp_path: Path) -> None:
    template = a_template(tmp_path, "ImageID,c,a,b", "0", "0", "0")
    assert rows(a_run(template, layout="one_hot"))[:3] == [
        ["ImageID", "c", "a", "b"], ["01", "1", "0", "0"], ["02", "0", "0", "1"],
    ]  # fmt: skip
    by_name = a_run(template, layout="one_hot", names={0: "a", 1: "b", 2: "c"})
    assert rows(by_name)[:3] == [["ImageID", "c", "a", "b"], ["01", "0", "1", "0"], ["02", "1", "0", "0"]]


def test_the_ids_need_not_come_first(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,name,b,c\n" + "".join(f"0,{id},0,0\n" for id in IDS))
    template = read_template(tmp_path / "t.csv", "name", None)
    assert rows(a_run(template, layout="one_hot"))[:2] == [["a", "name", "b", "c"], ["1", "01", "0", "0"]]


def test_numbers_with_gaps_are_not_put_in_order(tmp_path: Path) -> None:
    template = a_template(tmp_path, "ImageID,a,b,c", "0", "0", "0")
    by_truth = {"clusters": {"numbering": "truth:t.csv"}, "layout": "one_hot"}
    assert rows(a_run(template, labels=[1, 3, 2, 3], **by_truth))[1:3] == [["01", "1", "0", "0"], ["02", "0", "0", "1"]]
    with pytest.raises(ConfigError, match=r"of the 3 clusters, '0', '2', '3'; '.*' has 'a', 'b', 'c'"):
        make_submission(a_run(template, labels=[0, 3, 2, 3], **by_truth))


@pytest.mark.parametrize(("header", "cells"), [("ImageID", ()), ("ImageID,label", ("0",))])
def test_columns_take_the_place_of_the_label(tmp_path: Path, header: str, cells: tuple[str, ...]) -> None:
    template = a_template(tmp_path, header, *cells)
    assert rows(a_run(template, layout="one_hot"))[0] == ["ImageID", "0", "1", "2"]


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"layout": "one_hot"}, "one_hot needs a column for each of the 3 clusters; '.*' has 'a', 'b'"),
        ({"layout": "soft", "names": NAMES}, "of the 3 clusters, 'entry', 'descent', 'landing'; '.*' has 'a', 'b'"),
        ({"layout": "one_hot", "names": {0: "x", 1: "y", 2: "x"}}, "two columns would be called 'x'"),
        ({"layout": "one_hot", "names": {0: "x", 1: "y", 2: "ImageID"}}, "two columns would be called 'ImageID'"),
        ({"layout": "one_hot", "names": {0: "a", 1: "b"}}, "outputs.names: cluster 2 has no name \\(named: 0, 1\\)"),
        (
            {"layout": "names", "label_column": "a"},
            "names would fill 'a' alone, but .* has 2 columns of labels, 'a', 'b'",
        ),
        ({"layout": "labels"}, "has no column 'label'"),
    ],
)
def test_what_cannot_be_is_told_before_any_work(tmp_path: Path, outputs: dict[str, Any], message: str) -> None:
    template = a_template(tmp_path, "ImageID,a,b", "0", "0")
    with pytest.raises(ConfigError, match=message):
        check_outputs(template, a_config(**outputs))
    check_outputs(template, a_config(**outputs, submission=None))


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"layout": "names", "names": {1: "x", 2: "y"}}, "cluster 0 has no name"),
        ({"layout": "names"}, "names needs outputs.names, such as .*, or .* clusters.numbering: truth:CSV or "),
        (
            {},
            r"layout: labels writes numbers, but 'label' of .* holds words \('cat'\); set outputs.layout: names",
        ),
    ],
)
def test_words_need_names(tmp_path: Path, outputs: dict[str, Any], message: str) -> None:
    template = a_template(tmp_path, "ImageID,label", "cat")
    with pytest.raises(ConfigError, match=message):
        check_outputs(template, a_config(**outputs))
    check_outputs(template, a_config(layout="names", names=NAMES))
    check_outputs(a_template(tmp_path, "ImageID,label", ""), a_config())  # blank: not known yet


def test_names_are_not_mistaken_for_a_templates_columns(tmp_path: Path) -> None:
    template = a_template(tmp_path, "ImageID,a,b,c", "0", "0", "0")
    check_outputs(template, a_config(layout="one_hot"))
    with pytest.raises(ConfigError, match=r"'entry', 'descent', 'landing'; '.*' has 'a', 'b', 'c'"):
        check_outputs(template, a_config(layout="one_hot", names=NAMES))


def test_what_only_the_clusters_tell_is_told_with_them(tmp_path: Path) -> None:
    by_truth = {"clusters": {"numbering": "truth:t.csv"}}
    template = a_template(tmp_path, "ImageID,a,b", "0", "x")
    config = a_config(layout="names", label_column="a", **by_truth)
    check_outputs(template, config)
    check_outputs(template, a_config(layout="one_hot", **by_truth))
    with pytest.raises(ConfigError, match=r"names needs outputs\.names"):
        make_submission(a_run(template, layout="names", label_column="a", **by_truth))
    with pytest.raises(
        ConfigError, match=r"^clusters.numbering: cluster 1 has no name, .* name only 'x', 'y'; label an image of each"
    ):
        make_submission(a_run(template, found_names={0: "x", 2: "y"}, layout="names", label_column="a", **by_truth))
    with pytest.raises(ConfigError, match="needs a column for each of the 3 clusters"):
        columns_of(a_run(template, layout="one_hot", **by_truth))


def test_noise_has_its_nearest_cluster_and_minus_one_in_the_table() -> None:
    run = a_run(labels=[-1, 2, 2, -1])
    assert [row[1] for row in rows(run)][1:] == ["1", "2", "2", "0", "2"]
    table = {name: cells for name, *cells in zip(*clusters_rows(run), strict=True)}
    assert table["cluster"] == ["-1", "2", "2", "-1", ""]
    assert table["distance"] == ["", "1", "1", "", ""]
    assert table["runner_up"] == ["1", "1", "2", "0", ""]
    assert submission_notes(run) == [
        "in submission.csv the 1 failed images have the label of the largest cluster, 2",
        "in submission.csv the 2 images in noise have their nearest cluster, in clusters.csv -1",
    ]
    assert f"note: {submission_notes(run)[1]}" in summarize_run(run).splitlines()
    assert submission_notes(a_run(labels=[-1, -1, -1, -1])) == [
        "all rows of submission.csv are alike, because no cluster was found: all images are noise"
    ]
    assert submission_notes(a_run(labels=[-1, 2, 2, -1], submission=None)) == []
    assert "the shares of all clusters" in submission_notes(a_run(layout="soft"))[0]


def test_without_any_cluster_all_are_in_the_first() -> None:
    run = a_run(labels=[-1] * 4)
    nothing = np.zeros(0, np.int64)
    clusters = Clusters(run.clusters.labels, run.clusters.distance, np.full(4, -1), np.full(4, np.inf), nothing)
    by_truth = {"numbering": "truth:t.csv"}
    for layout, header, sections in (("labels", "label", {}), ("one_hot", "0", {}), ("one_hot", "0", by_truth)):
        found = Run(a_config(layout=layout, clusters=sections), run.images, None, run.features, clusters)
        assert rows(found) == [["id", header], *[[id, "0" if layout == "labels" else "1"] for id in IDS]]
    assert "cluster" not in summarize_run(Run(a_config(), run.images, None, run.features, clusters)).splitlines()[2]
    # Noise without a nearest cluster is put into the largest.
    lonely = Clusters(
        np.array([-1, 1, 1, 0]), run.clusters.distance, np.full(4, -1), np.full(4, np.inf), np.array([1, 2])
    )
    assert rows(Run(a_config(), run.images, None, run.features, lonely))[1] == ["01", "1"]


def test_a_wrong_submission_is_never_written(tmp_path: Path) -> None:
    run = a_run(layout="soft", probabilities=PROBABILITIES * 0.9)
    with pytest.raises(SubmissionError, match=re.escape("row 1: the cells add up to 0.900000, not to 1")):
        make_submission(run)


@pytest.mark.parametrize("layout", ["one_hot", "soft", "names"])
def test_a_run_writes_each_layout(tmp_path: Path, config_file: Path, layout: str) -> None:
    overrides = [f"outputs.layout={layout}", "outputs.names={0: a, 1: b, 2: c}"]
    (tmp_path / "template.csv").write_text("id,label\n" + "".join(f"{number:04d},\n" for number in range(12)))
    imgcluster.run(load_config(config_file, overrides), show=False)
    lines = (tmp_path / "out" / "submission.csv").read_text().splitlines()
    assert lines[0] == ("id,label" if layout == "names" else "id,a,b,c")
    assert len(set(lines[1:4])) == 3
    if layout != "soft":
        assert [line[4:] for line in lines[1:4]] * 4 == [line[4:] for line in lines[1:]]


def test_numbers_that_no_image_has_are_no_lines_of_the_summary() -> None:
    lines = summarize_run(a_run(labels=[1, 2, 1, 2], are_labels=True)).splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("cluster ")] == [["cluster", "1"], ["cluster", "2"]]


@pytest.mark.parametrize("clusters", [{"method": "kmeans"}, {"method": "diffusion"}, {"order": "sequence"}], ids=str)
def test_calibrated_probabilities_are_those_of_auto(clusters: dict[str, Any]) -> None:
    check_outputs(None, a_config(probabilities="calibrated", clusters={"method": "auto"}))
    with pytest.raises(
        ConfigError, match=r"^outputs.probabilities: calibrated ones are those of clusters.method: auto"
    ):
        check_outputs(None, a_config(probabilities="calibrated", clusters=clusters))


def test_the_probability_of_an_image_is_its_last_column() -> None:
    run = a_run(found_names={0: "entry"})
    found = replace(run, clusters=replace(run.clusters, probability=np.array([0.25, 1 / 3, np.nan, 1])))
    header, *cells = clusters_rows(found)
    assert header[-2:] == ("name", "probability")
    assert [row[-1] for row in cells] == ["0.2500", "0.3333", "", "1.0000", ""]
    plain = [row[:-1] for row in clusters_rows(found)]
    assert plain == [tuple(row) for row in clusters_rows(run)]  # all other columns stay where they are


def test_a_run_writes_calibrated_probabilities(config_file: Path, tmp_path: Path) -> None:
    (tmp_path / "template.csv").write_text("ImageID\n" + "".join(f"{number:04d}\n" for number in range(12)))
    keys = ["clusters.method=auto", "outputs.layout=soft", "outputs.probabilities=calibrated"]
    run = imgcluster.run(load_config(config_file, keys), show=False)
    assert run.clusters.probability is not None
    table = pd.read_csv(tmp_path / "out" / "submission.csv").iloc[:, 1:].to_numpy()
    np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-5)
    own = table[np.arange(12), run.clusters.labels]
    np.testing.assert_allclose(own, run.clusters.probability, atol=1e-6)
    column = pd.read_csv(tmp_path / "out" / "clusters.csv")["probability"]
    np.testing.assert_allclose(column, run.clusters.probability, atol=1e-4)
