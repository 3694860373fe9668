"""How the samples of an image file become what is seen: the choices of a config, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

Limits = tuple[float, float]
SHARED = "shared"  # a range
PERCENTILES = (2.0, 98.0)  # of each image
# Of all images of a run: cells cover a few per cent of a microscopy image, and hot pixels far less than a thousandth.
SHARED_PERCENTILES = (0.1, 99.9)


@dataclass(frozen=True)
class Reading:
    """Choices of reading. Part of the fingerprint where they are not the defaults.

    bands: which bands are shown, counted from 1: one as grey, three as red, green, blue; None: those that the header
    names so, or the first ones. range: the values that become black and white, or how each file gives them: auto,
    declared or percentile; or shared, by `limits`. color: managed (ICC profiles are applied) or raw. percentiles: of
    each file. limits: the values that become black and white in all images of a run but those of 8 bits; None: the
    images of the run gave none.
    """

    bands: tuple[int, ...] | None = None
    range: str | Limits = "auto"
    color: str = "managed"
    percentiles: Limits = PERCENTILES
    limits: Limits | None = None

    def changes(self) -> dict[str, Any]:
        """Return what differs from the defaults."""
        return {key: value for key, value in asdict(self).items() if value != getattr(AS_SHOWN, key)}


AS_SHOWN = Reading()


def reading_of(changes: Mapping[str, Any]) -> Reading:
    """Return the reading that differs from the defaults in this, as `changes` returns it or JSON has kept it."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in changes.items()}
    return Reading(**values)
