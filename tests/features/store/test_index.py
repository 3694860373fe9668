"""The index of a store against a plain reading of its rules, and the memory that it needs."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np

from imgcluster.features.store.index import Location, StoreIndex
from imgcluster.features.store.shards import ImageKey

ROWS: Any = None  # the index only hands them on


def key(image: int, content: int, marks: int = 1) -> ImageKey:
    return ImageKey(f"/images/{image}.jpg", 100 + image, 5, 7, f"{content:032x}", marks)


def expected(shards: dict[str, list[ImageKey]], asked: ImageKey) -> Location | None:
    """The last shard with the same stamp; else the last with the same bytes."""
    for same in (lambda each: each.stamp == asked.stamp, lambda each: asked.digest and each.digest == asked.digest):
        for name, keys in reversed(shards.items()):
            rows = [row for row, each in enumerate(keys) if same(each)]
            if rows:
                return Location(name, rows[-1])
    return None


def test_it_finds_what_a_search_through_all_shards_finds() -> None:
    draw = np.random.default_rng(0)
    index, shards = StoreIndex(), dict[str, list[ImageKey]]()
    for number in range(60):
        name = f"{number:05d}"
        images = draw.integers(0, 400, 30)
        shards[name] = [key(image, image // 2, int(draw.integers(0, 9))) for image in images.tolist()]
        index.add(name, shards[name], ROWS)
        if number % 7 == 3:
            dropped = [*shards][int(draw.integers(len(shards)))]
            del shards[dropped]
            index.drop(dropped)
    asked = [
        *(key(image, image // 2) for image in range(410)),
        *(ImageKey("elsewhere", 1, 2, 3, f"{at:032x}") for at in range(210)),
    ]
    found = [index.find(each) for each in asked]
    assert [place is None for place in found] == [expected(shards, each) is None for each in asked]
    for each, place in zip(asked, found, strict=True):
        there = expected(shards, each)
        if place is not None and there is not None:
            assert shards[place.shard][place.row].digest == each.digest
            if shards[there.shard][there.row].stamp == each.stamp:
                assert place == there
    known = [each for each, place in zip(asked, found, strict=True) if place is not None]
    rows = {
        place: Location(name, row)
        for name, rows, places in index.located(known)
        for row, place in zip(rows.tolist(), places.tolist(), strict=True)
    }
    assert [rows[place] for place in range(len(known))] == [index.find(each) for each in known]
    assert len(index) == sum(map(len, shards.values()))


def test_own_rows_are_those_that_no_later_shard_has() -> None:
    index = StoreIndex()
    index.add("00000", [key(0, 0), key(1, 1), key(2, 2), key(1, 1)], ROWS)
    assert index.own_rows("00000").tolist() == [0, 2, 3]
    index.add("00001", [key(2, 2)], ROWS)
    assert index.own_rows("00000").tolist() == [0, 3]
    index.remove("00000")
    assert index.find(key(2, 2)) == Location("00001", 0)


def test_digests_of_any_form_count_as_they_are() -> None:
    index = StoreIndex()
    plain = [
        ImageKey("a", 1, 2, 3, "0" * 32),
        ImageKey("b", 1, 2, 3, "of another version"),
        ImageKey("\udcff", 1, 2, 3),
    ]
    index.add("00000", plain, ROWS)
    digest = index.digest_of(plain)
    assert index.find(ImageKey("c", 9, 9, 9, "of another version")) == Location("00000", 1)
    assert index.find(ImageKey("c", 9, 9, 9)) is None
    assert digest == "4006f32d66826d0d296e265d1a69c988"
    index.add("00001", [ImageKey("b", 1, 2, 3, "1" * 32)], ROWS)
    assert index.digest_of(plain) != digest


def test_an_image_takes_less_than_80_bytes() -> None:
    index, count = StoreIndex(), 2_000
    index.add("00000", [key(0, 0)], ROWS)
    tracemalloc.start()
    try:
        for number in range(1, 26):
            images = range(number * count, (number + 1) * count)
            index.add(f"{number:05d}", [key(image, image) for image in images], ROWS)
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept / (25 * count) < 80
