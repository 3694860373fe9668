"""`extract`: fill the feature store."""

from __future__ import annotations

from imgcluster.cli.options import CONFIG_ARGUMENTS, PROFILE, Commands, Options, add_command, load_options


def add(commands: Commands) -> None:
    """Add the command."""
    help = "extract features into the store, without clustering"
    add_command(commands, "extract", run, help, *CONFIG_ARGUMENTS, PROFILE, resumable=True)


def run(options: Options) -> None:
    """Extract the features of a config's images, print how they were made."""
    config = load_options(options)
    from imgcluster.features import start_early

    start_early(config.dask)  # its workers import the libraries while this process does
    from imgcluster.cli.format.run import profile_lines, summarize_features
    from imgcluster.pipeline import fill_store

    features = fill_store(config, show=not options.quiet)
    print("\n".join([*summarize_features(features), *(profile_lines(features) if options.profile else [])]))
