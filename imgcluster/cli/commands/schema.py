"""`schema`: the keys of a config."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from imgcluster.cli.options import add_command

if TYPE_CHECKING:
    from imgcluster.cli.options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "schema", run, "print the JSON Schema of a config")
    command.add_argument("--markdown", action="store_true", help="print the keys as a table instead")


def run(options: argparse.Namespace) -> None:
    """Print the schema of a config."""
    from imgcluster.config import config_schema, config_table

    print(config_table() if options.markdown else json.dumps(config_schema(), indent=2))
