"""Measures of images, stored beside their features: one store for all backbones, keyed as features are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from imgcluster.config import Reading
from imgcluster.errors import DamagedShard
from imgcluster.features.store.index import Stamps
from imgcluster.features.store.store import META, FeatureStore, ImageKey
from imgcluster.images import MEASURED, RULES, RULES_OF_MEASURES
from imgcluster.utils import Place

ROWS_READ = 10_000  # at a time: some 11 MB


def measures_shape(reading: Reading) -> dict[str, Any]:
    """Return what shapes measures, as `FeatureStore` takes it."""
    return {
        "backbone": "pixels",
        "layer": "measures",
        "rules": [RULES, RULES_OF_MEASURES],
        "reading": reading.changes(),
    }


def as_vectors(measured: Sequence[np.ndarray]) -> np.ndarray:
    """Return records of the dtype MEASURED, () each, as rows of a store: their bytes, taken for float32."""
    return np.stack(measured).view("<f4").reshape(len(measured), -1)


def as_measured(vectors: np.ndarray) -> np.ndarray:
    """Return rows of a store, (n, dim) float32, as (n,) records of the dtype MEASURED."""
    return np.ascontiguousarray(vectors, "<f4").view(MEASURED).reshape(len(vectors))


def append_measures(store: FeatureStore, keys: Sequence[ImageKey], measured: Sequence[np.ndarray | None]) -> None:
    """Add the measures of images that the store lacks; None: its bytes were measured before, or were not decoded.

    Raises StoreError.
    """
    rows: dict[ImageKey, np.ndarray] = {}
    for key, record in zip(keys, measured, strict=True):
        if store.lacks(key):
            known = record is None and store.find(key) is not None  # under another path
            found = as_measured(store.vectors([key]))[0] if known else record
            rows.update({} if found is None else {key: found})
    if rows:
        store.append(list(rows), as_vectors(list(rows.values())))


def stored_measures(
    root: Place, reading: Reading, stamps: Stamps, columns: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Read the measures of images, in parts; those of an image that was not measured are zeros.

    columns: names of fields of MEASURED. Returns (n,) records of these, and (n,) bool: which were found. Damaged shards
    are left out. Raises StoreError: the store is damaged, or of a newer format.
    """
    records = np.zeros(len(stamps), [(name, MEASURED[name]) for name in columns])
    found = np.zeros(len(stamps), bool)
    store = FeatureStore(root, measures_shape(reading))
    if len(stamps) and store.files.names(META):
        store = FeatureStore.reading(store.folder)
        for start in range(0, len(stamps), ROWS_READ):
            places, rows = _rows(store, stamps[start : start + ROWS_READ])
            found[start + places] = True
            for name in columns:
                records[name][start + places] = rows[name]
    return records, found


def _rows(store: FeatureStore, stamps: Stamps) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of the images that a store has, (m,) int64, and their records, (m,)."""
    while True:
        places = np.flatnonzero(store.shards.index.entries(stamps) >= 0)
        try:
            return places, as_measured(store.vectors(stamps[places]))
        except DamagedShard:  # left out from now on
            continue
