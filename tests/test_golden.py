"""The golden record: the same commands write the same files, and what older code wrote is still read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Command
from .golden.cases import CASES, RECORDED, differences, lay_out, read_record, run_all, setup


@pytest.mark.parametrize("name", CASES)
def test_runs_write_what_was_recorded(name: str, tmp_path: Path, command: Command) -> None:
    def imgcluster(*arguments: str) -> str:
        done = command(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    lay_out(tmp_path)
    found = run_all(name, tmp_path, imgcluster)
    by_this_setup = json.loads((RECORDED / "setup.json").read_bytes()) == setup()
    assert differences(found, read_record(RECORDED / name), to_the_byte=by_this_setup) == []
