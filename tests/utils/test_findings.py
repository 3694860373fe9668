"""Findings that are remembered between processes, and what makes them be looked for again."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from imgcluster.utils import cache_folder, kept, remembered


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMGCLUSTER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("found", [True, False, 3, "text", [1, "a"], {"a": [1.5, None]}])
def test_a_finding_is_remembered_for_what_it_is_about(found: Any, cache: Path) -> None:
    asked: list[str] = []

    def find(name: str) -> Any:
        asked.append(name)
        return found

    assert [remembered([name], partial(find, name)) for name in "aab"] == [found] * 3
    assert asked == ["a", "b"]
    assert len(list((cache / "findings").iterdir())) == 2


@pytest.mark.parametrize("spoil", ["half", "other", "foreign", "nested", "list"])
def test_a_damaged_or_foreign_file_is_not_believed(spoil: str, cache: Path) -> None:
    remembered(["b"], lambda: "of b")
    remembered(["a"], lambda: "of a")
    files = {json.loads(path.read_text())["found"]: path for path in (cache / "findings").iterdir()}
    damaged = {
        "half": files["of a"].read_text()[:20],
        "other": files["of a"].read_text().replace("of a", "of c"),
        "foreign": files["of b"].read_text(),
        "nested": "[" * 100_000,
        "list": "[]",
    }
    files["of a"].write_text(damaged[spoil])
    assert remembered(["a"], lambda: "again") == "again"
    assert remembered(["a"], lambda: "no more") == "again"


def test_the_oldest_findings_are_forgotten(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MAX_FILES", 3)
    for number in range(6):
        remembered([number], partial(int, number))
        for age, path in enumerate(sorted((cache / "findings").iterdir(), key=lambda path: -path.stat().st_mtime_ns)):
            os.utime(path, ns=(0, 10**15 - (age + 1) * 10**9))  # some file systems have coarse times
    assert len(list((cache / "findings").iterdir())) == 3
    assert [remembered([number], lambda: "again") for number in (5, 4, 3, 0)] == [5, 4, 3, "again"]


def test_without_a_cache_it_is_found_each_time(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    assert [remembered("about", lambda: True), remembered("about", lambda: False)] == [True, False]
    assert cache_folder() == cache


def test_what_raises_is_not_remembered(cache: Path) -> None:
    def fail() -> bool:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            remembered("about", fail)
    assert remembered("about", lambda: True)
