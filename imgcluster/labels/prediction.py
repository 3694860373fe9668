"""Label images with a trained classifier."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imgcluster.config import ImagesConfig, features_from_dict
from imgcluster.errors import ConfigError
from imgcluster.features import Features, check_readable, extract_features
from imgcluster.images import (
    NUMBER,
    WHOLE_NUMBER,
    Cells,
    kind_of_cells,
    match_names,
    naming_column,
    other_names,
    read_asked,
    read_template,
)
from imgcluster.learning import Learned
from imgcluster.runs import given_images, path_text
from imgcluster.types import ImageFile, Template

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

UNSURE = 0.5
PROBABILITY = "{:.4g}"
# What labels have to look like in a column of such cells; in others any text may stand.
LABELS_OF = {Cells.WHOLE: WHOLE_NUMBER, **dict.fromkeys((Cells.DECIMAL, Cells.SHARE, Cells.MEASURED), NUMBER)}


@dataclass(frozen=True)
class Predictions:
    """What a model says of images: probabilities, (m, n_classes) float64, a row for each of `features.images`.

    classes: the columns' labels. unsure: below which probability of the best one an image counts as unsure.
    """

    images: Sequence[ImageFile]
    features: Features
    classes: list[str]
    probabilities: np.ndarray
    unsure: float
    commonest: str

    @property
    def labels(self) -> list[str]:
        """The likeliest label of each of `features.images`."""
        return [self.classes[number] for number in self.probabilities.argmax(axis=1).tolist()]

    def table(self) -> pd.DataFrame:
        """Return a row for each image: id, path, label, probability, unsure (yes or no), status and error."""
        import pandas as pd

        best = self.probabilities.max(axis=1, initial=0).tolist()
        known = dict(zip(self.features.images, zip(self.labels, best, strict=True), strict=True))
        reasons = {failure.image: failure.reason for failure in self.features.failures}
        columns = ["id", "path", "label", "probability", "unsure", "status", "error"]
        rows = []
        for image in self.images:
            cells = ["", "", "", "failed"]
            if image in known:
                label, share = known[image]
                cells = [label, PROBABILITY.format(share), "yes" if share < self.unsure else "no", "ok"]
            rows.append([image.id, path_text(image), *cells, reasons.get(image, "")])
        return pd.DataFrame(rows, columns=columns)

    def in_template(self, template: Path, label_column: str | None = None) -> pd.DataFrame:
        """Return a template's rows with the labels filled in, as `fill_template`."""
        return self.fill_template(template, label_column)[0]

    def fill_template(self, template: Path, label_column: str | None = None) -> tuple[pd.DataFrame, list[str]]:
        """Return a template's rows with the labels filled in, and what there is to say of how ids were matched.

        Where an image has no label, its row gets the commonest of the learning. The column is the only one beside the
        ids, or the one that is named. Raises ConfigError: no such column, a column for each class, cells
        that the labels do not fit, none of the template's ids among the images.
        """
        import pandas as pd

        shape = read_template(template, None)
        asked = read_asked(shape)
        if asked.is_wide and (label_column is None or label_column in asked.columns):
            raise ConfigError(
                f"{str(template)!r} has {len(asked.columns)} columns of labels; `predict` fills one; to fill all, "
                "`run` with clusters.method: learned and outputs.layout: soft"
            )
        columns = {shape.id_column: shape.ids, **other_names(shape, label_column or "")}
        shape = replace(shape, id_column=naming_column(columns, self.features.ids))
        others = [name for name in shape.columns if name != shape.id_column]
        column = label_column or (others[0] if len(others) == 1 else "label")
        if column not in others:
            raise ConfigError(f"{str(template)!r} has no column {column!r}; name the one of the labels")
        self._check_cells(shape, column)
        by_id = dict(zip(self.features.ids, self.labels, strict=True))
        matching = match_names(by_id, shape.ids)
        found = matching.values(by_id)
        if not found:
            raise ConfigError(
                f"none of the ids of {str(template)!r} is among the images ({shape.ids[0]!r} there)"
                f"{matching.none_because}"
            )
        notes = matching.notes("labels")
        if lacking := matching.unnamed:
            notes.append(
                f"{len(lacking):,} of {len(shape.ids):,} rows have no image that could be read, the first "
                f"{lacking[0]!r}; they get the commonest label, {self.commonest!r}"
            )
        frame = shape.frame.copy()
        frame[column] = [found.get(id, self.commonest) for id in shape.ids]
        return pd.DataFrame(frame.rows(), columns=frame.columns, dtype=str), notes

    def _check_cells(self, template: Template, column: str) -> None:
        """Raise ConfigError where the model has a label that the template's column cannot take; warn of odd ones."""
        wanted, where = read_asked(template, column), repr(str(template.path))
        fits = LABELS_OF.get(wanted.kind)
        if fits is not None and (unfit := [label for label in self.classes if not fits.fullmatch(label)]):
            kind = "whole numbers" if fits is WHOLE_NUMBER else "numbers"
            raise ConfigError(
                f"{where}: column {column!r} takes {kind}, such as {wanted.values[0]!r}, and the model's labels are "
                f"not all {kind}, such as {unfit[0]!r}; learn from labels that are {kind}, or correct the template"
            )
        if wanted.kind == Cells.WORDS and kind_of_cells(self.classes) != Cells.WORDS:
            logger.warning(
                "%s: column %r holds words, such as %r, and the model's labels are none, such as %r",
                *(where, column, wanted.values[0], self.classes[0]),
            )


def predict(
    model: str | Path,
    images: str | Path | Sequence[str | Path],
    *,
    unsure: float = UNSURE,
    show: bool = True,
) -> Predictions:
    """Label images, a folder, a file or a list of files, by a model that `learn` wrote.

    They are seen as the images that it was learned from; features go into the same store, and are never computed again.
    Raises ConfigError: no model there, features that cannot be made as its own were; ImageError: no image can be read.
    """
    learned = Learned.load(Path(model))
    listed = given_images(images, config=ImagesConfig.model_validate({"folder": ".", **learned.images}))
    features = extract_features(listed, features_from_dict(learned.features), show=show, like=learned.fingerprints)
    check_readable(features)
    learned.check_fingerprints([origin.fingerprint for origin in features.origins], str(model))
    commonest = max(learned.counts, key=lambda label: learned.counts[label])
    found = learned.probabilities(features.vectors)
    return Predictions(listed, features, learned.classes, found, unsure, commonest)
