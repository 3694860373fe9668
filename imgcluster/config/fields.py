"""Types of config values: validation, and allowed values in words."""

from __future__ import annotations

import math
import os
import re
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from imgcluster.config.backbone_table import BACKBONES, OLD_NAMES, REFUSED
from imgcluster.config.file_patterns import problem_of
from imgcluster.config.likely_names import near_name
from imgcluster.config.method_table import METHOD_NAMES
from imgcluster.config.recipe import CHANNELS, INTERPOLATIONS, NORMALIZATIONS, RECIPE_NAMES, STAGE, STEPS, recipe_of
from imgcluster.config.run_files import RunFiles
from imgcluster.config.secrets import IN_THE_ENVIRONMENT, secret_in_url
from imgcluster.config.wording import Allowed, OneOf

TEXT = "non-empty text"
TEXT_PATTERN = r"^[^\x00]*[^\s\x00][^\x00]*$"

BACKBONE_NAMES = tuple(sorted({*BACKBONES, *OLD_NAMES}))
BUNDLED = tuple(sorted(name for name, row in BACKBONES.items() if row.source == "efficientnet_lite"))
"""Backbones whose weights are installed with imgcluster, so that they can always stand in."""
FORMULAS = tuple(sorted(name for name, row in BACKBONES.items() if not row.has_weights))
"""Backbones without weights."""


def _from_path(value: Any) -> Any:
    """Take a path for its text, `~` for the home, `file://` for a path; refuse a URL that holds a secret, unseen."""
    if not isinstance(value, PurePath | str):
        return value
    text = str(value)
    if found := secret_in_url(text):
        raise unfit(f"{found} does not belong into a config; {IN_THE_ENVIRONMENT}")
    return os.path.expanduser(text.removeprefix("file://"))  # noqa: PTH111 (text stays as it is)


def _known_encoding(name: str) -> str:
    try:
        "".encode(name)  # codecs.lookup would also find codecs that are not for text, such as zip
    except LookupError as error:
        raise ValueError(str(error)) from error
    return name


def _not_the_clusters_table(name: str) -> str:
    if name.lower() in (RunFiles.CLUSTERS, RunFiles.SEGMENTS, RunFiles.IMAGES):
        raise ValueError(f"{name} is a table of the run")
    return name


def _cluster_names(names: Any) -> Any:
    """Take `{"0": ...}`, as JSON has it, for `{0: ...}`, and tell which item is wrong."""
    if not isinstance(names, dict):
        return names
    for number, name in names.items():
        if not re.fullmatch("0|[1-9][0-9]{0,8}", str(number)) or isinstance(number, bool):
            raise unfit(f"{number!r} is not a number of a cluster, a whole number >= 0")
        if not isinstance(name, str) or not re.search(TEXT_PATTERN, name):
            raise unfit(f"{name!r}, the name of {number}, is no {TEXT}; put numbers and words such as null in quotes")
    return {int(number): name for number, name in names.items()}


def unfit(words: str) -> PydanticCustomError:
    """Return an error that tells in its own words why a value is not allowed."""
    return PydanticCustomError(UNFIT, "{words}", {"words": words})


def _no_twins(names: tuple[str, ...]) -> tuple[str, ...]:
    if twins := [name for name in names if names.count(name) > 1]:
        raise unfit(f"{twins[0]} stands in it twice")
    return names


def _rising(limits: tuple[float, ...]) -> tuple[float, ...]:
    if not limits[0] < limits[1]:
        raise unfit(f"{limits[0]:g} is not below {limits[1]:g}; the smaller value comes first and becomes black")
    return limits


def _pattern_of_ids(pattern: str) -> str:
    if words := problem_of(pattern):
        raise unfit(words)
    return pattern


def _known_steps(steps: Any) -> Any:
    """Tell which of the steps is none, before pydantic tells what each of their kinds lacks."""
    for step in steps if isinstance(steps, list | tuple) else ():
        try:
            _STEP.validate_python(step)
        except ValidationError:
            near = near_name(_step_name(step), STEP_NAMES)
            hint = f"; did you mean {near}?" if near else ""
            raise unfit(f"{step!r} is none of its steps: {STEP_WORDS}{hint}") from None
    return steps


def _step_name(step: Any) -> str:
    return str(next(iter(step), "") if isinstance(step, dict) else step)


def _whole_recipe(steps: tuple[Any, ...]) -> tuple[Any, ...]:
    try:
        recipe_of(steps, STAGE)  # any backbone would do: what is asked for is whether the steps make sense together
    except ValueError as error:
        raise unfit(str(error)) from None
    return steps


def parse_range(text: str) -> range:
    """Return the numbers of a range such as 2..20, both ends included. Raises ValueError."""
    found = re.match(RANGE, text)
    if found is None or not 2 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"{text!r}: a range goes from 2 or more up, such as 2..20")
    return range(int(found[1]), int(found[2]) + 1)


def _whole_range(text: str) -> str:
    if text != "auto":
        try:
            parse_range(text)
        except ValueError as error:
            raise unfit(str(error)) from None
    return text


def bytes_of(limit: str | int) -> float:
    """Return the bytes of a `features.download`: 0 for `never`, infinity for `any`."""
    found = re.fullmatch(DOWNLOAD_SIZE, str(limit))
    return float(found[1]) * BYTES_OF[found[2]] if found else math.inf if limit == "any" else 0.0


UNFIT = "unfit"
MAX_BANDS = 2**16 - 1  # of a TIFF: its number of samples has 16 bits
RANGES = ("auto", "declared", "percentile", "shared")
MAX_SIDE_PIXELS = 2**14  # squared, they are the most pixels that are read of a picture
ONE = {"min_length": 1, "max_length": 1}
BYTES_OF = {"kB": 2**10, "MB": 2**20, "GB": 2**30}  # as sizes of weights are shown
DOWNLOAD_SIZE = rf"([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?) ?({'|'.join(BYTES_OF)})"
STEP_NAMES = (*CHANNELS, *INTERPOLATIONS, *STEPS, "normalize")
STEP_WORDS = (
    f"{', '.join((*CHANNELS, *INTERPOLATIONS))}, {{{' | '.join(STEPS)}: pixels, {MAX_SIDE_PIXELS} at the most}}, "
    f"{{normalize: {' | '.join((*NORMALIZATIONS, 'backbone'))} | {{mean: [r, g, b], std: [r, g, b]}}}}"
)

Text = Annotated[str, Field(pattern=TEXT_PATTERN), Allowed(TEXT)]
PathText = Annotated[Text, BeforeValidator(_from_path)]
Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE_PIXELS)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Factor = Annotated[float, Field(gt=0, allow_inf_nan=False)]
BlockWeights = Annotated[tuple[Factor, ...], Field(strict=False)]  # YAML's list becomes a tuple
Share = Annotated[float, Field(gt=0, lt=1)]
Encoding = Annotated[
    str,
    AfterValidator(_known_encoding),
    Allowed("a text encoding that Python knows", ("utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252", "shift_jis")),
]
FilePattern = Annotated[str, Field(pattern=r"\{id(\[[-0-9:]+\])?\}"), AfterValidator(_pattern_of_ids)]
FilePatterns = Annotated[
    FilePattern | Annotated[tuple[FilePattern, ...], Field(strict=False, min_length=1), AfterValidator(_no_twins)],
    Allowed("text that holds {id} or slices of it, such as {id[:2]}, or a list of these"),
]
Folders = Annotated[
    PathText | Annotated[tuple[PathText, ...], Field(strict=False, min_length=1), AfterValidator(_no_twins)],
    Allowed(f"{TEXT}, or a list of these"),
]
Band = Annotated[int, Field(ge=1, le=MAX_BANDS)]
Bands = Annotated[
    Literal["auto"]
    | Annotated[tuple[Band, ...], Field(strict=False, min_length=1, max_length=1)]
    | Annotated[tuple[Band, ...], Field(strict=False, min_length=3, max_length=3)],
    Allowed("auto, or a list of one band or three, counted from 1, such as [4, 3, 2]", ("auto",)),
]
Pair = {"strict": False, "min_length": 2, "max_length": 2}
Percentile = Annotated[float, Field(ge=0, le=100)]
Percentiles = Annotated[tuple[Percentile, ...], Field(**Pair), AfterValidator(_rising)]
ValueRange = Annotated[
    Literal["auto", "declared", "percentile", "shared"]
    | Annotated[tuple[Finite, ...], Field(**Pair), AfterValidator(_rising)]
    | Annotated[dict[Literal["percentile", "shared"], Percentiles], Field(**ONE)],
    Allowed("auto, declared, percentile, shared, {percentile | shared: [low, high]}, or [min, max]", RANGES),
]
Globs = Annotated[tuple[Text, ...], Field(strict=False)]
TimmName = Annotated[str, Field(pattern=r"^timm:[\w.]+(@[1-9][0-9]{1,3})?$")]
BackboneName = Annotated[str, OneOf(BACKBONE_NAMES)] | TimmName
Backbones = Annotated[
    Literal["auto"]
    | BackboneName
    | Annotated[tuple[BackboneName, ...], Field(strict=False, min_length=1), AfterValidator(_no_twins)],
    Allowed(
        "auto, a name that `imgcluster models` lists, timm:NAME, or a list of names",
        ("auto", *BACKBONE_NAMES),
        tuple(REFUSED.items()),
    ),
]
LayerName = Text | Annotated[int, Field(lt=0)]
LayerNames = LayerName | Annotated[tuple[LayerName, ...], Field(strict=False, min_length=1)]
Layers = Annotated[
    LayerNames | dict[str, LayerNames] | None,
    Allowed("a layer's name, a number below 0, a list of these, {BACKBONE: any of these}, or null"),
]
Three = Annotated[tuple[Finite, Finite, Finite], Field(strict=False)]
Positive = Annotated[tuple[Factor, ...], Field(strict=False, min_length=3, max_length=3)]
Normalization = Literal["imagenet", "inception", "clip", "backbone"]


class MeanStd(TypedDict):
    """The mean and the standard deviation of values from 0 to 1, in the order of the channels."""

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")  # type: ignore[misc]

    mean: Three
    std: Positive


PreprocessStep = (
    Literal["rgb", "bgr", "bilinear", "bicubic"]
    | Annotated[dict[Literal["resize", "squash", "letterbox", "center_crop"], Side], Field(**ONE)]
    | Annotated[dict[Literal["normalize"], Normalization | MeanStd], Field(**ONE)]
)
Preprocess = Annotated[
    Annotated[str, OneOf(RECIPE_NAMES)]
    | Annotated[
        tuple[PreprocessStep, ...],
        Field(strict=False),
        BeforeValidator(_known_steps),
        AfterValidator(_whole_recipe),
    ],
    Allowed(
        f"{', '.join(RECIPE_NAMES)}, or a list of steps: [{{resize: 256}}, {{center_crop: 224}}, rgb, "
        "{normalize: imagenet}]",
        RECIPE_NAMES,
    ),
]
WeightsSpec = Annotated[
    str,
    Field(pattern=r"^(imagenet|random|[^\x00]*[^/\\\x00]\.(pth|pt|safetensors))$"),
    Allowed("imagenet, random or a path ending in .pth, .pt or .safetensors", ("imagenet", "random")),
    BeforeValidator(_from_path),
]
DownloadLimit = Annotated[
    Annotated[str, Field(pattern=rf"^(never|any|{DOWNLOAD_SIZE})$")] | Annotated[int, Field(ge=0, le=0)],
    Allowed("a size in kB, MB or GB, such as 400 MB; never or 0, or any", ("never", "any")),
]
FeaturesFile = Annotated[
    str,
    Field(pattern=r"^[^\x00]*[^/\\\x00]\.(npz|npy|parquet|csv|safetensors)$"),
    Allowed("a path ending in .npz, .npy, .parquet, .csv or .safetensors (no pickle: it can run code; save it as npz)"),
    BeforeValidator(_from_path),
]
ColumnText = Annotated[str, Field(pattern=r"^[^\x00]*$"), Allowed("text")]
FileColumns = Annotated[
    ColumnText | Annotated[tuple[ColumnText, ...], Field(strict=False, min_length=1)],
    Allowed("the name of a column or array, the prefix of numbered columns, or a list of these"),
]
# `cpu` is no near name: `gpu` is one letter away from it, and means the opposite.
OneDevice = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$")]
Device = Annotated[
    OneDevice
    | Literal["all"]
    | Annotated[
        tuple[Annotated[str, Field(pattern=r"^(cpu|cuda(:[0-9]+)?)$")], ...], Field(strict=False, min_length=1)
    ],
    Allowed("auto, cpu, cuda, cuda:N, a list of these, or all (GPUs)", ("auto", "cuda", "all")),
]
CsvName = Annotated[
    str,
    Field(pattern=r"^[^/\\\x00]+\.csv$"),
    AfterValidator(_not_the_clusters_table),
    Allowed("a plain file name ending in .csv (not clusters.csv, segments.csv or images.csv)"),
]
ClusterNames = Annotated[
    dict[int, Text],
    BeforeValidator(_cluster_names),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": "^(0|[1-9][0-9]*)$"},
            "additionalProperties": {"type": "string", "pattern": TEXT_PATTERN},
        }
    ),
    Allowed("a name for each cluster's number, such as {0: entry, 1: descent}"),
]
_STEP: TypeAdapter[Any] = TypeAdapter(PreprocessStep, config=ConfigDict(strict=True))
Step = (
    Literal["l2", "sqrt", "standardize", "equalize"]
    | Annotated[dict[Literal["pca", "whiten"], Count | Share], Field(**ONE)]
    | Annotated[dict[Literal["umap"], Count], Field(**ONE)]
)
Order = Literal["sequence"] | Annotated[dict[Literal["smooth"], Factor], Field(**ONE)]
Numbering = Annotated[
    str,
    Field(pattern=r"^(raw|size|first_appearance|(match|truth):[^\x00]*[^\s\x00][^\x00]*)$"),
    Allowed("raw, size, first_appearance, match:RUN (a run folder) or truth:CSV", ("raw", "size", "first_appearance")),
]
Parameters = Annotated[
    dict[Text, bool | int | float | str | None],
    Allowed("a mapping of parameters of the method's estimator, such as {linkage: average, metric: cosine}"),
]
RANGE = r"^([0-9]+)\.\.([0-9]+)$"
KRange = Annotated[
    Count | Annotated[str, Field(pattern=rf"^auto$|{RANGE}"), AfterValidator(_whole_range)] | None,
    Allowed("a whole number >= 1, auto (2..20), a range such as 2..40, or null", ("auto",)),
]
MethodName = Annotated[str, OneOf(METHOD_NAMES)]
