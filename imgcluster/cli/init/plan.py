"""From what a template asks for to the keys of a config that answers it, and what could not be known."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any

from imgcluster.errors import ConfigError
from imgcluster.images import Asked, Cells, read_asked, read_rows
from imgcluster.runs import NO_LABELS, WIDE
from imgcluster.types import Template
from imgcluster.utils import first_few

ALONE = "to cluster the images without a submission, leave out --ids"
MOST_OTHERWISE = 0.1  # of the ids, that are not an image with something added
MOST_WORDS = 30  # that a line of a config names
LEFT_TO_SAY = "say in the config which cluster is which word"
WAYS = (
    "Which cluster is which word, in one of three ways:",
    "names: {}  # put right after a look at the clusters of a run with submission: null",
    "clusters.numbering: truth:some.csv  # a few images that you have labelled",
    "clusters.method: learned  # a model that `imgcluster learn` has made of more of them",
)


@dataclass(frozen=True)
class Plan:
    """What goes into a config for a template.

    found: what the template asks for and what it does not say, line by line. keys: of the section `outputs`.
    to_do: what a person has to do before a run; ways: how, line by line.
    """

    found: list[str] = field(default_factory=list)
    keys: dict[str, Any] = field(default_factory=dict)
    n_clusters: int | str = "auto"
    to_do: str = ""
    ways: list[str] = field(default_factory=list)


def plan_for(template: Template, label_column: str | None = None) -> Plan:
    """Say which keys fill a template; `label_column` is its column of labels, where that is known.

    Raises ConfigError: no column of labels, or several that it could be; cells that no cluster can be.
    """
    asked, where = read_asked(template, label_column), repr(str(template.path))
    if label_column is not None and label_column not in asked.columns:
        raise ConfigError(f"--label-column: {where} has no column {label_column!r} beside the ids")
    if asked.kind == Cells.UNCLEAR:
        if not asked.columns:
            raise ConfigError(f"{where} has no column for labels; name one with --label-column. {ALONE.capitalize()}")
        raise ConfigError(
            f"{where}: which column takes the labels, {first_few(asked.columns)}? Name it with --label-column; "
            f"if each is a class, write 0.0 into their cells; masks, boxes and measured values are no labels: {ALONE}"
        )
    if asked.kind in NO_LABELS:
        example = f" ({asked.values[0]!r})" if asked.values else ""
        raise ConfigError(
            f"{where}: {asked.columns[0]!r} holds {NO_LABELS[asked.kind]}{example}, which clusters are not; {ALONE}"
        )
    plan = _wide(asked) if asked.is_wide else PLANS.get(asked.kind, _numbers)(asked, len(template.frame))
    stay = "stay" if len(asked.beside) > 1 else "stays"
    beside = [f"{first_few(asked.beside)} {stay} as in the template"] if asked.beside else []
    return Plan([*plan.found, *beside], plan.keys, plan.n_clusters, plan.to_do, plan.ways)


def why_not_by_image(path: Path, images: Sequence[Any]) -> str | None:
    """Say why a template has several rows for each image, in a line; None where that is not so, or cannot be told."""
    try:
        template = read_rows(path, None)
    except ConfigError:
        return None
    many = "clusters give each image one answer, so no submission can be written"
    ids = [str(id) for id in template.ids]
    if second := _second_key(template, ids):
        return (
            f"{str(path)!r} names its rows by {template.id_column!r} and {second!r} together, "
            f"{len(ids):,} rows for {len(set(ids)):,} images; {many}. {ALONE.capitalize()}"
        )
    names = {name for image in images for name in (PurePath(str(image)).name, PurePath(str(image)).stem)}
    split = {id: parts for id in ids if id not in names and (parts := _image_and_more(id, names))}
    each = Counter(image for image, _ in split.values())
    if len(split) < (1 - MOST_OTHERWISE) * len(ids) or len(split) < 2 * len(each):
        return None
    id, (image, more) = next(iter(split.items()))
    return (
        f"{str(path)!r} has several rows for each image: its ids are an image and something more, such as {id!r}, the "
        f"image {image!r} and {more!r}; {many}. {ALONE.capitalize()}"
    )


def _second_key(template: Template, ids: list[str]) -> str | None:
    """Return the column that tells rows of one image apart; None where rows are not doubled, or none does."""
    if len(set(ids)) > (1 - MOST_OTHERWISE) * len(ids):
        return None
    for name in template.columns:
        if name != template.id_column and template.columns.count(name) == 1:
            pairs = set(zip(ids, template.frame[name], strict=True))
            if len(pairs) == len(ids):
                return name
    return None


def _image_and_more(id: str, names: set[str]) -> tuple[str, str] | None:
    """Split an id into the longest image's name that it begins with, and the rest."""
    ends = reversed([found.start() for found in re.finditer(r"[^A-Za-z0-9]", id)])
    return next(((id[:end], id[end:]) for end in ends if id[:end] in names), None)


def _wide(asked: Asked) -> Plan:
    what, layout = WIDE[asked.kind]
    found = [f"{len(asked.columns)} columns, {asked.columns[0]!r} to {asked.columns[-1]!r}: {what}"]
    if asked.kind in (Cells.ZERO_OR_ONE, Cells.SHARES):
        found.append(
            "whether each column is a class cannot be known: if they take coordinates or other measured values, "
            "clusters cannot fill them"
        )
        found.append("whether shares or a single 1 is wanted cannot be known: outputs.layout: soft or one_hot")
    if asked.kind in (Cells.ZERO_OR_ONE, Cells.SEVERAL):
        found.append("if an image may have several labels: each gets one, that of its cluster")
    return Plan(found, {"layout": layout.split()[0]}, len(asked.columns))


def _none(asked: Asked, rows: int) -> Plan:
    return Plan(["no column for them; a column 'label' is added"], {"label_column": "label", "label_offset": 0})


def _blank(asked: Asked, rows: int) -> Plan:
    found = [f"{asked.columns[0]!r} is blank: where labels begin, and how many there are, cannot be known"]
    return Plan(found, {"label_column": asked.columns[0], "label_offset": 0})


def _share(asked: Asked, rows: int) -> Plan:
    found = f"{asked.columns[0]!r} is a probability ({asked.values[0]}) of one class: 2 clusters are written as 0 and 1"
    return Plan([found], {"label_column": asked.columns[0], "label_offset": 0}, 2)


def _words(asked: Asked, rows: int) -> Plan:
    words = asked.values
    count = len(words) if _tells(len(words), rows) else "auto"
    several = f"{len(words):,} different words" if len(words) > 1 else "a word"
    return Plan(
        [f"{asked.columns[0]!r} holds {several} ({first_few(words)}); which cluster is which word cannot be known"],
        {"layout": "names", "label_column": asked.columns[0]},
        count,
        LEFT_TO_SAY,
        [line.format(_named_in_order(words)) for line in WAYS],
    )


def _named_in_order(words: Sequence[str]) -> str:
    named = [f"{number}: {json.dumps(word, ensure_ascii=False)}" for number, word in enumerate(words[:MOST_WORDS])]
    return f"{{{', '.join(named)}}}"


def _numbers(asked: Asked, rows: int) -> Plan:
    numbers = sorted({int(Decimal(value)) for value in asked.values})
    found, count = [*_numbers_found(asked, numbers)], len(numbers)
    if numbers[0] in (0, 1):  # labels between that no row has are labels too
        count = numbers[-1] - numbers[0] + 1
    keys = {"label_column": asked.columns[0], "label_offset": int(numbers[0] == 1)}
    if len(numbers) > 1 and _tells(count, rows):
        return Plan(found, keys, count)
    return Plan([*found, "the template does not tell how many classes there are"], keys)


def _numbers_found(asked: Asked, numbers: list[int]) -> Iterator[str]:
    column, least, most = repr(asked.columns[0]), numbers[0], numbers[-1]
    if len(numbers) > 1:
        yield f"{column} holds {len(numbers):,} different labels, from {least} to {most}"
    elif least in (0, 1):
        yield f"{column} is {least} in every row: labels begin at {least}"
    else:
        yield f"{column} is {least} in every row: where labels begin cannot be known"
    if len(numbers) > 1 and least not in (0, 1):
        yield "labels are counted from 0; if these are codes of classes, set outputs.layout: names and outputs.names"
    if asked.kind == Cells.DECIMAL:
        yield f"as it is written with decimals ({asked.values[0]}), it may be a probability instead of a label"


def _tells(labels: int, rows: int) -> bool:
    """Say whether a template has rows enough to show every label."""
    return 1 < labels <= rows // 2


PLANS = {Cells.NONE: _none, Cells.BLANK: _blank, Cells.SHARE: _share, Cells.WORDS: _words, Cells.MIXED: _words}
