"""`extract`: features in the store, and nothing else."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Command


def test_extract_fills_the_store_and_writes_nothing_else(tmp_path: Path, config_file: Path, command: Command) -> None:
    result = command("extract", config_file, "--quiet")
    assert result.stdout.splitlines()[0] == "images    12: 12 computed, 0 from the store, 0 failed"
    assert not (tmp_path / "out").exists()
    assert "0 computed, 12 from the store" in command("run", config_file).stdout
