"""The classification head as a torch module, initialised from logistic regression."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from imgcluster.learning.classifiers import Arrays, Fitted

BEND = 1e-2  # of a row's mean: below it, roots are told to be no steeper than there


class Head(nn.Module):
    """Points, (n, dim) -> scores, (n, n_classes): dropout, then a linear layer.

    It begins with the weights of a logistic regression that was fitted to the features of these classes, (n,) int64:
    the minimum of `loss` without dropout and without variation, so that training has only to find what these change.
    """

    def __init__(self, fitted: Fitted, classes: np.ndarray, dropout: float) -> None:
        super().__init__()
        arrays = {name: torch.from_numpy(value).float() for name, value in fitted.arrays.items() if value.ndim}
        two = len(arrays["bias"]) == 2  # of two classes, scikit-learn learns one row, the difference
        self.weights = nn.Parameter(arrays["weights"] - (arrays["weights"].mean(dim=0) if two else 0))
        self.bias = nn.Parameter(arrays["bias"] - (arrays["bias"].mean() if two else 0))
        self.note = fitted.notes[0]
        self._dropout = dropout
        count = np.bincount(classes)
        balance = torch.from_numpy(len(classes) / (len(count) * count)).float()
        self.register_buffer("_balance", balance, persistent=False)
        self._penalty = (2 if two else 1) / (2 * fitted.settings["C"] * len(classes))

    def forward(self, points: Tensor) -> Tensor:
        """Return the scores of points."""
        if self.training and self._dropout:  # the CPU draws, whatever the device: the same seed is the same mask
            kept = torch.rand(points.shape) >= self._dropout
            points = points * kept.to(points.device) / (1 - self._dropout)
        return nn.functional.linear(points, self.weights, self.bias)

    def loss(self, scores: Tensor, classes: Tensor) -> Tensor:
        """Return the mean cross entropy, each class weighing as much as any other, and the penalty on the weights.

        Over all images it is what scikit-learn's LogisticRegression minimises, with `class_weight="balanced"`.
        """
        each = nn.functional.cross_entropy(scores, classes, reduction="none")
        return (each * self.get_buffer("_balance")[classes]).mean() + self._penalty * self.weights.square().sum()

    @property
    def arrays(self) -> Arrays:
        """The same head as a classifier of the name `logistic`."""
        values = {"weights": self.weights, "bias": self.bias}
        found = {name: value.detach().cpu().numpy().astype(np.float64) for name, value in values.items()}
        return {**found, "n_classes": np.array(len(self.bias))}


def prepared_tensor(features: Tensor) -> Tensor:
    """Do what `learned.prepared` does, with gradients: the root of each value, with its sign, and the length 1.

    The root of nothing has an infinite derivative, which would be all that is learned; here it has a bound.
    """
    size = features.abs()
    soft = (size + BEND * size.mean(dim=1, keepdim=True).detach() + 1e-12).sqrt()
    root = features.sign() * (size.detach().sqrt() + soft - soft.detach())
    return nn.functional.normalize(root)
