"""What goes out comes back the same: any ids, any cells, any labels, through every CSV that a run reads and writes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from imgcluster.config.loader import Config, config_from_dict
from imgcluster.features.files import read_features
from imgcluster.features.result import Features
from imgcluster.images.ids.table import read_labels
from imgcluster.images.listing import list_images
from imgcluster.pipeline import Run
from imgcluster.runs.features import FeatureTable, write_features
from imgcluster.runs.folder import RunFolder
from imgcluster.runs.reader import read_rows
from imgcluster.runs.writer import output_names, path_text, write_outputs
from imgcluster.types import Clusters, Failure, ImageFile, Template
from imgcluster.utils.csv import read_cells

PROFILE = settings(deadline=None, max_examples=50)
# What spreadsheets, shells, paths and CSVs give a meaning to, beside all that is a letter somewhere.
SIGNS = ",;\t\"'\r\n =+-@#|\\/.{}%*?:~0a\ufeff\u2028\x85\x0b\x1a\u200be\u0301"
letters = st.sampled_from(SIGNS) | st.characters(codec="utf-8", exclude_characters="\0")
cells = st.text(letters, max_size=12)
words = st.text("abc019é", min_size=1, max_size=8)
HEADER = ["ImageID", "label", "x", ' y,"', "label "]


def _may_be_an_id(text: str) -> bool:
    """Say whether it is no blank, and leads nowhere outside of a folder."""
    return bool(text.strip()) and ".." not in text and not text.startswith("/")


ids = st.lists(cells.filter(_may_be_an_id), min_size=1, max_size=8, unique=True)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Return the rows of a template, its header first: odd ids, and odd cells beside them."""
    others = st.lists(cells, min_size=len(HEADER) - 1, max_size=len(HEADER) - 1)
    return [HEADER, *([id, *draw(others)] for id in draw(ids))]


def _written(rows: Sequence[Sequence[str]], **how: Any) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, **how).writerows(rows)
    return file.getvalue()


def _read(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))


def _config(own: Path) -> Config:
    return config_from_dict(
        {
            "images": {"folder": str(own), "ids": str(own / "t.csv"), "missing": "skip"},
            "clusters": {"n_clusters": 3},
            "outputs": {"folder": str(own / "out"), "report": False},
        }
    )


def _run_of(config: Config, images: list[ImageFile], template: Template | None, labels: list[int], failed: int) -> Run:
    """Return a run as it would be, with these clusters; the last images failed."""
    there, lost = images[: len(images) - failed], images[len(images) - failed :]
    features = Features(there, np.zeros((len(there), 2), np.float32), [Failure(each, 'a, "b"\r') for each in lost], [])
    found = np.array(labels[: len(there)], np.int64)
    one = np.ones(len(there))
    clusters = Clusters(found, one, (found + 1) % 3, one * 2, np.bincount(found, minlength=3))
    return Run(config, images, template, features, clusters)


@PROFILE
@given(tables(), st.data())
def test_ids_and_cells_come_out_as_they_went_in(table: list[list[str]], data: st.DataObject) -> None:
    labels = data.draw(st.lists(st.integers(0, 2), min_size=len(table), max_size=len(table)))
    failed = data.draw(st.integers(0, len(table) - 1))
    end = data.draw(st.sampled_from(["\r\n", "\n", "\r"]))
    with TemporaryDirectory() as folder:
        own = Path(folder)
        (own / "t.csv").write_bytes(_written(table, quoting=csv.QUOTE_ALL, lineterminator=end).encode())
        config = _config(own)
        images, template = list_images(config.images)
        run = _run_of(config, images, template, labels, failed)
        with RunFolder(config).open(output_names(config)) as outputs:
            write_outputs(outputs, run)

        names = [row[0] for row in table[1:]]
        assert [image.id for image in images] == names
        submission = _read(own / "out" / "submission.csv")
        assert [[id, *others] for id, _, *others in submission] == [[id, *others] for id, _, *others in table]
        found = [str(label) for label in labels[: len(names) - failed]]
        assert [row[1] for row in submission[1 : len(found) + 1]] == found
        assert read_cells(own / "out" / "submission.csv") == submission

        rows = read_rows(own / "out")
        assert [row["id"] for row in rows] == names
        assert [row["path"] for row in rows] == [path_text(image) for image in images]
        assert [row["cluster"] for row in rows] == found + [""] * failed
        assert [row["error"] for row in rows] == [""] * len(found) + ['a, "b"\r'] * failed
        assert read_labels(own / "out" / "clusters.csv", "it") == dict(zip(names, found, strict=False))


@PROFILE
@given(ids)
def test_ids_without_a_template_too(names: list[str]) -> None:
    with TemporaryDirectory() as folder:
        own = Path(folder)
        config = _config(own)
        images = [ImageFile(id, own / f"{id}.jpg") for id in names]
        run = _run_of(config, images, None, [0] * len(names), 0)
        with RunFolder(config).open(output_names(config)) as outputs:
            write_outputs(outputs, run)
        assert _read(own / "out" / "submission.csv") == [["id", "label"], *([id, "0"] for id in names)]
        assert list(read_labels(own / "out" / "submission.csv", "it")) == names


@PROFILE
@given(
    st.lists(st.lists(cells, min_size=2, max_size=3), min_size=1, max_size=6),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@example([["a", "b\r\nc"], ["", '"']], "utf-16", csv.QUOTE_MINIMAL)
def test_a_csv_is_read_as_it_was_written(rows: list[list[str]], encoding: str, quoting: int) -> None:
    header = ["id", "label", "x"]
    data = _written([header, *rows], quoting=quoting).encode(encoding)
    assert read_cells(io.BytesIO(data)) == [header, *(row + [""] * (3 - len(row)) for row in rows)]


@PROFILE
@given(st.lists(st.lists(words, min_size=3, max_size=3), min_size=3, max_size=6), st.data())
def test_a_quote_too_many_is_never_read_as_other_rows(rows: list[list[str]], data: st.DataObject) -> None:
    """A quote that a slip of the keyboard takes away is seen, or leaves the rows as they are."""
    text = _written([["id", "label", "x"], *rows], quoting=csv.QUOTE_ALL, lineterminator="\n")
    quotes = [at for at, letter in enumerate(text) if letter == '"']
    at = data.draw(st.sampled_from(quotes))
    try:
        found = read_cells(io.BytesIO((text[:at] + text[at + 1 :]).encode()))
    except ValueError as error:
        assert "is not valid CSV: line " in str(error)  # noqa: PT017 (where there is none, the rows are looked at)
    else:
        assert len(found) == len(rows) + 1


@settings(deadline=None, max_examples=300)
@given(
    st.binary(max_size=80) | st.text(letters, max_size=40).map(str.encode), st.sampled_from([None, "cp1252", "utf-16"])
)
@example(b'"', None)
@example(b'a\n"b"c', None)
@example(b"\0a\0b\0", None)
def test_any_bytes_are_rows_or_a_reason(data: bytes, encoding: str | None) -> None:
    try:
        rows = read_cells(io.BytesIO(data), encoding)
    except ValueError as error:
        assert re.fullmatch("(is|separates|begins) .+", str(error))  # noqa: PT017 (as above)
    else:
        assert all(len(row) == len(rows[0]) for row in rows)


@PROFILE
@given(ids, st.sampled_from(["csv", "npz", "npy"]), st.data())
def test_features_keep_their_ids(names: list[str], format: str, data: st.DataObject) -> None:
    numbers = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=2)
    vectors = np.array([data.draw(numbers) for _ in names], np.float32)
    assume(np.isfinite(vectors).all())
    with TemporaryDirectory() as folder:
        out = Path(folder) / f"f.{format}"
        write_features(FeatureTable(names, names, vectors), format, out)
        found, values = read_features(out)
        assert found == names
        np.testing.assert_array_equal(values, vectors)
