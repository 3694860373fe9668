"""The program: parse the command line, run one command, turn errors into a line and an exit code."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
import traceback
from itertools import takewhile
from pathlib import Path

from imgcluster._version import __version__
from imgcluster.cli.commands import (
    assign,
    check,
    compare,
    cut,
    distance,
    doctor,
    duplicates,
    explain,
    export,
    export_folders,
    features,
    find,
    folder,
    init,
    label_errors,
    layers,
    leaks,
    learn,
    models,
    predict,
    quality,
    report,
    run,
    score,
    show,
    spread,
    stability,
    subset,
    suggest,
    sweep,
    validate,
    weights,
)
from imgcluster.cli.corrections import GUIDE, check_steps, holds_images, unknown_arguments, unknown_command
from imgcluster.cli.interrupts import INTERRUPTED, LastWords, watch_interrupts
from imgcluster.cli.options import look_there, with_options
from imgcluster.errors import ImgclusterError

# In the order of `imgcluster --help`.
COMMANDS = (
    *(folder.add, init.add, run.add, check.add, show.add, report.add, explain.add, run.add_extract, export.add),
    *(export_folders.add, quality.add, duplicates.add, leaks.add, find.add, label_errors.add, subset.add),
    *(assign.add, cut.add, sweep.add, compare.add, stability.add, score.add, validate.add, suggest.add),
    *(spread.add, learn.add, predict.add, models.add, weights.add, layers.add, distance.add, features.add),
    *(doctor.add, check.add_schema, init.add_sample),
)
OWN_OPTIONS = ("--help", "--version")  # those without a command
OK, USER_ERROR, WRONG_LINE = 0, 1, 2
RESUME_HINT = "What was computed is kept: run the same command again to continue."


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code. 0: done, 1: a user's error, 2: a wrong command line, 130: Ctrl-C.

    arguments: None stands for those of this process, which then ends within two seconds of a Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without these letters is no reason to fail
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    last_words = LastWords(f"\nInterrupted. {RESUME_HINT if options.resumable else ''}".rstrip() + "\n")
    if arguments is None:
        watch_interrupts(last_words)
    logging.basicConfig(format="imgcluster: %(message)s", level=logging.WARNING, stream=sys.stderr)
    # Event loops of libraries log what they left behind when they are collected, after our own last words.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        _call(options)
        sys.stdout.flush()  # here a full disk is reported
    except KeyboardInterrupt:
        last_words.say()
        return INTERRUPTED
    except BrokenPipeError:  # `imgcluster … | head`: the reader has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # of all kinds: what is not expected is raised again
        if last_words.due:  # an error made of KeyboardInterrupt
            last_words.say()
            return INTERRUPTED
        reason = _reason(error, options)
        if options.debug or not reason:
            raise
        print(f"imgcluster: {reason}", file=sys.stderr)
        return USER_ERROR
    return OK


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; its default `names` are the commands."""
    parser = argparse.ArgumentParser(prog="imgcluster", description="From a folder of images to clusters.")
    parser.add_argument("--version", action="version", version=f"imgcluster {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    parser.set_defaults(names=[name for name in commands.choices if name != folder.NAME])
    return parser


def _parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options of a command line; for a wrong one, suggest the right one and exit with 2."""
    if not arguments:
        print(GUIDE, file=sys.stderr)
        raise SystemExit(WRONG_LINE)
    parser = build_parser()
    names = parser.get_default("names")
    if not arguments[0].startswith("-") and arguments[0] not in names:
        if holds_images(arguments[0], names):
            arguments = [folder.NAME, *arguments]
        elif arguments[0] != folder.NAME:  # else of `imgcluster FOLDER --help`
            parser.error(unknown_command(arguments[0], names))
    command = next((each for each in arguments if each in names), None)
    if command and arguments[0].startswith("--") and arguments[0] not in OWN_OPTIONS:
        parser.error(f"options come after the command: imgcluster {command} ... {arguments[0]}")
    options, extras = parser.parse_known_args(arguments)
    if extras:
        options.parser.error(unknown_arguments(extras, options))
    return options


def _call(options: argparse.Namespace) -> None:
    """Call the command; a run behind a URL is fetched for it, and the run's images are found where they are now."""
    _fetch_run(options)
    check_steps(options)
    look_there(options)
    options.command(options)


def _fetch_run(options: argparse.Namespace) -> None:
    from imgcluster.utils import is_url, shown

    run = getattr(options, "run", None)
    if run is not None and is_url(run):
        from imgcluster.runs import fetched

        options.run = str(fetched(run))
        print(f"{shown(run)}: a copy of it is in {options.run}", file=sys.stderr)


def _reason(error: Exception, options: argparse.Namespace) -> str:
    """Return an error as a line for the user; empty for a bug of this program."""
    if isinstance(error, ImgclusterError):
        return with_options(str(error), options)
    if isinstance(error, OSError):  # the operating system's, such as a full disk
        if error.strerror:
            return f"{error.filename!r}: {error.strerror}" if error.filename else error.strerror
        return _reason_of_the_machine(error) or str(error) or type(error).__name__  # of a library that cannot be mapped
    return _reason_of_the_machine(error)


def _reason_of_the_machine(error: Exception) -> str:
    """Return what this machine lacks, memory or a system library; empty where it lacks nothing."""
    from imgcluster.utils import ran_out

    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if ran_out(error):
        return f"out of memory ({line}); computed features are stored"
    own, frames = str(Path(__file__).parents[1]), list(traceback.walk_tb(error.__traceback__))
    behind_ours = takewhile(lambda each: not each[0].f_code.co_filename.startswith(own), reversed(frames))
    is_missing = isinstance(error, ImportError) and (error.name or "").partition(".")[0] != "imgcluster"
    if is_missing or any(frame.f_code.co_name == "<module>" for frame, _ in behind_ours):
        return f"a package cannot be loaded: {line}; `python -m imgcluster doctor` says which, and what helps"
    return ""
