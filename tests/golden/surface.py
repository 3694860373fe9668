"""What users call: commands with their flags, public names, the keys of a config. Not how help words them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import imgcluster as package

from .cases import SETUP, Imgcluster, as_json

OPTION = re.compile(r"^  (-[^ ].*?)(?:  |$)", re.MULTILINE)
COMMAND = re.compile(r"^    ([a-z][a-z-]*)(?: |$)", re.MULTILINE)
POSITIONAL = re.compile(r"^  ([^ -]\S*)", re.MULTILINE)


def surface(imgcluster: Imgcluster) -> dict[str, str]:
    """Ask the command line for its help and its schema; return the files of a record."""
    commands = COMMAND.findall(imgcluster("--help").partition("\ncommands:\n")[2])
    return {
        "commands.json": as_json({name: arguments_of(imgcluster(name, "--help")) for name in commands}),
        "public_names.json": as_json({"imgcluster": sorted(package.__all__)}),
        "schema.json": as_json({"config": sorted(properties_of(json.loads(imgcluster("schema"))))}),
    }


def lost(found: Mapping[str, str], recorded: Mapping[str, str]) -> list[str]:
    """Return what of the record is not there any more; more may have come."""
    return [
        f"{file}: {group} {name}"
        for file, text in recorded.items()
        if file != SETUP
        for group, names in json.loads(text).items()
        for name in names
        if name not in json.loads(found[file]).get(group, ())
    ]


def arguments_of(help_text: str) -> list[str]:
    """Return the number of a command's positional arguments, and its flags, with `=` where one takes a value."""
    positional, _, options = help_text.partition("\noptions:\n")
    places = POSITIONAL.findall(positional.partition("\npositional arguments:\n")[2])
    return [f"{len(places)} arguments", *_flags(options)]


def _flags(options: str) -> list[str]:
    flags = []
    for spelled in OPTION.findall(options):
        words = spelled.replace(",", " ").split()
        names = [word for word in words if word.startswith("-")]
        flags += [f"{name}=" if len(words) > len(names) else name for name in names]
    return sorted(flags)


def properties_of(schema: Any) -> set[str]:
    """Return the nested names of the properties of a JSON Schema, references followed."""
    return _properties(schema, schema.get("$defs", {}), "")


def _properties(part: Any, defs: dict[str, Any], prefix: str) -> set[str]:
    if isinstance(part, list):
        return {name for each in part for name in _properties(each, defs, prefix)}
    if not isinstance(part, dict):
        return set()
    if "$ref" in part:
        return _properties(defs[part["$ref"].rpartition("/")[2]], defs, prefix)
    own = part.get("properties", {})
    names = {f"{prefix}.{name}".lstrip(".") for name in own}
    for name, value in own.items():
        names |= _properties(value, defs, f"{prefix}.{name}".lstrip("."))
    for join in ("anyOf", "oneOf", "allOf"):
        names |= _properties(part.get(join), defs, prefix)
    return names
