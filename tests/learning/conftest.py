"""Fixtures that the tests of `labels` have too."""

from __future__ import annotations

from tests.labels.conftest import labelled

__all__ = ["labelled"]
