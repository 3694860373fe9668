"""`models`: the backbones that can be chosen."""

from __future__ import annotations

import json
from dataclasses import asdict

from imgcluster.cli.options import JSON, Commands, Options, add_command, argument
from imgcluster.errors import ConfigError

HINT = "timm networks are not listed; use timm:NAME, e.g. timm:vit_small_patch14_dinov2.lvd142m"


def add(commands: Commands) -> None:
    """Add the command."""
    pattern = argument("pattern", metavar="PATTERN", nargs="?", default="", help="part of a name, e.g. timm:vit_")
    add_command(commands, "models", run, "list the available backbones", pattern, JSON)


def run(options: Options) -> None:
    """Print the backbones whose names match."""
    from imgcluster.backbones import list_models
    from imgcluster.cli.format.backbones import models_table
    from imgcluster.config import likely

    rows = list_models(options.pattern)
    if not rows:
        meant = likely(options.pattern, [each.name for each in list_models()])
        hint = f"did you mean {meant}?" if meant else f"list all: imgcluster models ({HINT})"
        raise ConfigError(f"no backbone is called {options.pattern!r}; {hint}")
    print(json.dumps([asdict(row) for row in rows], indent=2) if options.json else models_table(rows))
