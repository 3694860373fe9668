"""Images with a few labels, to learn from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.learned import NAMES


@pytest.fixture
def labelled(tmp_path: Path, config_file: Path) -> Path:
    """Labels of the first nine of the twelve pictures, one of them blank."""
    rows = [f'{number:04d},"{"" if number == 4 else NAMES[number % 3]}"' for number in range(9)]
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(["ImageID,label", *rows]) + "\n")
    return path
