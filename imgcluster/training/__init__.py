"""Training with torch, on varied pictures: a head on a frozen network, or a head and the network's last block."""

from imgcluster.training.labelled import Labelled, Taught
from imgcluster.training.settings import AUGMENT, FINETUNE, Training

__all__ = ["AUGMENT", "FINETUNE", "Labelled", "Taught", "Training"]
