"""Load a config: strict validation, one model per section, all problems reported together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, Field, ValidationError, model_validator

from imgcluster.config.clusters_schema import ClustersConfig
from imgcluster.config.diagnostics import OVERRIDES, Problem, dotted, problem, stop, validation_problems
from imgcluster.config.engine_schema import DaskEngine, Engine, Storage
from imgcluster.config.outputs_schema import OutputsConfig
from imgcluster.config.reading import Limits, reading_of
from imgcluster.config.schema import FeaturesConfig, ImagesConfig, Section
from imgcluster.config.yaml import Document, KeyPath, parse_yaml, read_yaml
from imgcluster.errors import ConfigError

__all__ = [
    "SECTIONS",
    "ClustersConfig",
    "Config",
    "FeaturesConfig",
    "ImagesConfig",
    "OutputsConfig",
    "config_from_dict",
    "config_schema",
    "features_from_dict",
    "load_config",
]


class Config(Section):
    """A complete config: images, features, clusters, outputs, engine, storage."""

    model_config = ConfigDict(title="imgcluster config")

    images: ImagesConfig = Field(description="which images, in which order")
    features: FeaturesConfig = Field(default_factory=FeaturesConfig, description="how an image becomes a vector")
    clusters: ClustersConfig = Field(description="how vectors become clusters")
    outputs: OutputsConfig = Field(description="what a run writes, and where")
    engine: Engine = Field(
        default="local",
        description="what does the work; local: this machine; dask: a Dask cluster, started on this machine if no "
        "address is given; the outputs are the same",
        examples=["dask", {"dask": {"address": "tcp://10.0.0.1:8786"}}, {"dask": {"workers": 4}}],
    )
    storage: Storage = Field(
        default={},
        description="options of the file systems behind URLs, by protocol, as fsspec takes them; secrets come from the "
        "environment",
        examples=[{"s3": {"endpoint_url": "http://127.0.0.1:5000", "anon": True}}],
    )

    @model_validator(mode="after")
    def _features_know_how_images_are_read(self) -> Config:
        self.features._reading = self.images.reading
        return self

    def with_limits(self, limits: Limits | None) -> Config:
        """Return the same config with the limits of `images.range: shared`, as the images of a run give them."""
        images = self.images.with_limits(limits)
        return self.model_copy(update={"images": images, "features": self.features.read_as(images.reading)})

    @property
    def dask(self) -> DaskEngine | None:
        """The configured Dask cluster; None: the local engine."""
        if self.engine == "local":
            return None
        return DaskEngine() if self.engine == "dask" else self.engine["dask"]

    def resolved(self) -> dict[str, Any]:
        """Return all keys with their values, defaults included, as plain data for JSON and YAML."""
        return self.model_dump(mode="json")


READING = "reading"  # beside the keys of `features` in a model: the choices of `images`


class _FeaturesAlone(Section):
    features: FeaturesConfig


Model = TypeVar("Model", bound=Section)

SECTIONS: dict[str, type[Section]] = {
    "images": ImagesConfig,
    "features": FeaturesConfig,
    "clusters": ClustersConfig,
    "outputs": OutputsConfig,
}


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Load a YAML config.

    Args:
        overrides: Items `KEY=VALUE`, such as `features.layer=fc7`, as `--set` takes them.

    Raises:
        ConfigError: The file cannot be read or is invalid. The message has all problems, one per line.
    """
    if isinstance(overrides, str):
        overrides = [overrides]
    try:
        document = read_yaml(Path(path))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return _config(document, overrides, str(path))


def config_from_dict(mapping: Mapping[str, Any], overrides: Sequence[str] = ()) -> Config:
    """Make a config from a mapping of plain values, validated like a file; overrides: as of `load_config`.

    Raises ConfigError.
    """
    return _config(Document(mapping), overrides, "config")


def features_from_dict(mapping: Mapping[str, Any]) -> FeaturesConfig:
    """Make the section `features` alone of plain values, checked as in a file.

    Raises:
        ConfigError: with every problem of the section.
    """
    keys = _section(mapping)
    reading = keys.pop(READING, {}) if isinstance(keys, dict) else {}
    return _validated(_FeaturesAlone, {"features": keys}, {}, [], "config").features.read_as(reading_of(reading))


def features_as_dict(features: FeaturesConfig) -> dict[str, Any]:
    """Return the section `features` as plain values, which `features_from_dict` takes, with the choices of reading."""
    changes = features.reading.changes()
    chosen = {"backbone": list(features.backbones)} if features.auto is not None else {}
    return {**features.model_dump(mode="json"), **chosen, **({READING: changes} if changes else {})}


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of a config, the contents of `configs/schema.json`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}


def _config(document: Document, overrides: Sequence[str], source: str) -> Config:
    if not isinstance(document.value, Mapping):
        found = "empty" if document.value is None else "not a mapping"
        raise ConfigError(f"{source}: {found}; a config has the sections {', '.join(SECTIONS)}")
    # An absent section becomes an empty one, so that the keys it lacks are named one by one.
    data = {name: _section(value) for name, value in {**dict.fromkeys(SECTIONS), **document.value}.items()}
    lines = dict(document.lines)
    problems = [
        problem(path, {path: line}, f"given before, in line {first}") for path, first, line in document.repeated
    ]
    problems += [found for item in overrides for found in _override(data, lines, item)]
    return _validated(Config, data, lines, problems, source)


def _validated(
    model: type[Model], data: dict[str, Any], lines: Mapping[KeyPath, int], problems: list[Problem], source: str
) -> Model:
    """Return the model of the data. Raises ConfigError with the problems that are known and those of the data."""
    try:
        validated = model.model_validate(data)
    except ValidationError as error:
        problems = [*problems, *validation_problems(error, Config.model_fields, data, lines)]
    if problems:
        raise stop(source, problems)
    return validated


def _section(value: Any) -> Any:
    """A copy, as overrides write into it; a section with nothing under it has its defaults."""
    return {**(value or {})} if value is None or isinstance(value, Mapping) else value


def _override(data: dict[str, Any], lines: dict[KeyPath, int], item: str) -> list[Problem]:
    try:
        path, value = _parse_override(item)
    except ConfigError as error:
        return [(OVERRIDES, f"overrides entry {item}: {error}")]
    if path[0] not in data:
        lines[path[:1]] = OVERRIDES
    section = data if len(path) == 1 else data.setdefault(path[0], {})
    if isinstance(section, dict):  # else a problem of the file, and told as such
        section[path[-1]] = _section(value) if len(path) == 1 else value
    for replaced in [old for old in lines if old[: len(path)] == path]:
        del lines[replaced]
    lines[path] = OVERRIDES
    return []


def _parse_override(item: str) -> tuple[KeyPath, Any]:
    key, equals, text = item.partition("=")
    path = tuple(key.strip().split("."))
    if not equals or not all(path):
        raise ConfigError("not KEY=VALUE, such as features.layer=fc7")
    if len(path) > 2 or "[" in key:
        raise ConfigError("items cannot be set one by one; give all, such as clusters.transform='[l2, {pca: 64}]'")
    if text.strip()[:1] in ("", "#"):
        raise ConfigError("nothing after '='; write null for no value")
    try:
        document = parse_yaml(text, len(path))
    except ConfigError as error:
        raise ConfigError(f"{error}; as text: '{key}={json.dumps(text)}'") from None
    if document.repeated:
        raise ConfigError(f"{dotted(document.repeated[0][0])!r} is given twice")
    return path, document.value
