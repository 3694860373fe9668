from __future__ import annotations

import numpy as np
import pytest

from imgcluster.curation.registration import Match, centred, register
from imgcluster.images import signature
from tests.support.copied import CHANGES, cropped, photograph


def registered(signatures: np.ndarray, one: int, other: int, *, mirror: bool = False) -> Match | None:
    return register(signatures, np.array([[one, other]]), mirror=mirror)[0]


def signatures(*pictures: np.ndarray) -> np.ndarray:
    return centred(np.array([signature(each) for each in pictures]))


def test_a_signature_is_1024_grey_values() -> None:
    found = signature(np.full((50, 70, 3), 200, np.uint8))
    assert found.shape == (1024,)
    assert found.dtype == np.float32
    assert np.allclose(found, 200)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_part_is_found_where_it_was_cut_out(swapped: bool) -> None:
    whole = photograph(1)
    part = whole[24:192, 64:288]  # 0.7 of each side
    pictures = [whole, part] if swapped else [part, whole]
    found = registered(signatures(*pictures), 0, 1)
    assert found is not None
    assert (found.part, found.whole) == ((1, 0) if swapped else (0, 1))
    assert (found.left, found.top, found.side) == pytest.approx((0.2, 0.1, 0.7), abs=0.07)
    assert not found.mirrored


def test_a_mirrored_part_is_found_when_it_is_asked_for() -> None:
    whole = photograph(1)
    found = registered(signatures(whole, cropped(whole, 0.1)[:, ::-1]), 0, 1, mirror=True)
    assert found is not None
    assert found.mirrored
    assert registered(signatures(whole, whole[:, ::-1]), 0, 1) is None


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_candidates_and_other_pictures_are_not(change: str) -> None:
    pictures = [photograph(seed) for seed in range(8)]
    all_signatures = signatures(*pictures, CHANGES[change](pictures[0]))
    mirror = change == "mirrored"
    assert registered(all_signatures, 0, 8, mirror=mirror) is not None
    assert [row for row in range(1, 8) if registered(all_signatures, row, 8, mirror=mirror)] == []


def test_pictures_of_one_colour_match_nothing() -> None:
    white, black = np.full((40, 40, 3), 255, np.uint8), np.zeros((40, 40, 3), np.uint8)
    found = signatures(white, black, white)
    assert registered(found, 0, 1) is None
    assert registered(found, 0, 2) is None
