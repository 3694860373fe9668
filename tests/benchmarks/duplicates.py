"""Copies of photographs found among others, against the hashes and the rule of imagededup; 100,000 vectors."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from imgcluster import config_from_dict, run
from imgcluster.curation import find_duplicates
from imgcluster.curation.similar_pairs import Verifier, find_pairs
from imgcluster.datasets.photos import _paths
from imgcluster.features import unit_length
from imgcluster.runs import features_of_run
from tests.benchmarks.rows import Row

PHOTOS = "IMGCLUSTER_PHOTOS"  # a folder of photographs, at any depth; those of scikit-learn and scikit-image without
PEER = "IMGCLUSTER_IMAGEDEDUP"  # a Python that has imagededup
COUNT, MIN_SIDE = 40, 240
COSINE = 0.9  # imagededup's CNN, by default
HASH_DISTANCE, MAX_HASH_DISTANCE = 10, 16  # imagededup's hashes, by default, and the farthest that is tried
SYNTHETIC = {False: 100_000, True: 5_000}  # by --quick
DIM = 256

Change = Callable[[Image.Image, np.random.Generator], Image.Image]
Pair = tuple[str, str]

HASHES = """
import json, sys
from imagededup.methods import DHash, PHash, WHash
for method in (PHash, DHash, WHash):
    found = method(verbose=False).find_duplicates(
        image_dir=sys.argv[1], max_distance_threshold=int(sys.argv[2]), scores=True
    )
    pairs = [(one, other, int(far)) for one, near in found.items() for other, far in near if one < other]
    print(json.dumps([method.__name__, pairs]))
"""


def _crop(image: Image.Image, cut: float, draw: np.random.Generator) -> Image.Image:
    width, height = (round(side * (1 - 2 * cut)) for side in image.size)
    left, top = int(draw.integers(image.width - width + 1)), int(draw.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def _marked(image: Image.Image) -> Image.Image:
    marked = image.copy()
    font = ImageFont.load_default(size=max(12, image.height // 10))
    place = (image.width * 0.35, image.height * 0.85)
    ImageDraw.Draw(marked).text(place, "© sample 2026", fill=(255, 255, 255), font=font)
    return marked


def _resized(image: Image.Image, by: int) -> Image.Image:
    return image.resize((image.width // by, image.height // by), Image.Resampling.LANCZOS)


def _bordered(image: Image.Image) -> Image.Image:
    return ImageOps.expand(image, border=round(0.05 * image.width), fill=(255, 255, 255))


CHANGES: dict[str, Change] = {
    "JPEG quality 10": lambda image, _: image,
    "JPEG quality 30": lambda image, _: image,
    "half the size": lambda image, _: _resized(image, 2),
    "a third of the size": lambda image, _: _resized(image, 3),
    "a tenth cut off each side": lambda image, draw: _crop(image, 0.1, draw),
    "a fifth cut off each side": lambda image, draw: _crop(image, 0.2, draw),
    "mirrored": lambda image, _: ImageOps.mirror(image),
    "brightness 1.4": lambda image, _: ImageEnhance.Brightness(image).enhance(1.4),
    "contrast 0.6": lambda image, _: ImageEnhance.Contrast(image).enhance(0.6),
    "a border": lambda image, _: _bordered(image),
}
OTHER_CHANGES: dict[str, Change] = {  # which change what is to be seen
    "a large watermark": lambda image, _: _marked(image),
    "turned by 90 degrees": lambda image, _: image.transpose(Image.Transpose.ROTATE_90),
}
QUALITY = {"JPEG quality 10": 10, "JPEG quality 30": 30}


@dataclass(frozen=True)
class Found:
    """Names of files that a method calls copies of one another."""

    pairs: set[Pair]

    def recall(self, change: str, photos: int) -> float:
        """Return the share of the photographs with their changed copies."""
        place = [*CHANGES, *OTHER_CHANGES].index(change)
        return (
            sum(_pair(f"{photo:03d}.jpg", f"{photo:03d}-{place:02d}.jpg") in self.pairs for photo in range(photos))
            / photos
        )

    def precision(self) -> float:
        """Return the share of pairs that are of one photograph."""
        right = sum(_photo(one) == _photo(other) for one, other in self.pairs)
        return right / max(1, len(self.pairs))


def duplicates(quick: bool) -> Iterator[Row]:
    """Recall of each change, precision, and seconds for many vectors."""
    with TemporaryDirectory() as own:
        folder = Path(own) / "images"
        photos = _write(folder, quick)
        methods = dict(_methods(Path(own), folder))
        ours = methods.pop("ours")
        for change in (*CHANGES, *OTHER_CHANGES):
            against = {name: found.recall(change, photos) for name, found in methods.items()}
            aim = "" if change in OTHER_CHANGES else ">= 0.95"
            yield Row("duplicates", f"{change}: recall", f"{ours.recall(change, photos):.2f}", _best(against), aim=aim)
        yield Row("duplicates", "recall of the ten changes", f"{_mean(ours, photos):.3f}")
        yield Row("duplicates", "precision", f"{ours.precision():.3f}", aim=">= 0.98")
        for name, found in methods.items():
            figures = f"{_mean(found, photos):.3f}, {found.precision():.3f}"
            yield Row("duplicates", f"{name}: recall, precision", "", figures)
    yield _many(SYNTHETIC[quick])


def _mean(found: Found, photos: int) -> float:
    return float(np.mean([found.recall(change, photos) for change in CHANGES]))


def _best(figures: Mapping[str, float]) -> str:
    name = max(figures, key=lambda each: figures[each], default="")
    return f"{figures[name]:.2f} {name}" if name else ""


def _write(folder: Path, quick: bool) -> int:
    """Write photographs, their changed copies, and all others; returns how many were changed."""
    folder.mkdir(parents=True)
    root = os.environ.get(PHOTOS)
    sources = [path for path in sorted(Path(root).rglob("*")) if path.is_file()] if root else _paths()
    draw = np.random.default_rng(0)
    large = [path for path in sources if min(Image.open(path).size) >= MIN_SIDE]
    chosen = [large[place] for place in sorted(draw.permutation(len(large))[: 10 if quick else COUNT])]
    for number, path in enumerate(chosen):
        image = Image.open(path).convert("RGB")
        image.save(folder / f"{number:03d}.jpg", quality=95)
        for place, (name, change) in enumerate({**CHANGES, **OTHER_CHANGES}.items()):
            copy = change(image, np.random.default_rng([1, number]))
            copy.save(folder / f"{number:03d}-{place:02d}.jpg", quality=QUALITY.get(name, 90))
    for number, path in enumerate(path for path in sources if path not in chosen):
        Image.open(path).convert("RGB").save(folder / f"other{number:05d}.png")
    return len(chosen)


def _methods(own: Path, folder: Path) -> Iterator[tuple[str, Found]]:
    sections = {
        "images": {"folder": str(folder)},
        "features": {"backbone": "efficientnet_lite0", "store": str(own / "store")},
        "clusters": {"method": "kmeans", "n_clusters": 2},
        "outputs": {"folder": str(own / "run"), "submission": None, "report": False},
    }
    run(config_from_dict(sections), show=False)
    groups = find_duplicates(own / "run").groups.values()
    yield (
        "ours",
        Found({_pair(one.id, other.id) for group in groups for one in group for other in group if one != other}),
    )
    table = features_of_run(own / "run")
    yield "cosine 0.9 of Lite0", _by_cosine(table.ids, table.vectors)
    if python := os.environ.get(PEER):
        line = [python, "-c", HASHES, str(folder), str(MAX_HASH_DISTANCE)]
        told = subprocess.run(line, capture_output=True, text=True, check=True).stdout.splitlines()
        for name, pairs in (json.loads(each) for each in told if each.startswith("[")):
            for most in (HASH_DISTANCE, MAX_HASH_DISTANCE):
                yield f"{name} {most}", Found({_pair(one, other) for one, other, far in pairs if far <= most})


def _by_cosine(ids: Sequence[str], vectors: np.ndarray) -> Found:
    """Return what the rule of imagededup's CNN finds: cosines of 0.9 and more."""
    unit = unit_length(vectors)
    one, other = np.nonzero(np.triu(unit @ unit.T >= COSINE, 1))
    return Found({_pair(ids[first], ids[second]) for first, second in zip(one.tolist(), other.tolist(), strict=True)})


def _pair(one: str, other: str) -> Pair:
    return (one, other) if one <= other else (other, one)


def _photo(name: str) -> str:
    return name.partition(".")[0].partition("-")[0]


class _Nothing:
    """Pictures that all differ."""

    def thumbnail(self, row: int) -> np.ndarray:
        return np.random.default_rng(row).integers(0, 256, (128, 128, 3), np.uint8)

    def pixels_digest(self, row: int) -> tuple[int, int, str]:
        return 1, 1, str(row)


def _many(count: int) -> Row:
    """Pairs of many images of which one in twenty is a copy of another, by signatures and vectors."""
    draw = np.random.default_rng(0)
    vectors = draw.standard_normal((count, DIM), np.float32)
    small = draw.uniform(0, 255, (count, 8, 8)).astype(np.float32)
    signatures = np.repeat(np.repeat(small, 4, 1), 4, 2).reshape(count, 1024)
    copies: Collection[int] = range(20, count, 20)
    for row in copies:
        vectors[row] = vectors[row - 1] + 0.1 * vectors[row]
        signatures[row] = signatures[row - 1] + draw.normal(0, 2, 1024)
    start = process_time()
    verify = Verifier(vectors, signatures, [str(row) for row in range(count)], _Nothing(), "same")
    list(find_pairs(verify, np.arange(count)))
    return Row("duplicates", f"{count:,} x {DIM}: CPU s", f"{process_time() - start:.0f}")
