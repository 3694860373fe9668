"""`check`: validate a config without running it."""

from __future__ import annotations

from imgcluster.cli.options import Commands, Options, add_config_command, load_options


def add(commands: Commands) -> None:
    """Add the command."""
    add_config_command(commands, "check", run, "validate a config and everything it refers to, without running it")


def run(options: Options) -> None:
    """Check a config, print what a run of it would do."""
    config = load_options(options)
    from imgcluster.cli.format.run import planned
    from imgcluster.pipeline import check

    print(f"{options.config}: {planned(config, len(check(config)))}: OK")
