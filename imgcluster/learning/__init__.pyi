from .classifiers import LEAST, fit_classifier, probabilities, softmax, validation_split
from .model import BACKBONE, CHECKPOINT, RECORD, Learned, is_file, prepared
from .training.settings import FEATURES, Labelled, Training, TrainingResult, checked
from .training.train import plan_training, teach

__all__ = [
    "BACKBONE",
    "CHECKPOINT",
    "FEATURES",
    "LEAST",
    "RECORD",
    "Labelled",
    "Learned",
    "Training",
    "TrainingResult",
    "checked",
    "fit_classifier",
    "is_file",
    "plan_training",
    "prepared",
    "probabilities",
    "softmax",
    "teach",
    "validation_split",
]
