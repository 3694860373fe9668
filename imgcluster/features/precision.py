"""The precision of a run where its config leaves it open: that of the store, or the one that a comparison allows.

The features of a store stay of one precision. In this order, the precision is

1. that of the features to be compared with, such as those of the run whose clusters take new images;
2. that of the store's verdict, while the packages are the same;
3. that of the store's features, if there are at least half as many as images: computing these anew, in half the time
   each, would save nothing. Only a precision that needs no evidence counts, or one for which there was a verdict;
4. the network's default, without a verdict, for a run too small to pay for a comparison;
5. the result of a comparison, which becomes the store's verdict.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgcluster.backbones import (
    EXACT_CONVOLUTIONS,
    MIN_AGREEMENT,
    MIN_COSINE,
    MIN_IMAGES_OF_RUN,
    Deviation,
    PrecisionCheck,
)
from imgcluster.errors import StoreError
from imgcluster.features.store.backend import files_of
from imgcluster.features.store.store import FeatureStore, store_name
from imgcluster.types import ImageFile
from imgcluster.utils import Place, fingerprint_of, installed, parse_json

if TYPE_CHECKING:
    from imgcluster.backbones import Choice, Plan

PACKAGES = ("imgcluster", "openvino", "torch", "torchvision", "timm")
CANDIDATES = (("fp32", 0), ("bf16", 0), ("bf16", EXACT_CONVOLUTIONS))  # precision, number of exact convolutions
MIN_SHARE_STORED = 0.5

Compare = Callable[[], PrecisionCheck | None]


@dataclass(frozen=True)
class Decided:
    """A plan whose precision is decided, and why it is that, where there was a choice."""

    plan: Plan
    check: PrecisionCheck | None = None


def decide_precision(
    plan: Plan, choice: Choice, images: Sequence[ImageFile], root: Place, *, like: Collection[str], compare: Compare
) -> Decided:
    """Return the plan with its precision decided, as the module says; unchanged where the config sets it.

    root: folder of the stores. like: fingerprints, of all layers joined by `+`, one of which the features should have
    if they can. compare: compares bfloat16 with fp32 on the images; None where they are no evidence.
    """
    if not plan.is_open:
        return Decided(plan)
    for precision, exact in CANDIDATES:
        if fingerprint_of_layers(shaped := _in(plan, precision, exact), choice) in like:
            return Decided(shaped)
    verdict = Verdict(plan, choice, root)
    known = verdict.read()
    if known is not None and verdict.is_current:
        return Decided(_in(plan, known.precision, known.exact), known)
    if known is not None or len(images) >= MIN_IMAGES_OF_RUN:
        check = _of_store(plan, choice, root, len(images), known)
        if check is None and len(images) >= MIN_IMAGES_OF_RUN:
            check = compare()
        if check is not None:
            verdict.write(check)
            return Decided(_in(plan, check.precision, check.exact), check)
    return Decided(replace(plan, is_open=False))


def fingerprint_of_layers(plan: Plan, choice: Choice) -> str:
    """Return the fingerprint of all layers of a choice, as in run.json."""
    return "+".join(map(fingerprint_of, plan.shapes(choice)))


class Verdict:
    """The precision that a store has for a network, in a file of the store's folder.

    Its name is a digest of what shapes the features but for the precision: weights, layers, pooling and recipe.
    """

    def __init__(self, plan: Plan, choice: Choice, root: Place) -> None:
        key = fingerprint_of_layers(replace(plan, precision="auto", exact=0), choice)
        self._root, self._name = root, f"precision-{fingerprint_of({'layers': key})}.json"
        self._valid_for = {
            "versions": {package: installed(package) for package in PACKAGES},
            "bounds": {"cosine": MIN_COSINE, "agreement": MIN_AGREEMENT},
        }
        self.is_current = False

    def read(self) -> PrecisionCheck | None:
        """Return the verdict; None where there is none, or it is damaged. Sets whether it `is_current`."""
        try:
            found = parse_json(files_of(self._root).read(self._name))
            tried = tuple(Deviation(**each) for each in found["check"]["tried"])
            check = PrecisionCheck(**{**found["check"], "tried": tried})
            self.is_current = found["valid_for"] == self._valid_for
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return check if (check.precision, check.exact) in CANDIDATES else None

    def write(self, check: PrecisionCheck) -> None:
        """Keep a verdict. Where it cannot be written, the next run finds it again; the store reports the reason."""
        content: dict[str, Any] = {"check": asdict(check), "valid_for": self._valid_for}
        with suppress(OSError):
            if isinstance(self._root, Path):
                self._root.mkdir(parents=True, exist_ok=True)
            files_of(self._root).write(self._name, [json.dumps(content, indent=2).encode()])


def _in(plan: Plan, precision: str, exact: int) -> Plan:
    return replace(plan, precision=precision, exact=exact, is_open=False)


def _of_store(
    plan: Plan, choice: Choice, root: Place, images: int, known: PrecisionCheck | None
) -> PrecisionCheck | None:
    """Return the precision of the store's features, if these are enough for so many images, with its evidence."""
    default = PrecisionCheck(plan.precision, plan.exact, 0)
    for check in dict.fromkeys([*([known] if known else []), default, PrecisionCheck("fp32", 0, 0)]):
        shapes = _in(plan, check.precision, check.exact).shapes(choice)
        if min(_rows(root / store_name(shaped_by)) for shaped_by in shapes) >= MIN_SHARE_STORED * images:
            return check
    return None


def _rows(folder: Place) -> int:
    try:
        return len(FeatureStore.reading(folder))
    except StoreError:  # there is none, or one that is reported when it is opened
        return 0
