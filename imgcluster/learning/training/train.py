"""Train on labelled images: a head, and for `finetune` the network too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imgcluster.backbones import Choice, choose_backbones, empty_network, find_devices, tf32
from imgcluster.config import FeaturesConfig
from imgcluster.errors import ConfigError, OutputError
from imgcluster.features import join_blocks, runtime_for
from imgcluster.images import Augmentation
from imgcluster.learning.classifiers import fit_classifier, fit_logistic, softmax, validation_split
from imgcluster.learning.model import BACKBONE, RECORD, prepared
from imgcluster.learning.training.augmented import OnFeatures
from imgcluster.learning.training.checkpoint import Checkpoint
from imgcluster.learning.training.curve import write_curve
from imgcluster.learning.training.dataset import Pictures
from imgcluster.learning.training.finetune import Network, OnNetwork, top_block, unfreeze
from imgcluster.learning.training.head import Head
from imgcluster.learning.training.loop import ALL, Learner, Lesson, train
from imgcluster.learning.training.settings import FINETUNE, Labelled, Training, TrainingResult
from imgcluster.utils import remove_temporary, write_whole

# A head that is sure of the training images leaves a block nothing to learn from them, and what it does say, large
# weights multiply. On digits with 20 labels a class, by the head's C: 0.93 with that of the folds, 0.96 with 10.
SOFT = 10.0
CHOSEN = ", as many as were best for those held back; so their accuracy is slightly optimistic"
UNCHOSEN = "; too few to hold some back for early stopping"


@dataclass(frozen=True)
class _Class:
    """All that a learner is made of, whatever the mode."""

    mode: str
    labelled: Labelled
    settings: Training
    choice: Choice
    random_state: int
    show: bool

    def head(self, rows: np.ndarray) -> Head:
        """Return a head that is fitted to the features of these rows."""
        points, classes = self.labelled.points[rows], self.labelled.classes[rows]
        if self.mode == FINETUNE:
            fitted = fit_logistic(points, classes, SOFT)
        else:
            fitted = fit_classifier("logistic", points, classes, self.random_state)
        return Head(fitted, classes, self.settings.dropout)

    def pictures(self, runtime: Any) -> Pictures:
        """Return the pictures of all rows."""
        recipe = self.choice.recipe
        varied = Augmentation(self.settings.augment, recipe.side, self.random_state)
        return Pictures([image.path for image in self.labelled.images], recipe, runtime, varied)


def plan_training(mode: str, features: FeaturesConfig, settings: Training) -> Choice:
    """Return the network that is to be trained on, or raise ConfigError where it cannot be done; no image is read.

    Features of several networks or from a file, no such layer; and as `choose_backbones`.
    """
    if features.file is not None:
        raise ConfigError(f"mode: {mode} needs the network; these features come from a file")
    choices = choose_backbones(features)
    if len(choices) > 1:
        names = ", ".join(choice.backbone.name for choice in choices)
        raise ConfigError(
            f"mode: {mode} trains on one network; these features are of {names}; set features.backbone to one"
        )
    choice = choices[0]
    if mode == FINETUNE:
        unfreeze(empty_network(choice.backbone), settings.unfreeze, choice.layers, choice.backbone.name)
    return choice


def teach(
    mode: str, choice: Choice, labelled: Labelled, settings: Training, random_state: int, *, folder: Path, show: bool
) -> TrainingResult | None:
    """Train in one of MODES; leaves the curve in the folder, and of `finetune` the network, BACKBONE.

    None where no epoch was better than what training began with. A checkpoint in the folder is gone on with when it
    is of the same request. Raises ImageError, OutputError, and ConfigError where the loss is not a number any more.
    """
    asked = _Class(mode, labelled, settings, choice, random_state, show)
    make = partial(_on_network, asked) if mode == FINETUNE else _on_features(asked)
    held = validation_split(labelled.classes, random_state)
    lesson = Lesson(labelled.classes, held, settings, random_state)
    checkpoint = Checkpoint(folder, _request(mode, labelled, settings, random_state))
    with tf32(allowed=False):
        learner, history, scores = train(make, lesson, checkpoint, show=show)
    epochs = sum(epoch.round == ALL and epoch.number > 0 for epoch in history)
    features = labelled.features
    try:
        write_curve(history, folder)
        if not epochs:
            return None
        if isinstance(learner, OnNetwork):
            features = _written(learner.network, choice, features, folder)
    except OSError as error:
        raise OutputError(f"{str(folder)!r} cannot be written: {error.strerror or error}") from None
    notes = [learner.head.note, f"{mode}: {epochs} epochs on all images{CHOSEN if held.any() else UNCHOSEN}"]
    if isinstance(learner, OnNetwork):
        notes.append(_learned_note(learner.network, settings, choice))
    probabilities = None if scores is None else softmax(scores.astype(np.float64))
    return TrainingResult(learner.head.arrays, features, held, probabilities, notes)


def _learned_note(network: Network, settings: Training, choice: Choice) -> str:
    learned = sum(value.numel() for value in network.unfrozen.values())
    total = sum(value.numel() for value in network.model.parameters())
    start = settings.unfreeze or top_block(choice.backbone.name)
    return f"finetune: {learned:,} of {total:,} weights of {choice.backbone.name} were free, from {start} on"


def _on_features(lesson: _Class) -> Callable[[np.ndarray], Learner]:
    labelled, settings = lesson.labelled, lesson.settings
    config = labelled.features
    varied_points = None
    if settings.augment:
        runtime, batch_size = runtime_for(lesson.choice, labelled.images, config, show=lesson.show)
        pictures = lesson.pictures(runtime)

        def varied_points(rows: np.ndarray, epoch: int) -> np.ndarray:
            parts = []
            for pixels, batch in pictures.batches(rows, batch_size, epoch):
                blocks = [block[: len(batch)] for block in runtime(pixels)]
                parts.append(prepared(join_blocks(blocks, config.block_l2, config.block_weights)))
            return np.concatenate(parts)

    return lambda rows: OnFeatures(lesson.head(rows), labelled.points, varied_points, settings.batch_of(len(rows)))


def _on_network(lesson: _Class, rows: np.ndarray) -> Learner:
    import torch

    config, settings = lesson.labelled.features, lesson.settings
    device = torch.device(find_devices(config.device)[0])
    network = Network(lesson.choice, config, settings.unfreeze, device)
    return OnNetwork(lesson.head(rows), network, lesson.pictures(network.runtime), settings.batch_of(len(rows)))


def _written(network: Network, choice: Choice, features: FeaturesConfig, folder: Path) -> FeaturesConfig:
    """Write a network's weights; returns the section of features that means it."""
    from safetensors.torch import save

    path = folder / BACKBONE
    remove_temporary(folder, [BACKBONE])
    state = {name: value.detach().cpu().contiguous() for name, value in network.model.state_dict().items()}
    (folder / RECORD).unlink(missing_ok=True)  # of a model that was here, and was on another network
    write_whole(path, save(state))
    weights = features.block_weights
    changes: dict[str, Any] = {
        "backbone": (choice.backbone.name,),
        "layer": choice.layers,
        "pooling": choice.pooling,
        "weights": str(path),
        "fallback": None,
        "block_weights": weights if weights is not None and len(weights) == len(choice.layers) else None,
    }
    if choice.backbone.name not in features.backbones:  # a fallback sees pictures by its own recipe
        changes["preprocess"] = "backbone"
    return features.model_copy(update=changes)


def _request(mode: str, labelled: Labelled, settings: Training, random_state: int) -> str:
    """Return a digest of all that shapes a training: with another one, its checkpoint means nothing."""
    told = {"mode": mode, "random_state": random_state, **asdict(settings)}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    digest.update("\n".join(image.id for image in labelled.images).encode(errors="surrogateescape"))
    for values in (labelled.classes, labelled.points):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
