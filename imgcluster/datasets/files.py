"""Write a sample in the layout of a competition's download."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from imgcluster.errors import OutputError
from imgcluster.utils import track

TRUTH = "truth.csv"
TEMPLATE = "sample_submission.csv"
UNFINISHED = f"{TRUTH}.part"  # the truth until all else is there; by it, a second try knows the folder as its own


@dataclass(frozen=True)
class Sample:
    """The true label of every image, and the images' files, made one by one as they are asked for."""

    labels: list[int]
    pictures: Iterator[bytes]
    suffix: str
    tables: dict[str, str] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        """Zero-padded text, as in the competitions: a reader that takes it for a number loses the file."""
        return [f"{number:04d}" for number in range(len(self.labels))]

    def table(self, labels: list[int]) -> str:
        """A CSV of ids and labels."""
        rows = (f"{id_},{label}\n" for id_, label in zip(self.ids, labels, strict=True))
        return "ImageID,label\n" + "".join(rows)


def write(sample: Sample, folder: Path, *, show: bool = False) -> int:
    """Write the sample's files into the folder, the tables after the images. Returns the number of images."""
    try:
        _refuse_other_content(sample, folder)
        (folder / "test").mkdir(parents=True, exist_ok=True)
        _write_table(folder / UNFINISHED, sample.table(sample.labels))
        with track("sample", len(sample.ids), "images", show=show) as advance:
            for id_, data in zip(sample.ids, sample.pictures, strict=True):
                (folder / "test" / f"{id_}{sample.suffix}").write_bytes(data)
                advance(1)
        for name, text in {**sample.tables, TEMPLATE: sample.table([0] * len(sample.labels))}.items():
            _write_table(folder / name, text)
        (folder / UNFINISHED).replace(folder / TRUTH)
    except OSError as error:
        raise OutputError(f"cannot write the sample to {folder}: {error.strerror}; choose another folder") from error
    return len(sample.labels)


def _write_table(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _refuse_other_content(sample: Sample, folder: Path) -> None:
    """Only an empty folder, or one with this very sample, may be written to: anything else could be someone's data."""
    if folder.is_dir() and any(folder.iterdir()) and not _is_same(sample, folder):
        raise OutputError(f"{folder} has other files in it: choose an empty or a new folder, or move them away first")


def _is_same(sample: Sample, folder: Path) -> bool:
    truths = [path.read_bytes() for name in (TRUTH, UNFINISHED) if (path := folder / name).is_file()]
    if not truths or any(truth != sample.table(sample.labels).encode() for truth in truths):
        return False
    ours = {f"{id_}{sample.suffix}" for id_ in sample.ids}
    return all(path.name in ours for path in (folder / "test").glob("*"))
