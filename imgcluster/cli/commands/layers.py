"""`layers`: the layers of a backbone."""

from __future__ import annotations

import json
from dataclasses import asdict

from imgcluster.cli.options import JSON, Commands, Options, add_command


def add(commands: Commands) -> None:
    """Add the command."""
    help = "list a backbone's layers with their names and output shapes"
    command = add_command(commands, "layers", run, help, JSON)
    command.add_argument("backbone", metavar="BACKBONE", help="such as vgg16")
    command.add_argument("--size", type=int, metavar="PIXELS", help="input size (default: the backbone's own)")


def run(options: Options) -> None:
    """Print the layers of a backbone."""
    from imgcluster.backbones import find_backbone, list_layers
    from imgcluster.cli.format.backbones import layers_table

    rows = list_layers(find_backbone(options.backbone), options.size)
    print(json.dumps([asdict(row) for row in rows], indent=2) if options.json else layers_table(rows))
