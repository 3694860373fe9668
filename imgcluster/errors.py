"""The exceptions that users can cause. The command line prints each as one line and exits with 1."""

from __future__ import annotations

import reprlib


class ImgclusterError(Exception):
    """Base of the family. The message says what went wrong, where, and what to do next."""


class ConfigError(ImgclusterError):
    """The config, or something it names, cannot be used. May hold several problems, one a line."""


class ImageError(ImgclusterError):
    """An image, or the list of images, cannot be read."""


class WeightsError(ImgclusterError):
    """Weights are there but cannot be used: another architecture, a damaged file, values that are not finite."""


class WeightsUnavailable(WeightsError):
    """Weights are neither on this machine nor to be downloaded. The only error that `features.fallback` answers."""


class DownloadError(ImgclusterError):
    """A file cannot be downloaded: no way there, no such file, too slow, or not the one that was expected."""


class StoreError(ImgclusterError):
    """The feature store is locked, damaged, or was written by a newer version."""


class DamagedShard(StoreError):
    """Stored features are not those that were written. Whoever computes features anew may go on."""


class ClusteringError(ImgclusterError):
    """The features cannot be clustered as asked."""


class SubmissionError(ImgclusterError):
    """A submission has not the shape that its template or its layout asks for. Holds every problem, one a line."""


class OutputError(ImgclusterError):
    """A run folder or a file in it cannot be written."""


def quoted(text: str, most: int = 100) -> str:
    """Return a text in quotes, on one line; one of more characters cut in its middle."""
    cut = reprlib.Repr()
    cut.maxstring = most
    return cut.repr(text)


def one_line(error: object) -> str:
    """Return the message of an error on one line, or the name of its class where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def first_line(error: object) -> str:
    """Return the first line of an error's or a warning's message, or the name of its class where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
