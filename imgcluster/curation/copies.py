"""Find the duplicates of a run: groups of images that are all near the one to keep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgcluster.curation.distinct_pairs import DigestPair, digest_pair, read_distinct
from imgcluster.curation.keep_rules import DEFAULT_RULES, Files, Preference, check_rules, files_of
from imgcluster.curation.real_files import other_names, rows_inside
from imgcluster.curation.records import record_frame, record_texts
from imgcluster.curation.run_pictures import RunPictures
from imgcluster.curation.similar_pairs import BYTES, LEVELS, SCENE, Pair, Verifier, check_level, find_pairs
from imgcluster.runs import FinishedRun, find_features, fixed_because, listed_images, read_run
from imgcluster.types import TextTable

if TYPE_CHECKING:
    import pandas as pd

KEEP, MOVE = "keep", "move"
COLUMNS = ("group", "level", "id", "path", "action", "reason", "similarity", "digest")


@dataclass(frozen=True)
class Copy:
    """An image of a group of duplicates.

    group: counted from 1. level, similarity: to the image that is kept: bytes, pixels, same or scene; of that one
    itself, the farthest level in the group, and 1.
    action: keep or move. digest: of the bytes. size: in bytes, 0 where unknown.
    """

    group: int
    level: str
    id: str
    path: str
    action: str
    reason: str
    similarity: float
    digest: str
    size: int


@dataclass(frozen=True)
class Duplicates:
    """The groups of duplicates of a run, the largest first; in each, the image to keep comes first.

    images: how many were compared. level: what was asked for: exact, same or scene.
    """

    copies: list[Copy]
    images: int
    level: str

    @cached_property
    def groups(self) -> dict[int, list[Copy]]:
        """The copies of each group by its number."""
        found: dict[int, list[Copy]] = defaultdict(list)
        for copy in self.copies:
            found[copy.group].append(copy)
        return dict(found)

    def table(self) -> pd.DataFrame:
        """Return a row for each copy: group, level, id, path, action, reason, similarity, digest."""
        return record_frame(self.copies, COLUMNS)

    def text_table(self) -> TextTable:
        """Return the table as texts: the plan that people edit."""
        return record_texts(self.copies, COLUMNS)

    def as_json(self) -> dict[str, Any]:
        """Return plain data: level, images, and the groups with their copies."""
        groups = [
            {"group": number, "images": [{**asdict(copy), "similarity": round(copy.similarity, 4)} for copy in copies]}
            for number, copies in self.groups.items()
        ]
        return {"level": self.level, "images": self.images, "groups": groups}


def find_duplicates(
    run: str | Path | FinishedRun,
    *,
    level: str = "same",
    keep: Sequence[str] = DEFAULT_RULES,
    protect: Sequence[str | Path] = (),
    show: bool = False,
) -> Duplicates:
    """Find images of a finished run that are copies of one another, and choose which one of each group to keep.

    All images of a group are near the one that is kept. A file that the run names twice, by a link or another spelling,
    is one image and no copy of itself; links to a file are moved with it. Pairs that were called distinct are not
    proposed again. Images of one scene, frames of videos, pages, members of archives and what lies behind URLs are
    listed, and kept.

    Args:
        run: its folder.
        level: `exact`: the same bytes or pixels; `same`: also the same picture saved again, resized, cropped,
            mirrored, brightened or with a border; `scene`: also other pictures of the same scene.
        keep: rules, in order: largest, sharpest, oldest, folder-first or path:GLOB.
        protect: folders in which everything is kept.
        show: whether to show progress.

    Raises:
        ConfigError: no such level or rule, no image in a protected folder; StoreError, OutputError as
            `features_of_run`.
    """
    check_level(level)
    check_rules(keep)
    finished = run if isinstance(run, FinishedRun) else read_run(run)
    found = find_features(finished)
    if found.count < 2:
        return Duplicates([], found.count, level)
    pictures, digests = RunPictures([finished], show=show), found.digests()
    verify = Verifier(found.read(), pictures.signatures, digests, pictures, level)
    where = finished.places
    rows = where.rows(found.rows)
    files = files_of([image.path for image in listed_images(rows, where.storage)])
    again = other_names(files.paths)
    protected = frozenset(rows_inside(files.paths, protect))
    preference = Preference(keep, files, pictures, protected)
    aliases = {row for names in again.values() for row in names}
    groups = group_copies(verify, digests, preference, read_distinct(finished.folder), aliases)
    links = {row: [name for name in names if Path(files.paths[name]).is_symlink()] for row, names in again.items()}
    ids, paths = [row["id"] for row in rows], [row["path"] for row in rows]
    listed = _Listing(ids, paths, digests, files, preference, protected, links)
    copies = [copy for number, group in enumerate(groups, 1) for copy in listed.of_group(number, group)]
    return Duplicates(copies, found.count, level)


@dataclass(frozen=True)
class Group:
    """Rows that are near the first of them, which is to be kept, and the pair that each makes with it."""

    best: int
    others: dict[int, Pair] = field(default_factory=dict)


def group_copies(
    verify: Verifier,
    digests: Sequence[str],
    preference: Preference,
    distinct: set[DigestPair],
    aliases: Collection[int] = (),
) -> list[Group]:
    """Gather images around those to keep, the best first: all of a group are near its best one.

    Chains, as of the frames of a film, are cut where they lead away. Rows in `aliases` are left out. Returns the
    largest group first.
    """
    classes = _classes(digests, aliases)
    representatives = np.array(sorted(min(rows) for rows in classes.values()), np.int64)
    links = _Links(verify, find_pairs(verify, representatives), digests, distinct)
    rows_of = {min(rows): sorted(rows, key=preference.key) for rows in classes.values() if len(rows) > 1}
    involved = {*links.near, *rows_of}
    free, groups = set(involved), []
    for head in sorted(involved, key=lambda row: preference.key(rows_of.get(row, [row])[0])):
        if head not in free:
            continue
        members = links.around(head, free)
        free -= {head, *members}
        best, *own = _copies_of(head, rows_of, digests, distinct)
        group = Group(best, {row: Pair(best, row, BYTES, 1.0) for row in own})
        for member, pair in members.items():
            group.others.update(dict.fromkeys(_copies_of(member, rows_of, digests, distinct), pair))
        groups.append(group)
    found = [group for group in groups if group.others]
    return sorted(found, key=lambda group: (-len(group.others), group.best))


def _classes(digests: Sequence[str], aliases: Collection[int]) -> dict[str | int, list[int]]:
    """Return the rows of each digest, without `aliases`; those without a digest are alone."""
    classes: dict[str | int, list[int]] = defaultdict(list)
    for row, digest in enumerate(digests):
        if row not in aliases:
            classes[digest or row].append(row)
    return classes


def _copies_of(row: int, rows_of: dict[int, list[int]], digests: Sequence[str], distinct: set[DigestPair]) -> list[int]:
    """Return the rows of the same bytes, the preferred one first; only that one where they were called distinct."""
    rows = rows_of.get(row, [row])
    return rows[:1] if digest_pair(digests[row], digests[row]) in distinct else rows


class _Links:
    """Pairs that are related, in both directions, without those that were called distinct."""

    def __init__(
        self, verify: Verifier, pairs: Iterable[Pair], digests: Sequence[str], distinct: set[DigestPair]
    ) -> None:
        self._verify, self._digests, self._distinct = verify, digests, distinct
        self.near: dict[int, dict[int, Pair]] = defaultdict(dict)
        for pair in pairs:
            if not self._are_distinct(pair.first, pair.second):
                self.near[pair.first][pair.second] = self.near[pair.second][pair.first] = pair

    def around(self, head: int, free: set[int]) -> dict[int, Pair]:
        """Return the free rows near `head`, with their pairs, also where links of links alone lead to them."""
        found: dict[int, Pair] = {}
        seen, frontier = {head}, self.near[head]
        while frontier:
            seen |= frontier.keys()
            for row, pair in frontier.items():
                if row in free and not any(self._are_distinct(row, other) for other in found):
                    found[row] = pair
            beyond = {row for near in frontier for row in self.near[near]} & free - seen
            tried = {row: self._verify(head, row) for row in sorted(beyond) if not self._are_distinct(head, row)}
            seen |= beyond
            frontier = {row: pair for row, pair in tried.items() if pair is not None}
        return found

    def _are_distinct(self, first: int, second: int) -> bool:
        return bool(self._distinct) and digest_pair(self._digests[first], self._digests[second]) in self._distinct


@dataclass(frozen=True)
class _Listing:
    """What the copies of a run are listed with. links: by row of a file, the rows that are links to it."""

    ids: list[str]
    paths: list[str]
    digests: list[str]
    files: Files
    preference: Preference
    protected: frozenset[int]
    links: Mapping[int, list[int]]

    def of_group(self, number: int, group: Group) -> list[Copy]:
        """Return the copies of a group, the one to keep first, then the closest ones."""
        others = sorted(group.others, key=lambda row: (-group.others[row].similarity, row))
        next_best = min(others, key=self.preference.key)
        level = max((pair.level for pair in group.others.values()), key=LEVELS.index)
        reason = self.preference.reason(group.best, next_best)
        best = self._copy(number, group.best, KEEP, reason, Pair(group.best, group.best, level, 1.0))
        return [best, *(copy for row in others for copy in self._other(number, group.best, row, group.others[row]))]

    def _other(self, number: int, best: int, row: int, pair: Pair) -> list[Copy]:
        """Return a copy, and the links to it if it is to be moved: they would lead nowhere."""
        reasons = (
            "in a protected folder" if row in self.protected else "",
            f"{fixed}: listed, never moved" if (fixed := fixed_because(self.paths[row])) else "",
            f"the same scene as {self.ids[best]}, another picture" if pair.level == SCENE else "",
        )
        reason = next(filter(None, reasons), "")
        if reason:
            return [self._copy(number, row, KEEP, reason, pair)]
        link = f"link to {self.ids[row]}"
        links = [self._copy(number, name, MOVE, link, pair) for name in self.links.get(row, [])]
        return [self._copy(number, row, MOVE, f"copy of {self.ids[best]}", pair), *links]

    def _copy(self, number: int, row: int, action: str, reason: str, pair: Pair) -> Copy:
        about = self.ids[row], self.paths[row], action, reason, pair.similarity, self.digests[row]
        return Copy(number, pair.level, *about, self.files.bytes[row])
