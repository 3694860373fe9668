"""Strict YAML: no duplicate keys, plain values only, bounded size, and the line of each key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

import yaml

from imgcluster.errors import ConfigError, one_line

MAX_BYTES = 1_000_000
MAX_VALUES = 10_000
MAX_ALIASES = 100

KeyPath = tuple[str, ...]

_TAGS = "tag:yaml.org,2002:"
_MERGE = f"{_TAGS}merge"
_NUMBER = f"{_TAGS}int"
_KEY_TAGS = (f"{_TAGS}str", _MERGE)
_NUMBERS_FROM = 2  # keys above: those of a section are text, those in a key's value may be whole numbers

TOO_MUCH = f"more than {MAX_VALUES} values, or nested too deeply, once its aliases are unfolded"


@dataclass(frozen=True)
class Document:
    """What a YAML text holds, the line of each key and list item, and (path, first line, line) of each repeated key."""

    value: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)
    repeated: list[tuple[KeyPath, int, int]] = field(default_factory=list)


class _StrictLoader(yaml.SafeLoader):
    """A SafeLoader without tags, alias bombs, and YAML 1.1's surprises: `no`, `010`, `1:30`, `2021-01-01` are text.

    Whatever is not text here is not text to any YAML 1.1 writer either, so that what it writes is read back the same.
    """

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {}  # type: ignore[misc]  # a class variable in PyYAML too

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values = self._aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        self._values += 1
        self._aliases += isinstance(event, yaml.AliasEvent)
        if self._values > MAX_VALUES:
            raise _refusal(event, TOO_MUCH)
        if self._aliases > MAX_ALIASES:
            raise _refusal(event, f"more than {MAX_ALIASES} aliases (*name)")
        if tag := getattr(event, "tag", None):
            raise _refusal(event, f"tag {tag.replace(_TAGS, '!!')} is not supported; write the plain value")
        return super().compose_node(parent, index)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]{0,999})", list("-+0123456789")),  # Python refuses to convert many more digits
    (
        "float",
        r"[-+]?(([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?|\.(inf|Inf|INF))|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
):
    _StrictLoader.add_implicit_resolver(f"{_TAGS}{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


def _refusal(place: Any, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


def parse_yaml(text: str, depth: int = 0) -> Document:
    """Read one YAML document, above which `depth` keys stand; ConfigError says in one line where it is wrong."""
    try:
        loader = _StrictLoader(text)
        node = loader.get_single_node()
        if node is None:
            return Document(None)
        survey = _Survey(depth)
        survey.visit(node, ())
        return Document(loader.construct_document(node), survey.lines, survey.repeated)
    except RecursionError:
        raise ConfigError(TOO_MUCH) from None
    except yaml.YAMLError as error:
        raise ConfigError(_one_line(error, text)) from None


class _Survey:
    """Goes through the nodes as they unfold, before anything is built from them."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self.lines: dict[KeyPath, int] = {}
        self.repeated: list[tuple[KeyPath, int, int]] = []
        self._left = MAX_VALUES

    def visit(self, node: yaml.Node, path: KeyPath) -> None:
        self._left -= 1
        if self._left < 0:
            raise _refusal(node, TOO_MUCH)
        if isinstance(node, yaml.MappingNode):
            self._visit_mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._visit_item(item, item, (*path, str(index)))

    def _visit_mapping(self, node: yaml.MappingNode, path: KeyPath) -> None:
        for merged in _merged(node):  # first, so that a key written here keeps its own line
            self.visit(merged, path)
        first: dict[str, int] = {}
        for key, value in node.value:
            is_number = key.tag == _NUMBER and self._depth + len(path) >= _NUMBERS_FROM
            if key.tag not in _KEY_TAGS and not is_number:
                raise _refusal(key, "a key must be text; put numbers and words such as null in quotes")
            name = str(int(key.value)) if is_number else key.value  # +1 is 1
            here, line = (*path, name), _line(key)
            if name in first:
                self.repeated.append((here, first[name], line))
            first.setdefault(name, line)
            self._visit_item(key, value, here)

    def _visit_item(self, place: yaml.Node, value: yaml.Node, path: KeyPath) -> None:
        self.lines[path] = _line(place)
        self.visit(value, path)


def _merged(node: yaml.MappingNode) -> Iterator[yaml.Node]:
    """The mappings that `<<: *name` or `<<: [*name, *other]` bring in."""
    for key, value in node.value:
        if key.tag == _MERGE:
            yield from value.value if isinstance(value, yaml.SequenceNode) else [value]


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _one_line(error: yaml.YAMLError, text: str) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f"line {line}: character {chr(error.character)!a} is not allowed in YAML"
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return one_line(error)
    place = f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
    words = ", ".join(part for part in (error.context, error.problem) if part)
    hint = next((hint for sign, hint in _HINTS.items() if sign in words), "")
    return " ".join(f"{place}: {words}{hint}".split())


# What to do about the commonest syntax errors, by a piece of PyYAML's wording.
_HINTS = {
    r"'\t'": "; indent with spaces, not tabs",
    "cannot start": "; text that begins with it goes in quotes",
    "but found '<scalar>'": "; text that begins with { or [ goes in quotes",
    "but got '<scalar>'": "; text that begins with { or [ goes in quotes",
    "an alias": "; text that begins with * goes in quotes",
    "mapping values": "; is a ':' missing above, or is text with ': ' not in quotes?",
}


def read_yaml(path: Path) -> Document:
    """Read a YAML file; ConfigError says in one line why it cannot be read."""
    return parse_yaml(_read_text(path))


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"no such file{_near_file(path)}") from None
    except IsADirectoryError:
        raise ConfigError(f"a folder; name one file{_first_file(path)}") from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"larger than {MAX_BYTES // 1_000_000} MB; is this a config?")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"line {line}: byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8") from None


def _near_file(path: Path) -> str:
    folders = (Path("configs"), Path(), path.parent)  # of one name, the last is meant
    files = {file.name.lower(): file for folder in folders for file in _yaml_files(folder)}
    near = get_close_matches(path.name.lower(), files, n=1)
    return f"; did you mean {files[near[0]]}?" if near else ""


def _first_file(folder: Path) -> str:
    return "".join(f", such as {file}" for file in _yaml_files(folder)[:1])


def _yaml_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.y*ml"))
