"""Time taken in turns, so that a noisy machine is as noisy to every side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from statistics import median
from time import perf_counter

Side = Callable[[int], Sized]  # the number of a round -> what was done in it, one item an image


def seconds(work: Callable[[], object]) -> float:
    """How long the work takes."""
    start = perf_counter()
    work()
    return perf_counter() - start


def take_turns(
    sides: Mapping[str, Side], rounds: int, clock: Callable[[], float] = perf_counter
) -> dict[str, list[float]]:
    """Let every side work in every round, each round begun by another one; returns images/s by side and round."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            start = clock()
            done = len(sides[name](number))
            rates[name].append(done / (clock() - start))
    return rates


def median_ratio(ours: list[float], against: list[float]) -> float:
    """The median of the ratios of each round: what disturbs a whole round disturbs no ratio."""
    return median(our / their for our, their in zip(ours, against, strict=True))
