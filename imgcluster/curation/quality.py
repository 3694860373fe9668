"""Quality of a run's images: measures, and the images that stand out by each of them, worst first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from imgcluster.errors import ConfigError, StoreError
from imgcluster.features import MEASURE_COLUMNS, any_there, measured_images
from imgcluster.images import MEASURES
from imgcluster.runs import FinishedRun, listed_images, read_run
from imgcluster.types import TextTable

WORST = 20
COMPRESSED = {"JPEG", "frame"}  # in blocks, whatever the size
SMALLEST_SAVED_AGAIN = 96  # pixels of the shorter side: in fewer blocks, chance looks like a grid
FORMAT = "{:.6g}"


@dataclass(frozen=True)
class Kind:
    """What may be wrong with images. measure: the column that tells. badness: the worse, the larger; NaN: unknown."""

    measure: str
    badness: Callable[[np.ndarray], np.ndarray]
    about: str


def _low(values: np.ndarray) -> np.ndarray:
    return -values


def _high(values: np.ndarray) -> np.ndarray:
    """Leave out images in which nothing of it was found."""
    return np.where(values > 0, values, np.nan)


def _odd(ratios: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        distance = np.abs(np.log2(ratios))
    return np.where(distance > 0, distance, np.nan)


KINDS = {
    "dark": Kind("brightness_high", _low, "its brightest pixels are dark"),
    "bright": Kind("brightness_low", lambda values: values, "its darkest pixels are bright"),
    "blurred": Kind("sharpness", _low, "blurring it further changes little"),
    "low_information": Kind("information", _low, "few greys, little contrast, little detail"),
    "grey": Kind("colorfulness", _low, "little colour"),
    "odd_size": Kind("relative_size", _odd, "much smaller or larger than the median image"),
    "odd_shape": Kind("aspect", _odd, "far from square"),
    "borders": Kind("border", _high, "uniform borders take this share of its width or height"),
    "blocks": Kind("blocks", _high, "blocks of JPEG compression"),
    "screenshot": Kind("screenshot", _high, "flat areas, edges along the axes, few colours"),
    "transparent": Kind("transparency", _high, "this share of it is see-through"),
}
NUMBERS = ("width", "height", "bytes", "aspect", "relative_size", *MEASURES)


@dataclass(frozen=True)
class Quality:
    """The measures of the images of a run that did not fail, in its order; a row for each.

    values: by the names NUMBERS, (n,) float64; NaN where it cannot be measured, or the image cannot be read any
    more. formats: JPEG, PNG, ...; empty where unknown. failed: how many images of the run had failed. read: how many
    were read to be measured now, as the store lacked their measures. unread: how many could not be. bounds: by measure;
    `worst` leaves out what lies between.
    """

    ids: list[str]
    paths: list[str]
    values: Mapping[str, np.ndarray]
    formats: list[str]
    failed: int = 0
    read: int = 0
    unread: int = 0
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @cached_property
    def quantiles(self) -> dict[str, np.ndarray]:
        """By kind, the share of the images that are as bad or worse, (n,) float64 from 1/n to 1; NaN where unknown."""
        return {name: _share(self.badness(name)) for name in KINDS}

    def badness(self, kind: str) -> np.ndarray:
        """Return how bad each image is, the larger the worse, (n,) float64; NaN where unknown, or nothing was found."""
        badness = KINDS[kind].badness(self.values[KINDS[kind].measure])
        if kind != "blocks":
            return badness
        is_small = np.fmin(self.values["width"], self.values["height"]) < SMALLEST_SAVED_AGAIN
        is_compressed = [each in COMPRESSED for each in self.formats]
        return np.where(is_small & ~np.array(is_compressed, bool), np.nan, badness)

    def worst(self, kind: str, count: int | None = None) -> list[int]:
        """Return the rows of the worst images of a kind, the worst first, those within `bounds` left out.

        count: how many; None: all beyond a bound of the kind's measure, or WORST where it has none.
        """
        if count is None:
            count = len(self.ids) if KINDS[kind].measure in self.bounds else WORST
        values = self.values[KINDS[kind].measure]
        badness = self.badness(kind)
        low, high = self.bounds.get(KINDS[kind].measure, (np.inf, -np.inf))
        is_out = (values < low) | (values > high)
        order = np.argsort(-badness, kind="stable")
        return [int(row) for row in order if is_out[row] and not np.isnan(badness[row])][:count]

    def table(self) -> TextTable:
        """Return a row for each image: id, path, format, NUMBERS and the quantiles of kinds; blank where unknown."""
        numbers = {**self.values, **{f"{name}_quantile": each for name, each in self.quantiles.items()}}
        cells = [[_text(value) for value in column.tolist()] for column in numbers.values()]
        return TextTable(["id", "path", "format", *numbers], [self.ids, self.paths, self.formats, *cells])


def quality_of_run(
    run: str | Path | FinishedRun,
    *,
    below: Mapping[str, float] | None = None,
    above: Mapping[str, float] | None = None,
    show: bool = True,
) -> Quality:
    """Return the quality of the images of a finished run, from the measures that were stored as it read them.

    Images whose measures are not stored are read now, and their measures stored.

    Args:
        below: By measure, a bound: `worst` lists images below it alone.
        above: By measure, a bound: `worst` lists images above it alone.
        show: Show progress.

    Raises:
        OutputError: No finished run there, or a damaged one.
        ConfigError: No such measure.
        StoreError: The store is damaged, or of a newer format; or all images are gone.
    """
    bounds = _bounds(below or {}, above or {})
    found = run if isinstance(run, FinishedRun) else read_run(run)
    rows = [row for row in found.rows if row["status"] == "ok"]
    places, features = found.places, found.config.features
    images = listed_images(places.rows(rows), places.storage)
    if images and not any_there([image.path for image in images]):
        raise StoreError(places.lost(len(images)))
    measures = measured_images(images, places.storage.place(features.store), features.reading, show=show)
    values = {name: _known(measures.records[name], measures.found) for name in MEASURE_COLUMNS if name != "format"}
    values["aspect"] = values["width"] / values["height"]
    side = np.sqrt(values["width"] * values["height"])
    values["relative_size"] = side / float(np.nanmedian(side)) if measures.found.any() else side
    return Quality(
        ids=[row["id"] for row in rows],
        paths=[row["path"] for row in rows],
        values={name: values[name] for name in NUMBERS},
        formats=[each.decode() for each in measures.records["format"].tolist()],
        failed=len(found.rows) - len(rows),
        read=measures.read,
        unread=len(measures.reasons),
        bounds=bounds,
    )


def chosen_kinds(kinds: Sequence[str], bounded: Collection[str] = ()) -> list[str]:
    """Return kinds; where none is named, those of the measures that have bounds, or else all.

    Raises ConfigError: there is no such kind.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigError(f"by: there is no kind {kind!r}; there are {', '.join(KINDS)}")
    return list(kinds) or [name for name, kind in KINDS.items() if not bounded or kind.measure in bounded]


def _known(values: np.ndarray, found: np.ndarray) -> np.ndarray:
    return np.where(found, values.astype(np.float64), np.nan)


def _bounds(below: Mapping[str, float], above: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Return by measure the bounds between which images are left out."""
    for name in (*below, *above):
        if name not in (known := [kind.measure for kind in KINDS.values()]):
            raise ConfigError(f"no kind has a measure {name!r}; there are {', '.join(known)}")
    return {name: (below.get(name, -np.inf), above.get(name, np.inf)) for name in {**below, **above}}


def _share(badness: np.ndarray) -> np.ndarray:
    """Return the share of the known values that are as large or larger, (n,) float64; NaN stays."""
    ordered = np.sort(badness[~np.isnan(badness)])
    shares = (len(ordered) - np.searchsorted(ordered, badness)) / max(1, len(ordered))
    return np.where(np.isnan(badness), np.nan, shares)


def _text(value: float) -> str:
    return "" if np.isnan(value) else FORMAT.format(value)
