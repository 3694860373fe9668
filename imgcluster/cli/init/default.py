"""The config of `imgcluster FOLDER`: the shipped default, for any images."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

from imgcluster.cli.init.look import Look, look_at
from imgcluster.cli.init.plan import plan_for
from imgcluster.config import Config, config_from_dict, features_as_used, parse_yaml
from imgcluster.errors import ConfigError
from imgcluster.images import is_held, read_rows
from imgcluster.types import Template
from imgcluster.utils import is_url, shell_line

DEFAULT = "default.yaml"
TABLES = (".csv", ".tsv")  # of paths


@dataclass(frozen=True)
class FirstRun:
    """A config and what was seen of the images: how many there are, and notes."""

    config: Config
    images: int
    notes: list[str] = field(default_factory=list)


def default_keys() -> dict[str, dict[str, Any]]:
    """Return the sections `features` and `clusters` of the shipped default."""
    text = files(__package__).joinpath(DEFAULT).read_text(encoding="utf-8")
    keys: dict[str, dict[str, Any]] = parse_yaml(text).value
    return keys


def first_run(
    images: str,
    ids: str | None = None,
    *,
    keys: Mapping[str, Mapping[str, Any]] | None = None,
    overrides: Sequence[str] = (),
) -> FirstRun:
    """Return the default config for images, and what was seen of them.

    Args:
        images: A folder, a URL, an archive, or a CSV of paths.
        ids: A sample submission, or any CSV of ids.
        keys: Keys to use instead of the default's, by section.
        overrides: As of `load_config`; they win.

    Raises:
        ConfigError: No such folder, ids without files, a table without paths, an invalid key.
        ImageError: No images.
    """
    folder, table = images, ids
    if not is_held(images) and Path(images).suffix.lower() in TABLES:
        if ids is not None:
            raise ConfigError(f"{images!r} names the images; --ids {ids} cannot name them too")
        folder, table = folder_of_paths(Path(images)), images
    found = look_at(folder, None if table is None else Path(table))
    sections = {
        **default_keys(),
        "images": _images(found, folder, table),
        "outputs": {"folder": (Path("outputs") / name_of(images)).as_posix(), "submission": None},
    }
    notes = [*found.notes, *(_fill(sections, found.template, f"{folder} --ids {ids}") if ids is not None else [])]
    for section, values in (keys or {}).items():
        sections[section] |= values
    return FirstRun(config_from_dict(sections, overrides), len(found.images), notes)


def _fill(sections: dict[str, dict[str, Any]], template: Template | None, arguments: str) -> list[str]:
    """Change the sections so that a run fills a template, where it can; return what the template asks for."""
    if template is None:
        return []
    plan = plan_for(template)
    sections["clusters"]["n_clusters"] = plan.n_clusters
    if plan.to_do:
        return [f"no submission: {plan.found[0]}; {plan.to_do}: imgcluster init {arguments}"]
    del sections["outputs"]["submission"]
    sections["outputs"] |= plan.keys
    return plan.found


def name_of(images: str) -> str:
    """Return the name of a run over images: that of their folder or file, without its ending."""
    if is_url(images) or is_held(images):
        name = PurePosixPath(images.rpartition("::")[2].partition("?")[0]).name
        return re.sub(r"[^\w.-]+", "_", PurePosixPath(name).stem if is_held(name) else name).strip("_") or "images"
    path = Path(images)
    return path.stem if path.suffix.lower() in TABLES else path.resolve().name or "images"


def folder_of_paths(table: Path) -> str:
    """Return the folder below which all images of a table of paths lie.

    The paths begin at the table or in the current folder. Raises ConfigError: no column has paths of files.
    """
    rows = read_rows(table, None)
    for start in (table.parent, Path()):
        for column in rows.columns:
            cells = [str(cell).strip() for cell in rows.frame[column]]
            if cells and cells[0] and (start / cells[0]).is_file():
                parents = [(start / cell).parent for cell in cells if cell]
                some_absolute = any(parent.is_absolute() for parent in parents)
                return os.path.commonpath([each.absolute() if some_absolute else each for each in parents]) or "."
    raise ConfigError(
        f"{str(table)!r}: no column has paths of files; to take the images of a folder in its order: "
        f"imgcluster FOLDER --ids {table}"
    )


def config_text(config: Config, origins: Sequence[Mapping[str, Any]], path: Path) -> str:
    """Return a config as YAML: the keys that were given, and the backbones that were used."""
    import yaml

    keys = config.model_dump(mode="json", exclude_unset=True)
    keys["features"] = {**keys["features"], **features_as_used(config.features, origins)}
    body = yaml.safe_dump(keys, sort_keys=False, allow_unicode=True)
    if yaml.safe_load(body) != keys:  # U+0085, which PyYAML 6.0 writes as it is and reads as the end of a line
        body = yaml.safe_dump(keys, sort_keys=False)
    return f"# python -m imgcluster run {shell_line(str(path))}\n{body}"


def _images(found: Look, folder: str, table: str | None) -> dict[str, Any]:
    keys: dict[str, Any] = {"folder": folder}
    if found.video is not None:
        keys["video"] = parse_yaml(found.video).value
    if found.template is not None:
        keys |= {"ids": table, "file": found.file}
        if found.template.id_column.strip():
            keys["id_column"] = found.template.id_column
        if found.lost:
            keys["missing"] = "skip"
    return keys
