"""`schema`: the keys of a config."""

from __future__ import annotations

import json

from imgcluster.cli.options import Commands, Options, add_command, argument


def add(commands: Commands) -> None:
    """Add the command."""
    markdown = argument("--markdown", action="store_true", help="print the keys as a table instead")
    add_command(commands, "schema", run, "print the JSON Schema of a config", markdown)


def run(options: Options) -> None:
    """Print the schema of a config."""
    from imgcluster.config import config_schema, config_table

    print(config_table() if options.markdown else json.dumps(config_schema(), indent=2))
