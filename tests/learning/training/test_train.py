"""Training on varied pictures: what is learned and what is not, kills, checkpoints, schedules, words for mistakes."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

import imgcluster
from imgcluster.backbones.networks import empty_network, network_with, random_network
from imgcluster.backbones.select import find_backbone
from imgcluster.backbones.weights.load import find_weights
from imgcluster.config import BACKBONES
from imgcluster.errors import ConfigError, ImageError
from imgcluster.images.augment import AUGMENTATIONS, Augmentation
from imgcluster.labels.learning import learn
from imgcluster.labels.prediction import predict
from imgcluster.learning.classifiers import fit_classifier, fit_logistic, probabilities, validation_split
from imgcluster.learning.model import Learned, prepared
from imgcluster.learning.training import loop
from imgcluster.learning.training.checkpoint import Checkpoint, Progress
from imgcluster.learning.training.finetune import TOP_BLOCKS, Network, top_block, unfreeze
from imgcluster.learning.training.head import Head, prepared_tensor
from imgcluster.learning.training.loop import ALL, HELD_BACK, Lesson, train
from imgcluster.learning.training.settings import Training
from tests.conftest import Command, Start, write_picture, write_pictures

NAMES = ("red, dark", "green", "007")
QUICK = Training(epochs=2, augment=("flip", "crop"))
BLOCK = "_blocks.15"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A config of 18 pictures that the embedded network sees at 64 x 64, and labels of all, `labels.csv`."""
    write_pictures(tmp_path / "pictures", range(18))
    path = tmp_path / "small.yaml"
    path.write_text(
        f"images: {{folder: '{tmp_path / 'pictures'}'}}\n"
        "features: {backbone: efficientnet_lite0, batch_size: 4, precision: fp32, "
        f"preprocess: [{{squash: 64}}, rgb, {{normalize: inception}}], store: '{tmp_path / 'store'}'}}\n"
        f"clusters: {{n_clusters: 3}}\noutputs: {{folder: '{tmp_path / 'out'}', report: false}}\n"
    )
    rows = [f'{number:04d}.jpg,"{NAMES[number % 3]}"' for number in range(18)]
    (tmp_path / "labels.csv").write_text("\n".join(["id,label", *rows]) + "\n")
    return path


def taught(small: Path, mode: str, out: str = "model", **settings: Any) -> Learned:
    training = None if mode == "features" else Training(**{"epochs": 2, "augment": ("flip", "crop"), **settings})
    root = small.parent
    return learn(small, root / "labels.csv", out=root / out, mode=mode, training=training, show=False)


def label(small: Path, images: int) -> None:
    """Label the first images alone; below 15, no class has the five of which one would be held back."""
    rows = [f'{number:04d}.jpg,"{NAMES[number % 3]}"' for number in range(images)]
    (small.parent / "labels.csv").write_text("\n".join(["id,label", *rows]) + "\n")


def hard(small: Path, images: int) -> None:
    """Make pictures that are not told apart at once, and label the first ones."""
    for number in range(18):
        noise = np.random.default_rng(number).integers(0, 256, (40, 48, 3))
        noise[..., number % 3] += 25
        write_picture(small.parent / "pictures" / f"{number:04d}.jpg", noise.clip(0, 255).astype(np.uint8))
    label(small, images)


def let_the_last_epoch_be_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that there is a second round, whatever such few pictures say."""
    noted = loop._note

    def note(learner: Any, lesson: Lesson, progress: Progress, *values: Any) -> str:
        text = noted(learner, lesson, progress, *values)
        if progress.round == HELD_BACK:
            progress.best_epoch = progress.epoch
        return text

    monkeypatch.setattr(loop, "_note", note)


def fitted_before(small: Path, mode: str) -> np.ndarray:
    """The weights of the head that training began with, of all labelled images."""
    config = imgcluster.load_config(small)
    known = pd.read_csv(small.parent / "labels.csv", dtype=str)
    images = [image for image in imgcluster.list_images(config.images)[0] if image.id in set(known["id"])]
    points = prepared(imgcluster.extract_features(images, config.features, show=False).vectors)
    classes = np.unique(known["label"], return_inverse=True)[1]
    fitted = (
        fit_logistic(points, classes, 10.0) if mode == "finetune" else fit_classifier("logistic", points, classes, 42)
    )
    return fitted.arrays["weights"].astype(np.float32)


def weights_of(folder: Path) -> dict[str, str]:
    """The digests of what a model is made of."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.safetensors")}


# What is learned.


@pytest.mark.slow
def test_augment_without_variation_and_dropout_is_as_good_as_features(tmp_path: Path) -> None:
    """Digits at 64 x 64. The noise allowed, said before: two of a hundred of the other images.

    With four labels a class, so that none is held back: what was trained is kept, whatever came of it.
    """
    imgcluster.write_sample("digits", tmp_path / "digits")
    rows = list(csv.reader((tmp_path / "digits" / "truth.csv").open(newline="")))[1:]
    draw = np.random.default_rng(0)
    chosen = [rows[row] for row in draw.permutation(len(rows))[:600]]
    known = [row for digit in "0123456789" for row in [row for row in chosen if row[1] == digit][:4]]
    others = [row for row in chosen if row not in known]
    (tmp_path / "labels.csv").write_text("id,label\n" + "".join(f"{id}.png,{label}\n" for id, label in known))
    (tmp_path / "c.yaml").write_text(
        f"images: {{folder: '{tmp_path / 'digits' / 'test'}'}}\n"
        "features: {backbone: efficientnet_lite0, preprocess: [{squash: 64}, rgb, {normalize: inception}], "
        f"store: '{tmp_path / 'store'}'}}\n"
        f"clusters: {{n_clusters: 10}}\noutputs: {{folder: '{tmp_path / 'out'}'}}\n"
    )
    accuracy = {}
    for mode, training in (("features", None), ("augment", Training(augment=(), dropout=0, epochs=10))):
        labels = tmp_path / "labels.csv"
        model = learn(tmp_path / "c.yaml", labels, out=tmp_path / mode, mode=mode, training=training, show=False)
        assert mode == "features" or "augment: 10 epochs on all images" in " ".join(model.notes)
        found = predict(tmp_path / mode, [tmp_path / "digits" / "test" / f"{id}.png" for id, _ in others], show=False)
        accuracy[mode] = np.mean([label == true for label, (_, true) in zip(found.labels, others, strict=True)])
    assert 0.5 < accuracy["features"] < 0.95  # neither chance nor too easy to see a difference
    assert abs(accuracy["augment"] - accuracy["features"]) <= 0.02


@pytest.mark.parametrize("sizes", [(40, 20, 5), (40, 20)])
def test_a_head_begins_where_the_logistic_regression_ends(sizes: tuple[int, ...]) -> None:
    draw = np.random.default_rng(0)
    classes = np.repeat(np.arange(len(sizes)), sizes)
    points = (draw.normal(size=(len(classes), 8)) + classes[:, None]).astype(np.float32)
    fitted = fit_logistic(points, classes, 10.0)
    head = Head(fitted, classes, 0.0)
    np.testing.assert_allclose(
        torch.softmax(head(torch.from_numpy(points)), 1).detach(),
        probabilities("logistic", points, fitted.arrays),
        atol=1e-5,
    )
    head.loss(head(torch.from_numpy(points)), torch.from_numpy(classes)).backward()  # type: ignore[no-untyped-call]
    at_the_minimum = head.weights.grad.norm()  # type: ignore[union-attr]
    with torch.no_grad():
        head.weights.mul_(0.5)
    head.zero_grad()
    head.loss(head(torch.from_numpy(points)), torch.from_numpy(classes)).backward()  # type: ignore[no-untyped-call]
    assert at_the_minimum < 1e-3 * head.weights.grad.norm()  # type: ignore[union-attr]


def test_finetune_changes_the_unfrozen_block_and_nothing_else(small: Path) -> None:
    label(small, 12)
    model = taught(small, "finetune", unfreeze=BLOCK)
    backbone = find_backbone("efficientnet_lite0")
    before = network_with(backbone, find_weights(backbone, "imagenet")).state_dict()
    after = load_file(small.parent / "model" / "backbone.safetensors")
    assert after.keys() == before.keys()
    changed = {name for name, value in before.items() if not np.array_equal(value.numpy(), after[name])}
    assert changed
    assert all(name.startswith((f"{BLOCK}.", "_conv_head.", "_bn1.")) for name in changed), changed
    assert not any("running" in name or "num_batches" in name for name in changed)
    parameters = {name for name, _ in random_network(backbone).named_parameters()}
    block = {name for name in parameters if name.startswith((f"{BLOCK}.", "_conv_head.", "_bn1."))}
    assert changed == block
    assert f"weights of efficientnet_lite0 were free, from {BLOCK} on" in model.notes[-1]


@pytest.mark.slow
def test_the_whole_network_learns_when_asked_to(small: Path) -> None:
    label(small, 12)
    taught(small, "finetune", unfreeze="all", epochs=1)
    backbone = find_backbone("efficientnet_lite0")
    before = network_with(backbone, find_weights(backbone, "imagenet")).state_dict()
    after = load_file(small.parent / "model" / "backbone.safetensors")
    assert not np.array_equal(before["_conv_stem.weight"].numpy(), after["_conv_stem.weight"])
    assert all(np.array_equal(before[name].numpy(), after[name]) for name in after if "running" in name)


@pytest.mark.slow
def test_augment_and_features_change_no_network(small: Path) -> None:
    label(small, 12)
    taught(small, "finetune")
    assert (small.parent / "model" / "backbone.safetensors").exists()
    model = taught(small, "augment")
    assert not (small.parent / "model" / "backbone.safetensors").exists()
    assert model.features["weights"] == "imagenet"


FAMILIES = sorted({min((n for n in BACKBONES if n.startswith(f)), key=len) for f in TOP_BLOCKS})


@pytest.mark.parametrize("name", FAMILIES)
def test_the_top_block_of_every_family_is_its_end(name: str) -> None:
    backbone = find_backbone(name)
    model = empty_network(backbone)
    free = unfreeze(model, top_block(name), [backbone.default_layer], name)
    everything = dict(model.named_parameters())
    assert {key for key, value in everything.items() if value.requires_grad} == free.keys()
    assert 0 < len(free) < len(everything) / 2
    assert next(iter(everything)) not in free
    whole = unfreeze(model, "all", [backbone.default_layer], name)
    assert free.keys() < whole.keys()
    # What comes behind the features is never free.
    assert whole.keys() < everything.keys()


@pytest.mark.parametrize(
    ("name", "start", "first"),
    [
        ("vgg16", "relu5_1", "features.26.weight"),
        ("vgg16", "conv5_1", "features.24.weight"),
        ("resnet18", "layer4", "layer4.0.conv1.weight"),
        ("resnet18", "layer4.1", "layer4.1.conv1.weight"),
        ("swin_t", "features.7.0.attn", "features.7.0.attn.relative_position_bias_table"),
        ("vit_b_32", "encoder.layers.encoder_layer_11", "encoder.layers.encoder_layer_11.ln_1.weight"),
    ],
)
def test_unfreezing_begins_with_the_first_step_of_a_block(name: str, start: str, first: str) -> None:
    backbone = find_backbone(name)
    assert next(iter(unfreeze(empty_network(backbone), start, [backbone.default_layer], name))) == first


def test_blocks_that_are_not_there_or_come_too_late() -> None:
    model = empty_network(find_backbone("vgg11"))
    with pytest.raises(ConfigError, match=r"^unfreeze: vgg11 has no layer 'relu9_1'; near it: "):
        unfreeze(model, "relu9_1", ["fc6"], "vgg11")
    with pytest.raises(ConfigError, match=r"unfreeze: vgg11 has no weights on the way to its features from 'fc7' on"):
        unfreeze(model, "fc7", ["relu6"], "vgg11")
    with pytest.raises(ConfigError, match=r"unfreeze: name the layer from which on timm/x is to learn"):
        top_block("timm/x")


@pytest.mark.slow
def test_training_computes_in_full_float32_and_leaves_the_program_its_setting(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label(small, 6)
    seen: list[bool] = []
    points = Network.points

    def noted(self: Network, pixels: Any) -> torch.Tensor:
        seen.append(torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32)
        return points(self, pixels)

    monkeypatch.setattr(Network, "points", noted)
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    try:
        taught(small, "finetune", epochs=1)
        assert set(seen) == {False}
        assert torch.backends.cudnn.allow_tf32 is True
    finally:
        torch.backends.cudnn.allow_tf32 = before


def test_points_of_training_are_those_of_predicting() -> None:
    values = np.random.default_rng(0).normal(size=(5, 9)).astype(np.float32)
    values[0, :5] = 0
    tensor = torch.from_numpy(values).requires_grad_()
    found = prepared_tensor(tensor)
    np.testing.assert_allclose(found.detach().numpy(), prepared(values), atol=1e-6)
    found[:, 0].sum().backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(tensor.grad).all()  # type: ignore[arg-type]
    assert tensor.grad.abs().max() < 100  # type: ignore[union-attr]
    zeros = torch.zeros((1, 3), requires_grad=True)
    prepared_tensor(zeros).sum().backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(zeros.grad).all()  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["resnet18", "shufflenet_v2_x0_5"])
def test_other_networks_learn_too(small: Path, backbone: str) -> None:
    """Random weights: from them, training has to lower the loss on what it sees."""
    text = small.read_text().replace("efficientnet_lite0", backbone).replace("batch_size: 4", "weights: random")
    small.write_text(text)
    model = taught(small, "finetune", augment=(), dropout=0, epochs=3, learning_rate=1e-3)
    rows = pd.read_csv(small.parent / "model" / "training.csv")
    losses = rows[rows["round"] == HELD_BACK]["loss"].dropna()
    assert losses.min() < losses.iloc[0]
    assert predict(small.parent / "model", small.parent / "pictures", show=False).classes == model.classes


# Models that were trained.


@pytest.mark.slow
def test_a_finetuned_model_predicts_and_can_be_moved(small: Path, command: Command) -> None:
    root = small.parent
    label(small, 12)
    model = taught(small, "finetune")
    write_pictures(root / "new", range(30, 36))
    said = predict(root / "model", root / "new", show=False).labels
    assert (model.mode, model.classifier) == ("finetune", "logistic")
    (root / "elsewhere").mkdir()
    (root / "model").rename(root / "elsewhere" / "m")
    done = command("predict", "elsewhere/m", "new", "--out", "found.csv")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(root / "found.csv", dtype=str)
    assert table["label"].tolist() == said
    again = Learned.load(root / "elsewhere" / "m")
    assert again.fingerprints == model.fingerprints
    assert json.loads((root / "elsewhere" / "m" / "model.json").read_text())["features"]["weights"] == (
        "backbone.safetensors"
    )


def test_what_training_leaves(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hard(small, 18)
    let_the_last_epoch_be_the_best(monkeypatch)
    model = taught(small, "augment", epochs=6)
    folder = small.parent / "model"
    names = {"model.json", "model.safetensors", "training.csv", "training.svg", "training.png"}
    assert {path.name for path in folder.iterdir()} == names
    rows = pd.read_csv(folder / "training.csv")
    first = rows[rows["round"] == HELD_BACK]
    assert first["number"].tolist() == list(range(7))
    assert first["held_loss"].notna().all()
    assert first["loss"].notna().tolist() == [False] + [True] * 6
    assert rows[rows["round"] == ALL]["number"].tolist() == list(range(7))
    assert model.scores["accuracy"] in first["held_accuracy"].round(6).tolist()
    assert model.scores["images"] == 3
    assert "augment: 6 epochs on all images, as many as were best for those held back" in " ".join(model.notes)
    taught(small, "features")
    assert {path.name for path in folder.iterdir()} == {"model.json", "model.safetensors"}


@pytest.mark.parametrize("mode", ["augment", pytest.param("finetune", marks=pytest.mark.slow)])
def test_where_training_makes_nothing_better_the_model_is_that_of_features(small: Path, mode: str) -> None:
    model = taught(small, mode, epochs=1, learning_rate=5.0)
    plain = taught(small, "features", out="plain")
    assert model.arrays["weights"].tolist() == plain.arrays["weights"].tolist()
    assert model.fingerprints == plain.fingerprints
    assert model.scores == plain.scores
    assert f"{mode}: no epoch was better for the images held back: this is the model of features" in model.notes
    assert not (small.parent / "model" / "backbone.safetensors").exists()


@pytest.mark.slow
def test_the_network_that_features_are_made_with_is_not_overwritten(small: Path) -> None:
    root = small.parent
    label(small, 12)
    taught(small, "finetune", epochs=1)
    before = weights_of(root / "model")
    text = small.read_text()
    small.write_text(
        text.replace("features: {", f"features: {{weights: '{root}/pictures/../model/backbone.safetensors', ")
    )
    for mode in ("features", "finetune"):
        with pytest.raises(ConfigError, match=r"out: .* holds the network that the features are made with"):
            taught(small, mode)
    assert weights_of(root / "model") == before


@pytest.mark.slow
def test_a_fallback_keeps_what_was_asked_of_its_own(small: Path) -> None:
    """The stand-in is among the backbones: its own pooling and recipe stay, and factors for more layers go."""
    text = small.read_text().replace(
        "backbone: efficientnet_lite0",
        "backbone: [efficientnet_lite0, vgg16], fallback: efficientnet_lite0, pooling: max",
    )
    small.write_text(text.replace("batch_size: 4, ", "block_weights: [1, 0.5], "))
    label(small, 12)
    model = taught(small, "finetune", epochs=1)
    assert (model.features["pooling"], model.features["block_weights"]) == ("max", None)
    assert model.features["preprocess"][0] == {"squash": 64}
    assert predict(small.parent / "model", small.parent / "pictures", show=False).probabilities.shape == (18, 3)


class _Looks(nn.Module):
    """A network that branches on values, so that it cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(3, 4)
        self.block = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
        self.fc = nn.Linear(4, 2)

    def forward(self, values: Tensor) -> Tensor:
        found = self.block(self.stem(values))
        scores: Tensor = self.fc(found if found.sum() > 0 else -found)
        return scores


@pytest.mark.parametrize(
    ("start", "layers", "free"),
    [
        ("block", ["block"], ["block.0.weight", "block.0.bias", "block.2.weight", "block.2.bias"]),
        ("block.2", ["fc"], ["block.2.weight", "block.2.bias", "fc.weight", "fc.bias"]),
        ("-1", ["fc"], ["fc.weight", "fc.bias"]),
    ],
)
def test_networks_that_cannot_be_traced_learn_from_a_block_on(start: str, layers: list[str], free: list[str]) -> None:
    assert list(unfreeze(_Looks(), start, layers, "looks")) == free


def test_few_images_train_for_as_long_as_is_said(small: Path) -> None:
    label(small, 4)
    model = taught(small, "augment", epochs=3)
    assert model.scores == {}
    told = " ".join(model.notes)
    assert "2 of 3 classes have one image: '007', 'green'" in told
    assert "no scores: no class has 5 images or more" in told
    assert "augment: 3 epochs on all images; too few to hold some back" in told
    found = predict(small.parent / "model", small.parent / "pictures", show=False)
    assert found.labels == [NAMES[number % 3] for number in range(18)]


@pytest.mark.slow
def test_a_run_can_be_trained_on_as_its_config(small: Path) -> None:
    root = small.parent
    imgcluster.run(imgcluster.load_config(small), show=False)
    by_config = taught(small, "augment", out="a")
    by_run = learn(root / "out", root / "labels.csv", out=root / "b", mode="augment", training=QUICK, show=False)
    assert by_config.arrays["weights"].tolist() == by_run.arrays["weights"].tolist()
    assert by_config.fingerprints == by_run.fingerprints


def test_only_labelled_images_are_read(small: Path) -> None:
    root = small.parent
    (root / "labels.csv").write_text("id,label\n0000.jpg,a\n0001.jpg,b\n0002.jpg,c\n0003.jpg,a\n")
    (root / "pictures" / "0009.jpg").write_bytes(b"no picture")
    assert "cannot be read" not in " ".join(taught(small, "features").notes)
    features = imgcluster.extract_features(
        imgcluster.list_images(imgcluster.load_config(small).images)[0],
        imgcluster.load_config(small).features,
        show=False,
    )
    assert features.origins[0].reused == 4


@pytest.mark.slow
def test_an_unreadable_image_is_left_out_and_one_that_goes_ends_the_training(
    small: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = small.parent
    (root / "pictures" / "0004.jpg").write_bytes(b"no picture")
    arguments = ("learn", small, "labels.csv", "--out", "model", "--mode", "augment", "--epochs", "1")
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    assert "note: 1 labelled image cannot be read: '0004.jpg'" in done.stdout

    begun = loop._train_round

    def gone(*given: Any, **named: Any) -> None:
        (root / "pictures" / "0007.jpg").unlink(missing_ok=True)
        begun(*given, **named)

    monkeypatch.setattr(loop, "_train_round", gone)
    with pytest.raises(ImageError, match=r"0007\.jpg: no such file"):
        taught(small, "augment", out="another")


@pytest.mark.slow
def test_a_fallback_is_what_learns(small: Path) -> None:
    named = "backbone: vgg16, fallback: efficientnet_lite0, layer: relu5_3"
    text = small.read_text().replace("backbone: efficientnet_lite0", named)
    small.write_text(text.replace("batch_size: 4, ", ""))
    label(small, 12)
    model = taught(small, "finetune", epochs=1)
    assert model.features["backbone"] == ["efficientnet_lite0"]
    assert model.features["preprocess"] == "backbone"
    assert predict(small.parent / "model", small.parent / "pictures", show=False).probabilities.shape == (18, 3)


# Kills.


class _Killed(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "images"), [("augment", 18), ("finetune", 12)])
def test_broken_off_anywhere_the_weights_are_the_same(
    small: Path, mode: str, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hard(small, images)
    let_the_last_epoch_be_the_best(monkeypatch)
    settings = {"epochs": 3, "learning_rate": 1e-3, "unfreeze": "_blocks.14" if mode == "finetune" else None}
    taught(small, mode, out="undisturbed", **settings)
    wanted = weights_of(small.parent / "undisturbed")
    saved = Checkpoint.save
    stops = 0
    while True:

        def save_and_die(self: Checkpoint, progress: Progress) -> None:
            saved(self, progress)
            raise _Killed

        monkeypatch.setattr(Checkpoint, "save", save_and_die)
        try:
            taught(small, mode, **settings)
        except _Killed:
            stops += 1
            continue
        break
    rows = pd.read_csv(small.parent / "undisturbed" / "training.csv")
    best = int(rows[rows["round"] == ALL]["number"].max())
    # Each epoch of both rounds, and the change between them; or of the one, where none is held back.
    assert best == 3
    assert stops == (3 if images < 15 else 7)
    start = fitted_before(small, mode)
    assert not np.array_equal(load_file(small.parent / "model" / "model.safetensors")["weights"], start)
    assert weights_of(small.parent / "model") == wanted
    assert (small.parent / "model" / "training.csv").read_text() == (
        small.parent / "undisturbed" / "training.csv"
    ).read_text()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["augment", "finetune"])
def test_killed_it_goes_on_from_its_checkpoint(small: Path, mode: str, command: Command, start: Start) -> None:
    root = small.parent
    arguments = ["learn", str(small), "labels.csv", "--mode", mode, "--epochs", "6", "--patience", "6"]
    arguments += ["--unfreeze", BLOCK] if mode == "finetune" else []
    process = start(*arguments, "--out", "killed", cwd=root)
    deadline = time.monotonic() + 120
    while not (root / "killed" / "checkpoint.safetensors").exists():
        assert process.poll() is None, "it ended before there was a checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (root / "killed" / "model.json").exists()
    again = command(*arguments, "--out", "killed")
    assert again.returncode == 0, again.stderr
    assert "training, some held back: 0/6" not in again.stderr
    assert command(*arguments, "--out", "undisturbed").returncode == 0
    assert weights_of(root / "killed") == weights_of(root / "undisturbed")
    assert not [*(root / "killed").glob("*.tmp"), *(root / "killed").glob("checkpoint*")]


def test_a_checkpoint_of_another_request_or_a_damaged_one_is_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress(ALL, epoch=3, best_epoch=2, best_loss=0.5, best_scores=np.ones((2, 3), np.float32))
    progress.tensors = {"parameter:w": torch.ones(3)}
    Checkpoint(tmp_path, "one").save(progress)
    found = Checkpoint(tmp_path, "one").load()
    assert found is not None
    assert (found.round, found.epoch, found.best_loss, found.best_epoch) == (ALL, 3, 0.5, 2)
    np.testing.assert_array_equal(found.best_scores, progress.best_scores)  # type: ignore[arg-type]
    assert found.tensors.keys() == {"parameter:w"}
    assert not caplog.messages
    assert Checkpoint(tmp_path, "two").load() is None
    assert "is of other labels, features or settings: training starts over" in caplog.messages[-1]
    path = tmp_path / "checkpoint.safetensors"
    whole = path.read_bytes()
    for length in (0, 7, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        caplog.clear()
        assert Checkpoint(tmp_path, "one").load() is None
        assert "is damaged (" in caplog.messages[-1]
    path.unlink()
    caplog.clear()
    assert Checkpoint(tmp_path, "one").load() is None
    assert not caplog.messages


@pytest.mark.slow
def test_other_labels_begin_anew(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = small.parent
    saved = Checkpoint.save

    def save_and_die(self: Checkpoint, progress: Progress) -> None:
        saved(self, progress)
        raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", save_and_die)
        with pytest.raises(_Killed):
            taught(small, "augment")
    rows = [f'{number:04d}.jpg,"{NAMES[(number + 1) % 3]}"' for number in range(18)]
    (root / "labels.csv").write_text("\n".join(["id,label", *rows]) + "\n")
    taught(small, "augment")
    fresh = taught(small, "augment", out="fresh")
    assert weights_of(root / "model") == weights_of(root / "fresh")
    assert fresh.scores["accuracy"] == 1


# The schedule.


class _Line:
    """A learner of one weight matrix on given points."""

    def __init__(self, points: np.ndarray, classes: np.ndarray, rows: np.ndarray) -> None:
        fitted = fit_logistic(points[rows], classes[rows], 0.01)
        self.head = Head(fitted, classes[rows], 0.0)
        self._points = torch.from_numpy(points)
        self.epochs: list[int] = []

    def trained(self) -> dict[str, nn.Parameter]:
        return dict(self.head.named_parameters())

    def varied(self, rows: np.ndarray, epoch: int) -> Iterator[tuple[Tensor, np.ndarray]]:
        self.epochs.append(epoch)
        for start in range(0, len(rows), 4):
            yield self.head(self._points[rows[start : start + 4]]), rows[start : start + 4]

    def scores(self, rows: np.ndarray) -> Tensor:
        with torch.no_grad():
            scores: Tensor = self.head(self._points[rows])
            return scores


def _lesson(noise: float, **settings: Any) -> tuple[np.ndarray, Lesson]:
    draw = np.random.default_rng(1)
    classes = np.repeat([0, 1, 2], 10)
    points = (np.eye(3)[classes] + draw.normal(0, noise, (30, 3))).astype(np.float32)
    usual = {"epochs": 40, "learning_rate": 0.05, "patience": 3, **settings}
    return points, Lesson(classes, validation_split(classes, 0), Training(**usual), 0)


def test_both_rounds_and_the_best_number_of_epochs(tmp_path: Path) -> None:
    points, lesson = _lesson(0.2)
    made: list[_Line] = []

    def make(rows: np.ndarray) -> _Line:
        made.append(_Line(points, lesson.classes, rows))
        return made[-1]

    learner, history, scores = train(make, lesson, Checkpoint(tmp_path, "x"), show=False)
    first = [epoch for epoch in history if epoch.round == HELD_BACK]
    second = [epoch for epoch in history if epoch.round == ALL]
    best = min(first, key=lambda epoch: epoch.held_loss or 0).number
    assert learner is made[1]
    assert made[1].epochs == list(range(1, best + 1))
    assert made[0].epochs == list(range(1, len(first)))
    assert best >= 3  # it has learned for a while
    assert first[best].held_loss < first[0].held_loss  # type: ignore[operator]
    assert [epoch.number for epoch in second] == list(range(best + 1))
    assert scores is not None
    assert scores.shape == (lesson.held.sum(), 3)


def test_patience_ends_a_round_that_gets_worse(tmp_path: Path) -> None:
    points, lesson = _lesson(3.0, learning_rate=1.0, patience=4)
    made: list[_Line] = []

    def make(rows: np.ndarray) -> _Line:
        made.append(_Line(points, lesson.classes, rows))
        return made[-1]

    _, history, _ = train(make, lesson, Checkpoint(tmp_path, "x"), show=False)
    first = [epoch.held_loss or 0 for epoch in history if epoch.round == HELD_BACK]
    best = int(np.argmin(first))
    assert len(first) - 1 == best + 4 < 40


def test_a_loss_that_is_no_number_is_told(tmp_path: Path) -> None:
    points, lesson = _lesson(0.2)

    def make(rows: np.ndarray) -> _Line:
        line = _Line(points, lesson.classes, rows)
        with torch.no_grad():
            line.head.weights[0, 0] = float("nan")
        return line

    with pytest.raises(ConfigError, match=r"the loss is nan: take a smaller learning rate"):
        train(make, lesson, Checkpoint(tmp_path, "x"), show=False)


def test_the_learning_rate_rises_and_falls() -> None:
    optimizer = torch.optim.Adam([torch.zeros(1)], lr=9)
    rates = []
    for done in np.linspace(0, 10, 101):
        loop._set_rate(optimizer, Training(epochs=10, learning_rate=2.0), done)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[0] == 0
    assert max(rates) == pytest.approx(2, rel=0.05)
    assert int(np.argmax(rates)) == 10
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert all(late <= early for early, late in itertools.pairwise(rates[10:]))


@pytest.mark.slow
def test_progress_says_loss_and_accuracy(small: Path, command: Command) -> None:
    done = command(
        "learn", small, "labels.csv", "--out", "m", "--mode", "augment", "--epochs", "2", "--augment", "flip"
    )
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stderr.splitlines() if line.startswith("training, some held back: 2/2 epochs"))
    for words in (", loss ", ", accuracy ", ", held back: loss ", ", accuracy there "):
        assert words in line


# Varied pictures.


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_step_varies_pictures_the_same_way_each_time(name: str) -> None:
    draw = np.random.default_rng(0)
    smooth = draw.integers(0, 256, (8, 1, 8, 8, 3), np.uint8).repeat(4, axis=2).repeat(4, axis=3)

    def varied(epoch: int, seed: int = 0, channels: str = "rgb") -> np.ndarray:
        pixels = smooth.copy() if channels == "rgb" else smooth[..., ::-1].copy()
        Augmentation((name,), 32, seed).vary(pixels, channels, epoch, range(8))
        return pixels

    state = torch.get_rng_state()
    first = varied(1)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.shape == smooth.shape
    assert first.dtype == np.uint8
    assert (first != smooth).any()
    np.testing.assert_array_equal(first, varied(1))
    assert (varied(2) != first).any()
    assert (varied(1, seed=1) != first).any()
    np.testing.assert_array_equal(varied(1, channels="bgr")[..., ::-1], first)


def test_a_picture_is_varied_whatever_stands_beside_it() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 2, 16, 16, 3), np.uint8)
    pixels[:, 1] = pixels[:, 0]
    augmentation = Augmentation(("crop", "flip", "color"), 16, 0)
    all_at_once, alone = pixels.copy(), pixels.copy()
    augmentation.vary(all_at_once, "rgb", 4, range(6))
    for number in (5, 3, 1, 0, 2, 4):
        augmentation.vary(alone[number : number + 1], "rgb", 4, [number])
    np.testing.assert_array_equal(all_at_once, alone)
    np.testing.assert_array_equal(all_at_once[:, 0], all_at_once[:, 1])  # the views of one picture
    unvaried = pixels.copy()
    Augmentation((), 16, 0).vary(unvaried, "rgb", 4, range(6))
    np.testing.assert_array_equal(unvaried, pixels)


# Words for mistakes.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mode", "train"], "mode: there is no 'train'; allowed: features, augment, finetune"),
        (["--mode", "augment", "--augment", "flop"], "augment: there is no 'flop'; allowed: flip, vflip, crop"),
        (["--mode", "augment", "--unfreeze", "all"], "unfreeze: augment changes no weights of the network"),
        (["--mode", "finetune", "--unfreeze", "block9"], "unfreeze: efficientnet_lite0 has no layer 'block9'"),
        (["--mode", "finetune", "--classifier", "svm"], "classifier: finetune trains a head of its own"),
        (["--epochs", "3"], "mode: features trains nothing that could be set"),
        (["--mode", "augment", "--epochs", "0"], "epochs: 0; allowed: from 1 to below 100000"),
        (["--mode", "augment", "--dropout", "1"], "dropout: 1.0; allowed: from 0 to below 1"),
        (["--mode", "augment", "--learning-rate", "nan"], "--learning-rate: nan; allowed: from 1e-09 to below 10"),
        (["--random-state", "-1"], "--random-state: -1; allowed: a whole number from 0 to 4294967295"),
        (["--mode", "augment", "--batch-size", "-2"], "--batch-size: -2; allowed"),
    ],
)
def test_wrong_settings_are_told(small: Path, arguments: list[str], words: str, command: Command) -> None:
    done = command("learn", small, "labels.csv", "--out", "model", *arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (small.parent / "model").exists()


def test_features_of_two_networks_or_of_a_file_cannot_be_trained(small: Path) -> None:
    root = small.parent
    text = small.read_text()
    small.write_text(
        text.replace("backbone: efficientnet_lite0", "backbone: [efficientnet_lite0, resnet18], weights: random")
    )
    with pytest.raises(
        ConfigError, match=r"mode: augment .* of efficientnet_lite0, resnet18; set features.backbone to one$"
    ):
        taught(small, "augment")
    np.savez(root / "f.npz", ids=[f"{n:04d}.jpg" for n in range(18)], vectors=np.eye(18, dtype=np.float32))
    small.write_text(text.replace("backbone: efficientnet_lite0", f"file: '{root / 'f.npz'}'"))
    with pytest.raises(ConfigError, match=r"mode: finetune needs the network; these features come from a file"):
        taught(small, "finetune")
