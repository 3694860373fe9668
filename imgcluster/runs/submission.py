"""Make the submission: the template's rows with labels filled in, everything else unchanged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgcluster.config import LEARNED, ClustersConfig, Config, OutputsConfig
from imgcluster.errors import ConfigError
from imgcluster.images import VideoFrame, number_at_end, read_asked
from imgcluster.runs.cluster_names import known_names, names_found, names_to_write
from imgcluster.runs.label_columns import IN_COLUMNS
from imgcluster.runs.run import RunResult
from imgcluster.runs.segments import COLUMNS as SEGMENT_COLUMNS
from imgcluster.runs.segments import segments_of
from imgcluster.runs.template_check import THREE_WAYS, check_labels, check_template, column_notes, label_notes
from imgcluster.runs.validation import Expected, check_submission
from imgcluster.types import Clusters, Template, TextTable
from imgcluster.utils import first_few

NEW_ID_COLUMN = "id"  # where there is no template
NOISE = -1
SEGMENTS = "segments"  # of outputs.rows
COUNTED = ("raw", "size", "first_appearance")  # numberings that give the numbers from 0 on, and no names
PROBABILITY_FORMAT = "{:.6f}"


def check_outputs(template: Template | None, config: Config) -> None:
    """Refuse, before any work, what the submission of a config cannot be made of: the columns, or names that lack.

    And what would not be what the cells of the template are. Raises ConfigError.
    """
    outputs, clusters = config.outputs, config.clusters
    if not outputs.submission:
        return
    if outputs.rows == SEGMENTS and (template is not None or config.images.video is None):
        raise ConfigError("outputs.rows: segments are of videos: set images.video, and leave images.ids out")
    if outputs.probabilities == "calibrated" and not clusters.has_probability:
        raise ConfigError(
            "outputs.probabilities: calibrated ones are those of clusters.method: auto without an order; set distance"
        )
    if outputs.layout not in IN_COLUMNS:
        _check_label_column(template, outputs.label_column)
    if template is not None:
        check_template(template, config)
    if not _is_counted(clusters):  # the numbers, and the names, are known with the clusters
        return
    numbers = range(clusters.n_clusters) if isinstance(clusters.n_clusters, int) else None
    if outputs.layout == "names":
        _check_named(numbers or (), outputs.names or {}, outputs)
    elif outputs.layout in IN_COLUMNS and numbers is not None:
        _columns(template, outputs, numbers, outputs.names or {})
    elif template is not None and clusters.n_clusters is not None:
        labels = [str(number + outputs.label_offset) for number in numbers or ()]
        check_labels(template, outputs.label_column, labels or [str(clusters.n_clusters)])


def _is_counted(clusters: ClustersConfig) -> bool:
    """Say whether the numbers will be those from 0 on: a model has numbers and names of its own."""
    return clusters.numbering in COUNTED and clusters.method != LEARNED


def make_submission(run: RunResult) -> TextTable:
    """Fill the template, or a new table of ids where there is none, as `outputs.layout` says; all cells are text.

    An image in noise gets the cluster that is nearest to it. One without features gets the largest cluster, or with
    soft the shares of all: the file stays valid, and the guess is the best.
    Raises ConfigError where the clusters found lack a name, a column or probabilities that the layout needs.
    """
    outputs = run.config.outputs
    if outputs.rows == SEGMENTS:
        return _by_segment(run)
    if outputs.layout in IN_COLUMNS:
        columns = columns_of(run)
        frame, filled = _in_columns(run, columns), list(columns.values())
        allowed = None
    else:
        label_of = _labels_of(run)
        if run.template is not None:
            check_labels(run.template, outputs.label_column, sorted(set(label_of.values())))
        frame, filled = _rows(run), [outputs.label_column]
        frame[outputs.label_column] = [label_of[number] for number in _shown_numbers(run)]
        allowed = frozenset(label_of.values())
    _check(run, frame, filled, allowed)
    return frame


def _by_segment(run: RunResult) -> TextTable:
    """Return a row for each segment of a video and for each picture, which has no times."""
    label_of, numbers = _labels_of(run), _shown_numbers(run)
    failed = {failure.image for failure in run.features.failures}
    pictures = [
        (image.id, "", "", label_of[number])
        for image, number in zip(run.images, numbers, strict=True)
        if not isinstance(image.path, VideoFrame)
    ]
    known = [None if image in failed else number for image, number in zip(run.images, numbers, strict=True)]
    segments = [(each.video, each.start, each.end, label_of[each.cluster]) for each in segments_of(run.images, known)]
    columns = zip(*(segments + pictures), strict=True)
    return TextTable([*SEGMENT_COLUMNS[:3], run.config.outputs.label_column], columns)


def columns_of(run: RunResult) -> dict[int, str]:
    """Return the columns, by the clusters' numbers, that a layout of several columns fills.

    One for each name, or else for each cluster. Those of the template beside the ids where there are as many: by the
    names where they are these, else in order. Where the template has the ids alone, or the label column beside them,
    new ones take its place. Raises ConfigError where the template fits neither.
    """
    clusters, outputs = run.clusters, run.config.outputs
    asked = run.config.clusters.n_clusters
    count = _count(clusters)
    if isinstance(asked, int) and len(clusters.sizes):  # clusters that were not found: a template has columns for them
        count = max(count, asked)
    numbers = range(count)
    used = numbers if _is_counted(run.config.clusters) else np.flatnonzero(clusters.sizes).tolist() or [0]
    names = names_to_write(run.config, clusters.names)
    if clusters.are_labels and not known_names(run.config, clusters.names):  # a model's classes that are numbers
        used, names = sorted({*used, *names}) if names else used, {}
    return _columns(run.template, outputs, used, names, are_labels=clusters.are_labels)


def submission_notes(run: RunResult) -> list[str]:
    """Return what a person should know of a submission: images without a cluster, and how a scorer may read it."""
    name, clusters = run.config.outputs.submission, run.clusters
    if not name:
        return []
    notes = [] if run.template is None else _reading_notes(run, run.template)
    if not clusters.sizes.any():
        return [*notes, f"all rows of {name} are alike, because no cluster was found: all images are noise"]
    if failed := len(run.features.failures):
        soft = run.config.outputs.layout == "soft"
        get = "the shares of all clusters" if soft else f"the label of the largest cluster, {_largest(clusters)}"
        notes.append(f"in {name} the {failed:,} failed images have {get}")
    if noise := int((clusters.labels == NOISE).sum()):
        notes.append(f"in {name} the {noise:,} images in noise have their nearest cluster, in clusters.csv -1")
    return notes


def _check_label_column(template: Template | None, label_column: str) -> None:
    id_column = NEW_ID_COLUMN if template is None else template.id_column
    if label_column == id_column:
        raise ConfigError(f"outputs.label_column: {label_column!r} is the column of the ids")
    if template is None:
        return
    names = template.columns
    if names.count(label_column) > 1:
        raise ConfigError(f"outputs.label_column: {str(template.path)!r} has {label_column!r} more than once")
    if label_column not in names and len(names) > 1:
        raise ConfigError(
            f"outputs.label_column: {str(template.path)!r} has no column {label_column!r} "
            f"(its columns: {', '.join(map(repr, names))})"
        )


def _columns(
    template: Template | None,
    outputs: OutputsConfig,
    numbers: Sequence[int],
    names: dict[int, str],
    *,
    are_labels: bool = False,
) -> dict[int, str]:
    if names:
        _check_named(numbers, names, outputs)
    labels = {number: number if are_labels else number + outputs.label_offset for number in numbers}
    wanted = dict(sorted(names.items())) or {number: str(label) for number, label in labels.items()}
    id_column = NEW_ID_COLUMN if template is None else template.id_column
    others = [] if template is None else _columns_to_fill(template)
    for columns in (others, list(wanted.values())):
        if twins := [name for name in columns if columns.count(name) > 1 or name == id_column]:
            raise ConfigError(f"outputs.layout: {outputs.layout}: two columns would be called {twins[0]!r}")
    if sorted(others) == sorted(wanted.values()) or others in ([], [outputs.label_column]):
        return wanted
    ends = {} if names else number_at_end(others)
    if ends and (set(ends) >= set(labels.values()) if are_labels else set(ends) == set(labels.values())):
        shift = 0 if are_labels else outputs.label_offset
        return {label - shift: ends[label] for label in sorted(ends)}
    # A number left out, of a known label without a cluster, would move all that follow into another label's column.
    gaps = len(wanted) != max(wanted) - min(wanted) + 1
    if len(others) == len(wanted) and not names and not gaps and not (are_labels and ends):
        return dict(zip(wanted, others, strict=True))
    named = names or gaps or are_labels
    what = f"{len(wanted)} clusters" + (f", {', '.join(map(repr, wanted.values()))}" if named else "")
    raise ConfigError(
        f"outputs.layout: {outputs.layout} needs a column for each of the {what}; "
        f"{str(template.path) if template else ''!r} has {', '.join(map(repr, others))}"
    )


def _columns_to_fill(template: Template) -> list[str]:
    """Return the columns of labels, one for each class; else all beside the ids."""
    asked = read_asked(template)
    names = template.columns
    return list(asked.columns) if asked.is_wide else [name for name in names if name != template.id_column]


def _reading_notes(run: RunResult, template: Template) -> list[str]:
    """Return how a scorer may read what is written as something else than is meant."""
    outputs, clusters = run.config.outputs, run.clusters
    if outputs.layout in IN_COLUMNS:
        columns = [*columns_of(run).values()]
        which, notes = f"column ({first_few(columns)})", [*column_notes(template, outputs.layout, columns)]
    else:
        labels = {label for number, label in _labels_of(run).items() if clusters.sizes[number : number + 1].any()}
        which, notes = "label", [*label_notes(template, outputs.label_column, labels)] if labels else []
    names = names_found(run.config, clusters.names)
    said = clusters.are_labels or names or (outputs.names and outputs.layout != "labels")
    if not said:
        notes.append(
            f"gives each cluster an arbitrary {which}; where a score compares classes (accuracy, F1, log "
            "loss), set clusters.numbering: truth:CSV"
        )
    if outputs.layout == "labels" and names and not clusters.are_labels:
        words = [
            f"{number + outputs.label_offset}: {name}"
            for number, name in names_to_write(run.config, clusters.names).items()
        ]
        notes.append(f"has numbers for words ({first_few(words)}); outputs.layout: names writes the words")
    return [f"{outputs.submission} {note}" for note in notes]


def _check_named(numbers: Sequence[int], names: dict[int, str], outputs: OutputsConfig) -> None:
    if not names:
        raise ConfigError(f"outputs.layout: names needs {THREE_WAYS}")
    if lacking := [number for number in numbers if number not in names]:
        if outputs.names:
            raise ConfigError(f"outputs.names: cluster {lacking[0]} has no name (named: {', '.join(map(str, names))})")
        raise ConfigError(
            f"clusters.numbering: cluster {lacking[0]} has no name, as the labels known there name only "
            f"{first_few([*names.values()])}; label an image of each class there, or add names for the others by "
            "outputs.names"
        )


def _labels_of(run: RunResult) -> dict[int, str]:
    """Return the label of each cluster that has one: its number, or its name."""
    outputs, clusters = run.config.outputs, run.clusters
    if outputs.layout == "labels":
        offset = 0 if clusters.are_labels else outputs.label_offset
        return {number: str(number + offset) for number in range(_count(clusters))}
    names = names_to_write(run.config, clusters.names)
    _check_named(sorted(set(_shown_numbers(run))), names, outputs)
    return names


def _in_columns(run: RunResult, columns: dict[int, str]) -> TextTable:
    frame = _rows(run)
    id_column = frame.columns[0] if run.template is None else run.template.id_column
    cells = (_soft_cells if run.config.outputs.layout == "soft" else _one_hot_cells)(run, list(columns))
    filled = dict(zip(columns.values(), cells.T, strict=True))
    if not set(filled) <= set(frame.columns):
        frame = TextTable([id_column], [frame[id_column]])
    for name, column in filled.items():
        frame[name] = column.tolist()
    return frame


def _one_hot_cells(run: RunResult, numbers: list[int]) -> np.ndarray:
    return np.where(np.array(_shown_numbers(run))[:, None] == numbers, "1", "0")


def _soft_cells(run: RunResult, numbers: list[int]) -> np.ndarray:
    probabilities, sizes = run.clusters.probabilities, run.clusters.sizes
    if probabilities is None:
        raise ConfigError("outputs.layout: soft: this method gives no probabilities")
    # Numbers that only a name stands for have no cluster, and no probability.
    width = max(*numbers, probabilities.shape[1] - 1) + 1
    shares, known = np.zeros(width), np.zeros((len(probabilities), width))
    shares[: len(sizes)] = sizes / max(1, sizes.sum())
    known[:, : probabilities.shape[1]] = probabilities
    row_of = {image: row for row, image in enumerate(run.features.images)}
    rows = (row_of.get(image) for image in run.images)
    shown = np.array([shares if row is None else known[row] for row in rows])[:, numbers]
    return np.array([[PROBABILITY_FORMAT.format(value) for value in row] for row in shown])


def _check(run: RunResult, frame: TextTable, filled: list[str], allowed: frozenset[str] | None) -> None:
    """Look at what is about to be written as a competition would: nothing that is wrong becomes a file."""
    template, outputs = run.template, run.config.outputs
    id_column = NEW_ID_COLUMN if template is None else template.id_column
    columns = [id_column] if template is None else template.columns
    if set(filled) - set(columns):
        columns = [*(columns if outputs.layout not in IN_COLUMNS else [id_column]), *filled]
    places = [place for place, name in enumerate(columns) if name in filled]
    expected = Expected([image.id for image in run.images], columns, places, outputs.layout, allowed=allowed)
    check_submission(Template(run.folder / str(outputs.submission), frame, id_column), expected)


def _rows(run: RunResult) -> TextTable:
    if run.template is not None:
        return run.template.frame.copy()
    return TextTable([NEW_ID_COLUMN], [[image.id for image in run.images]])


def _shown_numbers(run: RunResult) -> list[int]:
    """Return the number of each image's cluster, in the order of the images: for noise its nearest one."""
    clusters = run.clusters
    largest = _largest(clusters)
    numbers = np.where(clusters.labels == NOISE, clusters.runner_up, clusters.labels)
    numbers = np.where(numbers < 0, largest, numbers)
    failed = {failure.image for failure in run.features.failures}
    known = iter(numbers.tolist())  # of the others, in the order of the list
    return [largest if image in failed else next(known) for image in run.images]


def _largest(clusters: Clusters) -> int:
    return int(clusters.sizes.argmax()) if len(clusters.sizes) else 0


def _count(clusters: Clusters) -> int:
    return max(1, len(clusters.sizes))  # of noise alone there is no cluster, and all images are in the first
