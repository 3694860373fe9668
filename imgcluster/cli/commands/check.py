"""`check`: validate a config without running it."""

from __future__ import annotations

from imgcluster.cli.options import CONFIG_ARGUMENTS, Commands, Options, add_command, load_options


def add(commands: Commands) -> None:
    """Add the command."""
    help = "validate a config and everything it refers to, without running it"
    add_command(commands, "check", run, help, *CONFIG_ARGUMENTS)


def run(options: Options) -> None:
    """Check a config, print what a run of it would do."""
    config = load_options(options)
    from imgcluster.cli.format.run import planned
    from imgcluster.pipeline import check

    print(f"{options.config}: {planned(config, len(check(config)))}: OK")
