"""Check, before any work, that known labels fit a submission of names or of one column per class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imgcluster.config import TRUTH, Config
from imgcluster.errors import ConfigError
from imgcluster.images import number_at_end, read_asked, read_known
from imgcluster.types import Template
from imgcluster.utils import first_few


def check_known_classes(template: Template | None, config: Config) -> None:
    """Raise ConfigError where the labels of `truth:` are too few for the layout, or no columns of the template."""
    clusters, outputs = config.clusters, config.outputs
    if not outputs.submission or outputs.layout == "labels" or outputs.names:
        return
    if not clusters.numbering.startswith(TRUTH):
        return
    path = clusters.numbering.removeprefix(TRUTH)
    known = sorted(set(read_known(Path(path), "clusters.numbering").labels.values()))
    count = clusters.n_clusters if isinstance(clusters.n_clusters, int) else None
    columns = _class_columns(template) if outputs.layout != "names" else ()
    where = f"clusters.numbering: {path!r}"
    if all(label.isdecimal() for label in known):
        _check_numbers(where, [*map(int, known)], columns, count, outputs.label_offset)
        return
    if strange := [label for label in known if columns and label not in columns]:
        raise ConfigError(
            f"{where} has the labels {first_few(strange)}, which are no columns of the template ({first_few(columns)}"
            "); write the labels as the columns are called"
        )
    if count is not None and len(known) < count:
        raise ConfigError(
            f"{where} has only {len(known)} different labels ({first_few(known)}) for {count} clusters, and "
            f"outputs.layout: {outputs.layout} needs one for each; label an image of each class"
        )


def _check_numbers(where: str, known: Sequence[int], columns: Sequence[str], count: int | None, first: int) -> None:
    """Compare labels that are numbers with the numbers that the columns end in, where these do."""
    ends = number_at_end(columns)
    if not ends:
        return
    if strange := [str(number) for number in known if number not in ends]:
        raise ConfigError(
            f"{where} has the labels {first_few(strange)}, but the columns of the template end in {min(ends)} to "
            f"{max(ends)}; write the labels as the columns are numbered"
        )
    if count is not None and len(known) < count and first != min(ends):
        raise ConfigError(
            f"outputs.label_offset: {first}, but the columns of the template are numbered from {min(ends)}, and "
            f"clusters without a known label are numbered from the offset on; set outputs.label_offset: {min(ends)}"
        )


def _class_columns(template: Template | None) -> tuple[str, ...]:
    asked = None if template is None else read_asked(template)
    return asked.columns if asked is not None and asked.is_wide else ()
