"""`explain` for a run: which images, what is written, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import imgcluster
from imgcluster.cli.main import main
from imgcluster.errors import ClusteringError, ConfigError, ImageError, OutputError
from imgcluster.explain import run_explanation
from imgcluster.explain.run import ExplainedRun
from imgcluster.images.decode import read_image
from tests.support.explained import MakeRun, listed, write_photographs


def test_the_typical_and_the_borderline_image_of_each_cluster(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(run), "--quiet"]) == 0
    pictures = listed(run)
    table = ExplainedRun(run).images
    for number in range(3):
        inside = [image for image in table if image.cluster == number]
        typical = min(inside, key=lambda image: image.distance)
        borderline = min(inside, key=lambda image: image.runner_up_distance - image.distance)
        assert {p["id"] for p in pictures if p["cluster"] == number} == {typical.id, borderline.id}
        one = next(p for p in pictures if p["id"] == typical.id and p["kind"] == "runner_up")
        assert one == {
            "kind": "runner_up",
            "file": f"explain/cluster-{typical.row:06d}-runner-up.jpg",
            "id": typical.id,
            "row": typical.row,
            "cluster": number,
            "layer": "_swish_1",
            "title": f"what keeps {typical.id} out of cluster {typical.runner_up}, its second choice",
        }
        with Image.open(run / "report" / f"explain/cluster-{typical.row:06d}.jpg") as picture:
            assert picture.size == (216, 216)
            laid = np.asarray(picture.convert("RGB")).astype(int)
        image = read_image(typical.path)
        expected = imgcluster.overlay(image, imgcluster.cluster_map(run, typical.id))
        assert np.abs(laid - np.asarray(expected)).mean() < 4  # but for JPEG
    assert "efficientnet_lite0 _swish_1, a 7 x 7 grid" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "0003.pn"], "has no image '0003.pn'; near it: '0003.png'"),
        (["--cluster", "7"], "there is no cluster 7; there are 0, 1, 2"),
        (["--kinds", "clusters"], "there is no kind 'clusters'; there are cluster, gradcam, activations, filters"),
        (["--kinds", "gradcam", "--class", "expresso"], "there is no class 'expresso'; near it: espresso (967)"),
        (["--kinds", "activations", "--layers", "_blocks.77"], "has no layer '_blocks.77'"),
    ],
)
def test_what_is_not_there_is_told_in_a_line(
    run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["explain", str(run), "--quiet", *arguments]) == 1
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_runs_that_cannot_be_explained(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is not a run folder"):
        imgcluster.explain_run(tmp_path / "nowhere")
    run = make_run()
    record = json.loads((run / "run.json").read_bytes())
    (run / "run.json").write_text(json.dumps({**record, "status": "writing"}))
    with pytest.raises(OutputError, match="is not finished"):
        imgcluster.explain_run(run)
    record["config"]["features"]["file"] = "features.npz"
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match="has its features from a file: no network can be asked about them"):
        imgcluster.explain_run(run)
    record["config"]["features"]["file"] = None
    record["features"][0]["weights_sha256"] = "0" * 64
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match="the weights of efficientnet_lite0 are not those of the run any more"):
        imgcluster.explain_run(run)


def test_images_that_failed_or_are_gone(make_run: MakeRun, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "some"
    write_photographs(folder)
    (folder / "0007.png").write_bytes(b"no picture")
    run = make_run(folder=folder)
    with pytest.raises(ImageError, match=r"image '0007\.png' is in no cluster: it failed: "):
        imgcluster.explain_run(run, images=["0007.png"], show=False)
    (folder / "0008.png").unlink()
    done = imgcluster.explain_run(run, images=["0008.png", "0009.png"], show=False)
    assert {picture.id for picture in done.pictures} == {"0009.png"}
    assert "image '0008.png' is left out" in caplog.text
    with pytest.raises(
        ImageError,
        match=r"the image is not there; looked in '.*some'; say where: imgcluster.images_are_in\(RUN, FOLDER\)",
    ):
        imgcluster.explain_run(run, images=["0008.png"], show=False)
    assert {picture["id"] for picture in listed(run)} == {"0009.png"}


def test_noise_is_pulled_nowhere(run: Path) -> None:
    opened = ExplainedRun(run)
    opened.images[0] = replace(opened.images[0], cluster=-1)
    request = run_explanation._Request(opened, opened.images[:1], (), None, False)
    with pytest.raises(ClusteringError, match=r"image '0000.png' is noise: in no cluster"):
        run_explanation.KINDS["cluster"](request, None)  # type: ignore[arg-type]


def test_after_a_fallback_it_is_the_network_that_was_taken(make_run: MakeRun) -> None:
    run = make_run("features.backbone=vgg16", "features.fallback=efficientnet_lite0", "features.preprocess=stage")
    done = imgcluster.explain_run(run, images=["0001.png"], show=False)
    assert done.networks == ["efficientnet_lite0 _swish_1, a 7 x 7 grid"]


def test_random_weights_are_allowed_and_said(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    block = "features.layer=features.6"  # what it ends with
    run = make_run("features.backbone=squeezenet1_1", "features.weights=random", block)
    assert main(["explain", str(run), "--cluster", "0", "--quiet"]) == 0
    told = capsys.readouterr().out
    assert "RANDOM    the weights are random" in told
    assert "squeezenet1_1 features.6.cat, a 27 x 27 grid" in told
