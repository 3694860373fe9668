"""OpenVINO as a package: imported without its telemetry, and its many errors as one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from imgcluster.errors import ConfigError

TELEMETRY = "openvino_telemetry"


class Unsupported(Exception):
    """OpenVINO cannot execute this network; the text says why. torch can."""


def is_installed() -> bool:
    """Tell whether OpenVINO can be imported, without importing it."""
    from importlib.util import find_spec

    return find_spec("openvino") is not None


def import_openvino() -> Any:
    """Import OpenVINO so that it reports to nobody: what it would report with is taken for not installed."""
    try:
        with not_installed(TELEMETRY):
            return import_module("openvino")
    except ImportError as error:
        raise ConfigError(
            f"features.runtime: openvino needs the package openvino ({error}); pip install openvino"
        ) from error


@contextmanager
def not_installed(package: str) -> Iterator[None]:
    """Let a package be taken for one that is not installed by whoever imports it."""
    before = sys.modules.get(package)
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]
        if before is not None:
            sys.modules[package] = before


@contextmanager
def told() -> Iterator[None]:
    """Turn whatever OpenVINO raises, at a step it does not know, into the one error that leads to torch."""
    try:
        yield
    except Exception as error:
        raise Unsupported(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
