"""A first config for a folder of images: what is there is looked at, and written down with comments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from imgcluster.config import config_from_dict
from imgcluster.errors import ConfigError
from imgcluster.files import write_whole
from imgcluster.first_look import look_at
from imgcluster.tables import ImageFile, Template
from imgcluster.yaml_files import parse_yaml

LOOKED_AT = 200  # images whose headers are read
LABELS = ("label", "labels", "class", "cluster", "category", "target")


@dataclass(frozen=True)
class Found:
    """What there is: images, how they are named, their sizes, and what the CSV is like."""

    images: list[ImageFile]
    template: Template | None
    file: str | list[str] | None
    sizes: list[tuple[int, int]]
    label_column: str | None
    label_offset: int
    n_clusters: int | str
    notes: list[str]


def start(folder: Path, ids: Path | None, out: Path, *, force: bool = False) -> list[str]:
    """Look at a folder of images, and a CSV of ids where there is one, and write a commented config for them.

    Returns what was found, in words, line by line. The images have been listed, and the config loaded, before it is
    written. Raises ConfigError: `out` exists and no `force`, no such column, ids without files.
    """
    if out.exists() and not force:
        raise ConfigError(f"{str(out)!r} exists; overwrite it with --force")
    found = _look(folder, ids)
    text = _config_text(found, folder, ids, out)
    config_from_dict(parse_yaml(text).value)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, text.encode())
    notes = [f"note: {note}" for note in found.notes]
    return [f"{_words(found)}", *notes, f"written   {out}", f"next      python -m imgcluster run {out}"]


def _look(folder: Path, ids: Path | None) -> Found:
    known = look_at(folder, ids)
    images, template = known.images, known.template
    if template is None:
        return Found(images, None, None, _sizes(images), None, 0, "auto", known.notes)
    column = _label_column(template)
    labels = [] if column is None else [str(cell) for cell in template.frame[column]]
    numbers = {int(label) for label in labels if label.isdecimal()}
    several = len(set(labels)) > 1
    return Found(
        images=images,
        template=template,
        file=known.file,
        sizes=_sizes(images),
        label_column=column,
        label_offset=1 if several and len(numbers) == len(set(labels)) and min(numbers) == 1 else 0,
        n_clusters=len(set(labels)) if several and len(set(labels)) <= len(labels) // 2 else "auto",
        notes=known.notes,
    )


def _label_column(template: Template) -> str | None:
    others = [str(name) for name in template.frame.columns if str(name) != template.id_column]
    return next((name for name in others if name.lower() in LABELS), others[0] if others else None)


def _sizes(images: Sequence[ImageFile]) -> list[tuple[int, int]]:
    step = max(1, len(images) // LOOKED_AT)
    return [size for image in images[::step] if (size := _size(Path(str(image.path)))) is not None]


def _size(path: Path) -> tuple[int, int] | None:
    try:
        with Image.open(path) as picture:
            return picture.size
    except Exception:  # whatever a damaged header makes Pillow raise; the run will tell
        return None


def _words(found: Found) -> str:
    widths, heights = zip(*found.sizes, strict=True) if found.sizes else ((0,), (0,))
    return (
        f"images    {len(found.images):,}: from {min(widths)} x {min(heights)} to {max(widths)} x {max(heights)} pixels"
    )


def _config_text(found: Found, folder: Path, ids: Path | None, out: Path) -> str:
    template = found.template
    lines = [
        f"# python -m imgcluster run {out}",
        f"# {_words(found)}",
        "images:",
        f"  folder: {_text(folder)}",
    ]
    if template is not None and ids is not None:
        columns = ", ".join(map(str, template.frame.columns))
        lines += [
            f"  ids: {_text(ids)}  # {len(template.ids):,} rows, columns {columns}",
            *([f"  id_column: {_text(template.id_column)}"] if template.id_column.strip() else []),
            f"  file: {_text(found.file)}",
        ]
    lines += [
        "features:",
        "  backbone: vgg16  # `imgcluster models` lists the others; efficientnet_lite0 is the quick one",
        "  views: whole  # the middle and the whole picture; center is twice as quick",
        "clusters:",
        "  method: auto  # the best over many kinds of images; kmeans, hdbscan, ...: others",
        f"  n_clusters: {found.n_clusters}  # a number; auto: chosen, and the summary says why",
        "  numbering: size  # 0 is the largest",
        "outputs:",
        f"  folder: {_text(Path('outputs') / out.stem)}",
    ]
    if template is None:
        return "\n".join([*lines, "  submission: null  # no CSV asks for one", ""])
    lines.append(f"  label_column: {_text(found.label_column or 'label')}")
    lines.append(f"  label_offset: {found.label_offset}  # added to each cluster's number")
    return "\n".join([*lines, ""])


def _text(value: Any) -> str:
    """Write text, or a list of texts, as YAML that cannot be taken for something else."""
    return json.dumps(value if isinstance(value, list) else str(value), ensure_ascii=False)
