"""Names of other tools lead to names that exist."""

from __future__ import annotations

import pytest

from imgcluster.config import backbone_table as catalog
from imgcluster.config.likely_names import BACKBONES, KEYS, METHODS, known_elsewhere, likely
from imgcluster.config.loader import SECTIONS
from imgcluster.config.method_table import METHOD_NAMES


def test_names_from_elsewhere_lead_to_names_that_are_there() -> None:
    keys = {f"{section}.{key}" for section, model in SECTIONS.items() for key in model.model_fields}
    assert set(KEYS.values()) <= keys
    assert {name for name, _ in METHODS.values()} <= set(METHOD_NAMES)
    assert not set(METHODS) & set(METHOD_NAMES)
    names = {name for name, _ in BACKBONES.values()}
    assert {name for name in names if not name.startswith("timm:")} <= set(catalog.BACKBONES)
    for name in METHODS:
        assert likely(name.upper(), METHOD_NAMES) == known_elsewhere(name, METHOD_NAMES)
    timm = pytest.importorskip("timm")
    assert {name.removeprefix("timm:") for name in names if name.startswith("timm:")} <= set(timm.list_pretrained())
