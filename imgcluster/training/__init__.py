"""Training with torch, on varied pictures: a head on a frozen network, or a head and the network's last block."""

from imgcluster.training.labelled import Labelled, Taught
from imgcluster.training.settings import AUGMENT, FEATURES, FINETUNE, Training, checked

__all__ = ["AUGMENT", "FEATURES", "FINETUNE", "Labelled", "Taught", "Training", "checked"]
