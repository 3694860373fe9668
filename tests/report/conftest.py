"""Runs of pictures with hostile names, and what their reports hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.reported import hostile_pictures, run_of


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over images with names that would be markup, script or commands; not to be changed."""
    home = tmp_path_factory.mktemp("hostile")
    return run_of(hostile_pictures(home / "pictures"), home / "run")


@pytest.fixture
def copied(hostile: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(hostile, tmp_path / "run"))
