"""What clusters are called: the one place where names that are known are looked up, and put to numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from imgcluster.config import Config
from imgcluster.numbering import MATCH

NAMES = "names"  # in run.json
RECORD = "run.json"


def known_names(config: Config, found: Mapping[int, str]) -> dict[int, str]:
    """Return the names of clusters by number, in order of the numbers; none that only repeats its number.

    found: those that came with the clusters, the classes of a model or the words of `truth:`. The names in
    `outputs.names` go before these, and both go before those of the run that `match:` names.
    """
    return _telling(names_to_write(config, found))


def names_to_write(config: Config, found: Mapping[int, str]) -> dict[int, str]:
    """Return the names as `known_names` does, with those that only repeat the number, such as a model's class "7"."""
    return dict(sorted({**names_found(config, found), **(config.outputs.names or {})}.items()))


def names_found(config: Config, found: Mapping[int, str]) -> dict[int, str]:
    """Return the names that are known without `outputs.names`."""
    return {**_names_of_match(config.clusters.numbering), **found}


def recorded_names(record: Mapping[str, Any]) -> dict[int, str]:
    """Return the names of a run's clusters by number, from its run.json; records without names have the config's."""
    names = record.get(NAMES)
    if not isinstance(names, Mapping):
        names = record["config"].get("outputs", {}).get("names")
    if not isinstance(names, Mapping):
        return {}
    return _telling({int(number): name for number, name in names.items() if str(number).isdecimal()})


def with_name(number: int, names: Mapping[int, str]) -> str:
    """Return a cluster as a sentence has it: its number, and its name where it has one.

    >>> with_name(3, {3: "black"}), with_name(4, {3: "black"})
    ('3 (black)', '4')
    """
    return f"{number} ({names[number]})" if number in names else str(number)


def _telling(names: Mapping[int, Any]) -> dict[int, str]:
    """Leave out names that only repeat the number, such as a model's class "7"."""
    return {number: name for number, name in names.items() if isinstance(name, str) and name != str(number)}


def _names_of_match(numbering: str) -> dict[int, str]:
    """Return the names of the run that `match:RUN` names; none where it has no record that can be read."""
    if not numbering.startswith(MATCH):
        return {}
    run = Path(numbering.removeprefix(MATCH))
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        return recorded_names(json.loads(((run if run.is_dir() else run.parent) / RECORD).read_bytes()))
    return {}
