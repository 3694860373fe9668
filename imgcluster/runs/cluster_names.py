"""Names of clusters: from the config, a model, known labels or another run, by number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgcluster.config import MATCH, TRUTH, RunFiles
from imgcluster.errors import ConfigError
from imgcluster.images import read_labels
from imgcluster.utils import first_few, parse_json

if TYPE_CHECKING:
    import numpy as np

    from imgcluster.config import Config
    from imgcluster.types import Clusters

NAMES = "names"  # in run.json
NONE = "-1"  # noise, in clusters.csv


def known_names(config: Config, found: Mapping[int, str]) -> dict[int, str]:
    """Return the names of clusters by number, in order of the numbers; none that only repeats its number.

    found: names that came with the clusters: classes of a model or words of `truth:`. `outputs.names` has precedence
    over these, and both over the names in the run of `match:`.
    """
    return _without_numbers(names_to_write(config, found))


def names_to_write(config: Config, found: Mapping[int, str]) -> dict[int, str]:
    """Return the names as `known_names` does, but also those that only repeat the number, such as a class "7"."""
    return dict(sorted({**names_found(config, found), **(config.outputs.names or {})}.items()))


def names_found(config: Config, found: Mapping[int, str]) -> dict[int, str]:
    """Return the names known without `outputs.names`."""
    return {**_names_of_match(config.clusters.numbering), **found}


def recorded_names(record: Mapping[str, Any]) -> dict[int, str]:
    """Return the names of a run's clusters by number, from run.json; from its config where it has none."""
    names = record.get(NAMES)
    if not isinstance(names, Mapping):
        names = record["config"].get("outputs", {}).get("names")
    if not isinstance(names, Mapping):
        return {}
    return _without_numbers({int(number): name for number, name in names.items() if str(number).isdecimal()})


def with_name(number: int, names: Mapping[int, str]) -> str:
    """Return a cluster for a sentence: its number, and its name where it has one.

    >>> with_name(3, {3: "black"}), with_name(4, {3: "black"})
    ('3 (black)', '4')
    """
    return f"{number} ({names[number]})" if number in names else str(number)


def names_note(config: Config, run_folder: Path, ids: Sequence[str], labels: np.ndarray) -> list[str]:
    """Warn where names in `outputs.names` are now on other images than in the run that the folder holds already.

    ids, labels: the images of the new run and their clusters, (n,) int64. Nothing to warn of where `match:` or
    `truth:` ties numbers to images.
    """
    names, table = config.outputs.names or {}, run_folder / RunFiles.CLUSTERS
    if not names or config.clusters.numbering.startswith((MATCH, TRUTH)) or not table.is_file():
        return []
    with suppress(ConfigError):  # a damaged table is ignored
        before = read_labels(table, "outputs.names", label_column="cluster")
        pairs = [(number, before.get(id, NONE)) for id, number in zip(ids, labels.tolist(), strict=True)]
        counts = Counter((number, old) for number, old in pairs if number in names and old != NONE)
        was = {number: old for (number, old), _ in reversed(counts.most_common())}
        moved = [f"{with_name(number, names)} was {old}" for number, old in sorted(was.items()) if old != str(number)]
        if moved:
            return [
                "outputs.names follow numbers, and clusters have changed theirs since the run before: cluster "
                f"{', '.join(moved)}; correct the names, and to keep them set clusters.numbering: "
                "match:RUN, a copy of the run"
            ]
    return []


def unnamed_note(config: Config, clusters: Clusters) -> list[str]:
    """Return a note on the clusters that `outputs.names` leaves without a name, where it names others."""
    names, numbers = names_to_write(config, clusters.names), clusters.sizes.nonzero()[0].tolist()
    lacking = [number for number in numbers if number not in names]
    if not config.outputs.names or not lacking:
        return []
    return [f"outputs.names: {len(lacking)} of {len(numbers)} clusters have no name: {first_few(lacking)}"]


def _without_numbers(names: Mapping[int, Any]) -> dict[int, str]:
    """Leave out names that only repeat the number, such as a model's class "7"."""
    return {number: name for number, name in names.items() if isinstance(name, str) and name != str(number)}


def _names_of_match(numbering: str) -> dict[int, str]:
    """Return the names in the run of `match:RUN`; none where its record cannot be read."""
    if not numbering.startswith(MATCH):
        return {}
    run = Path(numbering.removeprefix(MATCH))
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        return recorded_names(parse_json(((run if run.is_dir() else run.parent) / RunFiles.RECORD).read_bytes()))
    return {}
