"""Whether what a run writes into a template is what the template's cells are."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from imgcluster.config import Config
from imgcluster.errors import ConfigError
from imgcluster.tables import Template
from imgcluster.template_cells import (
    LISTS,
    MEASURED,
    MIXED,
    ONE_HOT,
    SEVERAL,
    SHARE,
    SHARES,
    SOFT,
    WHOLE,
    WORDS,
    ZERO_OR_ONE,
    cells_of,
    is_said,
    kind_of,
    read_asked,
)

NAMED = 3
BINARY = frozenset("01")
# What the cells of a template with a column for each class are, and the layout that writes such.
WIDE = {
    SOFT: ("shares that add up to 1", "soft"),
    ONE_HOT: ("a single 1 in each row", "one_hot"),
    SEVERAL: ("0 and 1, with several 1 or none in some rows", "one_hot"),
    ZERO_OR_ONE: ("0 and 1", "one_hot or soft"),
    SHARES: ("numbers from 0 to 1", "soft or one_hot"),
}
# What no layout writes.
NO_LABELS = {
    LISTS: "lists or shapes such as masks, boxes or several labels",
    MEASURED: "measured values",
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
            f"{len(asked.columns)} columns of labels, {listed(asked.columns)} ({what}); set outputs.layout: {layout} "
            f"and clusters.n_clusters: {len(asked.columns)}"
        )
    kind, example = _label_cells(template, outputs.label_column)
    if kind in NO_LABELS:
        found = f"holds {NO_LABELS[kind]}" + (f" ({example!r})" if example else "")
        raise ConfigError(
            f"outputs.label_column: {outputs.label_column!r} of {where} {found}, which clusters are not; "
            "to cluster without a submission, set outputs.submission: null"
        )
    if kind == WORDS and outputs.layout == "labels":
        raise ConfigError(
            f"outputs.layout: labels writes numbers, but {outputs.label_column!r} of {where} holds words "
            f"({example!r}); set outputs.layout: names, with {THREE_WAYS}"
        )


def check_labels(template: Template, label_column: str, labels: Collection[str]) -> None:
    """Raise ConfigError where the column of labels is a probability, and these are other labels than 0 and 1."""
    kind, example = _label_cells(template, label_column)
    if kind == SHARE and not BINARY.issuperset(labels):
        raise ConfigError(
            f"outputs.label_column: {label_column!r} of {str(template.path)!r} holds a probability ({example!r}), "
            f"for which only the labels 0 and 1 can stand, not {listed(sorted(labels))}; set clusters.n_clusters: 2, "
            "or outputs.submission: null to cluster without a submission"
        )


def template_notes(template: Template, config: Config, filled: Sequence[str]) -> list[str]:
    """Return where a submission may be read as something else than its template, though its shape is right."""
    name, layout = config.outputs.submission, config.outputs.layout
    names = [str(column) for column in template.frame.columns if column != template.id_column]
    asked = read_asked(template, filled[0] if layout in ("labels", "names") else None)
    if missing := [column for column in names if layout in ("one_hot", "soft") and not set(filled) & set(names)]:
        return [f"{name} has {listed(filled)} in the place of the template's {listed(missing)}"]
    notes = []
    if layout == "soft" and asked.kind in (ONE_HOT, SEVERAL):
        notes.append(f"{name} has shares where the template has 0 and 1; outputs.layout: one_hot writes those")
    if layout == "names" and asked.kind == WHOLE:
        notes.append(f"{name} has names where the template's {filled[0]!r} has whole numbers")
    if layout == "labels" and asked.kind == MIXED:
        notes.append(f"{name} has numbers where the template's {filled[0]!r} has words too ({listed(asked.values)})")
    if asked.beside:
        notes.append(f"{name} keeps the template's cells in {listed(asked.beside)}; are they scored?")
    return notes


def listed(names: Sequence[str]) -> str:
    """Return names for a message, the first few of many."""
    return ", ".join(map(repr, names[:NAMED])) + (", ..." if len(names) > NAMED else "")


def _label_cells(template: Template, label_column: str) -> tuple[str, str]:
    """Return the kind of the cells in the column of labels, and an example; `blank` where there is no such column."""
    names = [str(name) for name in template.frame.columns]
    cells = cells_of(template, names.index(label_column)) if label_column in names else []
    return kind_of(cells, label_column), next(filter(is_said, cells), "")
