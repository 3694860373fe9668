"""Labels that are likely wrong: found, ranked, and what cannot be judged."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from imgcluster.cli.format.curation import label_errors_lines
from imgcluster.curation import LabelErrors, find_label_errors
from imgcluster.curation.label_errors import FOLDS, Suspect, _folds, label_probabilities
from imgcluster.curation.neighbor_votes import COPY, Neighborhood
from imgcluster.errors import ConfigError, OutputError
from tests.conftest import Command
from tests.curation.conftest import VectorRun, write_labels
from tests.support.feature_runs import blobs

NAMES = ("ant", "bee", "cat")


@pytest.fixture
def labelled(tmp_path: Path, vector_run: VectorRun) -> tuple[Path, Path, set[str]]:
    """A run of 90 images in three groups, labels of which five are wrong, and the ids of these."""
    vectors, numbers = blobs(3, 90, 100)
    labels = [NAMES[number] for number in numbers]
    wrong = {f"i{row:02d}": NAMES[(numbers[row] + 1) % 3] for row in (3, 17, 40, 41, 88)}
    for id, label in wrong.items():
        labels[int(id[1:])] = label
    return vector_run(vectors), write_labels(tmp_path / "labels.csv", labels), set(wrong)


def test_wrong_labels_come_first_with_the_likelier_label_and_evidence(labelled: tuple[Path, Path, set[str]]) -> None:
    run, labels, wrong = labelled
    found = find_label_errors(run, labels, top=7)
    assert {each.id for each in found.suspects[:5]} == wrong
    assert (found.labelled, found.unlabelled, found.suspicious, len(found.suspects)) == (90, 0, 5, 7)
    for each in found.suspects[:5]:
        assert NAMES[(NAMES.index(each.likely) + 1) % 3] == each.label
        assert (each.probability > 0.9, each.given_probability < 0.1) == (True, True)
        assert [label for _, label in each.neighbors].count(each.likely) >= 4
        assert each.id not in [id for id, _ in each.neighbors]
    table = found.table()
    assert list(table.columns) == ["id", "label", "likely", "probability", "given_probability", "path", "neighbors"]
    assert table["neighbors"][0].startswith(f"{found.suspects[0].neighbors[0][0]} = ")


def test_the_average_precision_with_a_fifth_of_the_labels_changed() -> None:
    vectors, numbers = blobs(6, 300, 100)
    draw = np.random.default_rng(0)
    wrong = draw.random(300) < 0.2
    given = np.where(wrong, (numbers + draw.integers(1, 6, 300)) % 6, numbers)
    found = label_probabilities(Neighborhood.of(vectors), given)
    assert np.allclose(found.sum(axis=1), 1)
    assert average_precision_score(wrong, -found[np.arange(300), given]) > 0.98


def test_copies_do_not_vouch_for_each_other() -> None:
    """A picture that is there twice, both times with the same wrong label, is found; of two labels, both are asked."""
    vectors, numbers = blobs(3, 90, 100)
    numbers = numbers.copy()
    vectors[1], numbers[[0, 1]] = vectors[0] * 1.001, (numbers[0] + 1) % 3
    around = Neighborhood.of(vectors)
    assert around.groups[0] == around.groups[1]
    assert around.cosines[0, 0] >= COPY
    fold = _folds(numbers, around.groups)
    assert fold[0] == fold[1]
    assert set(fold) == set(range(FOLDS))
    votes = around.votes(numbers)
    assert votes[[0, 1], numbers[[0, 1]]].max() < 0.01
    numbers[1] = (numbers[0] + 2) % 3
    assert around.votes(numbers)[0, numbers[1]] > 0.05  # the copy's other label counts


def test_classes_that_are_too_small_are_named_and_not_judged(tmp_path: Path, vector_run: VectorRun) -> None:
    vectors, numbers = blobs(3, 60, 100)
    labels = [NAMES[number] for number in numbers]
    labels[0], labels[1], labels[2], labels[5] = "dot", "egg", "egg", ""
    found = find_label_errors(vector_run(vectors), write_labels(tmp_path / "l.csv", labels), top=99)
    assert found.too_small == {"dot": 1, "egg": 2}
    assert (found.labelled, found.unlabelled, len(found.suspects)) == (59, 1, 56)
    assert not {"i00", "i01", "i02", "i05"} & {each.id for each in found.suspects}


def test_unknown_ids_are_named(tmp_path: Path, labelled: tuple[Path, Path, set[str]]) -> None:
    run, labels, _ = labelled
    labels.write_text(labels.read_text() + "elsewhere,ant\n")
    assert find_label_errors(run, labels).unknown == ["elsewhere"]


@pytest.mark.parametrize("vectors", [np.ones((30, 8), np.float32), np.ones((1, 8), np.float32)])
def test_images_that_are_all_the_same_or_alone_are_an_error_in_words(
    tmp_path: Path, vector_run: VectorRun, vectors: np.ndarray
) -> None:
    labels = write_labels(tmp_path / "l.csv", [NAMES[row % 2] for row in range(len(vectors))])
    with pytest.raises(
        ConfigError, match=r"labels: finding wrong labels .*; (none of the 2 has that many|there is one class)"
    ):
        find_label_errors(vector_run(vectors), labels)


def test_what_cannot_be_used_is_a_line(command: Command, tmp_path: Path, labelled: tuple[Path, Path, set[str]]) -> None:
    run, labels, _ = labelled
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00\x01")
    for arguments, said in (
        ((run, tmp_path / "bad.csv"), "bad.csv"),
        ((run, tmp_path / "none.csv"), "none.csv"),
        ((run, labels, "--folders"), "name a file of labels, or --folders"),
        ((run,), "name a file of labels, or --folders"),
        ((run, labels, "--top", "0"), "--top: 0"),
        ((run, "--folders"), "all images lie in one folder"),
        ((tmp_path, labels), ""),
    ):
        done = command("label-errors", *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert said in done.stderr
    with pytest.raises(OutputError):
        find_label_errors(tmp_path, labels)


def test_the_command_prints_writes_and_keeps_what_is_there(
    command: Command, tmp_path: Path, labelled: tuple[Path, Path, set[str]]
) -> None:
    run, labels, wrong = labelled
    out = tmp_path / "suspects.csv"
    done = command("label-errors", run, labels, "--top", "5", "--csv", out)
    assert done.returncode == 0, done.stderr
    assert "labels    90\nsuspects  5 have a likelier label\nlisted    the 5 least certain labels, " in done.stdout
    assert set(pd.read_csv(out)["id"]) == wrong
    again = command("label-errors", run, labels, "--csv", out)
    assert (again.returncode, "overwrite it with --force" in again.stderr) == (1, True)
    said = json.loads(command("label-errors", run, labels, "--json").stdout)
    assert {each["id"] for each in said["suspects"]} == wrong
    done = command("label-errors", run, labels)
    assert "suspects  5 have a likelier label:\n" in done.stdout
    assert done.stdout.count(" -> ") == len(said["suspects"]) == 5
    said = json.loads(command("label-errors", run, labels, "--json", "--top", "50").stdout)
    assert len(said["suspects"]) == 50


def test_lines_name_few_of_many() -> None:
    """Fifty of many suspects, and one line for all classes that cannot be judged."""
    suspect = Suspect("a", "a.png", "ant", "bee", 0.9, 0.1, [])
    small = {f"c{number}": 1 for number in range(34)}
    lines = label_errors_lines(LabelErrors([suspect] * 60, 99, 0, 60, small, []))
    assert lines[0] == "note: cannot judge 34 classes, too small or all near copies: 'c0' (1), 'c1' (1), 'c2' (1), …"
    assert lines[2] == "suspects  60 have a likelier label; the first 50 (all: --csv FILE, --json):"
    assert len(lines) == 53
    assert label_errors_lines(LabelErrors([], 99, 0, 0, {}, []))[-1] == "suspects  0 have a likelier label"


def test_folders_are_labels_and_failed_images_are_left_out(command: Command, tmp_path: Path, pictures: Path) -> None:
    """Ids with odd characters; a picture in the wrong folder; one that cannot be read."""
    for number, path in enumerate(sorted(pictures.iterdir())):
        folder = pictures / ("red; 'x'", "g\u00fcn, =1", "blue")[number % 3 if number != 5 else 0]
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)
    (pictures / "blue" / "broken.jpg").write_bytes(b"nothing")
    assert command(pictures, "-k", "3", "--backbone", "efficientnet_lite0", "--out", "r").returncode == 0
    done = command("label-errors", "r", "--folders", "--csv", "s.csv", "--top", "12")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "s.csv")
    assert len(table) == 12
    assert (table["id"][0], table["label"][0], table["likely"][0]) == ("red; 'x'/0005.jpg", "red; 'x'", "blue")


def test_many_small_classes_raise_no_warning_of_a_library(tmp_path: Path, vector_run: VectorRun) -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    labels = write_labels(tmp_path / "labels.csv", [NAMES[row % 2] if row < 8 else f"l{row}" for row in range(60)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = find_label_errors(vector_run(vectors), labels)
    assert (found.labelled, len(found.too_small)) == (60, 52)
