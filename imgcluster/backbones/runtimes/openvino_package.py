"""Import of OpenVINO without its telemetry, and conversion of its errors to one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from imgcluster.errors import ConfigError, first_line
from imgcluster.utils import not_installed

TELEMETRY = "openvino_telemetry"
MAX_REASON_LENGTH = 200  # characters


class Unsupported(Exception):
    """OpenVINO cannot execute this network, for the reason in the message; torch can."""


def is_installed() -> bool:
    """Tell whether OpenVINO can be imported, without importing it."""
    from importlib.util import find_spec

    return find_spec("openvino") is not None


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry. Raises ConfigError where it is not installed.

    Neither OpenVINO nor nncf has a switch for it: both go on without where the package of the telemetry is missing.
    """
    try:
        with not_installed(TELEMETRY):
            return import_module("openvino")
    except ImportError as error:
        raise ConfigError(
            f"features.runtime: openvino needs the package openvino ({error}); pip install openvino"
        ) from error


@contextmanager
def convert_errors() -> Iterator[None]:
    """Convert any exception of OpenVINO to Unsupported, which makes the caller fall back to torch."""
    try:
        yield
    except Exception as error:  # OpenVINO and its converter have no base class of errors
        raise Unsupported(first_line(error)[:MAX_REASON_LENGTH]) from error
