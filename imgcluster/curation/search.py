"""Search by example: the images of a run that are most similar to some pictures, and unlike others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imgcluster.errors import ConfigError, ImageError
from imgcluster.features import apply_transform, unit_length
from imgcluster.runs import FinishedRun, features_of_new, features_of_run, read_run
from imgcluster.types import TextTable
from imgcluster.utils import first_few, row_slices

if TYPE_CHECKING:
    import pandas as pd

COUNT = 20
# Salton and Buckley, Improving Retrieval Performance by Relevance Feedback, JASIS 41(4), 1990: 0.75 for what is
# relevant, 0.25 for what is not. On handwritten digits, 0.77 of the first 20 are right, 0.69 without the subtraction.
LIKE, UNLIKE = 0.75, 0.25
SAME = 1 - 1e-6  # a cosine in float32: the same picture
COLUMNS = ("rank", "id", "similarity", "query", "cluster", "path")


@dataclass(frozen=True)
class Match:
    """An image of the run: its cosine to the query, its cluster, and whether it is one of the example pictures."""

    id: str
    path: str
    cluster: int
    similarity: float
    is_query: bool


@dataclass(frozen=True)
class Matches:
    """The most similar images of a run, the most similar one first. notes: on how they were compared."""

    matches: list[Match]
    notes: list[str] = field(default_factory=list)

    def table(self) -> pd.DataFrame:
        """Return a row for each: rank, id, similarity, query (yes: an example picture itself), cluster, path."""
        import pandas as pd

        found = self.text_table()
        frame = pd.DataFrame(found.rows(), columns=found.columns)
        return frame.astype({"rank": int, "similarity": float, "cluster": int})

    def text_table(self) -> TextTable:
        """Return the table as texts."""
        rows = [
            (
                str(rank),
                each.id,
                f"{each.similarity:.4f}",
                "yes" if each.is_query else "no",
                str(each.cluster),
                each.path,
            )
            for rank, each in enumerate(self.matches, start=1)
        ]
        return TextTable(COLUMNS, zip(*rows, strict=True) if rows else [[] for _ in COLUMNS])


class ImageSearch:
    """The images of a finished run, loaded for many searches.

    They are compared by cosine, after the run's own transform where that can be applied to other images.
    Raises as `features_of_run`.
    """

    def __init__(self, run: str | Path) -> None:
        self._run = read_run(run)
        features = features_of_run(self._run)
        self._rows = [row for row in self._run.rows if row["status"] == "ok"]
        self._place = {id: row for row, id in enumerate(features.ids)}
        self._state = None if "umap" in self._run.clusterer["steps"] else self._run.clusterer
        self._points = self._seen(features.vectors)

    @property
    def run(self) -> FinishedRun:
        """The run."""
        return self._run

    def find(
        self,
        like: Sequence[str | Path],
        unlike: Sequence[str | Path] = (),
        *,
        count: int = COUNT,
        show: bool = True,
    ) -> Matches:
        """Return the images most similar to all of `like` together, and unlike those of `unlike`.

        Args:
            like: Pictures: ids of the run, files, URLs, frames such as `a.mp4#t=3`. An id of the run comes before a
                file of that name.
            unlike: The same.

        Raises:
            ConfigError: No picture, a count below 1, or a run whose features cannot be made again.
            ImageError: A picture that cannot be read.
        """
        if count < 1:
            raise ConfigError(f"count: {count}; allowed: whole numbers >= 1")
        if not like:
            raise ConfigError("name a picture to search by")
        examples = self._examples([*map(str, like), *map(str, unlike)], show)
        wanted, refused = examples[: len(like)], examples[len(like) :]
        query = LIKE * wanted.mean(axis=0)
        if len(refused):
            query -= UNLIKE * refused.mean(axis=0)
        similarity = self._points @ unit_length(query[None])[0]
        order = np.argsort(-similarity, kind="stable")[:count]
        is_query = (self._points[order] @ wanted.T >= SAME).any(axis=1)
        pairs = zip(order.tolist(), is_query.tolist(), strict=True)
        return Matches([self._match(row, float(similarity[row]), own) for row, own in pairs], self._notes())

    def _match(self, row: int, similarity: float, is_query: bool) -> Match:
        image = self._rows[row]
        path = self._run.places.image(image["path"])
        return Match(image["id"], path, int(image["cluster"]), similarity, is_query)

    def _examples(self, texts: list[str], show: bool) -> np.ndarray:
        """Return the pictures as points of the length 1, (len(texts), dim) float32."""
        new = list(dict.fromkeys(text for text in texts if text not in self._place))
        failed = {row["id"]: row["error"] for row in self._run.rows if row["status"] == "failed"} if new else {}
        for text in new:
            if text in failed:
                raise ImageError(f"{text!r} is in the run, and could not be read: {failed[text]}")
        found = {text: self._points[self._place[text]] for text in texts if text in self._place}
        if new:
            given, features = features_of_new(self._run.folder, self._run.record, new, show=show)
            if features.failures:
                first = features.failures[0]
                raise ImageError(f"{first.image.id!r}: {first.reason}")
            if [image.id for image in given] != new:
                others = [image.id for image in given if image.id not in new]
                raise ConfigError(f"{first_few(new)}: name one picture each, such as {first_few(others)}")
            found |= dict(zip(features.ids, self._seen(features.vectors), strict=True))
        return np.stack([found[text] for text in texts])

    def _seen(self, vectors: np.ndarray) -> np.ndarray:
        """Return vectors as the run sees them, of the length 1; a block at a time, for there may be many."""
        state = self._state
        blocks = (np.asarray(vectors[part], np.float32) for part in row_slices(*vectors.shape))
        seen = [unit_length(some if state is None else apply_transform(some, state)) for some in blocks]
        return np.concatenate(seen) if seen else np.empty((0, 0), np.float32)

    def _notes(self) -> list[str]:
        return ["compared without the run's transform: umap knows its own images alone"] if self._state is None else []


def find_like(
    run: str | Path,
    like: Sequence[str | Path],
    unlike: Sequence[str | Path] = (),
    *,
    count: int = COUNT,
    show: bool = True,
) -> Matches:
    """Return the images of a run that are most similar to some pictures, as `ImageSearch.find`."""
    return ImageSearch(run).find(like, unlike, count=count, show=show)
