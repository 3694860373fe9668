"""The training loop: first with a validation split for early stopping, then on all images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from imgcluster.errors import ConfigError
from imgcluster.images import seed_of
from imgcluster.learning.training.checkpoint import Checkpoint, Progress
from imgcluster.learning.training.head import Head
from imgcluster.learning.training.settings import Training
from imgcluster.utils import track

WARMING = 0.1  # of the training: Adam's first steps are as long as any, before it knows a direction
HELD_BACK, ALL = "held back", "all"
ROUNDS = (HELD_BACK, ALL)


class Learner(Protocol):
    """What is trained: a head, on features or on a network."""

    head: Head

    def trained(self) -> dict[str, nn.Parameter]:
        """Return what is learned, by name."""

    def varied(self, rows: np.ndarray, epoch: int) -> Iterator[tuple[Tensor, np.ndarray]]:
        """Yield the scores of batches of images, varied, with dropout and gradients, and which rows they are of."""

    def scores(self, rows: np.ndarray) -> Tensor:
        """Return the scores of images as they are, (len(rows), n_classes), on the CPU."""


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to. Loss: cross entropy, balanced; of the training, with the penalty, while it was going on.

    Without images held back, their values are None. Epoch 0 is what training began with.
    """

    round: str
    number: int
    loss: float | None
    accuracy: float | None
    held_loss: float | None
    held_accuracy: float | None


@dataclass(frozen=True)
class Lesson:
    """What is to be learned: classes of all rows, (n,) int64, and which of them are held back, (n,) bool."""

    classes: np.ndarray
    held: np.ndarray
    settings: Training
    random_state: int


def train(
    make: Callable[[np.ndarray], Learner], lesson: Lesson, checkpoint: Checkpoint, *, show: bool
) -> tuple[Learner, list[Epoch], np.ndarray | None]:
    """Train a learner that `make` makes of rows; returns it, the epochs, and the scores of the images held back.

    The first round leaves out the images held back, and ends when their loss has not become smaller for `patience`
    epochs; the second has all images, and as many epochs as were best in the first. Where none are held back, there is
    only the second, with `settings.epochs`. After each epoch the checkpoint is written; where there is one already,
    training goes on behind it, and the weights are in the end what they would have been.
    Raises ConfigError where the loss is not a number any more, and what the learner raises.
    """
    progress = checkpoint.load() or Progress(HELD_BACK if lesson.held.any() else ALL)
    if progress.round == HELD_BACK:
        learner = make(np.flatnonzero(~lesson.held))
        _train_round(learner, lesson, progress, checkpoint, show=show)
        progress.begin(ALL)
        checkpoint.save(progress)
        del learner  # before there is another one: two networks would want the memory of both
    learner = make(np.arange(len(lesson.classes)))
    _train_round(learner, lesson, progress, checkpoint, show=show)
    return learner, [Epoch(**epoch) for epoch in progress.history], progress.best_scores


def _train_round(learner: Learner, lesson: Lesson, progress: Progress, checkpoint: Checkpoint, *, show: bool) -> None:
    parameters = learner.trained()
    optimizer = torch.optim.Adam(parameters.values(), lr=lesson.settings.learning_rate or 0)
    progress.restore(parameters, optimizer)
    last = progress.best_epoch if progress.round == ALL and lesson.held.any() else lesson.settings.epochs
    every = np.arange(len(lesson.classes)) if progress.round == ALL else np.flatnonzero(~lesson.held)
    if progress.epoch == 0:
        _note(learner, lesson, progress, None, None)
    label = "training" if progress.round == ALL else "training, some held back"
    with track(label, last, "epochs", show=show, done=progress.epoch) as advance:
        while progress.epoch < (last or 0):
            if progress.round == HELD_BACK and progress.epoch - progress.best_epoch >= (lesson.settings.patience or 0):
                break
            progress.epoch += 1
            loss, accuracy = _epoch(learner, lesson, every, progress, optimizer)
            text = _note(learner, lesson, progress, loss, accuracy)
            progress.keep(parameters, optimizer)
            checkpoint.save(progress)
            advance(1, text)


def _epoch(
    learner: Learner, lesson: Lesson, rows: np.ndarray, progress: Progress, optimizer: torch.optim.Optimizer
) -> tuple[float, float]:
    """See every picture once, in an order of this epoch's; returns the mean loss and the accuracy meanwhile."""
    seed = seed_of(lesson.random_state, ROUNDS.index(progress.round), progress.epoch)
    order = np.random.default_rng(seed).permutation(rows)
    classes = torch.from_numpy(lesson.classes)
    losses, right = 0.0, 0
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.default_generator.manual_seed(seed)
        seen = 0
        for scores, batch in learner.varied(order, progress.epoch):
            _set_rate(optimizer, lesson.settings, progress.epoch - 1 + (seen + len(batch) / 2) / len(rows))
            seen += len(batch)
            wanted = classes[batch].to(scores.device)
            loss = learner.head.loss(scores, wanted)
            if not torch.isfinite(loss):
                raise ConfigError(f"the loss is {loss.item()}: take a smaller learning rate")
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses += float(loss.detach()) * len(batch)
            right += int((scores.argmax(dim=1) == wanted).sum())
    return losses / len(rows), right / len(rows)


def _set_rate(optimizer: torch.optim.Optimizer, settings: Training, epochs_done: float) -> None:
    """Let the learning rate rise to its value, and then fall to nothing along a cosine (Loshchilov & Hutter 2017)."""
    done = min(1.0, epochs_done / (settings.epochs or 1))
    factor = min(1.0, done / WARMING) * 0.5 * (1 + np.cos(np.pi * done))
    for group in optimizer.param_groups:
        group["lr"] = (settings.learning_rate or 0) * factor


def _note(learner: Learner, lesson: Lesson, progress: Progress, loss: float | None, accuracy: float | None) -> str:
    """Add an epoch to the history, and find out whether it is the best; returns what a person reads of it."""
    held_loss = held_accuracy = None
    if progress.round == HELD_BACK:
        rows = np.flatnonzero(lesson.held)
        scores = learner.scores(rows)
        held_loss, held_accuracy = _measured(learner.head, scores, torch.from_numpy(lesson.classes[rows]))
        if progress.best_loss is None or held_loss < progress.best_loss:
            progress.best_loss, progress.best_epoch = held_loss, progress.epoch
            progress.best_scores = scores.numpy()
    elif not lesson.held.any():
        progress.best_epoch = progress.epoch
    epoch = Epoch(progress.round, progress.epoch, loss, accuracy, held_loss, held_accuracy)
    progress.history.append(asdict(epoch))
    shown = {"loss": loss, "accuracy": accuracy, "held back: loss": held_loss, "accuracy there": held_accuracy}
    return ", ".join(f"{name} {value:.3f}" for name, value in shown.items() if value is not None)


@torch.no_grad()
def _measured(head: Head, scores: Tensor, classes: Tensor) -> tuple[float, float]:
    """Return the cross entropy, balanced as for the training, and the accuracy of scores on the CPU."""
    each = nn.functional.cross_entropy(scores, classes, reduction="none")
    weights = head.get_buffer("_balance").cpu()[classes]
    return float((each * weights).sum() / weights.sum()), float((scores.argmax(dim=1) == classes).float().mean())
