"""The samples by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from imgcluster.datasets.files import Sample, write
from imgcluster.errors import ConfigError


def _stage() -> Sample:
    from imgcluster.datasets import stage

    return stage.sample()


def _digits() -> Sample:
    from imgcluster.datasets import digits

    return digits.sample()


def _photos() -> Sample:
    from imgcluster.datasets import photos

    return photos.sample()


SAMPLES: dict[str, Callable[[], Sample]] = {"stage": _stage, "digits": _digits, "photos": _photos}


def write_sample(name: str, folder: str | Path, *, show: bool = False) -> int:
    """Write a sample (test/, sample_submission.csv, truth.csv) into a folder; returns the number of images.

    show: the progress.

    Raises:
        ConfigError: There is no such sample.
    """
    if name not in SAMPLES:
        raise ConfigError(f"there is no sample {name!r}: choose one of {', '.join(SAMPLES)}")
    return write(SAMPLES[name](), Path(folder), show=show)
