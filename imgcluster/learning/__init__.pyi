from .classifiers import LEAST, fit_classifier, held_back, probabilities
from .model import BACKBONE, CHECKPOINT, RECORD, Learned, is_file, prepared
from .training.settings import FEATURES, Labelled, Taught, Training, checked
from .training.train import plan_training, teach

__all__ = [
    "BACKBONE",
    "CHECKPOINT",
    "FEATURES",
    "LEAST",
    "RECORD",
    "Labelled",
    "Learned",
    "Taught",
    "Training",
    "checked",
    "fit_classifier",
    "held_back",
    "is_file",
    "plan_training",
    "prepared",
    "probabilities",
    "teach",
]
