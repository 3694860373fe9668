"""Every key of a config, whatever is added to them, with values of every wrong kind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from imgcluster.config.loader import Config, config_from_dict, config_schema, load_config
from imgcluster.errors import ConfigError

SMALLEST: dict[str, Any] = {"images": {"folder": "x"}, "clusters": {"n_clusters": 3}, "outputs": {"folder": "y"}}
SCHEMA = config_schema()
DEFINED = SCHEMA["$defs"]
HUGE = 10**30
BESIDE_SECTIONS = {"storage": {"null"}}  # as a section, it has its defaults where nothing stands under it

# Values by their kind, as JSON Schema calls it.
KINDS: dict[str, tuple[Any, ...]] = {
    "null": (None,),
    "boolean": (True, False),
    "integer": (-1, 0, 1, 10**9, HUGE, -HUGE),
    "number": (0.5, -0.5, 1e308, float("nan"), float("inf"), -float("inf")),
    "string": (
        "",
        " ",
        "yes",
        "x",
        "5",
        "a\0b",
        "\ud800",
        "é\n",
        "x" * 100_000,
        "/",
        "*",
        "{id}",
        "2021-01-01",
        "tcp://a:1",
    ),
    "array": ([], [None], [[]], ["x", 5], [HUGE], ["l2"] * 50, [{}]),
    "object": ({}, {"x": 1}, {"": None}, {"x": {"y": [1]}}, {5: "x"}, {"dask": None}, {"0": "a"}),
}


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    return DEFINED[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _kinds(schema: dict[str, Any]) -> set[str]:
    """Return which kinds of values a part of the schema allows at all."""
    schema = _resolved(schema)
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return set().union(*map(_kinds, choices))
    if "type" in schema:
        return {schema["type"]} | ({"integer"} if schema["type"] == "number" else set())
    return {"string"} if "const" in schema or "enum" in schema else set(KINDS)


def _keys() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each key by its path, with its schema: those of the sections, and those beside them."""
    for name, schema in SCHEMA["properties"].items():
        section = _resolved(schema)
        if "properties" not in section:
            yield name, schema
        for key, inner in section.get("properties", {}).items():
            yield f"{name}.{key}", inner


KEYS = dict(_keys())


def _with(key: str, value: Any) -> dict[str, Any]:
    section, dot, name = key.partition(".")
    data = {each: dict(values) for each, values in SMALLEST.items()}
    if not dot:
        return {**data, section: value}
    return {**data, section: {**data.get(section, {}), name: value}}


def test_all_keys_are_looked_at() -> None:
    fields = {name: field.annotation for name, field in Config.model_fields.items()}
    wanted = {
        f"{name}.{key}" if hasattr(section, "model_fields") else name
        for name, section in fields.items()
        for key in getattr(section, "model_fields", {"": None})
    }
    assert set(KEYS) == wanted


@pytest.mark.parametrize("key", KEYS)
def test_a_value_is_kept_or_refused_with_its_key(key: str) -> None:
    """Nothing but a ConfigError comes of any value, and what is taken is the same when it is written and read."""
    for kind, values in KINDS.items():
        for value in values:
            try:
                config = config_from_dict(_with(key, value))
            except ConfigError as error:
                _check_told(str(error), key, value)
            else:
                assert kind in _kinds(KEYS[key]) | BESIDE_SECTIONS.get(key, set()), f"{value!r} was taken"
                Path("c.yaml").write_text(yaml.safe_dump(config.resolved(), allow_unicode=True), encoding="utf-8")
                assert load_config("c.yaml").resolved() == config.resolved()


def _check_told(message: str, key: str, value: Any) -> None:
    section = key.partition(".")[0]
    place = rf"({re.escape(key)}|{section}\.\w+)(\[\d+\])?: "  # of a list each item that is wrong
    head, *more = message.split("\n  ")
    problems = more or [head.removeprefix("config: ")]
    assert head.startswith("config: ")
    for problem in problems:
        assert re.match(place, problem), (value, problem)
        assert len(problem) < 1000, value
        assert "\n" not in problem, problem


@pytest.mark.parametrize("key", KEYS)
def test_a_date_and_other_objects_of_python_are_no_values(key: str) -> None:
    for value in (date(2021, 1, 1), object(), b"x", 1j):
        with pytest.raises(ConfigError, match=rf"^config: {re.escape(key)}"):
            config_from_dict(_with(key, value))


@pytest.mark.parametrize("key", KEYS)
def test_what_yaml_takes_for_something_else_stays_what_it_is(key: str) -> None:
    """A text, null or a number as JSON has them, and never a boolean or a date."""
    Path("c.yaml").write_text(yaml.safe_dump(SMALLEST))
    section, _, name = key.partition(".")
    for written in ("yes", "no", "on", "off", "2021-01-01", "1:30", "0o7", "1e5", "~", ".nan", "-.inf"):
        try:
            config = load_config("c.yaml", [f"{key}={written}"])
        except ConfigError as error:
            assert f"c.yaml: {section}" in str(error)  # noqa: PT017 (where it is taken, it is looked at)
            continue
        found = config.resolved()[section]
        nothing = None if name else {}  # a section with nothing under it has its defaults
        assert (found[name] if name else found) == (nothing if written == "~" else written)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
