"""The key `images.video`: which frames of a video become images."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    model_serializer,
)

from imgcluster.config.fields import Count, Factor, unfit
from imgcluster.config.wording import Allowed, describe

SECONDS = {"ms": Fraction(1, 1000), "s": Fraction(1), "min": Fraction(60), "h": Fraction(3600)}
DURATION = re.compile(rf"([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?)\s*({'|'.join(SECONDS)})")
DURATION_WORDS = f"a number of seconds > 0, or a number with a unit: {', '.join(SECONDS)}"
WORDS = "{every: 1 s}, {frames: 20}, {frames: all}, or {shots: true}, also with every; or null"
SHOT_STEP = Fraction(1, 2)  # seconds between the frames that `shots` compares, unless `every` sets them


def seconds_of(duration: float | str) -> Fraction:
    """Return the seconds of a duration such as 1.5, 500 ms or 2 min. Raises ValueError."""
    if not isinstance(duration, str):
        return Fraction(str(duration))
    found = DURATION.fullmatch(duration.strip())
    if found is None or not float(found[1]):
        raise ValueError(duration)
    return Fraction(found[1]) * SECONDS[found[2]]


def _is_duration(text: str) -> str:
    seconds_of(text)
    return text


class VideoSampling(BaseModel):
    """Which frames of each video are taken, by presentation time; one of the keys is set."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    every: Annotated[Factor | Annotated[str, AfterValidator(_is_duration)] | None, Allowed(DURATION_WORDS)] = None
    frames: Annotated[Count | Literal["all"] | None, Allowed("a whole number >= 1, or all")] = None
    shots: Annotated[bool, Allowed("true or false")] = False

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields if getattr(self, name)}

    @property
    def step(self) -> Fraction | None:
        """The seconds between frames; None where their number is set."""
        if self.every is not None:
            return seconds_of(self.every)
        return SHOT_STEP if self.shots else None


def _one_way(value: Any) -> Any:
    """Say which key is wrong, or that too many or none are set."""
    if not isinstance(value, Mapping):
        return value
    try:
        sampling = _SAMPLING.validate_python(value)
    except ValidationError as error:
        complaint = error.errors(include_url=False)[0]
        key = str(complaint["loc"][0])
        if key not in VideoSampling.model_fields:
            raise unfit(f"{key}: unknown key (allowed: {', '.join(VideoSampling.model_fields)})") from None
        field = VideoSampling.model_fields[key]
        raise unfit(f"{key}: found {value[key]!r}, allowed: {describe(field.annotation, field.metadata)}") from None
    if (sampling.step is None) == (sampling.frames is None):
        raise unfit(f"found {dict(value)!r}, allowed: {WORDS}")
    return value


_SAMPLING: TypeAdapter[VideoSampling] = TypeAdapter(VideoSampling)
Video = Annotated[VideoSampling | None, BeforeValidator(_one_way), Allowed(WORDS)]
