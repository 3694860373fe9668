"""The pictures of explanations in a run's report folder, and their list, explain.json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from PIL import Image

from imgcluster.config import RunFiles
from imgcluster.errors import OutputError
from imgcluster.images import jpeg
from imgcluster.utils import parse_json, write_whole

FORMAT = 1
JPEG_QUALITY = 90
OURS = re.compile(r"(cluster|gradcam|activations|filters)-[A-Za-z0-9_.-]+\.jpg")
UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True)
class Explanation:
    """A picture that explains: its file, relative to the report folder, and its subject.

    kind: cluster, runner_up, gradcam, activations or filters. row: of clusters.csv, from 0. title: for a person.
    """

    kind: str
    file: str
    id: str | None
    row: int | None
    cluster: int | None
    layer: str | None
    title: str


class ExplanationGallery:
    """The explanations of a run's present clusters."""

    def __init__(self, run_folder: Path, clusters_sha256: str) -> None:
        self.report = run_folder / RunFiles.REPORT
        self.added: list[Explanation] = []
        self._digest = clusters_sha256

    @classmethod
    @contextmanager
    def open(cls, run_folder: Path, clusters_sha256: str) -> Iterator[ExplanationGallery]:
        """Open the gallery of a run whose clusters.csv has this digest; the list is written when the block ends well.

        Raises OutputError.
        """
        folder = run_folder / RunFiles.REPORT / RunFiles.EXPLANATIONS
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(run_folder / RunFiles.REPORT / RunFiles.LOCK)
            with lock.acquire(timeout=0):
                gallery = cls(run_folder, clusters_sha256)
                former = gallery._former()
                yield gallery
                gallery._write_list(former)
        except Timeout:
            raise OutputError(f"{str(run_folder)!r} is being explained by another process; wait for it") from None
        except OSError as error:
            raise OutputError(f"{str(folder)!r} cannot be written: {error.strerror}") from None

    def add(self, picture: Image.Image, name: str, **of: str | int | None) -> None:
        """Write a picture as `name`.jpg and list it; `of`: fields of `Explanation`."""
        file = f"{RunFiles.EXPLANATIONS}/{UNSAFE.sub('_', name)}.jpg"
        write_whole(self.report / file, jpeg(np.asarray(picture), JPEG_QUALITY))
        blank = dict.fromkeys(("id", "row", "cluster", "layer"))
        self.added.append(Explanation(**{**blank, **of, "file": file}))  # type: ignore[arg-type]

    def _former(self) -> list[dict[str, object]]:
        """Return the list as it was; where it is damaged or of other clusters, nothing, and remove its pictures."""
        try:
            listed = parse_json((self.report / RunFiles.EXPLANATIONS_LIST).read_bytes())
            if listed["format"] == FORMAT and listed["clusters_sha256"] == self._digest:
                return [dict(picture) for picture in listed["pictures"]]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        for path in (self.report / RunFiles.EXPLANATIONS).iterdir():
            if OURS.fullmatch(path.name):
                path.unlink()
        return []

    def _write_list(self, former: list[dict[str, object]]) -> None:
        new = {explanation.file for explanation in self.added}
        kept = [picture for picture in former if picture.get("file") not in new]
        listed = {
            "format": FORMAT,
            "clusters_sha256": self._digest,
            "pictures": [*kept, *map(asdict, self.added)],
        }
        text = f"{json.dumps(listed, indent=1, ensure_ascii=False)}\n"
        write_whole(self.report / RunFiles.EXPLANATIONS_LIST, text.encode())
