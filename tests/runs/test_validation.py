"""`imgcluster validate`: a submission against its template, with every problem at once and its row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import imgcluster
from imgcluster.cli.main import main
from imgcluster.errors import ConfigError, SubmissionError
from imgcluster.images.ids.table import read_template
from imgcluster.runs.validation import Expected, check_submission, validate_submission, validated

TEMPLATE = "id,label\n01,0\n02,0\n03,0\n"


def problems(tmp_path: Path, submission: str, template: str = TEMPLATE, layout: str | None = None) -> list[str]:
    """What is said of a submission, without the first line; nothing where it is right."""
    (tmp_path / "s.csv").write_text(submission, encoding="utf-8")
    (tmp_path / "t.csv").write_text(template, encoding="utf-8")
    try:
        rows = validate_submission(tmp_path / "s.csv", tmp_path / "t.csv", layout=layout)
    except SubmissionError as error:
        first, *rest = str(error).split("\n  ")
        count = sum(not line.startswith("and ") for line in rest)
        assert first.startswith(f"'{tmp_path / 's.csv'}': ")
        assert f": {count:,} problem" in first or rest[-1].startswith("and ")
        return rest
    assert rows == submission.count("\n") - 1
    return []


@pytest.mark.parametrize(
    ("submission", "expected"),
    [
        ("id,label\n01,5\n02,-1\n03,12\n", []),
        ("id,label\n01, 5\n02,1\n03,1 \n", []),
        ("id,label\n01,0\n02,0\n", ["2 rows; needed: 3", "row 3 of the template: id '03' is missing"]),
        ("id,label\n01,0\n02,0\n03,0\n04,0\n", ["4 rows; needed: 3", "row 4: id '04' is not in the template"]),
        (
            "id,label\n02,0\n01,0\n03,0\n",
            ["row 1: id '02', where the template has '01'", "row 2: id '01', where the template has '02'"],
        ),
        (
            "id,label\n1,0\n02,0\n02,0\n",
            [
                "row 1: id '1' is not in the template",
                "row 3: id '02' stands already in row 2",
                "row 1 of the template: id '01' is missing",
                "row 3 of the template: id '03' is missing",
            ],
        ),
        (
            "id,label\n01,0\n ,0\n03,0\n",
            ["row 2: the id is empty", "row 2 of the template: id '02' is missing"],
        ),
        (
            "id,label\n01,\n02,1.0\n03,x\n",
            [
                "row 1, column 'label': empty",
                "row 2, column 'label': '1.0' is not a whole number",
                "row 3, column 'label': 'x' is not a whole number",
            ],
        ),
        ("id,label\n01\n02,1\n03,0\n", ["row 1, column 'label': empty"]),
        ("id,lable\n01,0\n02,0\n03,0\n", ["the columns are 'id', 'lable'; needed: 'id', 'label'"]),
        ("label,id\n0,01\n0,02\n0,03\n", ["the columns are 'label', 'id'; needed: 'id', 'label'"]),
        (
            "id,label,x\n01,0,0\n02,0,0\n",
            [
                "the columns are 'id', 'label', 'x'; needed: 'id', 'label'",
                "2 rows; needed: 3",
                "row 3 of the template: id '03' is missing",
            ],
        ),
        (
            "name,label\n01,0\n02,0\n03,0\n",
            ["the columns are 'name', 'label'; needed: 'id', 'label'"],
        ),
    ],
)
def test_every_problem_with_its_row(tmp_path: Path, submission: str, expected: list[str]) -> None:
    assert problems(tmp_path, submission) == expected


@pytest.mark.parametrize(
    ("placeholder", "cell", "words"),
    [
        ("0", "7", None),
        ("0", "7.5", "'7.5' is not a whole number"),
        ("0.5", "7", None),
        ("0.5", "1e-3", None),
        ("0.5", "nan", "'nan' is not a number"),
        ("0.5", "7,5", None),  # two cells: told as no CSV
        ("cat", "7", None),
        ("", "7", None),
        ("", " ", "empty"),
        ("cat", "", "empty"),
    ],
)
def test_types_are_the_templates(tmp_path: Path, placeholder: str, cell: str, words: str | None) -> None:
    template = f"id,label\n01,{placeholder}\n02,{placeholder}\n"
    if "," in cell:
        with pytest.raises(ConfigError, match=r"^submission: .*s.csv' is not valid CSV"):
            problems(tmp_path, f"id,label\n01,0.5\n02,{cell}\n", template)
        return
    expected = [f"row 1, column 'label': {words}"] if words else []
    assert problems(tmp_path, f"id,label\n01,{cell}\n02,{placeholder or 'x'}\n", template) == expected


def test_the_templates_own_gaps_may_stay(tmp_path: Path) -> None:
    template = "id,label,note\n01,,a\n02,,\n"
    assert problems(tmp_path, "id,label,note\n01,1,a\n02,0,\n", template) == []
    assert problems(tmp_path, "id,label,note\n01,1,\n02,0,a\n", template) == ["row 1, column 'note': empty"]
    assert problems(tmp_path, template, template) == ["row 1, column 'label': empty", "row 2, column 'label': empty"]


WIDE = "id,a,b,c\n01,0,0,0\n02,0,0,0\n"
ONE_ALONE = "only column 'c' is filled in; columns 'a', 'b' still as in the template"


@pytest.mark.parametrize(
    ("layout", "row", "expected"),
    [
        ("one_hot", "0,1,0", []),
        ("one_hot", "0,0,0", [ONE_ALONE, "row 1: the cells add up to 0, not to 1"]),
        ("one_hot", "1,1,0", ["row 1: the cells add up to 2, not to 1"]),
        ("one_hot", "0,1.0,0", ["row 1, column 'b': '1.0' is neither 0 nor 1"]),
        ("soft", "0.333,0.333,0.333", []),
        ("soft", "0.33333,0.33333,0.33333", []),
        ("soft", "0.333,0.333,0.3301", ["row 1: the cells add up to 0.9961, not to 1"]),
        ("soft", "0,0,0", [ONE_ALONE, "row 1: the cells add up to 0, not to 1"]),
        ("soft", "1e-7,0.9999999,0", []),
        (
            "soft",
            "1.5,-0.5,0",
            [f"row 1, column {name} is not a number from 0 to 1" for name in ("'a': '1.5'", "'b': '-0.5'")],
        ),
        ("soft", "nan,1,0", ["row 1, column 'a': 'nan' is not a number from 0 to 1"]),
        ("labels", "x,1,0", ["row 1, column 'a': 'x' is not a whole number"]),
        ("names", "x,,0", ["row 1, column 'b': empty"]),
        (None, "0.5,1,x", ["row 1, column 'c': 'x' is not a number"]),  # zeros do not say that shares are wrong
    ],
)
def test_layouts(tmp_path: Path, layout: str | None, row: str, expected: list[str]) -> None:
    assert problems(tmp_path, f"id,a,b,c\n01,{row}\n02,0,0,1\n", WIDE, layout) == expected


SHARES = "id,c0,c1,c2\n01,0.333,0.333,0.334\n02,0.333,0.333,0.334\n"


def test_what_a_template_asks_for_is_asked_for(tmp_path: Path) -> None:
    alone = "only column 'c0' is filled in; columns 'c1', 'c2' still as in the template"
    labels = "id,c0,c1,c2\n01,2,0.333,0.334\n02,0,0.333,0.334\n"
    no_share = "row 1, column 'c0': '2' is not a number from 0 to 1"
    assert problems(tmp_path, labels, SHARES) == [alone, no_share, "row 2: the cells add up to 0.667, not to 1"]
    assert problems(tmp_path, "id,c0,c1,c2\n01,1,0,0\n02,0.2,0.3,0.5\n", SHARES) == []
    off = "id,c0,c1,c2\n01,0.9,0.9,0.9\n02,0.2,0.3,0.5\n"
    assert problems(tmp_path, off, SHARES) == ["row 1: the cells add up to 2.7, not to 1"]
    one_hot = "id,a,b\n01,1,0\n02,0,1\n"
    assert problems(tmp_path, "id,a,b\n01,0,0\n02,1,0\n", one_hot) == ["row 1: the cells add up to 0, not to 1"]
    assert problems(tmp_path, "id,a,b\n01,1,1\n02,1,0\n", one_hot) == ["row 1: the cells add up to 2, not to 1"]
    assert problems(tmp_path, "id,a,b\n01,0.5,0.5\n02,1,0\n", one_hot)[0].endswith("'0.5' is neither 0 nor 1")
    zeros = "id,a,b,c\n01,0.0,0.0,0.0\n02,0.0,0.0,0.0\n"
    filled = "id,a,b,c\n01,1,0.0,0.0\n02,2,0.0,0.0\n"
    assert problems(tmp_path, filled, zeros) == [
        "only column 'a' is filled in; columns 'b', 'c' still as in the template"
    ]
    assert problems(tmp_path, "id,a,b,c\n01,1,0.0,0.0\n02,1,0.0,0.0\n", zeros) == []  # all in one class
    assert problems(tmp_path, "id,a,b,c\n01,1,1,0.0\n02,1,0.0,0.0\n", zeros) == []  # several labels, maybe
    usage = "id,a,b,Usage\n01,0.5,0.5,Public\n02,0.5,0.5,Private\n"
    assert problems(tmp_path, "id,a,b,Usage\n01,0.9,0.1,Public\n02,0.2,0.8,Private\n", usage) == []


def test_what_stays_as_in_the_template_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submission, template = tmp_path / "s.csv", tmp_path / "t.csv"
    template.write_text("id,proba,label\n01,0.5,0\n02,0.5,0\n")
    submission.write_text("id,proba,label\n01,0.5,1\n02,0.5,0\n")
    assert validated(submission, template).notes == ["column 'proba' still as in the template: are they scored?"]
    assert main(["validate", str(submission), str(template)]) == 0
    said = f"note: column 'proba' still as in the template: are they scored?\n{submission}: 2 rows match"
    assert capsys.readouterr().out == f"{said} {template}: but see the note\n"
    submission.write_text("id,proba,label\n01,0.9,1\n02,0.5,0\n")
    assert validated(submission, template).notes == []
    assert validated(template, template).notes == ["every label is still the template's, in column 'label'"]
    template.write_text("id,label\n01,\n02,\n")
    submission.write_text("id,label\n01,0\n02,0\n")
    assert validated(submission, template).notes == []


@pytest.mark.parametrize(
    ("template", "submission", "note"),
    [
        ("cat;dog;cat", "0;1;0", "the submission has numbers where the template's 'label' has words ('cat', 'dog')"),
        ("cat;cat;cat", "0;1;0", "the submission has numbers where the template's 'label' has words ('cat')"),
        ("cat;dog;cat", "cat;dgo;cat", "the submission has 'dgo', which the template's 'label' has not ('cat', 'dog')"),
        ("cat;dog;cat", "dog;dog;cat", None),
        ("cat;cat;cat", "dog;cow;cat", None),  # a word alone says nothing of the others
        (
            "1;2;3",
            "0;1;-7",
            "the submission has the labels '-7', '0', which the template's 'label' has not ('1', '2', '3')",
        ),
        ("1;2;3", "3;3;1", None),
        ("1.0;2.0;3.0", "3.0;1;1", None),
        ("1.0;2.0;3.0", "4.0;1;1", "the submission has the labels '4.0', which the template's 'label' has not"),
        (
            "0.5;0.5;0.5",
            "0.2;3;-1",
            "the submission has '-1', '3' where the template's 'label' has a probability ('0.5')",
        ),
        ("0.5;0.5;0.5", "0.2;1;0", None),
    ],
)
def test_labels_that_the_template_has_not_are_said(
    tmp_path: Path, template: str, submission: str, note: str | None
) -> None:
    for name, cells in (("t.csv", template), ("s.csv", submission)):
        rows = (f"0{row},{cell}" for row, cell in enumerate(cells.split(";")))
        (tmp_path / name).write_text("\n".join(["id,label", *rows]) + "\n")
    notes = validated(tmp_path / "s.csv", tmp_path / "t.csv").notes
    assert len(notes) == (note is not None)
    assert all(said.startswith(str(note)) for said in notes)


def test_a_changed_column_beside_the_labels_is_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,label,Usage\n01,0,Public\n02,0,Private\n")
    (tmp_path / "s.csv").write_text("id,label,Usage\n01,0,Public\n02,1,Public\n")
    assert validated(tmp_path / "s.csv", tmp_path / "t.csv").notes == [
        "column 'Usage' not as in the template: is that meant?"
    ]
    (tmp_path / "s.csv").write_text("id,label,Usage\n01,0,Public\n02,1,Private\n")
    assert validated(tmp_path / "s.csv", tmp_path / "t.csv").notes == []


def test_shares_that_only_binary_rounding_moves_add_up(tmp_path: Path) -> None:
    """What pandas writes of a softmax, in float64 and in float32, has more decimals than its sum is exact to."""
    draw = np.random.default_rng(0).normal(size=(50, 10))
    shares = np.exp(draw) / np.exp(draw).sum(axis=1, keepdims=True)
    names = [f"c{number}" for number in range(10)]
    template = "id," + ",".join(names) + "\n" + "".join(f"{row},{','.join(['0.1'] * 10)}\n" for row in range(50))
    for exact in (np.float64, np.float32):
        table = pd.DataFrame(shares.astype(exact), columns=names).rename_axis("id").to_csv()
        assert problems(tmp_path, table, template) == []
    assert problems(tmp_path, "id,a,b\n01,0.50000000,0.50002000\n", "id,a,b\n01,0.5,0.5\n") == [
        "row 1: the cells add up to 1.00002000, not to 1"
    ]


def test_zeros_never_add_up(tmp_path: Path) -> None:
    """Twenty numbers below 0.05 are twenty times 0.0, when rounded; and yet nobody means that."""
    header, zeros = ",".join(f"c{number}" for number in range(20)), ",".join(["0.0"] * 20)
    wide = f"id,{header}\n01,{zeros}\n"
    assert problems(tmp_path, wide, wide, "soft") == ["row 1: the cells add up to 0.0, not to 1"]


def test_labels_of_clusters_that_there_are_not(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("id,label\n01,0\n02,7\n")
    expected = Expected(["01", "02"], ["id", "label"], [1], "labels", allowed=frozenset("012"))
    with pytest.raises(SubmissionError, match=r"row 2, column 'label': '7' is not a label of a cluster"):
        check_submission(read_template(tmp_path / "s.csv", None), expected)


def test_a_file_of_many_problems_is_cut(tmp_path: Path) -> None:
    rows = "".join(f"{number},x\n" for number in range(500))
    found = problems(tmp_path, f"id,label\n{rows}", f"id,label\n{rows.replace('x', '0')}")
    assert len(found) == 101
    assert found[-1] == "and 400 more"


def test_columns_that_are_called_alike_are_told_apart(tmp_path: Path) -> None:
    template = "id,x,,x\n01,0,a,0\n"
    assert problems(tmp_path, "id,x,,x\n01,1,b,y\n", template) == ["row 1, column 'x': 'y' is not a whole number"]


def test_the_column_of_ids_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("group,photo,title\n0,a,01\n0,b,02\n")
    (tmp_path / "s.csv").write_text("group,photo,title\n3,a,01\n4,b,02\n")
    assert imgcluster.validate_submission(tmp_path / "s.csv", tmp_path / "t.csv", id_column="title") == 2
    with pytest.raises(ConfigError, match=r"^template: .*t.csv row 2: id '0' stands already|t.csv row 2: id '0'"):
        validate_submission(tmp_path / "s.csv", tmp_path / "t.csv")
    with pytest.raises(ConfigError, match=r"^template: .* has no column 'nobody'"):
        validate_submission(tmp_path / "s.csv", tmp_path / "t.csv", id_column="nobody")
    with pytest.raises(ConfigError, match=r"^layout: found 'onehot', allowed: labels, one_hot, soft, names"):
        validate_submission(tmp_path / "s.csv", tmp_path / "t.csv", layout="onehot")


def test_the_command_and_its_exit_codes(tmp_path: Path, config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imgcluster.run(imgcluster.load_config(config_file), show=False)
    submission, template = tmp_path / "out" / "submission.csv", tmp_path / "template.csv"
    arguments = ["validate", str(submission), str(template)]
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"{submission}: 12 rows match {template}: OK\n"
    submission.write_text(submission.read_text().replace("0003,", "0003,x"))
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"imgcluster: '{submission}': 1 problem\n  row 4, column 'label': 'x")
    assert main([*arguments, "--layout", "names"]) == 0


@pytest.mark.parametrize("template", ["label,id\n0,a\n0,b\n0,c\n", "label,picture\n0,a\n0,b\n0,c\n"])
def test_the_ids_need_not_be_in_the_first_column(tmp_path: Path, template: str) -> None:
    head = template.partition("\n")[0]
    assert problems(tmp_path, f"{head}\n2,a\n1,b\n2,c\n", template) == []
    assert problems(tmp_path, f"{head}\n2,a\n1,c\n2,b\n", template) == [
        "row 2: id 'c', where the template has 'b'",
        "row 3: id 'b', where the template has 'c'",
    ]
    found = problems(tmp_path, f"{head}\n2,a\nx,b\n2,c\n", template)
    assert found == ["row 2, column 'label': 'x' is not a whole number"]


def test_an_id_that_stands_twice_is_no_reason_for_another_column(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="id '01' stands already in row 1"):
        problems(tmp_path, "id,score\n01,5\n01,6\n", "id,score\n01,5\n01,6\n")
