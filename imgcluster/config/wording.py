"""Allowed values of a config key in words, for messages and documentation, and the names a near miss may have meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class Allowed:
    """Metadata of a field: what it allows, in words, and the names that a near miss may have meant.

    refused: names that people know, each with why it is not allowed.
    """

    words: str
    names: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class OneOf:
    """Metadata of a text field whose choices come from a table; a Literal could not be read from one."""

    names: tuple[str, ...]

    @property
    def words(self) -> str:
        """The choices, as an error lists them."""
        return ", ".join(self.names)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.literal_schema(list(self.names))


def describe(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """Say what a field allows, from its annotation: `auto or a whole number >= 1`."""
    notes = list(_notes(metadata))
    for note in notes:
        if isinstance(note, Allowed | OneOf):
            return note.words
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        return describe(inner, metadata)
    return _DESCRIBE[get_origin(annotation) or annotation](get_args(annotation), notes)


def _notes(metadata: Iterable[Any]) -> Iterator[Any]:
    for note in metadata:
        yield from note.metadata if isinstance(note, FieldInfo) else [note]


def _bounds(notes: list[Any]) -> str:
    bounds = {name: getattr(note, name) for name in ("ge", "gt", "le", "lt") for note in notes if hasattr(note, name)}
    return _BOUNDS["-".join(bounds)].format(**bounds)


_BOUNDS = {
    "": "",
    "ge": " >= {ge}",
    "ge-le": " from {ge} to {le}",
    "gt-lt": " between {gt} and {lt}",
    "gt": " > {gt}",
    "lt": " < {lt}",
}

_DESCRIBE: dict[Any, Callable[[tuple[Any, ...], list[Any]], str]] = {
    Literal: lambda args, _: ", ".join(args),
    Union: lambda args, _: " or ".join(map(describe, args)),
    UnionType: lambda args, _: " or ".join(map(describe, args)),
    tuple: lambda args, _: f"a list of {describe(args[0])}",
    dict: lambda args, _: f"{{{describe(args[0])}: {describe(args[1])}}}",
    bool: lambda _args, _notes: "true or false",
    int: lambda _, notes: f"a whole number{_bounds(notes)}",
    float: lambda _, notes: f"a number{_bounds(notes)}",
    NoneType: lambda _args, _notes: "null",
}


def refusal(value: Any, metadata: Iterable[Any]) -> str | None:
    """Say why a name that people know is not allowed; None where there is nothing to say about it."""
    reasons = (pair for note in _notes(metadata) for pair in getattr(note, "refused", ()))
    values = value if isinstance(value, list) else [value]
    return next((reason for name, reason in reasons if name in values), None)


def names_in(annotation: Any, metadata: Iterable[Any] = ()) -> Iterator[str]:
    """Every name a text in this place could have meant."""
    for note in _notes(metadata):
        yield from getattr(note, "names", ())
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif get_origin(annotation) is Annotated:
        yield from names_in(get_args(annotation)[0], get_args(annotation)[1:])
    elif get_origin(annotation) in (Union, UnionType):
        for choice in get_args(annotation):
            yield from names_in(choice)
