"""Values passed between the steps of a run: images, features, clusters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from typing_extensions import override

from imgcluster.utils import LazySequence

if TYPE_CHECKING:
    import numpy as np

NOISE = -1  # the cluster of images that are in none
ARE_LABELS = "numbers_are_labels"  # in run.json: `Clusters.are_labels`


class Stamp(NamedTuple):
    """Identity of an image without reading it. `version` takes the place of ctime for non-local files."""

    path: str
    size: int
    mtime_ns: int
    version: int


class Source(ABC):
    """A non-local image. Its text opens it again."""

    __slots__ = ()

    @abstractmethod
    def __str__(self) -> str: ...

    @property
    @abstractmethod
    def stamp(self) -> Stamp | None:
        """Identity without reading; None if only the bytes reveal a change."""

    @property
    @abstractmethod
    def is_far(self) -> bool:
        """Whether reading waits for a network, so that many images should be read concurrently."""

    @property
    def order(self) -> str:
        """Sort key that groups images to be read together; empty if any order is as good."""
        return ""

    @abstractmethod
    def read(self) -> bytes:
        """Return the bytes. Raises ImageError, whose message is only the reason."""

    def absolute(self) -> Source:
        """Return it with absolute paths, for a process in another folder."""
        return self


ImagePath = Path | Source


@dataclass(frozen=True)
class ImageFile:
    """An image of a run: its id in the CSVs, and its location."""

    id: str
    path: ImagePath


class ImageSubset(LazySequence[ImageFile]):
    """The images at some places of a list, (n,) int."""

    def __init__(self, images: Sequence[ImageFile], places: np.ndarray) -> None:
        self._images, self._places = images, places

    def __len__(self) -> int:
        return len(self._places)

    @override
    def item(self, place: int) -> ImageFile:
        return self._images[int(self._places[place])]


@dataclass(frozen=True)
class Failure:
    """An image without features, and the reason."""

    image: ImageFile
    reason: str


def by_reason(failures: Iterable[Failure]) -> dict[str, list[Failure]]:
    """Group failures by reason, the commonest first."""
    found: dict[str, list[Failure]] = {}
    for failure in failures:
        found.setdefault(failure.reason, []).append(failure)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


@dataclass(frozen=True)
class Hierarchy:
    """Nested clusters, from one to the finest level, around those of a run. Level k has k clusters.

    From level to level one cluster is split, and all others keep their numbers.

    Attributes:
        splits: (m, 2) int64, the coarsest first: the cluster that is split, whose larger part keeps its number, and the
            number of the smaller part.
        finest: (n,) int64, the clusters of level m + 1; -1 for noise.
        modularity: (m + 1,) float64, of the clusters of each level in the graph of nearest neighbours.
        n_clusters: The level that is the run's own clusters.
    """

    splits: np.ndarray
    finest: np.ndarray
    modularity: np.ndarray
    n_clusters: int

    @property
    def levels(self) -> int:
        """The number of clusters of the finest level."""
        return len(self.modularity)

    @property
    def numbers(self) -> list[int]:
        """The cluster that is new at each level; that of all images at the first."""
        whole = self.splits[0, 0] if len(self.splits) else self.finest.max()
        return [int(whole), *self.splits[:, 1].tolist()]

    @property
    def sizes(self) -> list[int]:
        """How many images the cluster that is new at each level has there."""
        ordered, numbers = self.finest[self.finest.argsort()], self.numbers
        sizes = {each: int(ordered.searchsorted(each + 1) - ordered.searchsorted(each)) for each in numbers}
        for kept, new in self.splits[::-1].tolist():
            sizes[kept] += sizes[new]
        return [sizes[each] for each in numbers]

    def renumbered(self, numbers: np.ndarray) -> Hierarchy:
        """Return the same with other numbers, (m,) int64, for 0, 1, ...; -1 stays."""
        finest, inside = self.finest.copy(), self.finest != NOISE
        finest[inside] = numbers[finest[inside]]
        return replace(self, splits=numbers[self.splits], finest=finest)

    def cut(self, level: int) -> np.ndarray:
        """Return the labels, (n,) int64, of a number of clusters from 1 to `levels`. Raises ValueError."""
        if not 1 <= level <= self.levels:
            raise ValueError(f"the hierarchy has 1 to {self.levels} clusters, not {level}")
        labels = self.finest.copy()
        for kept, new in self.splits[level - 1 :][::-1].tolist():
            labels[labels == new] = kept
        return labels

    def next_merge(self, level: int | None = None) -> tuple[int, int] | None:
        """Return the two clusters that merge first, the larger one first; None where there is only one.

        level: the number of clusters; None: the run's.
        """
        place = (self.n_clusters if level is None else level) - 2
        return (int(self.splits[place, 0]), int(self.splits[place, 1])) if place >= 0 else None

    def next_split(self, cluster: int, level: int | None = None) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the rows of the two parts of a cluster at its next level, as `parts_of`; None without parts.

        level: the number of clusters; None: the run's.
        """
        parts = self.parts_of((self.cut(self.n_clusters if level is None else level) == cluster).nonzero()[0])
        return None if parts is None else parts[:2]

    def parts_of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, int] | None:
        """Return the two parts into which the tree splits some images first; None where it does not split them.

        Args:
            rows: (m,) int64, the images of one cluster, or of several that somebody has merged.

        Returns:
            The rows of the part that keeps the number, and of the other one, (m1,) and (m2,) int64; its number.
        """
        own = self.finest[rows]
        unions = [*self._unions(own.tolist())]
        if not unions:
            return None
        kept, new, number = unions[-1]
        return rows[_is_one_of(own, kept)], rows[_is_one_of(own, new)], number

    def around(self, rows: np.ndarray) -> np.ndarray | None:
        """Return the rows, (m,) int64, of the smallest cluster of the tree that has these images and others.

        rows: as of `parts_of`. None where these are all images.
        """
        own = {*self.finest[rows].tolist()}
        unions = (kept | new for kept, new, _ in self._unions(self.finest.tolist()))
        parent = next((union for union in unions if own < union), None)
        return None if parent is None else _is_one_of(self.finest, parent).nonzero()[0]

    def _unions(self, finest: Iterable[int]) -> Iterator[tuple[set[int], set[int], int]]:
        """Yield the merges among some clusters of the finest level, from there up.

        Each is the finest clusters of the group that keeps its number, those of the other group, and its number.
        """
        groups = {each: {each} for each in {*finest} - {NOISE}}
        for kept, new in self.splits[::-1].tolist():
            if new in groups:
                merging = groups.pop(new)
                if kept in groups:
                    yield groups[kept], merging, new
                groups[kept] = groups.get(kept, set()) | merging


def _is_one_of(labels: np.ndarray, some: Iterable[int]) -> np.ndarray:
    return reduce(or_, (labels == each for each in some))


@dataclass(frozen=True)
class ChosenNumber:
    """A number of clusters, chosen of several.

    Attributes:
        n_clusters: The number.
        reason: For the summary.
        scores: The modularity of each number that was tried.
        runners_up: The second best number, and other good ones, clearly smaller or larger; the best first.
    """

    n_clusters: int
    reason: str
    scores: dict[int, float] = field(default_factory=dict)
    runners_up: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Clusters:
    """The clusters of features, one entry per row.

    Attributes:
        labels: (n,) int, cluster numbers; -1 for noise.
        distance: (n,) float, Euclidean distance to the own centroid after the transform; NaN for noise.
        runner_up: (n,) int, the second-nearest cluster, or the nearest one for noise; -1 if there is only one cluster.
        runner_up_distance: (n,) float; infinite if there is only one cluster.
        sizes: (k,) int by cluster number; 0 for unused numbers.
        state: What `assign` needs, as plain arrays.
        names: Names of numbers, if known labels were words.
        probabilities: (n, k) float64, on request.
        are_labels: Whether the numbers are known labels, to be written unchanged.
        hierarchy: Coarser and finer clusters around these, with `clusters.hierarchy`.
        chosen: How the number of clusters was chosen, where the config leaves it open.
        probability: (n,) float64, how likely each image is in the right cluster, with method auto; NaN for noise.
    """

    labels: np.ndarray
    distance: np.ndarray
    runner_up: np.ndarray
    runner_up_distance: np.ndarray
    sizes: np.ndarray
    state: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    probabilities: np.ndarray | None = None
    are_labels: bool = False
    hierarchy: Hierarchy | None = None
    chosen: ChosenNumber | None = None
    probability: np.ndarray | None = None


class TextTable:
    """A table of texts by columns, whose names may stand there twice.

    >>> table = TextTable(["id", "label"], [["a", "b"], ["0", "1"]])
    >>> table["label"]
    ['0', '1']
    """

    def __init__(self, columns: Iterable[str], cells: Iterable[Sequence[str]]) -> None:
        self.columns = list(columns)
        self._cells = [list(column) for column in cells]

    def __len__(self) -> int:
        return len(self._cells[0]) if self._cells else 0

    def __getitem__(self, name: str) -> list[str]:
        return self._cells[self.columns.index(name)]

    def __setitem__(self, name: str, cells: Sequence[str]) -> None:
        """Fill the column of a name, a new one at the end where there is none."""
        if name in self.columns:
            self._cells[self.columns.index(name)] = list(cells)
        else:
            self.columns.append(name)
            self._cells.append(list(cells))

    def column(self, place: int, step: int = 1) -> list[str]:
        """Return the cells of a column by its place, of every `step`-th row."""
        return self._cells[place][::step]

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the rows."""
        return zip(*self._cells, strict=True)

    def head(self, count: int) -> TextTable:
        """Return the first rows."""
        return TextTable(self.columns, (column[:count] for column in self._cells))

    def copy(self) -> TextTable:
        """Return a copy that may be filled."""
        return TextTable(self.columns, self._cells)


@dataclass(frozen=True)
class Template:
    """The CSV that lists the images; all cells are str."""

    path: Path | str
    frame: TextTable
    id_column: str

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return [str(name) for name in self.frame.columns]

    @cached_property
    def ids(self) -> list[str]:
        """The ids, in row order."""
        return self.frame[self.id_column]

    def place(self, row: int) -> str:
        """Return the location of a row for messages. Rows count from 1, without the header."""
        return f"{self.path} row {row + 1}"
