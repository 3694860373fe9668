"""`imgcluster score`: rows matched by id, what is left out or refused, and the confusion matrix as text and picture."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import imgcluster
from imgcluster.cli.format.scores import scores_text
from imgcluster.cli.main import main
from imgcluster.config.run_files import RunFiles
from imgcluster.errors import ConfigError, OutputError
from imgcluster.evaluation.scoring import FILES, score_labels, scores_json
from imgcluster.images.ids.known_labels import read_known
from imgcluster.runs.partial_labels import read_partial_labels
from tests import ROOT

STAGE = ROOT / "data" / "stage" / "truth.csv"
TRUTH = "ImageID,stage\n007,entry\n7,entry\n8,descent\n9,descent\n"
CLUSTERS = (
    "id,path,cluster,distance,runner_up,runner_up_distance,status,error\n"
    "9,9.jpg,10,1,2,3,ok,\n8,8.jpg,10,1,2,3,ok,\n007,7.jpg,2,1,10,3,ok,\n7,b.jpg,,,,,failed,empty\n"
)


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return written(tmp_path / "truth.csv", TRUTH)


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_are_matched_by_id_and_zeros_count(tmp_path: Path, truth: Path) -> None:
    labels = written(tmp_path / "labels.csv", "name,label\n9,1\n007,0\n8,1\n7,1\n")
    found = imgcluster.score_labels(labels, truth)
    assert found.agreement.counts.tolist() == [[0, 2], [1, 1]]
    assert found.agreement.classes.tolist() == ["descent", "entry"]
    assert (found.scores["accuracy"], found.images, found.missing, found.extra) == (0.75, 4, [], [])


@pytest.mark.parametrize(("cluster", "status"), [("2", "failed"), ("", "ok")])
def test_what_failed_has_no_label(tmp_path: Path, truth: Path, cluster: str, status: str) -> None:
    table = f"id,cluster,status\n9,1,ok\n8,1,ok\n007,2,ok\n7,{cluster},{status}\n"
    assert score_labels(written(tmp_path / "clusters.csv", table), truth).missing == ["7"]


@pytest.mark.parametrize("name", ["run", "run/clusters.csv"])
def test_a_run_folder_or_its_table(tmp_path: Path, truth: Path, name: str) -> None:
    written(tmp_path / "run" / "clusters.csv", CLUSTERS)
    found = score_labels(tmp_path / name, truth)
    assert found.missing == ["7"]  # it failed
    assert (found.images, found.scores["accuracy"]) == (3, 1)
    assert found.agreement.clusters.tolist() == [2, 10]


def test_a_real_run_is_scored(tmp_path: Path, config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imgcluster.run(imgcluster.load_config(config_file), show=False)
    truth = written(tmp_path / "t.csv", "id,c\n" + "".join(f"{number:04d},{number % 3}\n" for number in range(12)))
    for labels in (tmp_path / "out", tmp_path / "out" / "submission.csv"):
        assert main(["score", str(labels), str(truth), "--json"]) == 0
        assert set(json.loads(capsys.readouterr().out)["scores"].values()) == {1.0}


def test_ids_that_are_paths_are_matched_by_name(tmp_path: Path, truth: Path) -> None:
    rows = "a/007.jpg,0\na/8.jpg,1\nb/8.png,1\nb/9.png,1\nc/x.jpg,1\n"
    found = score_labels(written(tmp_path / "l.csv", f"id,label\n{rows}"), truth)
    assert (found.images, found.scores["accuracy"]) == (2, 1)
    assert found.missing == ["7", "8"]  # which of the two is 8?
    assert found.extra == ["a/8.jpg", "b/8.png", "c/x.jpg"]


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        (["007.jpg", "7.jpg", "8.png", "9.JPEG"], "without endings ('007.jpg' is image '007')"),
        (["a/007", "a/7", "b/8", "b/9"], "without folders ('a/007' is image '007')"),
        (["a/007.jpg", "a/7.jpg", "b/8.jpg", "b/9.jpg"], "without folders and endings ('a/007.jpg' is image '007')"),
    ],
)
def test_a_truth_with_endings_or_folders_is_matched_with_ids_without(
    tmp_path: Path, names: list[str], rule: str
) -> None:
    labels = written(tmp_path / "l.csv", "id,label\n007,0\n7,0\n8,1\n9,1\n")
    classes = ["entry", "entry", "descent", "descent"]
    rows = "".join(f"{name},{label}\n" for name, label in zip(names, classes, strict=True))
    found = score_labels(labels, written(tmp_path / "truth.csv", f"id,c\n{rows}x,entry\n"))
    assert (found.images, found.scores["accuracy"], found.missing, found.extra) == (4, 1, ["x"], [])
    note = f"matched 4 true labels by name: 4 {rule}; 1 true labels and 0 images left over"
    assert found.notes == json.loads(scores_json(found))["notes"] == [note]
    assert scores_text(found).splitlines()[1] == f"note: {note}"


def in_folders(root: Path, **labels: str) -> Path:
    for label, names in labels.items():
        for name in names.split():
            path = root / ("" if label == "none" else label) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"no picture: it is never read")
    return root


def test_a_folder_for_each_label_is_a_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = in_folders(tmp_path / "t", entry="007.jpg deep/7.png .hidden.jpg note.txt", descent="8.jpg", none="9.jpg")
    labels = written(tmp_path / "l.csv", "id,label\n007,0\n7,0\n8,1\n9,1\n")
    assert main(["score", str(labels), str(truth), "--label-column", "label", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["confusion"]["classes"] == ["descent", "entry"]
    assert (record["images"], record["scores"]["accuracy"], record["extra"]) == (3, 1, ["9"])
    paths = written(tmp_path / "p.csv", "id,label\nin/007.jpg,0\nin/deep/7.jpg,0\nin/8.jpg,1\n")
    assert score_labels(paths, truth).images == 3  # the folders are the labels', and need not be the images'
    (truth / "entry" / "circle").symlink_to(truth)
    (truth / "descent" / "linked").symlink_to(in_folders(tmp_path / "elsewhere", none="9.jpg"))
    found = score_labels(paths, truth)
    assert (found.images, found.missing) == (3, ["descent/linked/9.jpg"])


def test_a_name_in_the_folders_of_two_labels_says_nothing(tmp_path: Path) -> None:
    truth = in_folders(tmp_path / "t", entry="1.jpg 2.jpg", descent="1.jpg 3.jpg")
    found = score_labels(written(tmp_path / "l.csv", "id,label\n1,0\n2,0\n3,1\n"), truth)
    assert (found.images, found.extra) == (2, ["1"])
    assert found.notes[0].endswith("; 2 names are ambiguous: 'descent/1.jpg', 'entry/1.jpg'")
    whole = written(tmp_path / "l.csv", "id,label\nentry/1.jpg,0\nentry/2.jpg,0\ndescent/1.jpg,1\n")
    assert score_labels(whole, truth).images == 3
    assert not score_labels(whole, truth).notes


def test_a_run_may_be_the_truth(tmp_path: Path, truth: Path) -> None:
    written(tmp_path / "run" / "clusters.csv", CLUSTERS)
    assert score_labels(truth, tmp_path / "run").images == 3


@pytest.mark.parametrize(
    ("names", "words"),
    [("", "has no image below it"), ("1.jpg 2.jpg", "has 2 images, all outside of subfolders")],
)
def test_a_folder_without_labels_is_refused(tmp_path: Path, truth: Path, names: str, words: str) -> None:
    (tmp_path / "t").mkdir()
    with pytest.raises(ConfigError, match=rf"^truth: '.*t' {words}; in a folder of labels, each image lies in a sub"):
        score_labels(truth, in_folders(tmp_path / "t", none=names))


def test_what_a_truth_is_that_is_no_table_is_said(tmp_path: Path, truth: Path) -> None:
    cv2.imwrite(str(tmp_path / "truth.png"), np.zeros((4, 4, 3), np.uint8))
    np.save(tmp_path / "truth.npy", np.zeros(4))
    for name, kind in {"truth.png": "PNG", "truth.npy": "a NumPy array"}.items():
        with pytest.raises(ConfigError, match=rf"^truth: '.*{name}' is {kind}, not a CSV$"):
            score_labels(truth, tmp_path / name)


def test_what_only_one_file_has_is_left_out_loudly(tmp_path: Path, truth: Path) -> None:
    rows = "".join(f"x{number},1\n" for number in range(5))
    found = score_labels(written(tmp_path / "l.csv", f"id,label\n007,0\n8,1\n{rows}"), truth)
    assert (found.missing, found.extra, found.images) == (["7", "9"], [f"x{number}" for number in range(5)], 2)
    assert scores_text(found).splitlines()[:3] == [
        "not scored: 2 images of the truth without a label: '7', '9'",
        "not scored: 5 images without a known label: 'x0', 'x1', 'x2', …",
        "images    2 in 2 clusters, 2 classes",
    ]


def test_accuracy_without_matching(tmp_path: Path, truth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth.write_text("id,c\n1,1\n2,2\n3,3\n4,3\n")
    labels = written(tmp_path / "l.csv", "id,label\n1,2\n2,3\n3,4\n4,3\n")
    found = score_labels(labels, truth)
    assert (found.scores["accuracy"], found.accuracy_as_is) == (0.75, 0.25)
    line = "  0.2500  accuracy of the labels in l.csv as they stand, without matching clusters to classes"
    assert line in scores_text(found).splitlines()
    assert main(["score", str(labels), str(truth), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy_as_is"] == 0.25
    truth.write_text("id,c\n1,2.0\n2,3.0\n3,4.0\n4,3.0\n")
    assert score_labels(labels, truth).accuracy_as_is == 1
    truth.write_text("id,c\n1,cat\n2,dog\n3,cat\n4,dog\n")
    assert score_labels(labels, truth).accuracy_as_is is None
    assert "as they stand" not in scores_text(score_labels(labels, truth))


def test_of_a_run_the_submission_stands(tmp_path: Path, config_file: Path) -> None:
    known = "".join(f"{number:04d},{number % 3 + 1}\n" for number in range(12))
    truth = written(tmp_path / "t.csv", f"id,c\n{known}")
    by_truth = [f"clusters.numbering=truth:{truth}", "outputs.label_offset=1"]
    imgcluster.run(imgcluster.load_config(config_file, by_truth), show=False)
    found = score_labels(tmp_path / "out", truth)
    assert (found.accuracy_as_is, found.as_is_in) == (1, "submission.csv")
    counted = ["clusters.numbering=first_appearance", "outputs.label_offset=1"]
    imgcluster.run(imgcluster.load_config(config_file, counted), force=True, show=False)
    assert score_labels(tmp_path / "out", truth).accuracy_as_is == 1  # its clusters are 0, 1, 2
    imgcluster.run(imgcluster.load_config(config_file, [counted[0]]), force=True, show=False)
    assert score_labels(tmp_path / "out", truth).accuracy_as_is == 0
    again = [f"clusters.numbering=match:{tmp_path / 'known'}", "outputs.label_offset=1"]
    imgcluster.run(imgcluster.load_config(config_file, [*by_truth, f"outputs.folder={tmp_path / 'known'}"]), show=False)
    imgcluster.run(imgcluster.load_config(config_file, again), force=True, show=False)
    assert score_labels(tmp_path / "out", truth).accuracy_as_is == 1
    (tmp_path / "out" / "run.json").write_text("{")
    assert score_labels(tmp_path / "out", truth).as_is_in == "clusters.csv"


@pytest.mark.parametrize("layout", ["one_hot", "soft"])
@pytest.mark.parametrize("written_as", ["{}", "class_{}"])
def test_of_a_wide_submission_the_largest_column_is_the_label(
    tmp_path: Path, config_file: Path, layout: str, written_as: str
) -> None:
    columns = ["class_2", "class_3", "class_1"]
    rows = "".join(f"{number:04d},0.2,0.3,0.5\n" for number in range(12))
    written(tmp_path / "template.csv", f"ImageID,{','.join(columns)}\n{rows}")
    truth = written(tmp_path / "t.csv", "id,c\n" + "".join(f"{n:04d},{n % 3 + 1}\n" for n in range(12)))
    keys = [f"clusters.numbering=truth:{truth}", f"outputs.layout={layout}", "outputs.label_offset=1"]
    imgcluster.run(imgcluster.load_config(config_file, keys), show=False)
    for shift, share in ((0, 1), (1, 0)):
        true = "".join(f"{n:04d},{written_as.format((n + shift) % 3 + 1)}\n" for n in range(12))
        found = score_labels(tmp_path / "out", written(tmp_path / "true.csv", f"id,c\n{true}"))
        assert (found.accuracy_as_is, found.as_is_in) == (share, "submission.csv")
    words = "".join(f"{n:04d},{'abc'[n % 3]}\n" for n in range(12))
    assert score_labels(tmp_path / "out", written(tmp_path / "true.csv", f"id,c\n{words}")).accuracy_as_is is None
    zero = written(tmp_path / "true.csv", "id,c\n" + "".join(f"{n:04d},{n % 3 + 1}\n" for n in range(12)))
    (tmp_path / "out" / "submission.csv").write_text("")
    assert score_labels(tmp_path / "out", zero).accuracy_as_is is None


def test_noise_is_told(tmp_path: Path, truth: Path) -> None:
    found = score_labels(written(tmp_path / "l.csv", "id,label\n007,-1\n7,-1\n8,0\n9,0\n"), truth)
    assert found.noise == 2
    assert (found.scores["ari"], found.scores["accuracy"]) == (1, 0.5)
    assert "noise     2 images, scored as one cluster; accuracy and F1 count them as wrong" in scores_text(found)
    assert scores_text(found).splitlines()[-3:] == ["class    0  -1", "descent  2   0", "entry    0   2"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("id,label\n7,0\n8,1\n7,0\n", "labels.csv row 3: id '7' stands already in row 1"),
        ("id,label\n7,0\n,1\n", "labels.csv row 2: the id in column 'id' is empty"),
        ("id,label\n7,0\n8,\n", "labels.csv row 2: the label of '8', in column 'label', is empty"),
        ("id,a,b\n7,0,2\n", r"labels\? \(its columns: 'id', 'a', 'b'\); name it with label_column=NAME$"),
        ("id,a,b\n7,0.3,0.7\n", r"labels\? \(.*\); a column for each class .*: to score a run, `score` its folder$"),
        ("id,label,label\n7,0,1\n", "which column has the labels"),
        ("id\n7\n", "which column has the labels"),
        ("id;label\n7;0\n", "^labels: .*labels.csv' separates its columns by semicolons"),
        ("id,label\n", "^labels: .*labels.csv' has a header and no rows"),
        ("id,id\n7,0\n", "^labels: .*labels.csv' has 2 columns called 'id'"),
        ("id,label\n07,0\n", r"labels.csv' and '.*truth.csv' have no id in common \('07' there, '007' here\)"),
    ],
)
def test_what_is_refused(tmp_path: Path, truth: Path, labels: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        score_labels(written(tmp_path / "labels.csv", labels), truth)


def test_the_truth_is_read_as_strictly(tmp_path: Path, truth: Path) -> None:
    labels = written(tmp_path / "labels.csv", "id,label\n7,0\n")
    truth.write_text("id,c\n7,0\n7,1\n")
    with pytest.raises(ConfigError, match=r"truth.csv row 2: id '7' stands already in row 1"):
        score_labels(labels, truth)
    truth.write_bytes("id,c\n7,größe\n".encode("cp1252"))
    with pytest.raises(ConfigError, match=r"^truth: .* is not UTF-8; save it as UTF-8"):
        score_labels(labels, truth)
    with pytest.raises(ConfigError, match=r"^truth: .*nowhere.csv' cannot be read: No such file"):
        score_labels(labels, tmp_path / "nowhere.csv")
    with pytest.raises(ConfigError, match=r"^labels: .* is not a run folder \(it has no clusters.csv\)"):
        score_labels(tmp_path, truth)


def test_columns_are_asked_of_the_files_that_have_them(tmp_path: Path) -> None:
    written(tmp_path / "run" / "clusters.csv", CLUSTERS)
    text = "stage,note,name\nentry,x,007\nentry,x,7\ndescent,y,8\ndescent,y,9\n"
    truth = written(tmp_path / "truth.csv", text)
    found = score_labels(tmp_path / "run", truth, id_column="name", label_column="stage")
    assert (found.images, found.scores["accuracy"]) == (3, 1)
    for asked in ({"id_column": "nobody"}, {"label_column": "nobody"}):
        with pytest.raises(ConfigError, match=r"column: neither '.*clusters.csv' nor '.*truth.csv' has 'nobody'"):
            score_labels(tmp_path / "run", truth, **asked)  # type: ignore[arg-type]


def test_true_labels_with_a_point_and_a_zero_are_whole_numbers(tmp_path: Path) -> None:
    truth = written(tmp_path / "t.csv", "id,label\na,9.0\nb,10.0\nc,11.00\n")
    found = score_labels(written(tmp_path / "l.csv", "id,label\na,9\nb,10\nc,11\n"), truth)
    assert found.accuracy_as_is == 1
    assert found.agreement.classes.tolist() == [9, 10, 11]


def test_labels_stand_in_label_before_cluster_and_blank_true_ones_are_not_known(tmp_path: Path) -> None:
    suggested = "id,label,path,cluster,why\n1,a,1.jpg,7,x\n2,,2.jpg,8,x\n3,b,3.jpg,9,x\n4, ,4.jpg,7,x\n"
    truth = written(tmp_path / "suggested.csv", suggested)
    labels = written(
        tmp_path / "spread.csv", "id,label,confidence,given,cluster\n1,a,1,yes,0\n2,a,1,no,0\n3,a,1,no,1\n"
    )
    found = score_labels(labels, truth)
    assert (found.images, found.scores["accuracy"], found.missing, found.extra) == (2, 0.5, [], ["2"])
    written(truth, suggested.replace(",a,", ",,").replace(",b,", ",,"))
    with pytest.raises(ConfigError, match=r"^truth: '.*suggested.csv' has 4 ids and no label; fill in some$"):
        score_labels(labels, truth)


def test_whole_numbers_are_in_their_order(tmp_path: Path) -> None:
    labels = written(tmp_path / "l.csv", "id,label\n" + "".join(f"{number},{number}\n" for number in range(12)))
    assert score_labels(labels, labels).agreement.classes.tolist() == list(range(12))
    zeros = written(tmp_path / "z.csv", "id,label\n0,01\n1,1\n")
    assert score_labels(labels, zeros).agreement.classes.tolist() == ["01", "1"]


@pytest.mark.filterwarnings("error")
def test_files_and_pictures(tmp_path: Path, truth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth.write_text('id,c\n1,"$\\frac{$"\n2,"a,b"\n3,"猫"\n4,"$\\frac{$"\n', encoding="utf-8")
    labels = written(tmp_path / "l.csv", "id,label\n1,2\n2,0\n3,1\n4,2\n")
    out = tmp_path / "deeper" / "out"
    assert main(["score", str(labels), str(truth), "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    printed = capsys.readouterr()
    assert [line for line in printed.out.splitlines() if line.startswith("written")] == [
        f"written   {out / name}" for name in FILES
    ]
    assert printed.err == ""
    with (out / "confusion.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["class", "2", "0", "1"], ["$\\frac{$", "2", "0", "0"], ["a,b", "0", "1", "0"], ["猫", "0", "0", "1"],
        ]  # fmt: skip
    record = json.loads((out / "scores.json").read_text(encoding="utf-8"))
    assert record["confusion"]["matched"] == ["$\\frac{$", "a,b", "猫"]
    assert (record["images"], record["scores"]["accuracy"]) == (4, 1)
    picture = cv2.imread(str(out / "confusion.png"))
    assert picture.shape[0] > 200
    dark = picture.sum(axis=2) < 400
    assert 0.05 < dark.mean() < 0.5  # the diagonal
    before = {name: (out / name).read_bytes() for name in FILES}
    score_labels(labels, truth, out=out)
    assert {name: (out / name).read_bytes() for name in FILES} == before


def test_a_large_matrix_is_drawn_and_not_printed(tmp_path: Path) -> None:
    rows = "".join(f"{number},{'long name ' * 9}{number % 300}\n" for number in range(600))
    labels = written(tmp_path / "l.csv", f"id,label\n{rows}")
    found = score_labels(labels, labels, out=tmp_path / "out")
    assert (
        scores_text(found).splitlines()[-1]
        == "the confusion matrix, 300 x 300, is too large to print; write it with --out"
    )
    picture = cv2.imread(str(tmp_path / "out" / "confusion.png"))
    assert max(picture.shape) < 6000


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, truth: Path) -> None:
    with pytest.raises(OutputError, match=r"truth.csv' cannot be written: File exists"):
        score_labels(truth, truth, out=truth)


def test_scoring_needs_no_torch() -> None:
    code = (
        "import sys; from imgcluster.evaluation import score_labels\n"
        f"score_labels({str(STAGE)!r}, {str(STAGE)!r})\n"
        "print(*{'torch', 'cv2', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_a_table_alone_needs_the_true_labels(truth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(truth)]) == 1
    said = (
        f"imgcluster: {truth} is not a run folder, so `score` needs the true labels too: "
        f"imgcluster score {truth} TRUTH\n"
    )
    assert capsys.readouterr().err == said


def test_errors_exit_with_1(tmp_path: Path, truth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(tmp_path / "none"), str(truth)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("imgcluster: labels: ")
    assert error.count("\n") == 1


def test_scores_do_not_depend_on_the_order_of_rows(tmp_path: Path, truth: Path) -> None:
    generator = np.random.default_rng(0)
    rows = [f"{number},{number % 4}\n" for number in range(40)]
    labels = written(tmp_path / "l.csv", "id,label\n" + "".join(rows))
    shuffled = written(tmp_path / "s.csv", "id,label\n" + "".join(generator.permutation(rows)))
    truth.write_text("id,c\n" + "".join(f"{number},{number % 3}\n" for number in range(40)))
    assert score_labels(labels, truth).scores == pytest.approx(score_labels(shuffled, truth).scores)


@pytest.mark.parametrize(
    "table",
    [
        ",filename,label\n0,2.png,b\n1,0.png,a\n2,1.png,c\n3,3.png,a\n",  # as pandas writes its index
        ",photo,stage\n0,2.png,b\n1,0.png,a\n2,1.png,c\n3,3.png,a\n",
        "no,filename,label\n0,2.png,b\n1,0.png,a\n2,1.png,c\n3,3.png,a\n",
        "no,filename,label\n3,x/2,b\n2,x/0,a\n1,x/1,c\n0,x/3,a\n",
        "label,id\nb,2.png\na,0.png\nc,1.png\na,3.png\n",
        "label,photo\nb,2.png\na,0.png\nc,1.png\na,3.png\n",
        "id,size,label\n2,1,b\n0,2,a\n1,0,c\n3,7,a\n",
    ],
)
def test_the_ids_are_in_the_column_that_names_the_images(tmp_path: Path, table: str) -> None:
    right = {"0.png": "a", "1.png": "c", "2.png": "b", "3.png": "a"}
    known = read_known(written(tmp_path / "truth.csv", table), "truth")
    assert known.match(list(right)).values(known.labels) == right
    found = read_partial_labels(tmp_path / "truth.csv", list(right))
    assert [found.labels[list(found.rows).index(row)] for row in range(4)] == ["a", "c", "b", "a"]
    ours = written(tmp_path / "ours.csv", "id,label\n0.png,a\n1.png,c\n2.png,b\n3.png,a\n")
    assert score_labels(ours, tmp_path / "truth.csv").scores["accuracy"] == 1
    assert score_labels(ours, tmp_path / "truth.csv").accuracy_as_is == 1
    assert score_labels(tmp_path / "truth.csv", ours).accuracy_as_is == 1


def test_a_column_of_ids_other_than_the_first_is_noted(tmp_path: Path) -> None:
    known = read_known(written(tmp_path / "t.csv", "no,filename,label\n0,1.png,b\n1,0.png,a\n"), "truth")
    assert known.match(["0.png", "1.png"]).notes("labels") == [
        "took the ids from column 'filename', whose cells name the images, not from 'no'"
    ]
    assert known.match(["0", "1"]).values(known.labels) == {"0": "b", "1": "a"}  # equal as they are


def test_a_submission_whose_ids_are_not_first_is_compared_as_it_stands(tmp_path: Path) -> None:
    run = tmp_path / "run"
    written(run / "clusters.csv", "id,cluster\na.png,0\nb.png,1\nc.png,1\n")
    written(run / "s.csv", "label,id\n7,a.png\n8,b.png\n8,c.png\n")
    outputs = {"submission": "s.csv", "layout": "labels", "label_column": None}
    written(run / RunFiles.RECORD, json.dumps({"config": {"outputs": outputs, "images": {"id_column": None}}}))
    found = score_labels(run, written(tmp_path / "t.csv", "id,label\na.png,7\nb.png,8\nc.png,7\n"))
    assert (found.accuracy_as_is, found.as_is_in) == (pytest.approx(2 / 3), "s.csv")
