"""`cut` in the terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import imgcluster
from imgcluster import load_config
from imgcluster.cli.main import main
from tests.conftest import write_pictures, write_template


@pytest.fixture
def folder(config_file: Path, tmp_path: Path, pictures: Path) -> str:
    write_pictures(pictures, range(36))
    write_template(tmp_path / "template.csv", range(36))
    return str(imgcluster.run(load_config(config_file, ["clusters.method=auto"]), show=False).folder)


def test_it_writes_a_table_and_a_submission(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, submission = tmp_path / "cut.csv", tmp_path / "submission.csv"
    line = ["cut", folder, "--k", "2", "--out", str(table), "--submission", str(submission)]
    assert main(line) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "images    36 in 2 clusters (the run has 3)"
    assert out[1].startswith("level     2 of 1 to ")
    assert sum(text.startswith("cluster ") for text in out) == 2
    assert out[-2:] == [f"written   {table}", f"written   {submission}"]
    assert len(table.read_text().splitlines()) == len(submission.read_text().splitlines()) == 37
    assert main(line) == 1  # both are there
    table.unlink()
    assert main(line) == 1
    assert capsys.readouterr().err.count("exists; overwrite it with --force") == 2
    assert not table.exists()
    assert main([*line, "--force"]) == 0


def test_some_clusters(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "cut.csv"), "--force"]
    assert main(["cut", folder, "--merge", "0", "1", "--merge", "0", "2", "--split", "1", *out]) == 0
    told = capsys.readouterr().out
    assert "images    36 in 2 clusters (the run has 3)" in told
    assert re.search(r"^change    clusters? .* (is|are) now [0-9]+ \([0-9]+ images\)", told, re.MULTILINE)
    assert main(["cut", folder, *out]) == 1
    assert capsys.readouterr().err == "imgcluster: name what to cut: --k K, --split N or --merge N M\n"
    assert main(["cut", folder, "--k", "99", *out]) == 1
    assert capsys.readouterr().err.startswith("imgcluster: --k: 99; the hierarchy of ")
