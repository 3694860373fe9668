"""hierarchy.json of a run: nested clusters around those of the run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from imgcluster.config import RunFiles
from imgcluster.errors import OutputError
from imgcluster.types import NOISE, Hierarchy
from imgcluster.utils import parse_json

FORMAT = 1
KEYS = ("level", "cluster", "parent", "size", "modularity")
DIGITS = 6  # of the modularity


def hierarchy_text(hierarchy: Hierarchy | None, failed: Iterable[bool]) -> str:
    """Return the text of hierarchy.json; without levels where there is none.

    failed: whether each image of the run has no features, and so no row in the hierarchy.
    """
    if hierarchy is None:
        return json.dumps({"format": FORMAT, "n_clusters": 0, "levels": [], "finest": []}) + "\n"
    labels = iter(hierarchy.finest.tolist())
    finest = [None if gone else next(labels) for gone in failed]
    columns = (
        *(range(1, hierarchy.levels + 1), hierarchy.numbers, [None, *hierarchy.splits[:, 0].tolist()]),
        *(hierarchy.sizes, (hierarchy.modularity.round(DIGITS) + 0.0).tolist()),
    )
    levels = [json.dumps(dict(zip(KEYS, values, strict=True))) for values in zip(*columns, strict=True)]
    return "\n".join(
        [
            f'{{"format": {FORMAT}, "n_clusters": {hierarchy.n_clusters}, "levels": [',
            ",\n".join(levels),
            f'], "finest": {json.dumps(finest, separators=(",", ":"))}}}\n',
        ]
    )


def read_hierarchy(run_folder: Path) -> Hierarchy | None:
    """Return the hierarchy of a finished run; None where it has none. Raises OutputError: damaged."""
    path = run_folder / RunFiles.HIERARCHY
    try:
        record = parse_json(path.read_bytes())
        levels = record["levels"]
        if not levels:
            return None
        splits = [(each["parent"], each["cluster"]) for each in levels[1:]]
        finest = [label for label in record["finest"] if label is not None]
        found = Hierarchy(
            np.array(splits, np.int64).reshape(-1, 2),
            np.array(finest, np.int64),
            np.array([each["modularity"] for each in levels], np.float64),
            int(record["n_clusters"]),
        )
        _check(found)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise OutputError(f"{str(path)!r} is damaged; run the config again with force=True") from None
    return found


def _check(found: Hierarchy) -> None:
    """Raise ValueError where levels are not nested, or the images are not in clusters of the finest."""
    known: set[int] = set(found.numbers[:1])
    for kept, new in found.splits.tolist():
        if kept not in known or new in known:
            raise ValueError("a split of no cluster, or into one that there is")
        known.add(new)
    if {*found.finest.tolist()} - {NOISE} != known:
        raise ValueError("a cluster without images, or of no level")
    if not (1 <= found.n_clusters <= found.levels and np.isfinite(found.modularity).all()):
        raise ValueError("no such level, or one without a modularity")
