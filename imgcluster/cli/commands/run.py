"""`run` and `extract`: from a config to clusters, the submission and the report, or only to features."""

from __future__ import annotations

from imgcluster.cli.options import CONFIG_ARGUMENTS, PROFILE, Commands, Options, add_command, argument, load_options


def add(commands: Commands) -> None:
    """Add the command."""
    help = "extract features, cluster the images, write the submission"
    force = argument("--force", action="store_true", help="overwrite another config's run in the same folder")
    add_command(commands, "run", run, help, *CONFIG_ARGUMENTS, PROFILE, force, resumable=True)


def run(options: Options) -> None:
    """Run a config, print the summary."""
    config = load_options(options)
    from imgcluster.features import start_early

    start_early(config.dask)  # its workers import the libraries while this process does
    from imgcluster.cli.format.run import profile_lines, summarize_run
    from imgcluster.pipeline import run

    finished = run(config, force=options.force, show=not options.quiet)
    print(summarize_run(finished), *(profile_lines(finished.features) if options.profile else []), sep="\n")


def add_extract(commands: Commands) -> None:
    """Add the command `extract`."""
    help = "extract features into the store, without clustering"
    add_command(commands, "extract", extract, help, *CONFIG_ARGUMENTS, PROFILE, resumable=True)


def extract(options: Options) -> None:
    """Extract the features of a config's images, print how they were made."""
    config = load_options(options)

    from imgcluster.features import start_early

    start_early(config.dask)  # as above

    from imgcluster.cli.format.run import profile_lines, summarize_features
    from imgcluster.pipeline import fill_store

    features = fill_store(config, show=not options.quiet)
    print(*summarize_features(features), *(profile_lines(features) if options.profile else []), sep="\n")
