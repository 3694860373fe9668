"""Ctrl-C in a command of curation: its exit code, and no half-written table."""

from __future__ import annotations

from pathlib import Path

import pytest

import imgcluster.curation
from imgcluster.cli.main import main
from tests.support.folder_runs import make_run

COMMANDS = (
    ("find_label_errors", "label-errors RUN --folders --csv OUT"),
    ("choose_subset", "subset RUN --csv OUT"),
    ("ImageSearch", "find RUN a/1.jpg --csv OUT"),
)


@pytest.mark.parametrize(("function", "line"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_ctrl_c_ends_it(
    function: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    run = make_run(tmp_path, {"a/1.jpg": ("0", b"1")})
    monkeypatch.setattr(imgcluster.curation, function, interrupt)
    words = [word.replace("RUN", str(run)).replace("OUT", str(tmp_path / "out.csv")) for word in line.split()]
    assert main(words) == 130
    assert "Interrupted" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()
