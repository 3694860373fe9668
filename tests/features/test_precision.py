"""The precision of a store: by a comparison, once; kept where images, packages or the verdict change."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import imgcluster
from imgcluster.backbones.runtimes import devices as hardware
from imgcluster.backbones.runtimes.plan import Plan, plan_for
from imgcluster.backbones.runtimes.precision import EXACT_CONVOLUTIONS, MIN_IMAGES_OF_RUN, Deviation, PrecisionCheck
from imgcluster.backbones.select import Choice, choose_backbones
from imgcluster.cli.format.run import summarize_features
from imgcluster.config.loader import FeaturesConfig
from imgcluster.features import extraction as extraction_module
from imgcluster.features import precision as precision_module
from imgcluster.features.extraction import extract_features
from imgcluster.features.precision import Decided, decide_precision, fingerprint_of_layers
from imgcluster.features.result import Features
from imgcluster.features.store.store import FeatureStore, ImageKey
from imgcluster.images.listing import walk_images
from imgcluster.types import ImageFile
from tests.conftest import write_pictures

WHOLE = PrecisionCheck("bf16", 0, 32, (Deviation(0, 0.9999, 1.0),))
MIXED = PrecisionCheck("bf16", EXACT_CONVOLUTIONS, 32, (Deviation(0, 0.99, 1.0), Deviation(12, 0.9995, 0.98)))
EXACT = PrecisionCheck("fp32", 0, 32, (Deviation(0, 0.9, 0.8), Deviation(12, 0.95, 0.9)))


class Comparison:
    """A comparison with a given result; `runs` counts how often it was made."""

    def __init__(self, found: PrecisionCheck | None) -> None:
        self.found, self.runs = found, 0

    def __call__(self) -> PrecisionCheck | None:
        self.runs += 1
        return self.found


@pytest.fixture(autouse=True)
def _fast_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_quick_bf16", lambda _: True)


@pytest.fixture
def resnet() -> tuple[Choice, Plan]:
    return planned()


def planned(**keys: Any) -> tuple[Choice, Plan]:
    config = FeaturesConfig(
        **{"backbone": "resnet18", "weights": "random", "runtime": "openvino", "device": "cpu", **keys}
    )
    choice = choose_backbones(config)[0]
    return choice, plan_for(choice, config)


def images(count: int) -> list[ImageFile]:
    return [ImageFile(str(number), Path(f"{number}.jpg")) for number in range(count)]


MANY = images(MIN_IMAGES_OF_RUN)


def decided(
    named: tuple[Choice, Plan],
    root: Path,
    compare: Comparison,
    of: Sequence[ImageFile] = MANY,
    like: Sequence[str] = (),
) -> Decided:
    choice, plan = named
    return decide_precision(plan, choice, of, root, like=like, compare=compare)


def way(found: Decided) -> tuple[str, int]:
    return found.plan.precision, found.plan.exact


def fill(root: Path, named: tuple[Choice, Plan], precision: str, rows: int, exact: int = 0) -> None:
    """Write a store of so many rows, as made in a precision."""
    choice, plan = named
    for shaped_by in replace(plan, precision=precision, exact=exact).shapes(choice):
        keys = [ImageKey(f"{row}.jpg", 1, row, row, f"{row:032x}") for row in range(rows)]
        with FeatureStore(root, shaped_by) as store:
            store.append(keys, np.zeros((rows, 4), np.float32))


@pytest.mark.parametrize("check", [WHOLE, MIXED, EXACT])
def test_a_comparison_decides_once(check: PrecisionCheck, resnet: tuple[Choice, Plan], tmp_path: Path) -> None:
    first = decided(resnet, tmp_path, Comparison(check))
    assert (way(first), first.check) == ((check.precision, check.exact), check)
    later = Comparison(EXACT if check is WHOLE else WHOLE)
    for of in (MANY, images(3), MANY[100:]):
        again = decided(resnet, tmp_path, later, of)
        assert (again.plan, again.check) == (first.plan, check)
    assert later.runs == 0
    choice = resnet[0]
    assert again.plan.shapes(choice) == first.plan.shapes(choice)


def test_a_small_run_is_not_worth_a_comparison(resnet: tuple[Choice, Plan], tmp_path: Path) -> None:
    compare = Comparison(WHOLE)
    found = decided(resnet, tmp_path, compare, MANY[1:])
    assert (way(found), found.check, compare.runs, [*tmp_path.iterdir()]) == (("fp32", 0), None, 0, [])
    lite0 = planned(backbone="efficientnet_lite0", weights="imagenet")
    assert way(decided(lite0, tmp_path, compare, MANY[1:])) == ("bf16", 12)
    assert way(decided(planned(backbone="vgg16"), tmp_path, compare, MANY[1:])) == ("bf16", 0)
    assert compare.runs == 0


def test_images_that_are_no_evidence_leave_the_default(resnet: tuple[Choice, Plan], tmp_path: Path) -> None:
    compare = Comparison(None)
    for _ in range(2):
        found = decided(resnet, tmp_path, compare)
        assert (way(found), found.check) == (("fp32", 0), None)
    assert compare.runs == 2


@pytest.mark.parametrize("keys", [{"precision": "fp32"}, {"precision": "bf16"}, {"runtime": "torch"}])
def test_a_precision_that_is_set_is_not_compared(keys: dict[str, str], tmp_path: Path) -> None:
    compare, named = Comparison(WHOLE), planned(**keys)
    found = decided(named, tmp_path, compare)
    assert (found.plan, found.check, compare.runs) == (named[1], None, 0)
    assert found.plan.precision == keys.get("precision", "fp32")


def test_without_fast_bfloat16_all_stays_in_fp32(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hardware, "_quick_bf16", lambda _: False)
    compare = Comparison(WHOLE)
    for backbone in ("resnet18", "vgg16"):
        assert way(decided(planned(backbone=backbone), tmp_path, compare)) == ("fp32", 0)
    assert compare.runs == 0


def test_features_in_fp32_that_are_there_win(resnet: tuple[Choice, Plan], tmp_path: Path) -> None:
    """As of an earlier version: half of them is as much work as all of them in bfloat16."""
    fill(tmp_path, resnet, "fp32", len(MANY) // 2)
    compare = Comparison(WHOLE)
    found = decided(resnet, tmp_path, compare)
    assert (way(found), found.check, compare.runs) == (("fp32", 0), PrecisionCheck("fp32", 0, 0), 0)
    found = decided(resnet, tmp_path, compare, images(10 * len(MANY)))  # that is the store's verdict from now on
    assert (way(found), compare.runs) == (("fp32", 0), 0)


def test_few_features_in_fp32_do_not_win(resnet: tuple[Choice, Plan], tmp_path: Path) -> None:
    fill(tmp_path, resnet, "fp32", len(MANY) // 2 - 1)
    assert way(decided(resnet, tmp_path, Comparison(WHOLE))) == ("bf16", 0)


def test_the_networks_default_wins_before_fp32(tmp_path: Path) -> None:
    vgg = planned(backbone="vgg16")
    fill(tmp_path, vgg, "fp32", len(MANY))
    fill(tmp_path, vgg, "bf16", len(MANY))
    assert way(decided(vgg, tmp_path, Comparison(EXACT))) == ("bf16", 0)


def test_features_in_bfloat16_without_a_verdict_are_no_evidence(resnet: tuple[Choice, Plan], tmp_path: Path) -> None:
    """Such as those of an experiment with `precision: bf16`."""
    fill(tmp_path, resnet, "bf16", len(MANY))
    assert way(decided(resnet, tmp_path, Comparison(EXACT))) == ("fp32", 0)


def test_without_the_verdict_the_same_comparison_decides(resnet: tuple[Choice, Plan], tmp_path: Path) -> None:
    first = decided(resnet, tmp_path, Comparison(MIXED))
    verdict_of(tmp_path).unlink()
    assert decided(resnet, tmp_path, Comparison(MIXED)) == first


def verdict_of(root: Path) -> Path:
    (path,) = root.glob("precision-*.json")
    return path


def with_other_packages(root: Path) -> None:
    path = verdict_of(root)
    content = json.loads(path.read_bytes())
    content["valid_for"]["versions"]["openvino"] = "1999.0"
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("check", [WHOLE, MIXED, EXACT])
@pytest.mark.parametrize("count", [len(MANY), 5])
def test_with_other_packages_the_features_that_are_there_win(
    check: PrecisionCheck, count: int, resnet: tuple[Choice, Plan], tmp_path: Path
) -> None:
    decided(resnet, tmp_path, Comparison(check))
    fill(tmp_path, resnet, check.precision, len(MANY), check.exact)
    with_other_packages(tmp_path)
    compare = Comparison(EXACT if check is WHOLE else WHOLE)
    for _ in range(2):
        found = decided(resnet, tmp_path, compare, images(count))
        assert (way(found), found.check) == ((check.precision, check.exact), check)
    assert compare.runs == 0
    assert json.loads(verdict_of(tmp_path).read_bytes())["valid_for"]["versions"]["openvino"] != "1999.0"


def test_with_other_packages_and_no_features_it_is_compared_again(resnet: tuple[Choice, Plan], tmp_path: Path) -> None:
    decided(resnet, tmp_path, Comparison(WHOLE))
    with_other_packages(tmp_path)
    assert way(decided(resnet, tmp_path, Comparison(WHOLE), images(5))) == ("fp32", 0)
    assert way(decided(resnet, tmp_path, Comparison(MIXED))) == ("bf16", EXACT_CONVOLUTIONS)


@pytest.mark.parametrize(
    "keys",
    [
        {"layer": "layer3"},
        {"pooling": "max"},
        {"views": "flip"},
        {"preprocess": "squash"},
        {"layer": ("flatten", "layer3")},
    ],
)
def test_a_verdict_is_about_one_network_and_its_input(keys: dict[str, Any], tmp_path: Path) -> None:
    decided(planned(), tmp_path, Comparison(WHOLE))
    compare = Comparison(EXACT)
    assert way(decided(planned(**keys), tmp_path, compare)) == ("fp32", 0)
    assert compare.runs == 1
    assert way(decided(planned(), tmp_path, compare)) == ("bf16", 0)


def test_a_verdict_is_about_weights_of_one_digest(resnet: tuple[Choice, Plan], tmp_path: Path) -> None:
    choice, plan = resnet
    decided(resnet, tmp_path, Comparison(WHOLE))
    changed = replace(choice, weights=replace(choice.weights, sha256="0" * 64))
    assert way(decided((changed, plan), tmp_path, Comparison(EXACT))) == ("fp32", 0)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"check": {}}', b'{"check": {"precision": "fp8", "exact": 0, "images": 1, "tried": []}}'],
)
def test_a_damaged_verdict_is_made_anew(content: bytes, resnet: tuple[Choice, Plan], tmp_path: Path) -> None:
    decided(resnet, tmp_path, Comparison(WHOLE))
    verdict_of(tmp_path).write_bytes(content)
    compare = Comparison(WHOLE)
    for _ in range(2):
        assert way(decided(resnet, tmp_path, compare)) == ("bf16", 0)
    assert compare.runs == 1


def test_a_verdict_that_cannot_be_written_is_found_each_time(resnet: tuple[Choice, Plan], tmp_path: Path) -> None:
    root = tmp_path / "file" / "store"
    root.parent.write_text("no folder")
    compare = Comparison(WHOLE)
    assert [way(decided(resnet, root, compare)) for _ in range(2)] == [("bf16", 0)] * 2
    assert compare.runs == 2


@pytest.mark.parametrize("check", [WHOLE, MIXED, EXACT])
def test_new_images_are_computed_as_those_they_are_compared_with(
    check: PrecisionCheck, resnet: tuple[Choice, Plan], tmp_path: Path
) -> None:
    made = decided(resnet, tmp_path / "a", Comparison(check)).plan
    like = [fingerprint_of_layers(made, resnet[0])]
    other = EXACT if check is WHOLE else WHOLE
    decided(resnet, tmp_path / "b", Comparison(other))
    for root in (tmp_path / "b", tmp_path / "c"):
        for of in (images(2), MANY):
            assert decided(resnet, root, Comparison(other), of, like).plan == made


def test_a_verdict_is_read_without_torch(resnet: tuple[Choice, Plan], tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import imgcluster.features.precision, imgcluster.backbones.runtimes.precision\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


# With a network


def lite0(root: Path, folder: Path, **keys: Any) -> Features:
    steps = [{"squash": 64}, {"normalize": "backbone"}]
    given = {"backbone": "efficientnet_lite0", "preprocess": steps, "device": "cpu", "runtime": "openvino", **keys}
    return extract_features(walk_images(folder), FeaturesConfig(**given, store=str(root)), show=False)


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(precision_module, "MIN_IMAGES_OF_RUN", 12)
    write_pictures(tmp_path / "pictures", range(12))
    return tmp_path / "pictures"


def test_the_run_says_what_was_compared_and_comes_again_from_the_store(pictures: Path, tmp_path: Path) -> None:
    (pictures / "0003.jpg").write_bytes(b"no picture")
    (first,) = lite0(tmp_path / "s", pictures).origins
    check = first.precision_check
    assert check is not None
    assert (check.precision, check.images) == (first.precision, 10)
    assert check.tried[-1].is_tolerable is (check.precision == "bf16")
    (second,) = lite0(tmp_path / "s", pictures).origins
    assert (second.computed, second.fingerprint, second.precision_check) == (0, first.fingerprint, check)
    verdict_of(tmp_path / "s").unlink()
    (third,) = lite0(tmp_path / "t", pictures).origins
    assert (third.fingerprint, third.precision_check) == (first.fingerprint, check)


def test_a_run_and_its_new_images_have_one_precision(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision_module, "MIN_IMAGES_OF_RUN", 12)
    monkeypatch.setattr(extraction_module, "compare_precisions", lambda *_: EXACT)  # the default is another
    run = imgcluster.run(imgcluster.load_config(config_file), show=False)
    (recorded,) = run.record["features"]
    assert (recorded["precision"], recorded["precision_check"]["tried"][0]["cosine"]) == ("fp32", 0.9)
    assert summarize_features(run.features)[3] == (
        "precision fp32 (bf16, first 12 convolutions fp32, 32 images: smallest cosine to fp32 0.9500, 90% of "
        "neighbours the same)"
    )
    labelled = tmp_path / "labels.csv"
    labelled.write_text("id,label\n" + "".join(f"{row:04d},{'ab'[row % 2]}\n" for row in range(12)))
    imgcluster.learn(config_file, labelled, out=tmp_path / "model", show=False)
    shutil.rmtree(tmp_path / "store")
    write_pictures(tmp_path / "new", range(20, 22))
    made = imgcluster.assign(tmp_path / "out", tmp_path / "new", show=False)
    assert made.features.origins[0].fingerprint == recorded["fingerprint"]
    shutil.rmtree(tmp_path / "store")
    found = imgcluster.predict(tmp_path / "model", tmp_path / "new", show=False)
    assert found.features.origins[0].fingerprint == recorded["fingerprint"]


def test_a_transformer_never_compares(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction_module, "compare_precisions", lambda *_: pytest.fail("compared"))
    paths = sorted(pictures.iterdir())
    stored = imgcluster.ImageFeatures(device="cpu", store=tmp_path / "s").fit_transform(paths)
    np.testing.assert_array_equal(stored, imgcluster.ImageFeatures(device="cpu").fit_transform(paths))
    np.testing.assert_array_equal(stored, imgcluster.extract(paths, "efficientnet_lite0", device="cpu"))


def test_equal_pictures_are_no_evidence(pictures: Path, tmp_path: Path) -> None:
    for path in pictures.iterdir():
        path.write_bytes((pictures / "0000.jpg").read_bytes())
    (origin,) = lite0(tmp_path / "s", pictures).origins
    assert (origin.precision, origin.precision_check) == ("bf16", None)


def test_no_picture_that_can_be_read_is_no_evidence(pictures: Path, tmp_path: Path) -> None:
    for path in pictures.iterdir():
        path.write_bytes(b"no picture")
    found = lite0(tmp_path / "s", pictures)
    assert (len(found.failures), found.origins[0].precision_check) == (12, None)
