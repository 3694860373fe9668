"""The labelled sets of sets.yaml: what each is, where its pictures come from, and which of them are kept aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import yaml

from tests.benchmarks.sets import sources
from tests.benchmarks.sets.sources import Reader

MOST, LEAST = 50, 8  # pictures of a class; smaller classes are left out


@dataclass(frozen=True)
class LabelledSet:
    """A set of pictures with classes; packages: the folders that it needs; most, least: pictures of a class."""

    name: str
    kind: str
    origin: str
    licence: str
    packages: Sequence[str]
    read: Reader
    most: int = MOST
    least: int = LEAST


def labelled_sets() -> list[LabelledSet]:
    """Return all sets, in the order of the file."""
    rows = yaml.safe_load(Path(__file__).with_name("sets.yaml").read_text(encoding="utf-8"))
    return [LabelledSet(name, **{**row, "read": _reader(row["read"])}) for name, row in rows.items()]


def kept_aside(sets: Sequence[LabelledSet]) -> set[str]:
    """Return the half of the sets, by the hash of the name, that no method is chosen on."""
    order = sorted((labelled.name for labelled in sets), key=lambda name: sha256(name.encode()).hexdigest())
    return set(order[: len(order) // 2])


def _reader(row: dict[str, dict[str, object]]) -> Reader:
    (name, arguments), *_ = row.items()
    made: Reader = getattr(sources, name)(**arguments)
    return made
