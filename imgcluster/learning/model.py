"""A trained classifier as a folder of safetensors and JSON."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imgcluster.config import FeaturesConfig
from imgcluster.errors import ConfigError, OutputError
from imgcluster.features import apply_transform
from imgcluster.learning.classifiers import Arrays, probabilities
from imgcluster.utils import write_whole

FORMAT = 1
BACKBONE = "backbone.safetensors"  # of a model whose network has learned too
CURVE = "training"
CHECKPOINT = "checkpoint.safetensors"  # of training that is not done
RECORD, ARRAYS = "model.json", "model.safetensors"
STEPS = ("sqrt", "l2")  # before the classifier; fitted to nothing


@dataclass(frozen=True)
class Learned:
    """classes: the labels, in the order of the columns of `probabilities`; features: the config's section of that name.

    Where the network has learned too, its weights there are BACKBONE, in the model's folder.
    fingerprints: of the features that it was fitted to, layer by layer; dim: their length. scores: on images that were
    held back, by name; notes: what a person should know of it. images: `images.video` and `images.pages` of the config,
    where they are set.
    """

    mode: str
    classifier: str
    classes: list[str]
    features: dict[str, Any]
    fingerprints: list[str]
    dim: int
    arrays: Arrays
    counts: dict[str, int]
    scores: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    images: dict[str, Any] = field(default_factory=dict)

    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        """Return how likely each class is, (m, n_classes) float64, from features, (m, dim) float32.

        Raises ConfigError where they have another length than those that it was fitted to.
        """
        if vectors.shape[1] != self.dim:
            raise ConfigError(f"the model knows features of {self.dim:,} values, not of {vectors.shape[1]:,}")
        return probabilities(self.classifier, prepared(vectors), self.arrays)

    @property
    def digest(self) -> str:
        """What tells this model from one that was learned anew."""
        parts = (array.tobytes() for _, array in sorted(self.arrays.items()))
        return hashlib.sha256(b"".join((*parts, json.dumps(self.classes).encode()))).hexdigest()[:16]

    def check_fingerprints(self, found: list[str], where: str) -> None:
        """Raise ConfigError where features are of another network, layer, recipe or precision than the model's."""
        if found != self.fingerprints:
            usual = FeaturesConfig().model_dump(mode="json")
            told = ", ".join(
                f"{key}: {value}"
                for key, value in self.features.items()
                if value != usual.get(key) and key not in ("store", "device", "batch_size", "fallback", "download")
            )
            raise ConfigError(
                f"{where}: these features are not made as those of the model were; features, as it has them: "
                f"{{{told}}}, with the same weights, runtime and precision"
            )

    def save(self, folder: Path) -> None:
        """Write the model, its record last, and remove its checkpoint. Raises OutputError where the disk fails."""
        from safetensors.numpy import save

        record = {"format": FORMAT, **{key: value for key, value in asdict(self).items() if key != "arrays"}}
        if not self.images:
            del record["images"]  # earlier versions know no such key
        left_by_others = [RECORD]  # by a model that was here
        if is_file(self.features["weights"], folder / BACKBONE):
            record["features"] = {**self.features, "weights": BACKBONE}  # wherever the folder will be
        else:
            left_by_others.append(BACKBONE)
        if self.mode == "features":
            left_by_others += [f"{CURVE}{ending}" for ending in (".csv", ".svg", ".png")]
        arrays = {name: np.ascontiguousarray(value) for name, value in self.arrays.items()}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in left_by_others:
                (folder / name).unlink(missing_ok=True)
            write_whole(folder / ARRAYS, save(arrays))
            write_whole(folder / RECORD, f"{json.dumps(record, indent=2, ensure_ascii=False)}\n".encode())
            (folder / CHECKPOINT).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{str(folder)!r} cannot be written: {error.strerror or error}") from None

    @classmethod
    def load(cls, folder: Path) -> Learned:
        """Read a model. Raises ConfigError: none there, damaged, of a newer format."""
        from safetensors.numpy import load

        try:
            record, arrays = json.loads((folder / RECORD).read_bytes()), (folder / ARRAYS).read_bytes()
            if record.pop("format") != FORMAT:
                raise ConfigError(f"{str(folder)!r} is of another version of imgcluster; learn it again")
            if record["features"]["weights"] == BACKBONE:
                record["features"]["weights"] = str(folder / BACKBONE)
            learned = cls(**record, arrays=load(arrays))
            if learned.probabilities(np.ones((1, learned.dim), np.float32)).shape[1] != len(learned.classes):
                raise ValueError("its classes are not those of its classifier")
            return learned
        except FileNotFoundError as error:
            missing = Path(error.filename).name
            raise ConfigError(
                f"{str(folder)!r} is not a model: it has no {missing}; `imgcluster learn` makes one"
            ) from None
        except ConfigError:
            raise
        except OSError as error:
            raise ConfigError(f"{error.filename!r}: {error.strerror}") from None
        except Exception as error:  # safetensors and json raise whatever the damaged bytes make them do
            raise ConfigError(f"{str(folder)!r} is damaged ({error}); learn it again") from None


def is_file(weights: str, path: Path) -> bool:
    """Say whether a config's weights are this file, however they are spelt."""
    return weights not in ("imagenet", "random") and Path(weights).expanduser().resolve() == path.resolve()


class LearnedClasses:
    """A model in the place of a clustering estimator: its clusters are the classes that it knows.

    model: the folder that `learn` wrote. Raises ConfigError as `Learned.load`.
    """

    def __init__(self, model: str) -> None:
        self.learned = Learned.load(Path(model).expanduser())

    def fit_predict(self, points: np.ndarray) -> np.ndarray:
        """Return the likeliest class of each point, (n,) int64."""
        return np.asarray(self.learned.probabilities(np.asarray(points, np.float32)).argmax(axis=1), np.int64)


def prepared(vectors: np.ndarray) -> np.ndarray:
    """Return features as a classifier sees them: the square root of each value, with its sign, and the length 1."""
    return apply_transform(np.asarray(vectors, np.float32), {"steps": np.array(STEPS)})
