"""`check` and `schema`: validate a config without running it, and describe its keys."""

from __future__ import annotations

import json

from imgcluster.cli.options import CONFIG_ARGUMENTS, Commands, Options, add_command, argument, load_options


def add(commands: Commands) -> None:
    """Add the command."""
    help = "validate a config and everything it refers to, without running it"
    add_command(commands, "check", run, help, *CONFIG_ARGUMENTS)


def run(options: Options) -> None:
    """Check a config, print what a run of it would do."""
    config = load_options(options)
    from imgcluster.backbones import missing_weights
    from imgcluster.cli.format.overview import auto_lines
    from imgcluster.cli.format.run import planned
    from imgcluster.features import settled
    from imgcluster.pipeline import check

    config = settled(config, download=False)
    images = check(config)
    lines = [f"{options.config}: {planned(config, len(images))}: OK", *auto_lines(config.features.auto)]
    print(*lines, *(f"note: {line}" for line in missing_weights(config.features)), sep="\n")


def add_schema(commands: Commands) -> None:
    """Add the command `schema`."""
    markdown = argument("--markdown", action="store_true", help="print the keys as a table instead")
    add_command(commands, "schema", schema, "print the JSON Schema of a config", markdown)


def schema(options: Options) -> None:
    """Print the schema of a config."""
    from imgcluster.config import config_schema, config_table

    print(config_table() if options.markdown else json.dumps(config_schema(), indent=2))
