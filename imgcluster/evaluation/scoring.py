"""Scores of a run, or of any CSV of labels, against a CSV of true labels."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from imgcluster.config import RunFiles
from imgcluster.errors import ConfigError, OutputError
from imgcluster.evaluation.confusion import confusion_chart
from imgcluster.evaluation.metrics import Agreement, agreement
from imgcluster.images import has_column, read_known, table_at
from imgcluster.runs import IN_COLUMNS, csv_text, wide_labels
from imgcluster.types import NOISE, TextTable
from imgcluster.utils import WHOLE, parse_json, plain_label, save, write_whole

FILES = ("scores.json", "confusion.csv", "confusion.png", "confusion.svg")
TITLES = {
    "accuracy": "accuracy",
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
    "ari": "adjusted Rand index",
    "nmi": "normalized mutual information",
    "ami": "adjusted mutual information",
    "homogeneity": "homogeneity",
    "completeness": "completeness",
    "v_measure": "V-measure",
    "fowlkes_mallows": "Fowlkes-Mallows",
    "purity": "purity",
}


@dataclass(frozen=True)
class Scores:
    """Scores of labels against true ones, over the images that have both.

    scores: by name, as of `agreement`, which the matrix in `agreement` comes from too. images: how many were
    compared; noise: how many of them were in no cluster. missing, extra: ids without a label, or without a true one.
    accuracy_as_is: the share of images whose label is the true one as it stands, without matching clusters to classes;
    None where no label is a true one. as_is_in: the file that these labels were read from. notes: how ids were matched
    that are not equal, and which could not be.
    """

    scores: dict[str, float]
    images: int
    noise: int
    missing: list[str]
    extra: list[str]
    agreement: Agreement
    accuracy_as_is: float | None = None
    as_is_in: str = ""
    notes: list[str] = field(default_factory=list)

    def confusion(self) -> list[list[str]]:
        """Return the confusion matrix as rows of cells with a header; clusters in the order of their classes."""
        found, order = self.agreement, _in_order(self.agreement)
        counts = zip(found.classes, found.counts[:, order].tolist(), strict=True)
        header = ["class", *map(str, found.clusters[order])]
        return [header, *([str(name), *map(str, row)] for name, row in counts)]


def score_labels(
    labels: str | Path,
    truth: str | Path,
    *,
    id_column: str | None = None,
    label_column: str | None = None,
    out: str | Path | None = None,
) -> Scores:
    """Compare labels with true ones, matched by id: two CSVs, or a run folder, whose clusters.csv is taken, and a CSV.

    The truth may also be a run, or a folder that has a subfolder of images for each label.
    The ids are in the column that names the images, or in `id_column` where a file has it; the labels in the only other
    one, in `cluster` or `label`, or in `label_column` where a file has it. Ids that only one file has are left out and
    named.
    Ids that are not equal are matched without endings and folders, as `match_names` does.
    With `out`, a folder, scores.json and the confusion matrix as confusion.csv, .png and .svg are written there.
    Raises ConfigError: a file that cannot be read, no such column, an id that is empty or there twice, an empty label,
    no id in both; OutputError where `out` cannot be written.
    """
    files = {"labels": _table(Path(labels)), "truth": Path(truth)}
    ids, columns = (_column_of(files, name, asked) for name, asked in (("id", id_column), ("label", label_column)))
    given_known = read_known(
        files["labels"], "labels", id_column=ids["labels"], label_column=columns["labels"], some=False
    )
    truth_known = read_known(files["truth"], "truth", id_column=ids["truth"], label_column=columns["truth"])
    is_run = Path(labels).is_dir()
    given = (given_known if is_run else given_known.by_names(list(truth_known.labels))).labels
    matching = truth_known.match(list(given))
    known = matching.values(truth_known.labels)
    if not known:
        raise ConfigError(
            f"{str(files['labels'])!r} and {str(files['truth'])!r} have no id in common "
            f"({next(iter(given), 'nothing')!r} there, {next(iter(truth_known.labels), 'nothing')!r} here)"
            f"{matching.none_because}"
        )
    found = agreement(_sortable([given[id] for id in known]), _sortable(list(known.values())))
    noise = sum(given[id] == str(NOISE) for id in known)
    values = {name: found.scores[name] for name in TITLES}
    notes = matching.notes("true labels")
    scores = Scores(values, len(known), noise, matching.unknown, matching.unnamed, found, notes=notes)
    scores = replace(scores, **_as_is(Path(labels), given, known))
    if out is not None:
        _write(scores, Path(out))
    return scores


def scores_json(scores: Scores) -> str:
    """Return the scores as JSON: `scores`, the counts, the ids left out, and `confusion`."""
    found, order = scores.agreement, _in_order(scores.agreement)
    classes = [str(name) for name in found.classes]
    confusion = {
        "classes": classes,
        "clusters": [str(found.clusters[column]) for column in order],
        "matched": [classes[row] if row >= 0 else None for row in found.matched[order].tolist()],
        "counts": found.counts[:, order].tolist(),
    }
    record = {
        "images": scores.images,
        "noise": scores.noise,
        "missing": scores.missing,
        "extra": scores.extra,
        "notes": scores.notes,
        "scores": scores.scores,
        "accuracy_as_is": scores.accuracy_as_is,
        "confusion": confusion,
    }
    return json.dumps(record, indent=2, ensure_ascii=False)


def _table(path: Path) -> Path:
    if not path.is_dir():
        return path
    if not (path / RunFiles.CLUSTERS).is_file():
        raise ConfigError(f"labels: {str(path)!r} is not a run folder (it has no {RunFiles.CLUSTERS})")
    return path / RunFiles.CLUSTERS


def _column_of(files: dict[str, Path], kind: str, asked: str | None) -> dict[str, str | None]:
    """Ask a column of the files that have it: a run's clusters.csv need not call its columns as the truth does."""
    if asked is None:
        return dict.fromkeys(files)
    tables = {name: table_at(path) for name, path in files.items()}
    having = {name: table is not None and has_column(table, asked, name) for name, table in tables.items()}
    if not any(having.values()):
        neither = " nor ".join(repr(str(path)) for path in files.values())
        raise ConfigError(f"{kind} column: neither {neither} has {asked!r}")
    return {name: asked if has else None for name, has in having.items()}


def _as_is(source: Path, given: Mapping[str, str], known: Mapping[str, str]) -> dict[str, Any]:
    """Compare labels with true ones as a scorer that knows no clusters does: of a run those of its submission."""
    true = {plain_label(label) for label in known.values()}
    written, name = _submitted(source, list(given), true), (table_at(source) or source).name
    if written is not None:
        given, name = written
    pairs = [(plain_label(given[id]), plain_label(label)) for id, label in known.items() if id in given]
    labels, true = {label for label, _ in pairs}, {label for _, label in pairs}
    if not labels & true:
        return {}
    return {"accuracy_as_is": sum(label == own for label, own in pairs) / len(pairs), "as_is_in": name}


def _submitted(run: Path, ids: Sequence[str], true: Collection[str]) -> tuple[dict[str, str], str] | None:
    """Return the labels in the submission of a run, by id, and its name; None where it has none.

    true: the true labels. A submission with a column for each class gives no labels where no column is one of these.
    """
    if not run.is_dir():
        return None
    try:
        config = parse_json((run / RunFiles.RECORD).read_bytes())["config"]
        outputs, id_column = config["outputs"], config["images"]["id_column"]
        if outputs["submission"] is None:
            return None
        path, column = run / outputs["submission"], outputs["label_column"]
        if outputs["layout"] in IN_COLUMNS:
            return _of_columns(path, id_column, true), path.name
        known = read_known(path, "labels", id_column=id_column, label_column=column)
        return known.by_names(ids).labels, path.name
    except (OSError, ValueError, KeyError, TypeError, ConfigError):
        return None  # a record that is damaged or older; the clusters are scored all the same


def _of_columns(path: Path, id_column: str | None, true: Collection[str]) -> dict[str, str]:
    """Return the labels of a submission that has a column for each class; none where it cannot be read."""
    try:
        return wide_labels(path, id_column, true)
    except (ConfigError, ArithmeticError):  # the numbers of the clusters would be no labels either
        return {}


def _sortable(labels: list[str]) -> np.ndarray:
    """Return labels as numbers where all are whole ones, so that 10 comes after 2; else as the texts they are."""
    if all(WHOLE.fullmatch(label) for label in set(labels)):
        return np.array([plain_label(label) for label in labels], np.int64)
    return np.array(labels)


def _in_order(found: Agreement) -> np.ndarray:
    """Return the columns so that a good matrix has its large numbers on the diagonal, clusters without a class last."""
    return np.argsort(np.where(found.matched < 0, len(found.classes), found.matched), kind="stable")


def _write(scores: Scores, out: Path) -> None:
    found, order = scores.agreement, _in_order(scores.agreement)
    header, *rows = scores.confusion()
    table = csv_text(TextTable(header, zip(*rows, strict=True)))
    title = f"accuracy {scores.scores['accuracy']:.3f}, adjusted Rand index {scores.scores['ari']:.3f}"
    figure = confusion_chart(found.counts[:, order], [row[0] for row in rows], header[1:], title)
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / "scores.json", f"{scores_json(scores)}\n".encode())
        write_whole(out / "confusion.csv", table.encode())
        save(figure, out, "confusion")
    except OSError as error:
        raise OutputError(f"{str(out)!r} cannot be written: {error.strerror}") from None
