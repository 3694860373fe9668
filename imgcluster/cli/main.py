"""The command line: each command loads the config, calls one public function, and prints what came of it."""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import asdict
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from imgcluster._version import __version__
from imgcluster.cli.commands.clusters import add_commands
from imgcluster.cli.commands.explain import add_explain_commands
from imgcluster.cli.commands.folders import add_folder_commands
from imgcluster.cli.commands.labels import add_label_commands
from imgcluster.cli.commands.learn import add_learn_commands
from imgcluster.cli.commands.report import add_report_commands
from imgcluster.cli.commands.scores import add_score_commands
from imgcluster.cli.corrections import GUIDE, check_steps, unknown_arguments, unknown_command
from imgcluster.cli.options import add_command, add_config_command, add_images_folder, add_run, load_options, look_there
from imgcluster.config import likely
from imgcluster.errors import ConfigError, ImgclusterError
from imgcluster.utils import ran_out

if TYPE_CHECKING:
    from imgcluster.config import Config, FeaturesConfig

OK, USER_ERROR, WRONG_LINE, INTERRUPTED = 0, 1, 2, 130
SECONDS_BETWEEN_LOOKS = 0.1

RESUME_HINT = "What was computed is kept: run the same command again and it goes on from there."


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code. 0: done, 1: a user's error, 2: a wrong command line, 130: Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without these letters is no reason to fail
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(format="imgcluster: %(message)s", level=logging.WARNING, stream=sys.stderr)
    # What libraries leave behind in their event loops is told when it is swept up, after our own last words.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        _call_interruptibly(lambda: _call(options))
        sys.stdout.flush()  # here, where a full disk is told
    except KeyboardInterrupt:
        _leave_at_once(RESUME_HINT if options.resumable else "")
    except BrokenPipeError:  # `imgcluster … | head`: whoever read has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ImgclusterError, OSError) as error:
        if options.debug:
            raise
        print(f"imgcluster: {_in_words(error)}", file=sys.stderr)
        return USER_ERROR
    except Exception as error:
        if options.debug or not (reason := _reason_of_the_machine(error)):
            raise
        print(f"imgcluster: {reason}", file=sys.stderr)
        return USER_ERROR
    return OK


def _parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options of a command line; of a wrong one, say what was probably meant, and leave with 2."""
    if not arguments:
        print(GUIDE, file=sys.stderr)
        raise SystemExit(WRONG_LINE)
    parser = _parser()
    names = parser.get_default("names")
    if not arguments[0].startswith("-") and arguments[0] not in names:
        parser.error(unknown_command(arguments[0], names))
    options, extras = parser.parse_known_args(arguments)
    if extras:
        options.parser.error(unknown_arguments(extras, options))
    return options


def _call(options: argparse.Namespace) -> None:
    """Call the command, with its run and the run's images where it looks for them."""
    options = _with_the_run_here(options)
    check_steps(options)
    look_there(options)
    options.command(options)


def _with_the_run_here(options: argparse.Namespace) -> argparse.Namespace:
    """Bring a run folder that is behind a URL here, for commands that look at it."""
    from imgcluster.utils import is_url, shown

    run = getattr(options, "run", None)
    if isinstance(run, str) and is_url(run):
        from imgcluster.runs import fetched

        options.run = str(fetched(run))
        print(f"{shown(run)}: a copy of it is in {options.run}", file=sys.stderr)
    return options


def _in_words(error: Exception) -> str:
    """Say what the operating system refused, and of which file: a full disk is no bug of this program."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename!r}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _reason_of_the_machine(error: Exception) -> str:
    """Say what this machine lacks, a library of the system or memory; nothing where the error is a bug of ours."""
    words = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if ran_out(error):
        return f"the memory does not suffice ({words}); what was computed is kept"
    own, frames = str(Path(__file__).parent), list(traceback.walk_tb(error.__traceback__))
    behind_ours = takewhile(lambda each: not each[0].f_code.co_filename.startswith(own), reversed(frames))
    is_missing = isinstance(error, ImportError) and (error.name or "").partition(".")[0] != "imgcluster"
    if is_missing or any(frame.f_code.co_name == "<module>" for frame, _ in behind_ours):
        return f"a package cannot be loaded: {words}; `python -m imgcluster doctor` says which, and what helps"
    return ""


def _call_interruptibly(work: Callable[[], None]) -> None:
    """Call in a thread, so that Ctrl-C is noticed at once even in the middle of a long call into a library."""
    failure: list[BaseException] = []

    def call() -> None:
        try:
            work()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=call, name="imgcluster-command", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(SECONDS_BETWEEN_LOOKS)
    if failure:
        raise failure[0]


def _leave_at_once(hint: str) -> None:
    """End without waiting for the batch in hand: every file is whole at any moment, so nothing needs tidying."""
    print(f"\nInterrupted. {hint}".rstrip(), file=sys.stderr, flush=True)
    os._exit(INTERRUPTED)


def _load_and_start(options: argparse.Namespace) -> Config:
    """Return the config, having its cluster import what it needs while this process does."""
    config = load_options(options)
    from imgcluster.features import start_early

    start_early(config.dask)
    return config


def _run(options: argparse.Namespace) -> None:
    config = _load_and_start(options)
    from imgcluster.cli.format import profile_lines, summarize_run
    from imgcluster.pipeline import run

    finished = run(config, force=options.force, show=not options.quiet)
    print("\n".join([summarize_run(finished), *(profile_lines(finished.features) if options.profile else [])]))


def _extract(options: argparse.Namespace) -> None:
    config = _load_and_start(options)
    from imgcluster.cli.format import profile_lines, summarize_features
    from imgcluster.pipeline import fill_store

    features = fill_store(config, show=not options.quiet)
    print("\n".join([*summarize_features(features), *(profile_lines(features) if options.profile else [])]))


def _check(options: argparse.Namespace) -> None:
    config = load_options(options)
    from imgcluster.pipeline import check

    images = check(config)
    source = config.features.file or _asked_of(config.features)
    print(
        f"{options.config}: {len(images):,} images, {source}"
        f", {_clusters_asked(config)}, into {config.outputs.folder}: nothing wrong"
    )


def _clusters_asked(config: Config) -> str:
    asked = config.clusters.n_clusters
    return f"clusters by {config.clusters.method}" if asked is None else f"{asked} clusters"


def _asked_of(features: FeaturesConfig) -> str:
    asked = ((name, "+".join(map(str, features.layers_of(name)))) for name in features.backbones)
    return " and ".join(f"{name} {layers}".rstrip() for name, layers in asked)


def _schema(options: argparse.Namespace) -> None:
    from imgcluster.config import config_schema, config_table

    print(config_table() if options.markdown else json.dumps(config_schema(), indent=2))


def _layers(options: argparse.Namespace) -> None:
    from imgcluster.backbones import find_backbone, list_layers

    rows = list_layers(find_backbone(options.backbone), options.size)
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    width = max(len(row.name) for row in rows)
    for row in rows:
        shape = " x ".join(map(str, row.shape))
        print(f"{row.name:<{width}}  {shape:<16}  {' '.join(row.aliases)}".rstrip())


def _models(options: argparse.Namespace) -> None:
    from imgcluster.cli.commands.models import list_models, models_table

    rows = list_models(options.pattern)
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    elif rows:
        print(models_table(rows))
    else:
        meant = likely(options.pattern, [each.name for each in list_models()])
        hint = f"did you mean {meant}?" if meant else "`imgcluster models` lists all but timm's"
        raise ConfigError(f"no backbone is called {options.pattern!r}; {hint}")


def _doctor(options: argparse.Namespace) -> None:
    from imgcluster.cli.commands.doctor import as_json, as_text, examine, has_problems

    findings = examine()
    print(as_json(findings) if options.json else as_text(findings))
    if has_problems(findings):
        raise ImgclusterError("this machine is not fit for all of it; what to do is said above")


def _export(options: argparse.Namespace) -> None:
    from imgcluster.runs import export_features, loader

    out = Path(options.out)
    table = export_features(Path(options.run), options.format, out, force=options.force)
    print(f"{len(table.ids):,} rows of {table.vectors.shape[1]:,} numbers in {out}; in Python:")
    print(loader(options.format, out))


def _features(options: argparse.Namespace) -> None:
    from imgcluster.cli.commands.features import compute_features, format_of
    from imgcluster.cli.format import summarize_features
    from imgcluster.runs import check_out, loader

    out = Path(options.out)
    check_out(format_of(out), out, options.force)
    features = compute_features(options.data_dir, options.model, options.checkpoint_file, out, show=not options.quiet)
    print("\n".join([*summarize_features(features), f"written   {out}; in Python:"]))
    print(loader(format_of(out), out))


def _sample(options: argparse.Namespace) -> None:
    from imgcluster.datasets import write_sample

    count = write_sample(options.name, Path(options.folder))
    print(f"{count:,} images, sample_submission.csv and truth.csv in {options.folder}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="imgcluster", description="From a folder of images to clusters.")
    parser.add_argument("--version", action="version", version=f"imgcluster {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_config_command(commands, "run", _run, "extract features, cluster them, write the submission").add_argument(
        "--force", action="store_true", help="overwrite another config's run in the same folder"
    )
    add_config_command(commands, "extract", _extract, "extract features into the store, and no more")
    add_config_command(commands, "check", _check, "check a config and what it names, and do nothing")
    schema = add_command(commands, "schema", _schema, "print the JSON Schema of a config")
    schema.add_argument("--markdown", action="store_true", help="the keys as a table for people")
    layers = add_command(commands, "layers", _layers, "list a backbone's layers, their names and output shapes")
    layers.add_argument("backbone", metavar="BACKBONE", help="such as vgg16")
    layers.add_argument("--size", type=int, metavar="PIXELS", help="side of the pictures; otherwise the backbone's own")
    layers.add_argument("--json", action="store_true", help="as JSON")
    models = add_command(commands, "models", _models, "list the backbones that can be chosen")
    models.add_argument("pattern", metavar="PATTERN", nargs="?", default="", help="part of a name, such as timm:vit_")
    models.add_argument("--json", action="store_true", help="as JSON")
    doctor = add_command(commands, "doctor", _doctor, "look at this machine, and say what to do about each problem")
    doctor.add_argument("--json", action="store_true", help="as JSON")
    export = add_command(commands, "export", _export, "write the features of a run into one file")
    add_run(export)
    add_images_folder(export)
    export.add_argument("out", metavar="OUT", help="the file, with the format's ending")
    export.add_argument("--format", required=True, metavar="F", help="npz, npy, parquet, csv, safetensors or pkl")
    export.add_argument("--force", action="store_true", help="overwrite the file")
    _add_features_command(commands)
    add_commands(commands)
    add_score_commands(commands)
    add_label_commands(commands)
    add_explain_commands(commands)
    add_report_commands(commands)
    add_learn_commands(commands)
    add_folder_commands(commands)
    sample = add_command(commands, "sample", _sample, "write a small data set that needs no download")
    sample.add_argument("name", metavar="NAME", help="stage, digits or photos")
    sample.add_argument("folder", metavar="DIR", help="a folder that is new or empty")
    parser.set_defaults(names=list(commands.choices))
    return parser


def _add_features_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    features = add_command(commands, "features", _features, "write the features of a folder, by an older tool's flags")
    features.add_argument("--data_dir", required=True, metavar="DIR", help="folder of jpg, jpeg, bmp and png files")
    features.add_argument("--model", required=True, metavar="NAME", help="a backbone, by its own or its older name")
    features.add_argument("--checkpoint_file", metavar="FILE", help="a state dict: .pth, .pt or .safetensors")
    features.add_argument("--out", default="features.pkl", metavar="OUT", help="its ending is the format; features.pkl")
    features.add_argument("--force", action="store_true", help="overwrite the file")
    features.add_argument("--quiet", action="store_true", help="no progress; warnings and the summary stay")
    features.set_defaults(resumable=True)
