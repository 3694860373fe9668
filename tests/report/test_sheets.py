"""Contact sheets."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from imgcluster.report.gather import gather
from imgcluster.report.sheets import write_sheets
from imgcluster.runs.finished import read_run


def test_contact_sheets_show_each_cluster_from_its_middle_outwards(copied: Path) -> None:
    (copied / "clusters").mkdir()
    (copied / "clusters" / "17.jpg").write_bytes(b"of a run before")
    (copied / "clusters" / "2024.jpg").write_bytes(b"mine")
    (copied / "clusters" / ".sheets").write_text("00.jpg\n17.jpg\n../run.json\n")
    write_sheets(copied, show=False)
    names = {path.name for path in (copied / "clusters").iterdir()}
    assert names == {".sheets", "00.jpg", "01.jpg", "02.jpg", "2024.jpg"}
    assert (copied / "run.json").is_file()
    facts = gather(read_run(copied))
    for card in facts.cards:
        sheet = cv2.imread(str(copied / "clusters" / f"{card.number:02d}.jpg"))[..., ::-1]
        first = cv2.imread(facts.paths[card.typical[0]])[..., ::-1]
        height, width = first.shape[:2]
        top, left = 8 + (160 - height) // 2, 8 + (160 - width) // 2
        shown = sheet[top : top + height, left : left + width].astype(int)
        assert np.abs(shown - first).mean() < 12
        assert (sheet[:8] > 240).all()


def test_a_picture_that_went_leaves_its_place_empty(copied: Path, tmp_path: Path) -> None:
    text = (copied / "clusters.csv").read_text()
    (copied / "clusters.csv").write_text(re.sub(r"[^,\n]*/pictures/0003.jpg", str(tmp_path / "gone.jpg"), text))
    assert write_sheets(copied, show=False) == copied / "clusters"
