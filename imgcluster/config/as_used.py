"""The config that reproduces a result: after a fallback or for `backbone: auto`, with the network that was used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imgcluster.config.backbone_table import OLD_NAMES
from imgcluster.config.loader import Config, FeaturesConfig, config_from_dict
from imgcluster.config.schema import AUTO_BACKBONE

OWN_DEFAULTS = {"pooling": "auto", "preprocess": "backbone"}  # how the network of a fallback is always used

Origins = Sequence[Mapping[str, Any]]


def config_as_used(config: Config, origins: Origins) -> Config:
    """Return the config that gives a result again, wherever weights can be had then; `origins`: as in run.json.

    Without a fallback it is the config itself. So it is where no config can say what was used: one network of several
    was replaced, and the others have a pooling or a preprocess of their own, which a config sets for all of them alike.
    """
    keys = features_as_used(config.features, origins)
    whole = config.resolved()
    if not keys:
        return config
    changed = config_from_dict({**whole, "features": {**whole["features"], **keys}})
    return changed.with_limits(config.images.reading.limits)


def features_as_used(features: FeaturesConfig, origins: Origins) -> dict[str, Any]:
    """Return the keys of the section `features` in which what was used differs from what was asked for."""
    if features.backbone == AUTO_BACKBONE:
        names = [str(origin["backbone"]) for origin in origins]
        return {"backbone": names if len(names) > 1 else names[0]} if names else {}
    if not any(origin.get("fallback") for origin in origins):
        return {}
    asked = [_name_in(features, str(origin["backbone"])) for origin in origins]
    own = [name for name in asked if name is not None]
    replaced = len(own) < len(origins)
    if replaced and own and any(getattr(features, key) != value for key, value in OWN_DEFAULTS.items()):
        return {}
    names = [name or str(origin["backbone"]) for name, origin in zip(asked, origins, strict=True)]
    layers = {name: list(features.layers_of(name)) for name in own if features.layers_of(name)}
    blocks = sum(len(origin.get("stores", ())) for origin in origins)
    weights = features.block_weights
    return {
        "backbone": names if len(names) > 1 else names[0],
        "layer": layers or None,
        "fallback": None,
        "block_weights": None if weights is None or len(weights) != blocks else list(weights),
        **(OWN_DEFAULTS if replaced else {}),
    }


def caveat(config: Config, origins: Origins) -> str:
    """Return a line of comment for a config as used, where it still names a network that was not used; else nothing."""
    fallbacks = [origin["fallback"] for origin in origins if origin.get("fallback")]
    return "".join(
        f"# Gives the same result only while the weights of {each['wanted']} cannot be had: {each['taken']} was used.\n"
        for each in fallbacks
        if _name_in(config.features, each["wanted"]) is not None
    )


def _name_in(features: FeaturesConfig, backbone: str) -> str | None:
    """Return the name by which a config asks for a backbone; None where it does not."""
    return next((name for name in features.backbones if _means(name, backbone)), None)


def _means(name: str, backbone: str) -> bool:
    old = OLD_NAMES.get(name)
    named, _, side = (name if old is None else old.backbone).partition("@")
    used, _, side_used = backbone.partition("@")
    # Of timm's, the tag of the default weights may be left out.
    return side == side_used and (named == used or used.startswith(f"{named}."))
