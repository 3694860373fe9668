"""The table of all comparisons of a set of images, which grows, with a config for each row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from filelock import FileLock, Timeout

from imgcluster.config import Config, config_from_dict
from imgcluster.errors import OutputError
from imgcluster.features import known_key
from imgcluster.runs import csv_text
from imgcluster.types import NOISE, ImageFile
from imgcluster.utils import installed, write_whole

if TYPE_CHECKING:
    import pandas as pd

TABLE, BEST, CONFIGS, RUNS, RECORD = "compare.csv", "best.yaml", "configs", "runs", "tried.npz"
FORMAT = 1
FAILED = NOISE - 1  # in the place of a cluster, of an image that has no features by this backbone
PACKAGES = ("imgcluster", "scikit-learn", "numpy")
DEFAULT = "default"
# By section, keys that every row says in its own way, and those that change no clusters.
SAID = {
    "features": {"backbone", "layer", "fallback", "download", "device", "batch_size", "store"},
    "clusters": {"transform", "method", "n_clusters", "numbering"},
}


@dataclass(frozen=True)
class Candidate:
    """One combination: its config, the clusters by image id, and its scores by name.

    key: what its clusters depend on, by which it is known again. number: its place in the order of trying, from 1.
    """

    config: Config
    labels: dict[str, int]
    scores: dict[str, float] = field(default_factory=dict)
    key: str = ""
    number: int = 0

    def row(self, also: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        """Return its row of the table; `also`: sections and keys that it says too."""
        features, clusters = self.config.features, self.config.clusters
        resolved = self.config.resolved()
        return {
            "backbone": _joined(features.backbone) if features.file is None else str(features.file),
            "layer": DEFAULT if features.layer is None else _joined(features.layer),
            "transform": _joined([_step(step) for step in clusters.transform]) or "none",
            "method": clusters.method,
            **{key: _text(resolved[section][key]) for section, key in also},
            "clusters": len(set(self.labels.values()) - {NOISE}),
            **{name: round(score, 4) for name, score in self.scores.items()},
        }


def differing(candidates: Sequence[Candidate]) -> list[tuple[str, str]]:
    """Return the sections and keys, none that a row says anyway, in which the configs of candidates differ."""
    wholes = [each.config.resolved() for each in candidates]
    return [
        (section, key)
        for section, said in SAID.items()
        for key in (wholes[0][section] if wholes else ())
        if key not in said and len({_text(whole[section][key]) for whole in wholes}) > 1
    ]


class Tried:
    """The candidates of a table, those of former comparisons first; kept in `folder`, where there is one.

    before: how many were there at first.
    """

    def __init__(self, folder: Path | None, images: Sequence[ImageFile]) -> None:
        self.candidates: list[Candidate] = []
        self.before = 0
        self._folder, self._ids = folder, [image.id for image in images]
        self._images = _digest([[image.id, _size(image)] for image in images])
        self._written: dict[str, list[str]] = {}
        self._contents: dict[str, str] = {}  # of the images that could be read, by the digest of their ids

    @contextmanager
    def open(self, *, force: bool = False) -> Iterator[Tried]:
        """Read what is there, and keep others from writing into the folder meanwhile.

        Raises OutputError where the folder has what would be overwritten: another's table, one of other images, or
        files of the table that somebody has changed. With `force` the table begins anew.
        """
        if self._folder is None:
            yield self
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._folder / ".lock").acquire(timeout=0):
                if not force:
                    self._read(self._folder)
                self.before = len(self.candidates)
                yield self
        except Timeout:
            raise OutputError(f"{str(self._folder)!r} is being written by another comparison; wait for it") from None
        except OSError as error:
            raise OutputError(f"{str(self._folder)!r} cannot be written: {error.strerror or error}") from None

    def check_content(self, ids: Sequence[str], content: str) -> None:
        """Raise OutputError where the table is of images with the same ids, and other bytes.

        content: the digest of the bytes of those images that can be read; empty where nobody has read them.
        """
        if not content or self._folder is None:
            return
        if self._contents.setdefault(_digest([*ids]), content) != content:
            raise _in_the_way(self._folder / TABLE, "it is of other images")

    def key_of(self, config: Config, fingerprints: Sequence[str], content: str) -> str:
        """Return what the clusters of a config depend on, of features with these fingerprints, of such images."""
        features, clusters = config.features, config.resolved()["clusters"]
        joined = [features.block_l2, features.block_weights]
        versions = [installed(package) for package in PACKAGES]
        return _digest([[*fingerprints], content, joined, {**clusters, "numbering": None}, versions])

    def has(self, key: str) -> bool:
        """Tell whether a combination has been tried."""
        return any(each.key == key for each in self.candidates)

    def add(self, candidate: Candidate) -> None:
        """Add a combination; one of the same config, tried by other versions, gives its place to it."""
        at = next((at for at, each in enumerate(self.candidates) if _same(each.config, candidate.config)), None)
        if at is None:
            numbers = [each.number for each in self.candidates]
            self.candidates.append(_numbered(candidate, max(numbers, default=0) + 1, self._folder))
        else:
            self.candidates[at] = _numbered(candidate, self.candidates[at].number, self._folder)

    def save(self) -> None:
        """Keep the candidates, so that a comparison that is killed later has not tried them for nothing."""
        if self._folder is None:
            return
        if not self._written:  # a table that begins anew has none of another's configs
            for path in (self._folder / CONFIGS).glob("[0-9]*.yaml"):
                path.unlink()
        for each in self.candidates:
            path = self._folder / config_name(each)
            if not path.exists() or each.number > self.before:
                path.parent.mkdir(exist_ok=True)
                write_whole(path, _config_text(each.config, path).encode())
        labels = [[each.labels.get(id, FAILED) for id in self._ids] for each in self.candidates]
        record = {
            "format": FORMAT,
            "images": self._images,
            "contents": self._contents,
            "written": self._written,
            "candidates": [
                {"number": each.number, "key": each.key, "config": each.config.resolved(), "scores": each.scores}
                for each in self.candidates
            ],
        }
        file = BytesIO()
        matrix = np.array(labels, np.int32).reshape(len(labels), len(self._ids))
        np.savez_compressed(file, record=np.array(json.dumps(record)), labels=matrix)
        write_whole(self._folder / RECORD, file.getvalue())

    def write(self, table: pd.DataFrame, best: Candidate) -> None:
        """Write the table and the best config; what is there is known as ours at any moment, also after a kill."""
        if self._folder is None:
            return
        path = self._folder / BEST
        files = {TABLE: csv_text(table), BEST: _config_text(best.config, path, f"# as {config_name(best)}\n")}
        for name, text in files.items():
            self._written[name] = [*self._written.get(name, [])[-1:], _digest(text)]
        self.save()
        for name, text in files.items():
            write_whole(self._folder / name, text.encode())

    def _read(self, folder: Path) -> None:
        if not (folder / RECORD).exists():
            if there := [name for name in (TABLE, BEST, CONFIGS) if (folder / name).exists()]:
                raise _in_the_way(folder / there[0], "it is not known what was tried for it")
            return
        try:
            with np.load(folder / RECORD, allow_pickle=False) as file:
                record, labels = json.loads(str(file["record"])), file["labels"]
            images, self._written = record["images"], record["written"]
            self._contents = record.get("contents", {})  # older records have none
            if images == self._images:
                self.candidates = [
                    self._candidate(each, row) for each, row in zip(record["candidates"], labels, strict=True)
                ]
        except Exception:  # numpy and zipfile raise whatever the damaged bytes happen to make them do
            raise _in_the_way(folder / RECORD, "it is damaged, or of another version") from None
        if images != self._images:
            raise _in_the_way(folder / TABLE, "it is of other images")
        for name, digests in self._written.items():
            path = folder / name
            if path.exists() and _digest(path.read_bytes().decode(errors="replace")) not in digests:
                raise _in_the_way(path, "it was changed since it was written; move it away")

    def _candidate(self, kept: dict[str, Any], labels: np.ndarray) -> Candidate:
        clusters = {id: label for id, label in zip(self._ids, labels.tolist(), strict=True) if label != FAILED}
        return Candidate(config_from_dict(kept["config"]), clusters, kept["scores"], kept["key"], kept["number"])


def config_name(candidate: Candidate) -> str:
    """Return the name of the config of a row, in the folder of the table."""
    return f"{CONFIGS}/{candidate.number:02d}.yaml"


def _numbered(candidate: Candidate, number: int, folder: Path | None) -> Candidate:
    whole = candidate.config.resolved()
    if folder is not None:
        whole["outputs"]["folder"] = str(folder / RUNS / f"{number:02d}")
    return replace(candidate, config=config_from_dict(whole), number=number)


def _same(one: Config, other: Config) -> bool:
    return one.model_copy(update={"outputs": None}) == other.model_copy(update={"outputs": None})


def _config_text(config: Config, path: Path, comment: str = "") -> str:
    text = yaml.safe_dump(config.resolved(), sort_keys=False, allow_unicode=True)
    return f"# python -m imgcluster run {path}\n{comment}{text}"


def _in_the_way(path: Path, why: str) -> OutputError:
    what_helps = "choose another folder with out=DIR, or start a new table with force=True"
    return OutputError(f"{str(path)!r} would be overwritten: {why}; {what_helps}")


def _size(image: ImageFile) -> int | None:
    key = known_key(image.path)
    return None if key is None else key.size


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _step(step: Any) -> str:
    return step if isinstance(step, str) else " ".join(f"{name} {value}" for name, value in step.items())


def _joined(names: Any) -> str:
    return names if isinstance(names, str) else "+".join(map(str, names))
