"""Damaged bytes through the reader; `python -m tests.support.fuzz 10` does so for ten minutes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgcluster.images.decode import decode_image
from tests import ROOT

pytest.importorskip("imagecodecs", reason="its encoders write the files")
pytest.importorskip("tifffile", reason="its writer makes the files")

from tests.support import fuzz


def test_whole_images_can_be_read() -> None:
    images = fuzz.whole_images()
    assert {decode_image(data).shape for data in images} <= {
        (40, 56, 3),
        (48, 60, 3),
        (48, 64, 3),
        (56, 40, 3),
        (64, 48, 3),
        (600, 800, 3),  # the preview of a raw picture
    }  # some are turned
    assert len({fuzz.damaged(images, number) for number in range(200)}) > 190


def test_damaged_images_are_read_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert fuzz.batch(0) is None


def test_what_ends_the_reader_is_told_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a library crashes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sitecustomize.py").write_text(
        "import builtins, os\n"
        "say = builtins.print\n"
        "def told(number, **options):\n"
        "    say(number, **options)\n"
        "    if number == 7: os.abort()\n"
        "builtins.print = told\n"
    )
    told = fuzz.batch(5, 10, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert told is not None
    assert told.startswith("number 7: ended with -6: ")
    assert (tmp_path / "fuzz" / "7").read_bytes() == fuzz.damaged(fuzz.whole_images(), 7)
