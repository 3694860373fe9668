"""Quantisation of networks to int8 with nncf, calibrated on images of the run."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np

from imgcluster.backbones.runtimes.calibration import Calibration
from imgcluster.backbones.runtimes.devices import has_vnni, is_gpu
from imgcluster.backbones.runtimes.openvino_conversion import from_cache, into_cache
from imgcluster.backbones.runtimes.openvino_package import TELEMETRY, convert_errors, import_openvino
from imgcluster.errors import ConfigError
from imgcluster.utils import install_command, not_installed, track

RUNTIMES = ("auto", "openvino")


def check_int8(precision: str, runtime: str, device: str) -> None:
    """Raise ConfigError where a config asks for int8 and cannot have it."""
    if precision != "int8":
        return
    if is_gpu(device):
        raise ConfigError(f"features.precision: int8 is computed on the CPU, not on {device}; set features.device: cpu")
    if runtime not in RUNTIMES:
        allowed = ", ".join(RUNTIMES)
        raise ConfigError(f"features.precision: int8 is computed by openvino, not {runtime}; allowed: {allowed}")
    import_openvino()
    if find_spec("nncf") is None:
        raise _lacking("")


def numerics_of_int8(calibration: Calibration) -> dict[str, Any]:
    """Return, as plain data, the numerics of int8 that change features."""
    return {"nncf": version("nncf"), "calibration": calibration.digest, "overflow_fix": _overflow_fix()}


def quantised(build: Callable[[], Any], shaped_by: Any, calibration: Calibration | None) -> Any:
    """Return an OpenVINO model in int8, from the cache or newly calibrated.

    build: makes the model in fp32, as `converted` returns it; called where the cache lacks it. shaped_by: plain data
    that identifies the network, the key of the cache.

    Raises Unsupported where it cannot be quantised, ConfigError without calibration images.
    """
    if calibration is None:
        raise ConfigError(
            "features.precision: int8 is calibrated on the images of a run; "
            "in Python, imgcluster.run and imgcluster.extract_features take a config with it"
        )
    key = [shaped_by, numerics_of_int8(calibration)]
    if (found := from_cache(key)) is not None:
        return found
    return into_cache(_quantise(build(), calibration), key)


def _quantise(model: Any, calibration: Calibration) -> Any:
    """Quantise by the full range of each layer's values: clipped extremes would change features most.

    With nncf's default ranges, random VGG16's features give other clusters (adjusted Rand index 0.62).
    """
    nncf, pixels = _import_nncf(), calibration.pixels
    model.reshape([1, *pixels.shape[1:]])
    with (
        track("calibrating int8", len(pixels), "images", show=calibration.show) as advance,
        convert_errors(),
        _silenced_nncf(),
    ):

        def taken(picture: np.ndarray) -> np.ndarray:
            advance(1)
            return picture

        return nncf.quantize(
            model,
            nncf.Dataset([pixels[number : number + 1] for number in range(len(pixels))], taken),
            subset_size=len(pixels),
            preset=nncf.QuantizationPreset.PERFORMANCE,
            fast_bias_correction=True,
            advanced_parameters=_parameters(),
        )


def _parameters() -> Any:
    advanced = import_module("nncf.quantization.advanced_parameters")
    ranges = import_module("nncf.quantization.range_estimator").RangeEstimatorParametersSet
    return advanced.AdvancedQuantizationParameters(
        overflow_fix=advanced.OverflowFix(_overflow_fix()), activations_range_estimator_params=ranges.MINMAX
    )


def _overflow_fix() -> str:
    """Return nncf's setting: without VNNI, products are added in 16 bits, and 7-bit weights avoid an overflow."""
    return "disable" if has_vnni() else "enable"


def _import_nncf() -> Any:
    try:
        with _silenced_nncf():
            nncf = import_module("nncf")
    except ImportError as error:
        raise _lacking(f" ({error})") from error
    logging.getLogger("nncf").setLevel(logging.ERROR)  # nncf's own function would change other handlers too
    return nncf


def _lacking(reason: str) -> ConfigError:
    return ConfigError(f"features.precision: int8 needs the package nncf{reason}; {install_command('int8')}")


@contextmanager
def _silenced_nncf() -> Iterator[None]:
    """Disable nncf's telemetry and its progress bars, which have no switch, and restore what it changes in logging."""
    logger_class = logging.getLoggerClass()
    cuda = logging.getLogger("torch.utils.cpp_extension")  # imported by nncf; warns of a missing GPU
    level = cuda.level
    cuda.setLevel(logging.ERROR)
    try:
        with not_installed(TELEMETRY), redirect_stdout(io.StringIO()):
            yield
    finally:
        cuda.setLevel(level)
        logging.setLoggerClass(logger_class)
