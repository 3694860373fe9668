"""The golden record: the same commands write the same files, and what older code wrote is still read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import Command
from tests.golden import old
from tests.golden.cases import CASES, RECORDED, Imgcluster, differences, lay_out, read_record, run_all
from tests.golden.surface import lost, surface


@pytest.fixture
def imgcluster(command: Command) -> Imgcluster:
    """The command line, of which each call is to succeed; returns what it printed."""

    def call(*arguments: str) -> str:
        done = command(*arguments, COLUMNS="200")
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    return call


def assert_as_recorded(found: Mapping[str, str], part: str) -> None:
    told = differences(found, part)
    assert not told, "\n".join([f"{part} is not as in tests/golden/recorded:", *told])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in ("stage", "photos") else []) for name in CASES]
)
def test_runs_write_what_was_recorded(name: str, tmp_path: Path, imgcluster: Imgcluster) -> None:
    lay_out(tmp_path)
    assert_as_recorded(run_all(name, tmp_path, imgcluster), name)


def test_an_old_store_model_and_old_run_folders_are_read(tmp_path: Path, imgcluster: Imgcluster) -> None:
    old.unpack(tmp_path)
    found = old.read_all(tmp_path, imgcluster)
    assert_as_recorded(found, "old/read")
    for run in ("run", "again"):
        features = json.loads(found[f"{run}/run.json"])["features"]
        assert [(each["computed"], each["reused"]) for each in features] == [(0, 20)]


def test_old_exports_are_taken_back(tmp_path: Path, imgcluster: Imgcluster) -> None:
    old.unpack(tmp_path)
    assert_as_recorded(old.undo_all(tmp_path, imgcluster), "old/undone")


def test_no_command_flag_public_name_or_key_is_lost(imgcluster: Imgcluster) -> None:
    assert lost(surface(imgcluster), read_record(RECORDED / "surface")) == []
