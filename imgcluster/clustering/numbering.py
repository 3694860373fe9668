"""How clusters are numbered: as they come, by size, by first appearance, as in another run, or by known labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path

import numpy as np

from imgcluster.config import MATCH, TRUTH, RunFiles
from imgcluster.errors import ConfigError
from imgcluster.images import KnownLabels, read_known, read_labels
from imgcluster.types import ARE_LABELS, NOISE
from imgcluster.utils import first_few, parse_json, plain_label, plain_labels

DIGITS, MOST_NUMBERS = 9, 10_000  # larger ones are names: there is room for each number below the largest
MAX_LABELS_IN_NOTE = 10


@dataclass(frozen=True)
class Numbers:
    """numbers: (k,) int64, the number of each cluster; names: of numbers, where the labels known were words.

    others: (m,) int64, the numbers of clusters that are known and have no images, in the order of the rule's.
    are_labels: whether the numbers are labels known before, and not counted. notes: for the summary.
    """

    numbers: np.ndarray
    names: dict[int, str] = field(default_factory=dict)
    others: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    are_labels: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def width(self) -> int:
        """How many numbers there are room for."""
        return int(np.append(self.numbers, self.others).max(initial=-1)) + 1


def number_clusters(labels: np.ndarray, k: int, numbering: str, ids: Sequence[str] | None, first: int = 0) -> Numbers:
    """Number the clusters of labels, (n,) int64 from 0 to k - 1, noise -1. `ids` names the rows.

    `match:RUN` gives each cluster the number of the cluster of that run with which it shares most images, all together
    as many as can be (Kuhn, The Hungarian method for the assignment problem, 1955); one that is new takes a number that
    was not used. `truth:CSV` does the same with labels known of some images, which may also come from a folder with a
    subfolder for each label; where they are words, the numbers are those of the words in order. Where the numbers are
    labels, a cluster that matches none takes a known one that is left, or the smallest free number from `first` on,
    where labels begin.
    Raises ConfigError: no such run or file, or none of its images among these.
    """
    if numbering in PLAIN:
        return Numbers(PLAIN[numbering](labels, k))
    if ids is None:
        raise ConfigError(f"clusters.numbering: {numbering!r} needs the ids of the images, not vectors alone")
    kind, path, known = _known(numbering)
    numbers_of, names = _as_numbers(known.labels)
    matching = known.match(ids)
    numbers_here = matching.values(numbers_of)
    rows = [row for row, id in enumerate(ids) if labels[row] != NOISE and id in numbers_here]
    if numbers_of and not numbers_here:
        raise ConfigError(f"clusters.numbering: {path!r} has none of these images{matching.none_because}")
    numbers = match_clusters(labels[rows], np.array([numbers_here[ids[row]] for row in rows], np.int64), k)
    # The number of a cluster that is gone stays free; a label that no cluster matches is as good as any for one left.
    theirs, given = set(numbers_of.values()), set(numbers.tolist())
    are_labels = _are_labels(kind, path, names)
    free_from = first if are_labels and 0 <= first < MOST_NUMBERS else 0
    notes = matching.notes("known labels", left=kind == TRUTH)
    if kind == MATCH:
        return Numbers(_all_numbered(numbers, theirs, [], free_from), names, are_labels=are_labels, notes=notes)
    found = _all_numbered(numbers, given, sorted(theirs - given), free_from)
    notes += _guess_notes(found[numbers < 0], k, path)
    notes += _without_cluster(set(numbers_here.values()), set(found.tolist()), names)
    return Numbers(found, names, are_labels=are_labels, notes=notes)


def number_classes(classes: Sequence[str], places: np.ndarray, k: int) -> Numbers:
    """Number classes that are known by name: whole numbers, also written 9.0, are their own; others count from 0.

    places: (n_classes,) int64, which cluster each class is; those from `k` on have no images. All have names.
    """
    plain = [plain_label(name) for name in classes]
    own = all(name.isdecimal() and name == str(int(name)) and int(name) < MOST_NUMBERS for name in plain)
    own = own and len(set(plain)) == len(plain)  # 9 and 9.0 are two classes of a model
    numbers = [int(name) for name in plain] if own else range(len(classes))
    by_place = np.empty(len(classes), np.int64)
    by_place[places] = numbers
    return Numbers(
        by_place[:k], dict(zip(numbers, plain if own else classes, strict=True)), by_place[k:], are_labels=own
    )


def check_numbering(numbering: str, first: int = 0) -> None:
    """Raise ConfigError where a numbering names what cannot be read, or known labels below `first`, the first one."""
    if numbering in PLAIN:
        return
    kind, path, known = _known(numbering)
    numbers_of, names = _as_numbers(known.labels)
    least = min(numbers_of.values(), default=first)
    if kind == TRUTH and not names and least < first:
        raise ConfigError(
            f"clusters.numbering: {path!r} has the label {least}, but by outputs.label_offset labels begin at {first}; "
            "known labels are written as they are: set outputs.label_offset: 0, or correct them"
        )


def _known(numbering: str) -> tuple[str, str, KnownLabels]:
    """Return the kind of a numbering, the path that it names, and the labels known there."""
    kind = MATCH if numbering.startswith(MATCH) else TRUTH
    path = numbering[len(kind) :]
    return kind, path, _labels_of_run(Path(path)) if kind == MATCH else read_known(Path(path), "clusters.numbering")


def _labels_of_run(folder: Path) -> KnownLabels:
    path = folder / RunFiles.CLUSTERS if folder.is_dir() else folder
    known = plain_labels(read_labels(path, "clusters.numbering", label_column="cluster"))
    return KnownLabels({id: label for id, label in known.items() if label not in ("", "-1")})


def _as_numbers(known: dict[str, str]) -> tuple[dict[str, int], dict[int, str]]:
    """Take whole numbers as they are, and words in the order of the alphabet."""
    words = sorted(set(known.values()))
    if (
        all(word.isdecimal() and len(word) <= DIGITS for word in words)
        and max(map(int, words), default=0) < MOST_NUMBERS
    ):
        return {id: int(label) for id, label in known.items()}, {}
    return {id: words.index(label) for id, label in known.items()}, dict(enumerate(words))


def match_labels(counts: np.ndarray) -> np.ndarray:
    """Match rows with columns one to one, so that the matched cells of counts, (n, m), have the largest sum.

    Kuhn, The Hungarian method for the assignment problem, 1955. Returns the column of each row, (n,) int64; -1 for a
    row without one, or whose cell is 0.
    """
    largest = counts.max(axis=1, keepdims=True, initial=0)
    rows, columns = np.nonzero((counts == largest) & (largest > 0))
    # Where each row has one largest count, in a column of its own, no other matching has as large a sum.
    if not len(np.unique(rows)) == len(np.unique(columns)) == len(rows):
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(counts, maximize=True)
    shared = counts[rows, columns] > 0
    matched = np.full(len(counts), -1)
    matched[rows[shared]] = columns[shared]
    return matched


def match_clusters(labels: np.ndarray, numbers: np.ndarray, k: int) -> np.ndarray:
    """Return for each of `k` clusters the number, (k,) int64, that it shares most rows with, as of `match_labels`.

    labels, numbers: (n,) int64, the cluster and the number of each row. A cluster that shares no row gets -1.
    """
    theirs, columns = np.unique(numbers, return_inverse=True)
    counts = np.zeros((k, len(theirs)), np.int64)
    np.add.at(counts, (labels, columns), 1)
    matched = match_labels(counts)
    return np.where(matched < 0, -1, np.append(theirs, -1)[matched])


def _are_labels(kind: str, path: str, names: dict[int, str]) -> bool:
    """Say whether numbers are labels: those of a truth that has no words, or of a run whose own are."""
    if kind == TRUTH:
        return not names
    run = Path(path)
    try:
        record = parse_json(((run if run.is_dir() else run.parent) / RunFiles.RECORD).read_bytes())
        if ARE_LABELS in record:
            return bool(record[ARE_LABELS])
        return str(record["config"]["clusters"]["numbering"]).startswith(TRUTH)  # of a run before there was the key
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _guess_notes(numbers: np.ndarray, k: int, path: str) -> list[str]:
    if not len(numbers):
        return []
    listed = ", ".join(map(str, sorted(numbers.tolist())))
    return [f"{len(numbers)} of {k} clusters match no label of {path}; their numbers are guesses: {listed}"]


def _without_cluster(known: set[int], found: set[int], names: dict[int, str]) -> list[str]:
    """Say which labels known of these images no cluster has."""
    lacking = [names.get(number, str(number)) for number in sorted(known - found)]
    if not lacking:
        return []
    named = first_few(lacking, MAX_LABELS_IN_NOTE)
    return [f"{len(lacking)} of {len(known)} known labels have no cluster, so no image gets them: {named}"]


def _all_numbered(numbers: np.ndarray, taken: set[int], left: Sequence[int], first: int) -> np.ndarray:
    """Give clusters without a number those that are left, then the smallest ones from `first` on that are not taken."""
    free = chain(left, (number for number in count(first) if number not in taken and number not in left))
    return np.array([number if number >= 0 else next(free) for number in numbers.tolist()], np.int64)


def _by_size(labels: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(np.argsort(-np.bincount(labels[labels >= 0], minlength=k), kind="stable"))


def _by_appearance(labels: np.ndarray, k: int) -> np.ndarray:
    order = list(dict.fromkeys([*labels[labels >= 0].tolist(), *range(k)]))
    return np.argsort(order)


PLAIN: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "raw": lambda labels, k: np.arange(k),
    "size": _by_size,
    "first_appearance": _by_appearance,
}
