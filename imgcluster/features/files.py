"""Read vectors computed elsewhere from a file, and match them with the images by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from imgcluster.errors import ConfigError, first_line
from imgcluster.features.file_columns import Unfit
from imgcluster.features.file_formats import KINDS, READERS, Raw
from imgcluster.features.result import Features, Origin
from imgcluster.images import ID_COLUMN, head_of, kind_of, match_names, names_by
from imgcluster.types import Failure, ImageFile
from imgcluster.utils import file_sha256, first_few

FINGERPRINT_LENGTH = 16
LFS_POINTER = "a Git LFS pointer"


def read_features(path: Path, columns: str | Sequence[str] | None = None) -> tuple[list[str], np.ndarray]:
    """Read a file of features: ids, and vectors (len(ids), dim) float32. Nothing in the file is executed.

    Args:
        columns: Columns or arrays that hold the vectors, as in `features.file_columns`.

    Raises:
        ConfigError: The file is missing or of another type than its ending says; vectors differ in length; ids are not
            text or not unique; cells are not numbers, NaN or infinite; or several columns could be the vectors.
    """
    raw = _read(path, columns)
    return list(raw.ids), raw.vectors


def _read(path: Path, columns: str | Sequence[str] | None) -> Raw:
    """Read as `read_features`; returns also what there is to say, and the columns that may name the images."""
    reader = READERS.get(path.suffix)
    if reader is None:
        raise _stop(path, f"its ending is none of {', '.join(READERS)} (no pickle: it can run code; save it as npz)")
    try:
        raw = reader(path, (columns,) if isinstance(columns, str) else columns)
        ids, vectors = _checked(raw.ids, raw.vectors)
        return raw._replace(ids=ids, vectors=vectors, names=raw.names or {ID_COLUMN: ids})
    except (Unfit, ConfigError) as error:
        raise _stop(path, _another_kind(path) or str(error)) from None
    except OSError as error:
        why = f"cannot be read: {error.strerror or error}"
        raise _stop(path, "is a folder; name a file" if path.is_dir() else why) from None
    except Exception as error:  # each library has its own for damaged bytes, and passes on others'
        damaged = f"damaged, or no {path.suffix} of numbers and text ({first_line(error)})"
        raise _stop(path, _another_kind(path) or damaged) from None


def _another_kind(path: Path) -> str:
    """Say what a file is where its first bytes tell that it is not what its ending says; empty where they do not."""
    kind = kind_of(head_of(path))
    if kind is None or kind in KINDS[path.suffix]:
        return ""
    return f"is {kind}, not {KINDS[path.suffix][0]}{'; run git lfs pull' if kind == LFS_POINTER else ''}"


def features_from_file(
    images: Sequence[ImageFile],
    path: Path,
    missing: Literal["stop", "skip"],
    columns: str | Sequence[str] | None = None,
) -> Features:
    """Return the features that a file has for these images, in their order; no image is read.

    Ids that are not equal are matched as `match_names` does; of several columns of names, `naming_column` says which.
    columns: as of `read_features`.
    An image that it lacks is a failure with `missing="skip"`, and else raises ConfigError, as `read_features` does.
    """
    _, vectors, note, names = _read(path, columns)
    name_of, taken = names_by(names, [image.id for image in images])
    ids = list(name_of)
    matching = replace(match_names(ids, [image.id for image in images]), note=taken)
    if matching.unnamed and missing == "stop":
        raise _stop(
            path,
            f"lacks {len(matching.unnamed):,} of {len(images):,} images: {first_few(matching.unnamed)} "
            f"(its own ids: {first_few(ids)}){matching.none_because}; add them, or set images.missing: skip",
        )
    row_of = {id: row for row, id in enumerate(ids)}
    found = [image for image in images if image.id in matching.names]
    rows = vectors[[row_of[matching.names[image.id]] for image in found]]
    failures = [Failure(image, f"no features in {path.name}") for image in images if image.id not in matching.names]
    notes = [f"{path.name}: {each}" for each in (note, *matching.notes("vectors")) if each]
    if matching.example is None and (extra := len(ids) - len(found)):
        notes.append(f"{extra:,} of the {len(ids):,} vectors in {path.name} belong to no image of this run")
    return Features(found, rows, failures, [_origin(path, rows)], notes)


def _checked(ids: Sequence[Any], vectors: np.ndarray) -> tuple[list[str], np.ndarray]:
    if not all(isinstance(id, str) for id in ids):
        raise Unfit(f"its ids are not text: {first_few([id for id in ids if not isinstance(id, str)])}")
    if vectors.dtype.kind not in "fiu":
        raise Unfit(f"its vectors are {vectors.dtype}, not numbers")
    if not len(ids) or not vectors.size:
        raise Unfit("no vectors in it")
    if vectors.ndim != 2 or len(vectors) != len(ids):
        raise Unfit(f"{len(ids)} ids, and vectors of the shape {vectors.shape}; ({len(ids)}, length) is needed")
    if repeated := [id for id, count in Counter(ids).items() if count > 1]:
        raise Unfit(f"{len(repeated):,} ids stand in it more than once: {first_few(repeated)}")
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinity, and is told below
        vectors = np.ascontiguousarray(vectors, np.float32)
    if bad := [ids[row] for row in np.flatnonzero(~np.isfinite(vectors).all(axis=1)).tolist()]:
        raise Unfit(f"{len(bad):,} vectors are not finite (NaN or infinity): {first_few(bad)}")
    return list(ids), vectors


def _origin(path: Path, rows: np.ndarray) -> Origin:
    digest = file_sha256(path)
    return Origin(
        backbone="file",
        layer=path.name,
        dim=rows.shape[1],
        pooling="none",
        weights="none",
        weights_file=str(path),
        weights_sha256=digest,
        licence="unknown",
        fallback=None,
        device="none",
        precision="fp32",
        runtime="file",
        fingerprint=digest[:FINGERPRINT_LENGTH],
        stores=[],
        computed=0,
        reused=len(rows),
    )


def _stop(path: Path, words: str) -> ConfigError:
    return ConfigError(f"features.file: {str(path)!r}: {words}")
