"""Check that the labels of a run fit the cells of the template."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from imgcluster.errors import ConfigError
from imgcluster.images import Asked, Cells, cells_of, is_said, kind_of_cells, read_asked
from imgcluster.types import Template
from imgcluster.utils import first_few

if TYPE_CHECKING:
    from imgcluster.config import Config

BINARY = frozenset("01")
NUMBERS = (Cells.WHOLE, Cells.DECIMAL, Cells.SHARE, Cells.MEASURED)
# What the cells of a template with a column for each class are, and the layout that writes such.
WIDE = {
    Cells.SOFT: ("shares that add up to 1", "soft"),
    Cells.ONE_HOT: ("a single 1 in each row", "one_hot"),
    Cells.SEVERAL: ("0 and 1, with several 1 or none in some rows", "one_hot"),
    Cells.ZERO_OR_ONE: ("0 and 1", "one_hot or soft"),
    Cells.SHARES: ("numbers from 0 to 1", "soft or one_hot"),
}
# What no layout writes.
NO_LABELS = {
    Cells.LISTS: "lists or shapes such as masks, boxes or several labels",
    Cells.MEASURED: "measured values",
}
THREE_WAYS = (
    "outputs.names, such as {0: entry, 1: descent}, or labels you know, by clusters.numbering: truth:CSV or "
    "clusters.method: learned"
)


def check_template(template: Template, config: Config) -> None:
    """Raise ConfigError where a config's submission is not what the cells of its template are."""
    outputs = config.outputs
    if outputs.layout not in ("labels", "names"):
        return
    asked = read_asked(template)
    where = repr(str(template.path))
    if asked.is_wide and outputs.label_column in asked.columns:
        what, layout = WIDE[asked.kind]
        raise ConfigError(
            f"outputs.layout: {outputs.layout} would fill {outputs.label_column!r} alone, but {where} has "
            f"{len(asked.columns)} columns of labels, {first_few(asked.columns)} ({what}); set outputs.layout: "
            f"{layout} and clusters.n_clusters: {len(asked.columns)}"
        )
    kind, example = _label_cells(template, outputs.label_column)
    if kind in NO_LABELS:
        found = f"holds {NO_LABELS[kind]}" + (f" ({example!r})" if example else "")
        raise ConfigError(
            f"outputs.label_column: {outputs.label_column!r} of {where} {found}, which clusters are not; "
            "to cluster without a submission, set outputs.submission: null"
        )
    if kind == Cells.WORDS and outputs.layout == "labels":
        raise ConfigError(
            f"outputs.layout: labels writes numbers, but {outputs.label_column!r} of {where} holds words "
            f"({example!r}); set outputs.layout: names, with {THREE_WAYS}"
        )


def check_labels(template: Template, label_column: str, labels: Collection[str]) -> None:
    """Raise ConfigError where the column of labels is a probability, and these are other labels than 0 and 1."""
    kind, example = _label_cells(template, label_column)
    if kind == Cells.SHARE and not BINARY.issuperset(labels):
        raise ConfigError(
            f"outputs.label_column: {label_column!r} of {str(template.path)!r} holds a probability ({example!r}), "
            f"for which only the labels 0 and 1 can stand, not {first_few(sorted(labels))}; set "
            "clusters.n_clusters: 2, or outputs.submission: null to cluster without a submission"
        )


def column_notes(template: Template, layout: str, filled: Sequence[str]) -> Iterator[str]:
    """Yield how a submission with a column for each cluster may be read as something else than is meant."""
    others = [name for name in template.columns if name != template.id_column]
    if others and not set(filled) & set(others):
        yield f"has {first_few(filled)} in the place of the template's {first_few(others)}"
    elif layout == "soft" and read_asked(template).kind in (Cells.ONE_HOT, Cells.SEVERAL):
        yield "has shares where the template has 0 and 1; outputs.layout: one_hot writes those"


def label_notes(template: Template, label_column: str, labels: Collection[str]) -> Iterator[str]:
    """Yield how a submission with these labels in one column may be read as something else, as above."""
    asked = read_asked(template, label_column)
    yield from strange_labels(asked, labels, "; see outputs.label_offset and clusters.n_clusters")
    if asked.beside:
        yield f"keeps the template's cells in {first_few(asked.beside)}; are they scored?"


def strange_labels(asked: Asked, labels: Collection[str], keys: str = "") -> Iterator[str]:
    """Yield how these labels are unlike those in the one column of labels of a template.

    keys: added where labels are out of the template's range, for the keys of a config that set them.
    """
    if not asked.columns:  # it has ids alone
        return
    written, column = kind_of_cells(labels), f"the template's {asked.columns[0]!r}"
    if asked.kind in (Cells.MIXED, Cells.WORDS) and written in NUMBERS:
        yield f"has numbers where {column} has words{' too' * (asked.kind == Cells.MIXED)} ({first_few(asked.values)})"
    elif asked.kind in NUMBERS and written not in NUMBERS:
        words = sorted(label for label in labels if kind_of_cells([label]) not in NUMBERS)
        yield f"has words ({first_few(words)}) where {column} has numbers ({asked.values[0]!r})"
    elif asked.kind in (Cells.WHOLE, Cells.DECIMAL) and written in (Cells.WHOLE, Cells.DECIMAL):
        if strange := _out_of_range(labels, asked.values):
            yield f"has the labels {first_few(strange)}, which {column} has not ({first_few(asked.values)}){keys}"
    elif asked.kind == Cells.SHARE and (strange := [label for label in labels if not 0 <= Decimal(label) <= 1]):
        yield f"has {first_few(sorted(strange, key=Decimal))} where {column} has a probability ({asked.values[0]!r})"
    elif asked.kind == Cells.WORDS and len(asked.values) > 1 and (strange := sorted(set(labels) - set(asked.values))):
        yield f"has {first_few(strange)}, which {column} has not ({first_few(asked.values)})"


def _out_of_range(labels: Collection[str], values: Sequence[str]) -> list[str]:
    """Return labels below those of a template, or above them where it has several; of a constant 0 none are."""
    numbers = [*map(Decimal, values)]
    least, most = min(numbers), max(numbers)
    if least == most:
        written = [*map(Decimal, labels)]  # only a 1 says where labels begin: nothing is below 0
        least, most = Decimal(1) if least == 1 else min(written), max(written)
    return sorted((label for label in labels if not least <= Decimal(label) <= most), key=Decimal)


def _label_cells(template: Template, label_column: str) -> tuple[Cells, str]:
    """Return the kind of the cells in the column of labels, and an example; `blank` where there is no such column."""
    names = template.columns
    cells = cells_of(template, names.index(label_column)) if label_column in names else []
    return kind_of_cells(cells, label_column), next(filter(is_said, cells), "")
