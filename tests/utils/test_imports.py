"""Packages that are hidden for a while: from nobody but the import that can do without them."""

from __future__ import annotations

import importlib
import sys
import threading

import pytest

from imgcluster.utils import not_installed, without_pandas
from imgcluster.utils.imports import OUR_THREADS


@pytest.fixture(autouse=True)
def _pandas_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pandas", raising=False)


def threads(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let these threads be all beside this one."""
    others = [threading.Thread(name=name) for name in names]
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.current_thread(), *others])


def is_hidden() -> bool:
    return "pandas" in sys.modules and sys.modules["pandas"] is None


def test_pandas_is_hidden_until_scikit_learn_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    threads(monkeypatch, f"{OUR_THREADS}writer")
    with without_pandas():
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("pandas")
        assert is_hidden()
    assert "pandas" not in sys.modules


def test_pandas_is_not_hidden_from_the_threads_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    threads(monkeypatch, "a thread of the notebook")
    with without_pandas():
        assert not is_hidden()


def test_pandas_that_is_imported_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    threads(monkeypatch)
    there = object()
    monkeypatch.setitem(sys.modules, "pandas", there)
    with without_pandas():
        assert sys.modules["pandas"] is there
    with not_installed("pandas"):
        assert is_hidden()
    assert sys.modules["pandas"] is there
