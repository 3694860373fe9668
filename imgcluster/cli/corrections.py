"""Corrections of wrong command lines: the command, argument or option that was probably meant."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from imgcluster.config import RunFiles, likely_key
from imgcluster.errors import ConfigError, ImgclusterError
from imgcluster.images import SUFFIXES
from imgcluster.utils import parse_json, printable

GUIDE = """usage: imgcluster [-h] [--version] COMMAND ...

From a folder of images to clusters:
  imgcluster FOLDER               cluster the images, write the results into outputs/FOLDER
  imgcluster show outputs/FOLDER  look at the clusters; --open: the report, in the browser

With a config to edit first: imgcluster init FOLDER, then imgcluster run FOLDER.yaml
With a competition's CSV: imgcluster FOLDER --ids sample_submission.csv
Without images: imgcluster sample stage FOLDER writes some
All commands: imgcluster --help"""

# What an argument may turn out to be.
CONFIG, RUN, MODEL, IMAGES, FOLDER = "config", "run", "model", "images", "folder"
RUNS, CONFIGS, PART, CSV, IMAGE, ARCHIVE, MISSING, OTHER = (
    "runs", "configs", "part of a run", "csv", "image", "archive", "missing", "other",
)  # fmt: skip
CALLED = {
    CONFIG: "a config",
    RUN: "a run folder",
    MODEL: "a model",
    IMAGES: "a folder of images",
    FOLDER: "a folder",
    RUNS: "a folder of runs",
    CONFIGS: "a folder of configs",
    PART: "a file of a run",
    CSV: "a CSV",
    IMAGE: "an image",
    ARCHIVE: "an archive",
}
ENDINGS = {
    **dict.fromkeys((".yaml", ".yml"), CONFIG),
    **dict.fromkeys((".csv", ".tsv"), CSV),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".gz", ".parquet", ".7z", ".rar"), ARCHIVE),
    **dict.fromkeys(SUFFIXES, IMAGE),
}
# By what a command takes: by what it was given, what to do instead. {path} and {near}, which is a place beside it, or
# in it, are quoted for a shell.
_CONFIG_HINTS = {
    RUN: "Look at it: imgcluster show {path}",
    RUNS: "Look at one: imgcluster show {near}",
    CONFIGS: "Take one: imgcluster {command} {near}",
    MODEL: "Label images by it: imgcluster predict {path} IMAGES --out CSV",
    IMAGES: "Make one: imgcluster init {path}",
    FOLDER: "Make one: imgcluster init {path}",
    PART: "Look at the run: imgcluster show {near}",
    CSV: "Make one: imgcluster init FOLDER --ids {path}",
    IMAGE: "Make one for its folder: imgcluster init {near}",
    ARCHIVE: "Name it in one, as images.folder",
}
HINTS = {
    CONFIG: _CONFIG_HINTS,
    f"{CONFIG} or {RUN}": {kind: hint for kind, hint in _CONFIG_HINTS.items() if kind != RUN},
    RUN: {
        CONFIG: "{its_run}",
        RUNS: "Take one: imgcluster {command} {near}",
        CONFIGS: "Make one: imgcluster run {near}",
        MODEL: "Label images by it: imgcluster predict {path} IMAGES --out CSV",
        IMAGES: "Make a config, and run it: imgcluster init {path}",
        PART: "Take the run: imgcluster {command} {near}",
        CSV: "Take one such as outputs/stage",
        IMAGE: "Make a config for its folder, and run it: imgcluster init {near}",
        ARCHIVE: "Name it in a config, as images.folder, and run that",
    },
    MODEL: {
        CONFIG: "Make one: imgcluster learn {path} LABELS --out MODEL",
        RUN: "Place images into the run's clusters: imgcluster assign {path} IMAGES --out CSV",
        RUNS: "Make one: imgcluster learn {near} LABELS --out MODEL",
        PART: "Make one: imgcluster learn {near} LABELS --out MODEL",
        IMAGES: "It comes first: imgcluster predict MODEL {path} --out CSV",
        IMAGE: "It comes first: imgcluster predict MODEL {path} --out CSV",
    },
    IMAGES: {
        CONFIG: "Run the config: imgcluster run {path}",
        RUN: "Look at the run: imgcluster show {path}",
        MODEL: "Label images by the model: imgcluster predict {path} IMAGES --out CSV",
        CSV: "Give it both: imgcluster init FOLDER --ids {path}",
        PART: "Look at the run: imgcluster show {near}",
        IMAGE: "Take its folder: imgcluster init {near}",
    },
}
NAMES_OF = {**CALLED, f"{CONFIG} or {RUN}": "a config or a run folder"}
# Commands with two arguments that people swap: the kinds of the first, by which it is known in the second's place.
SWAPPED = {
    "assign": ("run", "images", (RUN,)),
    "predict": ("model", "images", (MODEL,)),
    "score": ("labels", "truth", (RUN, PART)),
    "learn": ("source", "labels", (CONFIG, RUN)),
}
COMMANDS = {
    **dict.fromkeys(("cluster", "clusters", "clustering", "fit", "start", "go", "kmeans", "main", "process"), "run"),
    **dict.fromkeys(("config", "new", "create", "setup", "quickstart", "template"), "init"),
    **dict.fromkeys(("view", "open", "list", "ls", "info", "summary", "status"), "show"),
    **dict.fromkeys(("train", "finetune", "fine-tune", "teach"), "learn"),
    **dict.fromkeys(("classify", "label", "infer", "inference"), "predict"),
    **dict.fromkeys(("eval", "evaluate", "metrics", "accuracy"), "score"),
    **dict.fromkeys(("merge", "split", "level", "hierarchy", "tree", "dendrogram"), "cut"),
    **dict.fromkeys(("tune", "elbow", "search", "grid"), "sweep"),
    **dict.fromkeys(("plot", "html", "visualize", "viz", "umap", "tsne"), "report"),
    **dict.fromkeys(("test", "lint", "dry-run"), "check"),
    **dict.fromkeys(("embed", "embeddings", "encode"), "extract"),
    **dict.fromkeys(("backbones", "networks"), "models"),
    **dict.fromkeys(("folders", "sort", "organize", "copy"), "export-folders"),
    **dict.fromkeys(("similarity", "lpips"), "distance"),
    **dict.fromkeys(("demo", "example", "data", "download"), "sample"),
    **dict.fromkeys(("help", "man", "usage"), "--help"),
    "version": "--version",
}
ALIKE = 0.65  # of a word and a command that was meant: with 0.6, `clsuter` would be `cut`
TABLE_OPTIONS = ("--ids", "--template", "--truth")  # that take a CSV to be read
LOOKED_AT = 2_000  # files of a folder, to know whether it is one of images


def check_steps(options: argparse.Namespace) -> None:
    """Raise ConfigError where the main argument of a command is plainly something else; name what was meant."""
    _check_order(options)
    name, wanted = getattr(options, "takes", (None, None))
    if name is None or wanted is None:
        return
    path = str(getattr(options, name))
    kind = kind_of(path)
    if kind == MISSING and wanted == RUN and (near := _near_run(path)):
        raise ConfigError(f"{printable(path)}: no such run folder; did you mean {printable(near)}?")
    if hint := HINTS[wanted].get(kind):
        told = _filled(hint, path, kind, options.name)
        raise ConfigError(f"{printable(path)} is {CALLED[kind]}; `{options.name}` takes {NAMES_OF[wanted]}. {told}")


def check_submission_first(options: argparse.Namespace) -> None:
    """Raise ConfigError where `validate` was given a run folder, or the template before the submission."""
    kind, second = kind_of(options.file), kind_of(options.template)
    if kind == RUN:
        submission = shlex.quote(
            str(Path(options.file, _outputs(options.file).get("submission") or RunFiles.SUBMISSION))
        )
        told = f"imgcluster validate {submission} {shlex.quote(options.template)}"
        raise ConfigError(f"{options.file} is a run folder; `validate` takes its submission: {told}")
    if kind == CSV and second == PART and re.search("sample|template", Path(options.file).name, re.IGNORECASE):
        told = shlex.join(["imgcluster", "validate", options.template, options.file])
        raise ConfigError(f"{options.template} is a file of a run; the submission comes first: {told}")


def holds_images(text: str, names: Collection[str]) -> bool:
    """Tell whether a word in the place of a command names images: a folder, a URL, an archive, or a CSV of paths.

    names: the commands. A folder without images near the top is none where its name is nearly a command's.
    """
    kind = kind_of(text)
    if kind == FOLDER:
        return _near_command(text, names) is None
    if kind in {IMAGES, ARCHIVE, CSV}:
        return True
    from imgcluster.images import is_held  # which needs numpy

    return kind == MISSING and is_held(text)


def unknown_command(text: str, names: Collection[str]) -> str:
    """Return what to say of a word in the place of a command."""
    kind = kind_of(text)
    quoted = shlex.quote(text)
    direct = {CONFIG: f"run {quoted}", RUN: f"show {quoted}", IMAGE: shlex.quote(str(Path(text).parent))}
    near = direct.get(kind) or _near_command(text, names) or (_near_folder(text) if kind == MISSING else None)
    meant = f"did you mean: imgcluster {near}" if near else "all commands: imgcluster --help"
    return f"there is no command {text!r}{' and no such folder' if kind == MISSING else ''}; {meant}"


def _near_command(text: str, names: Collection[str]) -> str | None:
    return COMMANDS.get(text.lower()) or next(iter(get_close_matches(text.lower(), names, 1, ALIKE)), None)


def _near_folder(text: str) -> str | None:
    """Return the folder whose name is nearly this one's, of those beside it."""
    path = Path(text)
    with suppress(OSError, ValueError):
        beside = {each.name: each for each in path.parent.iterdir() if each.is_dir()}
        return next((shlex.quote(str(beside[name])) for name in get_close_matches(path.name, beside, 1)), None)
    return None


def unknown_arguments(extras: Sequence[str], options: argparse.Namespace) -> str:
    """Return what to say of arguments that a command does not have."""
    first = extras[0]
    name, _, value = first.partition("=")
    value = value or next((each for each in extras[1:2] if not each.startswith("-")), "VALUE")
    if name == "--config" and hasattr(options, "config"):
        return f"leave out --config: imgcluster {options.name} {shlex.quote(options.config)}"
    unset = [item for item in getattr(options, "set", []) if "=" not in item]
    if unset and not first.startswith("-"):
        return f"--set takes KEY=VALUE; did you mean --set {shlex.quote(f'{unset[-1]}={first}')}?"
    known = options_of(options.parser)
    hint = next((f"did you mean {near}?" for near in get_close_matches(name, sorted(known), 1, 0.8)), "")
    if not hint and ENDINGS.get(Path(first).suffix.lower()) == CSV:
        hint = next((f"did you mean {each} {shlex.quote(first)}?" for each in TABLE_OPTIONS if each in known), "")
    if not hint and hasattr(options, "set") and (key := likely_key(name.lstrip("-"), _keys())):
        hint = f"use --set {shlex.quote(f'{key}={value}')}"
    return f"unrecognized arguments: {' '.join(extras)}" + (f"; {hint}" if hint else "")


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """Return the long options of a command."""
    return set(re.findall(r"--[\w-]+", parser.format_usage()))


def kind_of(text: str) -> str:
    """Say what lies at a path, as far as commands tell it apart."""
    path = Path(text)
    if not text.strip():  # Path("") is the current folder
        return MISSING
    with suppress(OSError, ValueError):
        if path.is_dir():
            return _kind_of_folder(path)
        if not os.path.lexists(path):
            return MISSING
        kind = ENDINGS.get(path.suffix.lower(), OTHER)
        return PART if kind != CONFIG and _run_around(path) else kind
    return OTHER


def _kind_of_folder(path: Path) -> str:
    if os.path.lexists(path / RunFiles.RECORD):
        return RUN
    if os.path.lexists(path / "model.json"):
        return MODEL
    if os.path.lexists(path / RunFiles.CLUSTERS):  # a run that is damaged
        return OTHER
    names = (name for _, _, files in os.walk(path) for name in files)
    endings = {ENDINGS.get(Path(name).suffix.lower()) for name in islice(names, LOOKED_AT)}
    if next(_runs_in(path), None):
        return RUNS
    if IMAGE in endings:
        return IMAGES
    return CONFIGS if next(_configs_in(path), None) else FOLDER


def _filled(hint: str, path: str, kind: str, command: str) -> str:
    near = shlex.quote(str(_NEAR[kind](Path(path)))) if kind in _NEAR else ""
    its_run = _run_of_config(path, command) if "{its_run}" in hint else ""
    return printable(hint.format(path=shlex.quote(path), near=near, command=command, its_run=its_run))


def _run_of_config(path: str, command: str) -> str:
    """Return what leads from a config to its run: its folder where it has run, else how to run it."""
    from imgcluster.config import load_config

    with suppress(ImgclusterError):
        folder = load_config(path).outputs.folder
        if kind_of(folder) == RUN:
            return f"Take its run: imgcluster {command} {shlex.quote(folder)}"
    return f"Make its run first: imgcluster run {shlex.quote(path)}"


def _check_order(options: argparse.Namespace) -> None:
    names = SWAPPED.get(options.name)
    if names is None:
        return
    first, second, kinds = names
    given = str(getattr(options, first)), str(getattr(options, second))
    kind = kind_of(given[1])
    if kind in kinds and kind_of(given[0]) not in kinds:
        told = shlex.join(["imgcluster", options.name, given[1], given[0]])
        raise ConfigError(f"{given[1]} is {CALLED[kind]}, which comes first: {told}")


def _near_run(path: str) -> str | None:
    """Return the run folder whose name is nearly this one's, of those beside it and of those in outputs."""
    runs = {run.name: run for folder in (Path("outputs"), Path(path).parent) for run in _runs_in(folder)}
    return next((str(runs[name]) for name in get_close_matches(Path(path).name, runs, 1)), None)


def _runs_in(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from sorted(each.parent for each in folder.glob(f"*/{RunFiles.RECORD}"))


def _configs_in(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from sorted(folder.glob("*.y*ml"))


def _run_around(path: Path) -> Path | None:
    """Return the run folder that a file lies in, or whose report it lies in."""
    return next((each for each in [*path.parents][:3] if os.path.lexists(each / RunFiles.RECORD)), None)


_NEAR: dict[str, Callable[[Path], Path | None]] = {
    RUNS: lambda path: next(_runs_in(path), None),
    CONFIGS: lambda path: next(_configs_in(path), None),
    PART: _run_around,
    IMAGE: lambda path: path.parent,
}


def _outputs(run: str) -> dict[str, str]:
    with suppress(OSError, ValueError, KeyError, TypeError):
        outputs = parse_json(Path(run, RunFiles.RECORD).read_bytes())["config"]["outputs"]
        return dict(outputs) if isinstance(outputs, dict) else {}
    return {}


def _keys() -> list[str]:
    from imgcluster.config import SECTIONS

    return [f"{section}.{key}" for section, model in SECTIONS.items() for key in model.model_fields]
