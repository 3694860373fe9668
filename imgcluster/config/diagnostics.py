"""Messages about an invalid config: location, value found, values allowed, and the likely intention."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from imgcluster.config.fields import TEXT, UNFIT
from imgcluster.config.likely_names import likely, likely_key, near_name
from imgcluster.config.wording import describe, names_in, refusal
from imgcluster.config.yaml import KeyPath
from imgcluster.errors import ConfigError

Fields = Mapping[str, FieldInfo]  # of the config: its sections, and what is no section
Problem = tuple[float, str]  # the line it stands on, and the words

OVERRIDES = 0  # the "line" of what overrides give


def problem(path: KeyPath, lines: Mapping[KeyPath, int], words: str) -> Problem:
    """Put words to the place they are about; a key that is absent stands where its section does."""
    line = next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), None)
    place = {None: "", OVERRIDES: " (overrides)"}.get(line, f" (line {line})")
    return (float("inf") if line is None else line, f"{dotted(path)}{place}: {words}")


def dotted(path: KeyPath) -> str:
    """Write a path as overrides take it, list items as in Python: `clusters.transform[1].pca`."""
    first, *rest = (part if part.isprintable() else repr(part) for part in path)
    return first + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in rest)


def stop(source: str, problems: list[Problem]) -> ConfigError:
    """One error for all problems, in the order of the file; a single one stays on the first line."""
    found = [words for _, words in sorted(problems, key=lambda item: item[0])]
    if len(found) == 1:
        return ConfigError(f"{source}: {found[0]}")
    return ConfigError("\n  ".join([f"{source}: {len(found)} problems", *found]))


def validation_problems(
    error: ValidationError, fields: Fields, data: Mapping[str, Any], lines: Mapping[KeyPath, int]
) -> list[Problem]:
    """One problem for each key that pydantic complains about, however many complaints a union makes of it."""
    found: dict[KeyPath, Problem] = {}
    for complaint in error.errors(include_url=False, include_context=False, include_input=False):
        loc = complaint["loc"]
        end = 3 if len(loc) > 2 and isinstance(loc[2], int) else 2
        end = 1 if not _keys(fields, loc[0]) else end
        path = tuple(map(str, loc[:end]))
        if complaint["type"] == UNFIT:
            path, said = _of_a_key(path, complaint["msg"], fields)
            found[path] = problem(path, lines, said)  # says more than what a union makes of it
            continue
        words = _COMPLAINTS.get(complaint["type"], _wrong_value)
        found.setdefault(path, problem(path, lines, words(fields, data, loc[:end])))
    return list(found.values())


def _of_a_key(path: KeyPath, words: str, fields: Fields) -> tuple[KeyPath, str]:
    """Put what a section as a whole says of one of its keys, `key: words`, to that key."""
    key, colon, rest = words.partition(": ")
    if len(path) == 1 and colon and key in _keys(fields, path[0]):
        return (*path, key), rest
    return path, words


def _keys(fields: Fields, name: Any) -> Fields:
    """Return the keys of a section; none of what is no section."""
    annotation: Any = fields[name].annotation if name in fields else None
    is_class = isinstance(annotation, type) and get_origin(annotation) is None  # to Python 3.10, dict[str, Any] is one
    return annotation.model_fields if is_class and issubclass(annotation, BaseModel) else {}


def _unknown_key(fields: Fields, data: Mapping[str, Any], loc: tuple[Any, ...]) -> str:
    allowed = list(fields if len(loc) == 1 else _keys(fields, loc[0]))
    key = str(loc[-1])
    elsewhere = likely_key(key, [f"{name}.{each}" for name in fields for each in _keys(fields, name)])
    meant = [near_name(key, allowed), elsewhere]
    if len(loc) == 1 and not isinstance(data.get(loc[0]), Mapping):  # no section, then, but one's key
        meant.reverse()
    name = meant[0] or meant[1]
    hint = f"; did you mean {name!r}?" if name else ""
    return f"unknown key{hint} (allowed: {', '.join(allowed)})"


def _missing(fields: Fields, data: Mapping[str, Any], loc: tuple[Any, ...]) -> str:
    field = _keys(fields, loc[0])[loc[1]]
    return f"missing, allowed: {describe(field.annotation, field.metadata)}"


def _wrong_value(fields: Fields, data: Mapping[str, Any], loc: tuple[Any, ...]) -> str:
    value, keys = data[loc[0]], _keys(fields, loc[0])
    if len(loc) == 1 and keys:
        return f"found {_found(value, 'a mapping')}, allowed: a mapping with the keys {', '.join(keys)}"
    value, field = (value[loc[1]], keys[loc[1]]) if keys else (value, fields[loc[0]])
    annotation, metadata = field.annotation, field.metadata
    if len(loc) == 3:
        value, annotation, metadata = value[loc[2]], get_args(annotation)[0], []
    if reason := refusal(value, metadata):
        return f"found {value!r}: {reason}"
    allowed = describe(annotation, metadata)
    quotes = "; put it in quotes" if TEXT in allowed and isinstance(value, int | float) else ""
    meant = likely(value, names_in(annotation, metadata)) if isinstance(value, str) else None
    hint = f"; did you mean {meant}?" if meant else ""
    return f"found {_found(value, allowed)}, allowed: {allowed}{hint}{quotes}"


_COMPLAINTS = {"extra_forbidden": _unknown_key, "invalid_key": _unknown_key, "missing": _missing}


_KINDS = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list", dict: "a mapping"}


def _found(value: Any, allowed: str) -> str:
    """Show a value as YAML writes it, with its kind where the kind is what is wrong."""
    if value is None:
        return "null (no value)"
    shown = str(value).lower() if isinstance(value, bool) else _short.repr(value)
    kind = _KINDS.get(type(value), type(value).__name__)
    expected = "a number" if re.search(r"\bnumber\b", allowed) else "text"
    return shown if kind == expected and not allowed.startswith("a list") else f"{shown} ({kind})"


_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60
