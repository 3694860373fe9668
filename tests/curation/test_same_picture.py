from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from PIL import Image

from imgcluster.curation.registration import Match, centred, register
from imgcluster.curation.same_picture import MIN_SIMILARITY, THUMBNAIL_SIDE, compare
from imgcluster.images import signature
from tests import ROOT
from tests.support.copied import CHANGES, photograph


def compared(one: np.ndarray, other: np.ndarray, *, mirror: bool = False) -> float | None:
    """Compare as the command does; two that do not register are not one picture."""
    match = register(centred(np.array([signature(each) for each in (one, other)])), np.array([[0, 1]]), mirror=mirror)[
        0
    ]
    return None if match is None else seen((one, other)[match.part], (one, other)[match.whole], match)


def seen(part: np.ndarray, whole: np.ndarray, match: Match) -> float | None:
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return compare(*(cv2.resize(each, side, interpolation=cv2.INTER_AREA) for each in (part, whole)), match)


def drawn(*texts: str) -> np.ndarray:
    """A form on a screen, with these texts in its fields."""
    form = np.full((480, 640, 3), 255, np.uint8)
    cv2.rectangle(form, (0, 0), (640, 50), (40, 80, 160), -1)
    cv2.putText(form, "Application for leave", (20, 35), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2)
    for row, text in enumerate(texts):
        top = 90 + 90 * row
        cv2.putText(form, f"Field {row + 1}", (30, top + 30), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (60, 60, 60), 2)
        cv2.rectangle(form, (200, top), (600, top + 50), (120, 120, 120), 2)
        cv2.putText(form, text, (215, top + 35), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (0, 0, 0), 2)
    return form


def icon(colour: tuple[int, int, int], mark: bool) -> np.ndarray:
    picture = np.full((64, 64, 3), 255, np.uint8)
    cv2.circle(picture, (32, 32), 26, colour, -1)
    cv2.circle(picture, (32, 32), 14, (255, 255, 255), 3)
    if mark:
        cv2.rectangle(picture, (40, 40), (60, 60), (20, 20, 20), -1)
    return picture


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_the_same_picture(change: str, seed: int) -> None:
    picture = photograph(seed)
    found = compared(picture, CHANGES[change](picture), mirror=change == "mirrored")
    assert found is not None
    assert found >= MIN_SIMILARITY


def test_other_pictures_are_not_even_with_a_match() -> None:
    pictures = [photograph(seed) for seed in range(5)]
    found = [seen(pictures[0], other, Match(1.0, 0, 1, side=side)) for other in pictures[1:] for side in (1.0, 0.6)]
    assert found == [None] * len(found)


def test_two_screenshots_of_one_form_are_not_the_same_picture() -> None:
    first, second = drawn("Ada Lovelace", "Monday", "3 days"), drawn("Alan Turing", "Monday", "3 days")
    assert compared(first, CHANGES["quality 10"](first)) is not None
    assert compared(first, second) is None


def test_an_object_that_moves_is_another_frame() -> None:
    first, second = photograph(3), photograph(3)
    cv2.circle(first, (100, 120), 18, (250, 240, 30), -1)
    cv2.circle(second, (130, 120), 18, (250, 240, 30), -1)
    assert compared(first, second) is None


def test_frames_of_a_film_are_not_the_same_picture() -> None:
    frames = [np.asarray(Image.open(path)) for path in sorted((ROOT / "data" / "stage" / "test").glob("*.jpg"))[:60]]
    found = [(place, compared(one, other)) for place, (one, other) in enumerate(pairwise(frames))]
    assert [place for place, similarity in found if similarity is not None] == []


def test_icons_that_differ_in_colour_or_in_a_mark_are_not_the_same() -> None:
    plain = icon((200, 40, 40), False)
    assert compared(plain, CHANGES["less contrast"](plain)) is not None
    assert compared(plain, icon((40, 40, 200), False)) is None
    assert compared(plain, icon((200, 40, 40), True)) is None
