"""The page: text from outside stays text."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgcluster.report.page import visible
from tests.support.reported import HOSTILE, Reader, script


def test_what_comes_from_outside_is_text(hostile: Path) -> None:
    text = (hostile / "report" / "index.html").read_text()
    page = Reader(text)
    assert [tag for tag, attrs in page.tags for name in attrs if name.startswith("on")] == []
    assert {attrs.get("src") for tag, attrs in page.tags if tag == "script"} == {"data.js", "report.js"}
    shown = set(page.ids)
    assert "<img src=x onerror=alert(1)>.jpg" in shown
    assert "line\\u000abreak.jpg" in shown
    assert "\\u202egpj.exe\\u202c.jpg" in shown
    assert "{{ 7 * 7 }} {% raise %}.jpg" in shown
    assert all(len(each) <= 160 for each in shown)
    assert "\u202e" not in text


def test_the_data_hold_every_id_as_it_is(hostile: Path) -> None:
    data = script(hostile / "report" / "data.js")
    assert set(HOSTILE) < set(data["ids"])
    failed = data["ids"].index("broken <b>.jpg")
    assert (data["labels"][failed], data["thumbnails"][failed], data["x"][failed]) == (None, None, None)
    assert sum(label is not None for label in data["labels"]) == 31
    assert all(-1 <= place <= 1 for place in [*data["x"], *data["y"]] if place is not None)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb", "a\\u0009b"),
        ("\u2067x", "\\u2067x"),
        ("\udcff", "\\udcff"),
        ("süß 図", "süß 図"),
        ("a\u2028", "a\\u2028"),
    ],
)
def test_what_would_not_be_seen_is_shown_by_its_escape(text: str, shown: str) -> None:
    assert visible(text) == shown
